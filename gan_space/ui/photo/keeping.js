// Save, share, copy, and the history of this visit.

const MAX_HISTORY = 30;
const SAID_MSEC = 2500; // that the file is saved

function buildKeeping() {
  parts.keep = make('button', { type: 'button', class: 'primary keep', id: 'photo-save', onclick: save },
    icon('save'), icon('done'), make('span'));
  parts.share = iconButton('share', 'photo.share', share, { hidden: !canShare() });
  parts.copy = iconButton('copy', 'photo.copy', copy, { hidden: !(navigator.clipboard && window.ClipboardItem) });
  parts.history = make('div', { class: 'history', role: 'group', 'data-aria': 'photo.history' });
  parts.noticePlace = make('div', { class: 'notice-place' });
  return make('div', { class: 'keeping' },
    parts.history,
    parts.noticePlace,
    make('div', { class: 'keep-row' }, parts.keep, parts.share, parts.copy),
    make('p', { class: 'label-note', 'data-text': 'photo.label_note' }));
}

// The file is drawn at the photo's own size when it is first asked for, and kept for the other buttons.

let file = null; // { key, url, name }
let fileWanted = null; // { number, key, done, failed }

function fullFile() {
  showSeen(false); // what is kept is to be seen
  const key = JSON.stringify([state.photo.before, keyOf(settings())]);
  if (file && file.key === key) return Promise.resolve(file);
  wait('file');
  return new Promise((done, failed) => {
    const asked = question();
    fileWanted = { number: asked.number, key, done, failed };
    trigger('file_wanted', asked);
  });
}

function takeFile({ number, error, what, file: found, name }) {
  if (!fileWanted || number !== fileWanted.number) return;
  arrived('file');
  if (error) { if (what === 'gone' && state.photo?.ready) bringAgain(); tell(error); fileWanted.failed(new Error(error)); return; }
  file = { key: fileWanted.key, url: fileAddress(found.path), name };
  fileWanted.done(file);
}

async function save() {
  if (parts.keep.classList.contains('done')) return; // the second of a double click
  const { url, name } = await fullFile().catch(() => ({}));
  if (!url) return;
  const link = make('a', { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  parts.status.textContent = say('photo.saved');
  parts.keep.classList.add('done');
  clearTimeout(state.done);
  state.done = setTimeout(() => { parts.keep.classList.remove('done'); showKeeping(); }, SAID_MSEC);
  showKeeping();
}

function showKeeping() {
  // The button says what became of it.
  const writing = state.waiting.has('file') ? 'photo.waiting_file' : 'photo.save';
  parts.keep.lastChild.textContent = say(parts.keep.classList.contains('done') ? 'photo.saved' : writing);
}

function canShare() {
  const probe = new File([''], 'picture.jpg', { type: 'image/jpeg' });
  return Boolean(navigator.canShare && navigator.canShare({ files: [probe] }));
}

async function share() {
  const found = await fullFile().catch(() => null);
  if (!found) return;
  const blob = await (await fetch(found.url)).blob();
  try {
    await navigator.share({ files: [new File([blob], found.name, { type: blob.type })] });
  } catch (error) {
    // Browsers share only right after a tap; drawing took too long, and the file is ready for the next one.
    if (error.name !== 'AbortError') parts.status.textContent = say('photo.share_again');
  }
}

async function copy() {
  const picture = fullFile().then(async ({ url }) => {
    await loads(url);
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = make('canvas', { width: image.naturalWidth, height: image.naturalHeight });
    canvas.getContext('2d').drawImage(image, 0, 0);
    return new Promise((done) => { canvas.toBlob(done, 'image/png'); }); // the only kind that clipboards take
  });
  try {
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': picture })]);
    parts.status.textContent = say('photo.copied');
  } catch {
    if (parts.notice.hidden) tell(say('photo.error_copy'));
  }
}

// History

function remember(entry) {
  const last = state.history[state.at];
  if (last && keyOf(last) === keyOf(entry)) { last.url = entry.url; return; }
  const isOneMove = Boolean(entry.gesture) && last?.gesture === entry.gesture; // of a slider
  state.history = [...state.history.slice(0, state.at + (isOneMove ? 0 : 1)), entry].slice(-MAX_HISTORY);
  state.at = state.history.length - 1;
}

function nothing() { // settings of the photo as it is
  const bare = { makeup_from: '', makeup_strength: 1, makeup_tone: 1 };
  return { look: '', strength: state.strength, edits: {}, faces: state.faces, glasses: 'none', ...bare };
}

function goTo(at) {
  if (at < -1 || at >= state.history.length) return;
  const entry = state.history[at] || nothing();
  clearTimeout(resting);
  state.asked += 1; // whatever is being drawn is not wanted any more
  state.at = at;
  restore(entry);
  arrived('look');
  tell();
  showSeen(false);
  showFaces();
  turnToChosen();
  showPicture(entry.url ? entry : null);
}

function takeFailure(error, what) {
  // What could not be drawn is not left set beside an older picture: Save would give another one than is shown.
  const asked = keyOf(settings());
  // A slider that is still held stays: where it is now has not failed, and is drawn once it stands still or is let go.
  const isMoved = keyOf(state.wanted) !== asked;
  refuse(what);
  if (!isMoved && keyOf(settings()) === asked) { // nothing is to blame that could be left out
    const { faces } = state;
    restore(state.drawn || nothing());
    showFaces();
    if (state.faces !== faces) askForStrip();
    showJumps();
  }
  arrived('look');
  if (showsSettings()) showPicture(state.drawn); else if (!isMoved) draw();
  tell(error);
}

function showHistory() {
  if (!state.photo) return;
  const signature = [state.language, ...state.history.map(({ url }) => url)].join();
  if (parts.history.dataset.signature !== signature) {
    parts.history.replaceChildren(...state.history.map((entry, at) => {
      const title = say('photo.history_entry', { number: at + 1, look: titleOf(entry) });
      const place = make('button', { type: 'button', class: 'past', title, 'aria-label': title, onclick: () => goTo(at) });
      showFaceIn(place, entry.url, entry.faces);
      return place;
    }));
    parts.history.dataset.signature = signature;
    parts.history.scrollLeft = parts.history.scrollWidth;
  }
  [...parts.history.children].forEach((place, at) => place.setAttribute('aria-pressed', String(at === state.at)));
}

document.addEventListener('keydown', (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'z') return;
  if (!state.photo || !root.checkVisibility() || event.target.closest?.('input[type=text], textarea')) return;
  event.preventDefault();
  goTo(state.at + (event.shiftKey ? 1 : -1));
});

// Who comes back to this page, in the same tab of the browser, finds the photo as it was left.

function visitBefore() {
  try { return JSON.parse(sessionStorage.getItem(VISIT)); } catch { return null; }
}

function visit() {
  const { photo, source, drawn, history, at, panel, group } = state;
  return { session, photo, source, drawn, history, at, panel, group, settings: settings() };
}

function keepVisit() {
  const { photo, source } = state;
  try {
    if (!photo) sessionStorage.removeItem(VISIT);
    else if (photo.ready || source.path || source.example !== undefined) { // else the server does not have it yet
      sessionStorage.setItem(VISIT, JSON.stringify(visit()));
    }
  } catch { /* storage is switched off */ }
}

function showTools(panel, group) {
  if (parts.panels[panel]) choosePanel(panel);
  if (parts.groups[group]) showGroup(group);
}

async function comeBack({ photo, source, drawn, history, at, panel, group, settings: left }, stayed = false) {
  // `stayed`: on this page meanwhile, which has the file, and the same visit.
  const goesOn = stayed || await settled;
  const again = { ...source, again: 0, file: stayed ? source.file : null };
  if (!photo.ready) { // it was left while the photo was being opened
    if (state.photo) return;
    state.panel = panel;
    startPhoto(again.path ? fileAddress(again.path) : data.examples[again.example], again);
    restore(left);
    showTools(panel, group);
    bring();
    return;
  }
  const there = await Promise.all([photo.before, drawn?.url].filter(Boolean).map(loads));
  if (state.photo || !there.every(Boolean)) return; // they are deleted after an hour
  restore(left);
  Object.assign(state, { photo, source: again, history, at, panel });
  parts.before.src = photo.before;
  showWork();
  showTools(panel, group);
  clearStrip();
  showFaces();
  showPicture(drawn);
  const isDrawn = drawn ? showsSettings() : !changesSomething();
  if (stayed && !isDrawn) draw(); // it was left while this was being drawn: what is saved is what is seen
  else if (!goesOn || !isDrawn) {
    if (goesOn) lose(); // the server may still be telling the page that was left
    bringAgain(); // which draws, too
    return;
  }
  askForStrip();
}
