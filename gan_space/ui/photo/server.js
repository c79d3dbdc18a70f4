// Questions to the server, and its answers: gradio's queue, spoken to without gradio's page, which costs seconds to open.
// A question is posted; answers to all of them come in one stream, which the server ends when none is under way.

const lastVisit = visitBefore(); // of this tab of the browser
const session = lastVisit?.session || Array.from(crypto.getRandomValues(new Uint8Array(8)), (one) => one.toString(36)).join('');
const underWay = new Set(); // questions: { name, data, id, answer, dropped }
const held = {}; // by name: the question of a kind of which only the last counts
const MAX_EARLY = 100;
let early = []; // what the stream told of questions whose number is not known yet
let stream = null;
let alive = null; // tells the server that this page is open

function addressOf(path) { return new URL(`gradio_api/${path}`, document.baseURI); }

function fileAddress(path) { return addressOf(`file=${encodeURI(path).replace(/[?#]/g, encodeURIComponent)}`).href; }

async function post(path, body) {
  const json = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(addressOf(path), json);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function upload(sent) {
  const form = new FormData();
  form.append('files', sent);
  const answer = await fetch(addressOf('upload'), { method: 'POST', body: form });
  if (!answer.ok) throw new Error(`upload: ${answer.status}`);
  const [path] = await answer.json();
  return { path };
}

async function trigger(name, asked = {}) {
  const { number, inputs, last, drops } = data.events[name];
  if (last && [...underWay].some((one) => one.name === name)) { held[name] = asked; return; }
  for (const one of underWay) if (drops.includes(one.name)) drop(one);
  const question = { name, asked, id: '', answer: null, dropped: false };
  underWay.add(question);
  alive ??= new EventSource(addressOf(`heartbeat/${session}`));
  try {
    const given = { data: [asked, null].slice(0, inputs), fn_index: number, session_hash: session };
    question.id = (await post('queue/join', given)).event_id;
  } catch { end(question, null); return; }
  if (question.dropped) { cancel(question); return; }
  const told = early.filter((one) => one.event_id === question.id);
  early = early.filter((one) => one.event_id !== question.id);
  told.forEach(hear);
  listen();
}

function drop(question) {
  question.dropped = true;
  underWay.delete(question);
  if (question.id) cancel(question);
}

function cancel({ name, id }) {
  post('cancel', { session_hash: session, fn_index: data.events[name].number, event_id: id }).catch(() => {});
}

function listen() {
  if (stream || ![...underWay].some((one) => one.id)) return;
  stream = new EventSource(addressOf(`queue/data?session_hash=${session}`));
  stream.onmessage = ({ data: text }) => hear(JSON.parse(text));
  stream.onerror = () => lose(); // the server is gone, or was started anew
}

function lose() {
  stream?.close();
  stream = null;
  for (const one of [...underWay]) if (one.id) end(one, null);
}

function hear(message) {
  const { msg, event_id: id, output, success } = message;
  if (msg === 'close_stream') { stream?.close(); stream = null; listen(); return; }
  if (msg === 'unexpected_error') { lose(); return; }
  if (msg !== 'process_generating' && msg !== 'process_completed') return;
  const question = [...underWay].find((one) => one.id === id);
  if (!question) { early = [...early, message].slice(-MAX_EARLY); return; } // or one that was dropped
  if (msg === 'process_completed') { end(question, success ? output.data : null); return; }
  question.answer = question.answer ? question.answer.map((part, place) => patched(part, output.data[place])) : output.data;
  tellOf(question.name, question.answer.at(-1));
}

function end(question, answer) {
  underWay.delete(question);
  const { name, asked } = question;
  if (answer?.length) tellOf(name, answer.at(-1));
  else if (!question.dropped) tellOf(name, { number: asked.number, error: say('photo.error_busy') });
  if (!(name in held)) return;
  const next = held[name];
  delete held[name];
  trigger(name, next);
}

function tellOf(name, answer) {
  const detail = { kind: data.events[name].kind, answer };
  window.dispatchEvent(new CustomEvent('gan-space-photo', { detail }));
}

function patched(value, edits) {
  // What comes after a question's first answer is what is different in it.
  const whole = { value: structuredClone(value) };
  for (const [kind, path, given] of edits || []) {
    const way = ['value', ...path];
    const key = way.pop();
    const place = way.reduce((inside, step) => inside[step], whole);
    if (kind === 'append') place[key] += given;
    else if (kind !== 'delete') place[key] = given;
    else if (Array.isArray(place)) place.splice(key, 1);
    else delete place[key];
  }
  return whole.value;
}
