// Questions to the server, and its answers: gradio's queue, spoken to without gradio's page, which costs seconds to open.
// A question is posted; answers to all of them come in one stream, which the server ends when none is under way.

const home = new URL(location.pathname.replace(/\/*$/, '/'), location.origin); // the page is the server's root, behind any proxy
const sign = new URLSearchParams(location.search).get('__sign'); // tells a private Space who asks
const lastVisit = visitBefore(); // of this tab of the browser
let session = lastVisit?.session || newSession();
const underWay = new Set(); // questions: { name, asked, id, answer, dropped, lost }
const held = {}; // by name: the question of a kind of which only the last counts
const MAX_EARLY = 100;
let early = []; // what the stream told of questions whose number is not known yet
let stream = null;
let alive = null; // tells the server that this page is open
let heardAt = 0; // when the stream told something last
let hasTold = false; // whether it told anything
let doubts = 0; // times that the server was asked since without a word

const PAUSES_MSEC = [500, 1500, 4000]; // before a question is sent once more
const FOR_NOW = new Set([429, 502, 503, 504]); // the queue is full, or the server is being started
const MAX_LOST = 2; // times that a question is asked anew, because its answer was lost
const SILENT_MSEC = 45_000; // the server tells something every 15 s; a connection can be dead without a word
const MAX_DOUBTS = 3; // who was asleep asks first: the stream may be there still

function newSession() { return Array.from(crypto.getRandomValues(new Uint8Array(8)), (one) => one.toString(36)).join(''); }

function addressOf(path) {
  const address = new URL(`gradio_api/${path}`, home);
  if (sign) address.searchParams.set('__sign', sign);
  return address;
}

function fileAddress(path) { return addressOf(`file=${encodeURI(path).replace(/[?#]/g, encodeURIComponent)}`).href; }

function rest(msec) { return new Promise((done) => { setTimeout(done, msec); }); }

async function send(path, message, how = fetch) {
  // A browser breaks off what a page has asked when the page is left, and its script still runs for a moment. What it then
  // said of a failure would be kept of the visit, and found on coming back: it says so after a pause, when it is gone.
  for (const pause of [...PAUSES_MSEC, PAUSES_MSEC[0]]) {
    const { status, said, brokeOff } = await sendOnce(addressOf(path), { method: 'POST', ...message }, how);
    if (said !== undefined) return said;
    if (brokeOff && path === 'queue/join') throw Object.assign(new Error(`${path} broke off`), { brokeOff });
    if (status && !FOR_NOW.has(status)) throw new Error(`${path}: ${status}`);
    await rest(pause);
  }
  throw new Error(`${path} cannot be reached`);
}

async function sendOnce(address, message, how) { // `brokeOff`: in the middle of the answer, so that the server has heard
  let answer = null;
  let text = '';
  try {
    answer = await how(address, message);
    if (answer.ok) text = await answer.text();
  } catch { return { brokeOff: Boolean(answer) }; }
  if (!answer.ok) return { status: answer.status };
  try { return { said: JSON.parse(text) }; } catch { return { status: answer.status }; } // somebody else's page, whole
}

function post(path, body, headers = {}) {
  return send(path, { headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) });
}

async function upload(sent, tell = () => {}) {
  const body = new FormData();
  body.append('files', sent);
  const [path] = await send('upload', { body }, (address, message) => fetchTelling(address, message, tell));
  return { path };
}

function fetchTelling(address, { method, body }, tell) {
  // As `fetch`, which cannot tell what share of a file has been sent so far.
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open(method, address);
    request.upload.onprogress = ({ loaded, total }) => tell(total ? loaded / total : 1);
    request.onload = () => done({ ok: request.status < 300, status: request.status, text: () => request.responseText });
    request.onerror = () => failed(new Error(`${address} cannot be reached`));
    request.send(body);
  });
}

// A Space that borrows GPUs: the Hub's page around this one says whose time a question takes.

const HANDSHAKE = 'supports-zerogpu-headers';
const HUB_MSEC = 2000; // after so long it is asked without
const hub = window.parent !== window && data.zerogpu_frame;
const hubAnswers = hub && new Promise((done) => {
  window.addEventListener('message', ({ origin, data: message }) => { if (origin === hub && message === HANDSHAKE) done(true); });
  window.parent.postMessage(HANDSHAKE, hub);
  setTimeout(() => done(false), HUB_MSEC);
});

async function visitorHeaders() {
  if (!await hubAnswers) return {};
  return new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    const take = (headers) => { port1.close(); done(headers instanceof Map ? Object.fromEntries(headers) : headers || {}); };
    port1.onmessage = ({ data: headers }) => take(headers);
    setTimeout(take, HUB_MSEC);
    window.parent.postMessage('zerogpu-headers', hub, [port2]);
  });
}

// A tab that was copied has the visit of the first one, and each would hear only some of the answers: who has it locks it.

const FREED_MSEC = 300; // in which the page that was here before this one lets go of it
const settled = settle(); // whether the visit goes on as the one that it was

function claim() { // whether the session is this page's alone, from now on
  if (!navigator.locks) return Promise.resolve(true); // reached by http from another machine
  return new Promise((done) => {
    const hold = () => { done(true); return new Promise(() => {}); };
    const waiting = { signal: AbortSignal.timeout(FREED_MSEC) };
    navigator.locks.request(`gan_space_visit ${session}`, waiting, hold).catch(() => done(false));
  });
}

async function settle() {
  if (await claim()) return session === lastVisit?.session;
  session = newSession();
  await claim();
  return false;
}

async function trigger(name, asked = {}) {
  const { last, drops } = data.events[name];
  if (last && [...underWay].some((one) => one.name === name)) { held[name] = asked; return; }
  for (const one of underWay) if (drops.includes(one.name)) drop(one);
  const question = { name, asked, id: '', answer: null, dropped: false, lost: 0 };
  underWay.add(question);
  await join(question);
}

async function join(question) {
  const { number, inputs } = data.events[question.name];
  await settled;
  if (question.dropped) return;
  alive ??= new EventSource(addressOf(`heartbeat/${session}`));
  const given = { data: [question.asked, null].slice(0, inputs), fn_index: number, session_hash: session };
  let id;
  try {
    id = (await post('queue/join', given, await visitorHeaders())).event_id;
  } catch ({ brokeOff }) {
    if (!brokeOff || question.name === 'place_wanted') { end(question, null); return; } // the place is soon asked for anyway
    // The server may be at work on it, for nobody. It is asked once more, as another visit, of which that work knows nothing.
    question.lost = Math.max(question.lost, MAX_LOST - 1);
    askAgain(question, { left: given.session_hash });
    return;
  }
  question.id = id;
  if (question.dropped) { cancel(question); return; }
  if (given.session_hash !== session) { askAgain(question); return; }
  const missed = early.filter((one) => one.event_id === id);
  early = early.filter((one) => one.event_id !== id);
  missed.forEach(hear);
  listen();
}

async function askAgain(question, { counts = true, left = '' } = {}) { // `left`: the visit that it must not be asked in
  Object.assign(question, { id: '', answer: null, lost: question.lost + Number(counts) });
  const isGivenUp = question.lost > MAX_LOST;
  await rest(PAUSES_MSEC[isGivenUp ? 0 : Math.max(question.lost - 1, 0)]); // also before it is given up: see `send`
  if (left === session) lose(false);
  if (question.dropped) return;
  if (isGivenUp) end(question, null); else await join(question);
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
  [heardAt, hasTold, doubts] = [performance.now(), false, 0];
  stream.onmessage = ({ data: text }) => {
    [heardAt, hasTold, doubts] = [performance.now(), true, 0];
    hear(JSON.parse(text));
  };
  stream.onerror = () => lose(); // the connection broke, or the server was started anew
}

function hangUp() {
  for (const one of [stream, alive]) one?.close();
  stream = alive = null;
}

function lose(counts = true) { // whether each question may be lost so only MAX_LOST times
  hangUp();
  session = newSession(); // the server may not know yet that nobody listens, and go on telling him
  claim();
  for (const one of [...underWay]) if (one.id) askAgain(one, { counts });
}

// While somebody waits, the server is asked how many come before, and of which questions it knows nothing: what was asked
// beside the end of an older connection of the same visit went with it, and no answer to it will ever come.

function askForPlace() {
  const isSilent = stream && performance.now() - heardAt > SILENT_MSEC;
  if (isSilent) doubts += 1;
  if (isSilent && doubts > MAX_DOUBTS) lose(!hasTold); // a server that never tells anything is not asked for ever
  else trigger('place_wanted', { ids: [...underWay].map(({ id }) => id).filter(Boolean) });
}

function askForLost(ids) { // an answer that was on its way has come before this one
  for (const one of [...underWay]) if (ids.includes(one.id)) askAgain(one);
}

window.addEventListener('pagehide', hangUp);
window.addEventListener('pageshow', ({ persisted }) => { if (persisted && underWay.size) lose(); });

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
    else if (kind === 'add' && Array.isArray(place)) place.splice(key, 0, given);
    else if (kind !== 'delete') place[key] = given;
    else if (Array.isArray(place)) place.splice(key, 1);
    else delete place[key];
  }
  return whole.value;
}
