// How a photo comes in: by the button, dropped, pasted, taken, or as an example. What cannot be one is refused here.

const TYPES = /^image\/(jpeg|pjpeg|png|webp|heic|heif|avif|gif|bmp|x-ms-bmp|tiff|jp2)$/;
const MAX_AGAIN = 2; // times that a photo is brought again, until something is drawn of it
const ENDINGS = /\.(jpe?g|png|webp|hei[cf]|avif|gif|bmp|tiff?|jp2|jpf|mpo)$/i;

function filePicker(settings, action) {
  return make('input', {
    type: 'file', class: 'only-read', tabindex: -1, 'aria-hidden': 'true', ...settings,
    onchange: ({ target }) => { const [file] = target.files; target.value = ''; if (file) action(file); },
  });
}

function buildChoice() {
  parts.pick = filePicker({ accept: 'image/*,.heic,.heif', id: 'photo-file' }, choose);
  parts.shoot = filePicker({ accept: 'image/*', capture: 'user' }, choose);
  const choice = make('div', { class: 'drop' },
    make('button', { type: 'button', class: 'primary choose', onclick: openChooser, 'aria-describedby': 'photo-consent' },
      icon('photo'), make('span', { 'data-text': 'photo.choose' })),
    make('button', { type: 'button', class: 'secondary take', onclick: takePicture, 'aria-describedby': 'photo-consent' },
      icon('camera'), make('span', { 'data-text': 'photo.take' })),
    make('p', { class: 'drop-hint', 'data-text': 'photo.drop' }),
    make('p', { class: 'consent', id: 'photo-consent' },
      make('span', { 'data-text': 'photo.consent' }), make('span', { 'data-text': 'photo.privacy' })),
    parts.pick, parts.shoot);
  choice.addEventListener('click', (event) => { if (event.target === choice) openChooser(); });
  return choice;
}

function openChooser() { parts.pick.click(); }

function chooseExample(number) {
  startPhoto(data.examples[number], { example: number });
  bring();
}

function faultOf(file) {
  // In words; what cannot be a photo is never sent.
  if (!(TYPES.test(file.type) || ENDINGS.test(file.name || ''))) return say('photo.error_type');
  if (file.size > data.max_upload_mb * 1024 ** 2) return say('photo.error_large', { size: data.max_upload_mb });
  return file.size ? '' : say('photo.error_unreadable');
}

async function choose(file) {
  const fault = faultOf(file);
  if (fault) { tell(fault); return; }
  startPhoto(URL.createObjectURL(file), { file });
  bring();
}

async function bring() {
  // To the server, which then looks for faces.
  const { source } = state;
  const asked = question();
  const isWanted = () => state.asked === asked.number;
  try {
    if (source.file && !source.path) {
      const tellSent = (share) => { if (isWanted()) { state.sent = share; showStrength(); } };
      source.path = (await upload(source.file, tellSent)).path;
    }
  } catch {
    if (isWanted()) { arrived('photo'); closePhoto(); tell(say('photo.error_upload')); }
    return;
  }
  if (!isWanted()) return;
  keepVisit();
  trigger('photo_chosen', { ...asked, path: source.path, example: source.example });
}

function bringAgain(fileIsGone = false) {
  // The server has lost the photo, as after a start, or the visit is another one there. False where nothing helps.
  const { photo, source } = state;
  if (!photo || source.again === MAX_AGAIN || !(source.file || source.path || source.example !== undefined)) return false;
  source.again += 1;
  if (fileIsGone) {
    if (!source.file) return false;
    source.path = null;
    Object.assign(state, { history: [], at: -1 }); // of which the pictures are gone, too
  }
  photo.ready = false;
  wait('photo');
  bring();
  return true;
}

function startPhoto(url, source) {
  // It is on the screen before it is on the server.
  tell();
  clearTimeout(resting);
  makeupAsked += 1; // what is still on its way was for the photo before
  state.waiting.clear();
  state.photo = { before: url, faces: [], ready: false };
  state.source = { again: 0, ...source };
  state.sent = 1;
  Object.assign(state, {
    look: '', edits: {}, glasses: 'none', ...NO_MAKEUP, faces: 'largest', history: [], at: -1, drawn: null,
  });
  showSeen(false);
  parts.before.src = url;
  parts.now.hidden = true;
  parts.faces.hidden = true;
  showWork();
  clearStrip();
  wait('photo');
  const top = root.getBoundingClientRect().top;
  if (top < 0) window.scrollBy({ top });
}

function closePhoto() {
  state.photo = null;
  state.drawn = null;
  keepVisit();
  root.dataset.state = 'empty';
  const { state: here } = window.history;
  if (here?.panel) { stepsBack = true; window.history.back(); } // "Adjust" goes with its photo
  else if (here?.open) window.history.replaceState({ ...here, open: false }, '');
}

// The browser's Back leads from "Adjust" to the looks, and from an open photo to the start; Forward the same way again.

let aside = null; // the visit that was left
let stepsBack = false; // by itself, from "Adjust" to the looks

function showWork() {
  const { state: here } = window.history;
  if (!here) window.history.pushState({ open: true }, '');
  else if (!here.open) window.history.replaceState({ ...here, open: true }, ''); // an entry of ours, of a photo that did not open
  root.dataset.state = 'open';
  notePanel();
}

function notePanel() {
  // "Adjust" stands on an entry of its own above that of the looks: Back never goes through more than these two.
  if (!state.photo || stepsBack) return;
  const isNoted = window.history.state?.panel === 'adjust';
  if (state.panel === 'adjust' && !isNoted) window.history.pushState({ open: true, panel: 'adjust' }, '');
  if (state.panel !== 'adjust' && isNoted) { stepsBack = true; window.history.back(); }
}

function buildGoOn() {
  parts.goOn = make('button', { type: 'button', class: 'go-on', hidden: true, onclick: () => comeBack(aside, true) },
    make('span', { class: 'go-on-face' }), make('span', { 'data-text': 'photo.go_on' }));
  return parts.goOn;
}

function leavePhoto() {
  clearTimeout(resting);
  state.asked += 1; // whatever is being drawn is not wanted any more
  state.waiting.clear();
  aside = state.photo.ready ? visit() : null;
  if (aside) showFaceIn(parts.goOn.firstChild, aside.drawn?.url || aside.photo.before, state.faces);
  closePhoto();
  showWaiting();
  tell();
  parts.goOn.hidden = !aside;
}

window.addEventListener('popstate', ({ state: there }) => {
  const panel = there?.panel || 'looks';
  if (stepsBack) { // another tap, or another photo, may have come meanwhile
    stepsBack = false;
    if (!state.photo && there?.open) window.history.replaceState({ ...there, open: false }, '');
    notePanel();
    return;
  }
  if (!there?.open && state.photo) leavePhoto();
  else if (there?.open && state.photo) showPanel(panel);
  else if (there?.open && aside) comeBack({ ...aside, panel }, true);
});

// Which face

function showFaces() {
  const { faces, before } = state.photo;
  parts.faces.hidden = faces.length < 2;
  if (faces.length < 2) { parts.faces.replaceChildren(); return; }
  const button = (value, title, ...inside) => make('button', {
    type: 'button', class: 'face', title, 'aria-label': title, 'aria-pressed': String(state.faces === value),
    onclick: () => chooseFaces(value),
  }, ...inside);
  const isFirst = (value) => (state.faces === 'largest' ? 0 : state.faces) === value;
  const found = faces.map((_, number) => {
    const place = button(number, say('photo.face_number', { number: number + 1 }));
    showFaceIn(place, before, number);
    place.setAttribute('aria-pressed', String(state.faces !== 'all' && isFirst(number)));
    return place;
  });
  parts.faces.replaceChildren(...found, button('all', say('photo.faces_all'), say('photo.faces_all')));
}

function chooseFaces(value) {
  state.faces = value;
  showFaces();
  askForStrip();
  draw();
}

function chooseFaceAt(x, y) {
  // A tap on one of several faces in the picture means it.
  const { faces, width, height, ready } = state.photo;
  if (!ready || faces.length < 2) return;
  const box = parts.before.getBoundingClientRect();
  const scale = Math.min(box.width / width, box.height / height);
  const [right, down] = [(x - box.left - box.width / 2) / (scale * width) + 0.5, (y - box.top - box.height / 2) / (scale * height) + 0.5];
  const away = ([left, top, wide, high]) => Math.max(Math.abs(right - left - wide / 2) / wide, Math.abs(down - top - high / 2) / high);
  const nearest = faces.map((face, number) => [away(face), number]).sort(([a], [b]) => a - b)[0];
  if (nearest[0] < 0.5 && nearest[1] !== (state.faces === 'largest' ? 0 : state.faces)) chooseFaces(nearest[1]);
}

function showFaceIn(place, url, which) {
  // All of the place is filled by the face; of several that are meant, or none, by the middle of the picture.
  Object.assign(place.style, { backgroundImage: `url("${url}")`, backgroundSize: '', backgroundPosition: '' });
  const [left, top, width, height] = state.photo.faces[which === 'largest' ? 0 : which] || [];
  if (!width) return;
  const at = (start, share) => `${share < 1 ? 100 * start / (1 - share) : 0}%`; // as backgrounds count
  place.style.backgroundSize = `${100 / width}% ${100 / height}%`;
  place.style.backgroundPosition = `${at(left, width)} ${at(top, height)}`;
}

// Dropping, pasting

// Anywhere on the page: beside its parts, too, the browser would leave the page and open the file.
for (const kind of ['dragenter', 'dragover']) {
  window.addEventListener(kind, (event) => { event.preventDefault(); root.classList.add('dropping'); });
}
for (const kind of ['dragleave', 'drop']) {
  window.addEventListener(kind, (event) => { if (kind === 'drop' || !event.relatedTarget) root.classList.remove('dropping'); });
}
window.addEventListener('drop', (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file) choose(file); else tell(say('photo.error_type'));
});
document.addEventListener('paste', (event) => {
  if (!root.checkVisibility() || event.target.closest?.('input, textarea')) return;
  const [file] = event.clipboardData.files;
  if (file) { event.preventDefault(); choose(file); }
});

// Taking one

function buildCamera() {
  parts.video = make('video', { autoplay: true, muted: true, playsinline: true });
  parts.camera = make('dialog', { class: 'camera', 'data-aria': 'photo.take', onclose: stopCamera },
    parts.video,
    make('div', { class: 'camera-buttons' },
      make('button', { type: 'button', class: 'secondary', 'data-text': 'photo.cancel', onclick: () => parts.camera.close() }),
      make('button', { type: 'button', class: 'primary', 'data-text': 'photo.shoot', onclick: shoot })));
  return parts.camera;
}

async function takePicture() {
  if (matchMedia('(pointer: coarse)').matches) { parts.shoot.click(); return; } // a phone has an app for it
  try {
    parts.video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'user', width: 1280 } });
    parts.camera.showModal();
  } catch {
    tell(say('photo.error_camera'));
  }
}

function shoot() {
  const canvas = make('canvas', { width: parts.video.videoWidth, height: parts.video.videoHeight });
  canvas.getContext('2d').drawImage(parts.video, 0, 0);
  parts.camera.close();
  canvas.toBlob((blob) => { if (blob) choose(new File([blob], 'camera.jpg', { type: 'image/jpeg' })); }, 'image/jpeg', 0.95);
}

function stopCamera() {
  for (const track of parts.video.srcObject?.getTracks() || []) track.stop();
  parts.video.srcObject = null;
}

// The example, already changed

function dragWipe(wipe) { // it moves by itself until somebody takes it
  const follow = ({ clientX, type, buttons, pointerType }) => {
    if (type !== 'click' && !buttons && pointerType !== 'mouse') return;
    const { left, width } = wipe.getBoundingClientRect();
    wipe.classList.remove('running');
    wipe.style.setProperty('--at', `${Math.min(Math.max(100 * (clientX - left) / width, 0), 100)}%`);
  };
  wipe.addEventListener('pointermove', follow);
  wipe.addEventListener('click', follow); // not when it is pressed: who scrolls presses, too
}

function runGreeting(pictures) {
  const after = parts.wipe.querySelector('.wiped-after');
  const name = parts.wipe.querySelector('.wipe-look');
  if (!pictures.length) return;
  let number = 0;
  const show = () => {
    after.src = pictures[number].picture;
    for (const part of parts.wipe.children) part.hidden = false;
    const look = data.looks.find((one) => one.name === pictures[number].look);
    name.dataset.named = JSON.stringify(look.title);
    name.textContent = look.title[state.language];
  };
  show();
  parts.wipe.classList.add('running');
  parts.wipe.addEventListener('animationiteration', () => { number = (number + 1) % pictures.length; show(); });
}
