// The tab "Photo": what is on it, what is shown now, and what the server answers. The files beside this one are parts of
// the same function, in which `data` is what the server told of looks, sliders, texts and its own functions.

const root = document.querySelector('.photo-page');
const KEPT = 'gan_space_looks'; // in the browser: favourites, and the looks used last
const VISIT = 'gan_space_visit_2'; // in this tab of the browser: photo and settings as they were left
const PATIENCE_MSEC = 8000;
const TAP_MSEC = 300; // what is held longer is no tap
const PLACE_MSEC = 2000; // after so long, and then so often, who waits asks how many come before
const NO_MAKEUP = { makeup: '', makeupStrength: 1, makeupTone: 1 }; // `makeup`: path of the picture whose make-up is worn

const state = {
  language: data.language,
  photo: null, // { before, width, height, faces }
  source: null, // { file, path, example, again }: where it came from, and how often it was brought again
  look: '',
  strength: data.strength,
  edits: {},
  glasses: 'none',
  ...NO_MAKEUP,
  faces: 'largest',
  drawn: null, // the picture that is shown: its settings, and its `url`
  asked: 0, // number of the last question
  sent: 1, // share of the photo that is on the server
  waiting: new Set(), // any of 'photo', 'look', 'makeup', 'file', 'seen'
  wanted: null, // settings of the look that is being drawn
  history: [],
  at: -1, // which of them is shown
  panel: 'looks', // which of the tools are in sight
  group: '', // of sliders, in the panel "adjust"
};

// Texts

function say(key, values = {}) {
  const text = data.texts[state.language][key] || key;
  return Object.entries(values).reduce((done, [name, value]) => done.replaceAll(`{${name}}`, value), text);
}

function relabel(language) {
  const told = parts.notice.hidden ? '' : parts.notice.textContent;
  const [key] = Object.entries(data.texts[state.language]).find(([, text]) => told && text === told) || [];
  state.language = language;
  if (key) tell(say(key));
  document.documentElement.lang = language;
  document.title = say('app.title_photos');
  document.querySelector('#title h1').lang = language;
  document.querySelector('#page-footer').innerHTML = data.footers[language];
  nameParts(document);
  if (state.photo) showFaces();
  if (seen.shown) tellSeen(!parts.seen.hidden);
  showChosen();
}

function nameParts(within) {
  for (const part of within.querySelectorAll('[data-text]')) part.textContent = say(part.dataset.text);
  for (const part of within.querySelectorAll('[data-title]')) {
    part.title = say(part.dataset.title);
    part.setAttribute('aria-label', part.title);
  }
  for (const part of within.querySelectorAll('[data-aria]')) part.setAttribute('aria-label', say(part.dataset.aria));
  for (const part of within.querySelectorAll('[data-named]')) part.textContent = JSON.parse(part.dataset.named)[state.language].replaceAll('-', '\u2011'); // whole words
  for (const picture of within.querySelectorAll('[data-alt]')) picture.alt = say(picture.dataset.alt);
}

function fill(slider) {
  // The rail is coloured from the middle, or the left end, to the handle.
  const share = (amount) => `${100 * (amount - slider.min) / (slider.max - slider.min)}%`;
  const ends = [Math.max(Number(slider.min), 0), Number(slider.value)].sort((a, b) => a - b);
  slider.style.setProperty('--from', share(ends[0]));
  slider.style.setProperty('--to', share(ends[1]));
}

// Building

function make(tag, settings = {}, ...children) {
  const part = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (value === null) continue;
    if (name.startsWith('on')) part.addEventListener(name.slice(2), value);
    else if (name in part && typeof value === 'boolean') part[name] = value;
    else part.setAttribute(name, value);
  }
  part.append(...children.filter((child) => child !== null));
  return part;
}

function icon(name) {
  const shapes = {
    photo: 'M4 5h16v14H4z M4 16l4.5-4.5 4 4 2.5-2.5 5 5 M15 8.2a1.1 1.1 0 1 0 .1 0',
    camera: 'M3 8h4l2-3h6l2 3h4v11H3z M12 10a3.5 3.5 0 1 0 0 7a3.5 3.5 0 0 0 0-7',
    undo: 'M9 7L4 12l5 5 M4 12h10a6 6 0 0 1 6 6',
    redo: 'M15 7l5 5-5 5 M20 12H10a6 6 0 0 0-6 6',
    compare: 'M12 3v18 M5 6h4v12H5z M15 6h4v12h-4z',
    share: 'M12 15V4 M8 7l4-4 4 4 M6 12v8h12v-8',
    copy: 'M9 9h11v11H9z M5 15V4h11',
    save: 'M12 4v11 M7 11l5 5 5-5 M5 20h14',
    done: 'M5 12.5l4.5 4.5L19 7.5',
    heart: 'M12 20s-7.5-4.6-7.5-10A4.2 4.2 0 0 1 12 7.4A4.2 4.2 0 0 1 19.5 10c0 5.4-7.5 10-7.5 10z',
    close: 'M6 6l12 12 M18 6L6 18',
    reset: 'M5 5v5h5 M5.6 10a7 7 0 1 1-.6 4',
    none: 'M12 4a8 8 0 1 0 .1 0 M6.5 6.5l11 11',
    round: 'M6.5 8.5a4 4 0 1 0 .1 0 M17.5 8.5a4 4 0 1 0 .1 0 M10.5 11.5q1.5-1 3 0 M2.5 11.5L1 10.8 M21.5 11.5l1.5-.7',
    square: 'M2.5 8.5h8l-.7 7H3.3z M13.5 8.5h8l-.8 7h-6.5z M10.5 10q1.5-.8 3 0',
    aviator: 'M2.5 8.5h8q.6 8-4 8t-4-8z M13.5 8.5h8q.6 8-4 8t-4-8z M10.5 8.5h3 M10.4 10.7h3.2',
    'cat-eye': 'M1.5 7q4.5 2 9 2.3 0 6.2-4 6.2T1.5 7z M22.5 7q-4.5 2-9 2.3 0 6.2 4 6.2T22.5 7z M10.5 10q1.5-.8 3 0',
  };
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', shapes[name]);
  svg.append(path);
  return svg;
}

function iconButton(name, title, action, settings = {}) {
  return make('button', { type: 'button', class: `icon ${name}`, 'data-title': title, onclick: action, ...settings }, icon(name));
}

const parts = {}; // those that change, by name

function build() {
  parts.notice = make('div', { class: 'notice-line', role: 'alert', hidden: true });
  parts.status = make('p', { class: 'only-read', role: 'status' });
  root.append(parts.notice, parts.status, buildGreeting(), buildWork(), buildCamera());
  root.dataset.state = 'empty';
}

function buildGreeting() {
  const looks = make('div', { class: 'wipe', 'aria-hidden': 'true' });
  parts.wipe = looks;
  dragWipe(looks);
  looks.append(
    make('img', { class: 'wiped-before', src: data.before, alt: '', draggable: 'false' }),
    make('img', { class: 'wiped-after', alt: '', hidden: true, draggable: 'false' }),
    make('span', { class: 'wipe-edge', hidden: true }),
    make('span', { class: 'wipe-side', hidden: true }, make('span', { class: 'wipe-name', 'data-text': 'photo.original' })),
    make('span', { class: 'wipe-side', hidden: true }, make('span', { class: 'wipe-name wipe-look' })),
  );
  const examples = data.examples.map((picture, number) =>
    make('button', { type: 'button', class: 'example', 'data-aria': 'photo.example', onclick: () => chooseExample(number) },
      make('img', { src: picture, alt: '', width: 72, height: 72 })));
  return make('section', { class: 'greeting' },
    make('div', { class: 'greeting-words' },
      make('h2', { 'data-text': 'photo.title' }),
      buildGoOn(),
      buildChoice(),
      make('div', { class: 'examples', hidden: !examples.length },
        make('span', { 'data-text': 'photo.examples' }), ...examples)),
    make('figure', { class: 'greeting-picture', hidden: !data.before }, looks));
}

function buildWork() {
  parts.before = make('img', {
    class: 'picture-before', 'data-alt': 'photo.alt_before', draggable: false,
    onload: (event) => { parts.before.hidden = false; foreshadow(event); },
    onerror: () => { parts.before.hidden = true; root.style.removeProperty('--pale'); }, // a kind that only the server can read
  });
  parts.now = make('img', { class: 'picture-now', 'data-alt': 'photo.alt_now', draggable: false, hidden: true });
  parts.seen = make('img', { class: 'picture-seen', 'data-alt': 'photo.alt_seen', draggable: false, hidden: true });
  parts.faces = make('div', { class: 'face-choice', role: 'group', 'data-aria': 'photo.faces', hidden: true });
  parts.undo = iconButton('undo', 'photo.undo', () => goTo(state.at - 1));
  parts.redo = iconButton('redo', 'photo.redo', () => goTo(state.at + 1));
  parts.place = make('span', { class: 'badge place', role: 'status' });
  parts.slow = make('span', { class: 'badge slow', 'aria-hidden': 'true' }); // the line for screen readers says it, too
  parts.compare = iconButton('compare', 'photo.compare', () => {}, { 'aria-pressed': 'false' });
  parts.picture = make('div', { class: 'picture' },
    make('div', { class: 'picture-stack' }, parts.before, parts.now, parts.seen),
    make('span', { class: 'badge', 'data-text': 'photo.original' }),
    parts.place,
    parts.slow,
    make('div', { class: 'over' },
      iconButton('photo', 'photo.another', openChooser), parts.undo, parts.redo, parts.compare),
    parts.faces);
  holdToCompare(parts.picture);
  holdToCompare(parts.compare);
  const work = make('section', { class: 'work' },
    make('div', { class: 'shown' }, parts.picture, buildStrength()),
    buildTools(),
    buildKeeping());
  return work;
}

function buildTools() {
  const tab = (name, action) => make('button', {
    type: 'button', role: 'tab', id: `photo-tab-${name}`, 'aria-controls': `photo-panel-${name}`,
    'data-text': `photo.tab_${name}`, onclick: action,
  });
  parts.tabs = { looks: tab('looks', () => choosePanel('looks')), adjust: tab('adjust', () => choosePanel('adjust')) };
  parts.panels = { looks: buildStrip(), adjust: buildAdjusting() };
  const some = data.sliders.length > 0;
  const tabs = make('div', { class: 'tool-tabs', role: 'tablist', 'data-aria': 'photo.tools', hidden: !some },
    parts.tabs.looks, parts.tabs.adjust);
  tabs.addEventListener('keydown', (event) => {
    if (!['ArrowLeft', 'ArrowRight'].includes(event.key)) return;
    choosePanel(parts.panels.looks.hidden ? 'looks' : 'adjust');
    parts.tabs[parts.panels.looks.hidden ? 'adjust' : 'looks'].focus();
  });
  showPanel('looks');
  return make('div', { class: 'tools' }, tabs, parts.panels.looks, parts.panels.adjust);
}

function choosePanel(chosen) {
  showPanel(chosen);
  notePanel();
}

function showPanel(chosen) {
  state.panel = chosen;
  if (chosen !== 'adjust') showSeen(false);
  for (const name of Object.keys(parts.tabs)) {
    parts.tabs[name].setAttribute('aria-selected', String(name === chosen));
    parts.tabs[name].tabIndex = name === chosen ? 0 : -1;
    parts.panels[name].hidden = name !== chosen;
  }
  if (chosen === 'looks') showJumps(); else turnToGroup(); // where groups stand is known only while they are in sight
  if (state.photo) keepVisit();
}

const PALE_PX = 48;

function foreshadow({ target }) {
  // Looks that are still to be drawn stand on the photo itself, small and pale, rather than on nothing.
  const { naturalWidth: width, naturalHeight: height } = target;
  const side = Math.min(width, height);
  const small = make('canvas', { width: PALE_PX, height: PALE_PX });
  small.getContext('2d').drawImage(target, (width - side) / 2, (height - side) / 3, side, side, 0, 0, PALE_PX, PALE_PX);
  root.style.setProperty('--pale', `url("${small.toDataURL()}")`);
}

function showOriginal(shown) {
  root.classList.toggle('comparing', shown);
  parts.compare.setAttribute('aria-pressed', String(shown));
}

function holdToCompare(part) {
  // As long as it is held; a tap on the button, which is all that some can do, shows the photo until the next one.
  let since = 0; // when it was pressed; 0 while it is not held
  let wasShown = false;
  part.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || (part === parts.picture && event.target.closest('button'))) return;
    since = event.timeStamp;
    wasShown = root.classList.contains('comparing');
    showOriginal(true);
  });
  part.addEventListener('pointerup', ({ timeStamp, clientX, clientY }) => {
    const isTap = since && timeStamp - since < TAP_MSEC;
    if (since) showOriginal(isTap && part === parts.compare && !wasShown);
    since = 0;
    if (isTap && part === parts.picture) chooseFaceAt(clientX, clientY);
  });
  for (const end of ['pointercancel', 'pointerleave', 'blur']) {
    part.addEventListener(end, () => { if (since) showOriginal(false); since = 0; });
  }
  part.addEventListener('contextmenu', (event) => {
    if (root.classList.contains('comparing')) event.preventDefault(); // a long press is ours
  });
  part.addEventListener('keydown', (event) => {
    if (![' ', 'Enter'].includes(event.key) || event.target !== part) return;
    event.preventDefault();
    if (!since) since = event.timeStamp;
    showOriginal(true);
  });
  part.addEventListener('keyup', () => { if (since) showOriginal(false); since = 0; });
  part.addEventListener('click', ({ detail, pointerType }) => { // by a screen reader, without a pointer
    if (part === parts.compare && !detail && !pointerType) showOriginal(!root.classList.contains('comparing'));
  });
}

// What is shown

function tell(text = '') {
  // Beside the buttons of an open photo, whose face stays in sight; above the greeting before.
  const place = state.photo ? parts.noticePlace : root;
  if (parts.notice.parentNode !== place) place.prepend(parts.notice);
  parts.notice.hidden = !text;
  parts.notice.replaceChildren(make('span', {}, text), iconButton('close', 'photo.close', () => tell()));
  nameParts(parts.notice);
  if (text) parts.notice.scrollIntoView({ block: 'nearest' });
}

function wait(what) {
  state.waiting.add(what);
  showWaiting();
}

function arrived(what) {
  state.waiting.delete(what);
  showWaiting();
}

function showWaiting() {
  const what = [...state.waiting].at(-1);
  root.classList.toggle('waiting', Boolean(what));
  root.setAttribute('aria-busy', String(Boolean(what)));
  parts.status.textContent = what ? say(`photo.waiting_${what}`) : '';
  if (Boolean(what) !== Boolean(state.placing)) {
    clearInterval(state.placing);
    state.placing = what ? setInterval(askForPlace, PLACE_MSEC) : 0;
    parts.place.textContent = '';
  }
  clearTimeout(state.slow);
  parts.slow.textContent = '';
  if (what) state.slow = setTimeout(() => { parts.status.textContent = parts.slow.textContent = say('photo.waiting_long'); }, PATIENCE_MSEC);
  showChosen();
}

function question(more = {}) {
  state.asked += 1;
  return { ...settings(), ...more, number: state.asked, language: state.language };
}

function settings() {
  const { look, strength, edits, faces, glasses, makeup, makeupStrength, makeupTone } = state;
  const worn = { makeup_from: makeup, makeup_strength: makeupStrength, makeup_tone: makeupTone };
  return { look, strength, edits: { ...edits }, faces, glasses, ...worn };
}

function restore({ look, strength, edits, faces, glasses, ...worn }) {
  const { makeup_from: makeup, makeup_strength: makeupStrength, makeup_tone: makeupTone } = worn;
  Object.assign(state, { look, strength, edits: { ...edits }, faces, glasses, makeup, makeupStrength, makeupTone });
}

function keyOf({ look, strength, edits, faces, glasses, makeup_from: makeup, makeup_strength: share, makeup_tone: tone }) {
  const moved = Object.entries(edits).filter(([, amount]) => amount).sort();
  return JSON.stringify([look, look ? strength : 0, moved, faces, glasses, makeup, ...(makeup ? [share, tone] : [])]);
}

function adjusts({ edits, glasses, makeup_from: makeup }) {
  return Object.values(edits).some((amount) => amount) || glasses !== 'none' || Boolean(makeup);
}

function adjustsSomething() { return adjusts(settings()); }

function isFaceless() { return Boolean(state.photo?.ready) && !state.photo.faces.length; }

function showsSettings() { return Boolean(state.drawn) && keyOf(state.drawn) === keyOf(settings()); }

function changesSomething() { return Boolean(state.look) || adjustsSomething(); }

let resting;
function draw(gesture = 0) {
  // What is asked for last counts; taps in between are not drawn.
  clearTimeout(resting);
  showSeen(false); // what is drawn is to be seen
  showOriginal(false);
  if (!state.photo || !state.photo.ready) { showChosen(); return; }
  tell();
  state.asked += 1; // what is still being drawn is not wanted any more
  if (!changesSomething()) { arrived('look'); showPicture(null); return; }
  wait('look');
  resting = setTimeout(() => { state.wanted = { ...settings(), gesture }; trigger('look_wanted', question()); }, 30);
}

function showPicture(drawn) {
  if (state.drawn?.url !== drawn?.url) parts.keep.classList.remove('done'); // this one is not saved
  state.drawn = drawn;
  showOriginal(false);
  parts.now.style.opacity = '';
  if (drawn) { parts.now.src = drawn.url; parts.now.hidden = false; } else { parts.now.hidden = true; }
  showChosen();
}

function loads(url) {
  // Whether a picture comes; the old one stays until the new one is there.
  const picture = new Image();
  picture.src = url;
  return picture.decode().then(() => true, () => false);
}

function showChosen() {
  if (!parts.keep) return;
  const drawn = Boolean(state.drawn);
  parts.keep.disabled = !showsSettings() || state.waiting.size > 0; // what is saved is what is shown
  for (const button of [parts.share, parts.copy]) button.disabled = parts.keep.disabled;
  parts.undo.disabled = state.at < 0;
  parts.redo.disabled = state.at + 1 >= state.history.length;
  parts.compare.disabled = !drawn;
  showStrip();
  showStrength();
  showAdjusting();
  showKeeping();
  showHistory();
  keepVisit();
}

// Answers

const answers = {
  greeting(pictures) { runGreeting(Array.isArray(pictures) ? pictures : []); },

  async answer({ number, error, what, note, remark, before, width, height, faces }) {
    if (number !== state.asked) return;
    if (what === 'gone' && bringAgain(true)) return;
    if (error) { arrived('photo'); closePhoto(); tell(error); return; }
    const url = fileAddress(before.path);
    await loads(url);
    if (number !== state.asked) return;
    parts.before.src = url;
    state.photo = { before: url, width, height, faces, ready: true };
    tell([note, remark].filter(Boolean).join(' '));
    if (note && faces.length) state.faces = 0; // one that is small or turned is taken if it is asked for by number
    showFaces();
    askForStrip();
    const wanted = seen.shown;
    if (changesSomething()) draw();
    arrived('photo');
    showSeen(wanted);
    if (!state.waiting.size) parts.status.textContent = say('photo.opened');
  },

  strip({ number, what, thumbs, done }) {
    if (number !== strip.number) return;
    if (what === 'gone' && state.photo?.ready) bringAgain();
    if (thumbs) fillStrip(thumbs, done);
  },

  async drawn({ number, error, what, picture }) {
    if (number !== state.asked) return;
    if (what === 'gone' && bringAgain()) return;
    if (error) { takeFailure(error, what); return; }
    state.source.again = 0;
    const asked = state.wanted; // a slider may have been moved since then
    const url = fileAddress(picture.path);
    await loads(url);
    if (number !== state.asked) return;
    arrived('look');
    const entry = { ...asked, url };
    remember(entry);
    showPicture(entry);
    parts.status.textContent = say('photo.drawn', { look: titleOf(asked) });
  },

  worn({ number, error, path }) { takeMakeup(number, error, path); },

  place({ before, lost }) {
    parts.place.textContent = before && state.placing ? say('photo.place', { count: before }) : '';
    askForLost(lost || []);
  },

  file(answer) { takeFile(answer); },

  seen(answer) { takeSeen(answer); },
};
