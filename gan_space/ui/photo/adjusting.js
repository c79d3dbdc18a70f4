// "Adjust": sliders for this face, by groups; glasses; and the make-up of another picture.

const ADJUST_GROUPS = ['expression', 'face', 'skin', 'makeup', 'age', 'glasses'];

function buildAdjusting() {
  parts.groups = {};
  parts.sliders = {};
  const contents = Object.fromEntries(ADJUST_GROUPS.map((group) =>
    [group, data.sliders.filter((one) => one.group === group).map(buildSlider)]));
  if (data.frames.length) contents.glasses.push(buildGlasses());
  if (data.sees) contents.face.push(buildSeeing());
  if (data.makeup_from) contents.makeup.unshift(...buildMakeupFrom());
  const groups = ADJUST_GROUPS.filter((group) => contents[group].length);
  parts.chips = groups.map((group) => {
    parts.groups[group] = make('div', { class: 'sliders', role: 'group', 'data-aria': `photo.adjust_${group}`, hidden: true }, ...contents[group]);
    return make('button', {
      type: 'button', class: 'chip', 'data-group': group, 'data-text': `photo.adjust_${group}`, onclick: () => showGroup(group),
    });
  });
  parts.faceless = make('p', { class: 'faceless', 'data-text': 'photo.adjust_no_face', hidden: true });
  parts.resetEdits = iconButton('reset', 'photo.reset', resetEdits);
  const panel = make('div', { class: 'adjusting', role: 'tabpanel', id: 'photo-panel-adjust', 'aria-labelledby': 'photo-tab-adjust', hidden: true },
    make('div', { class: 'chip-row' }, make('div', { class: 'chips' }, ...parts.chips), parts.resetEdits), parts.faceless,
    ...Object.values(parts.groups));
  if (groups.length) showGroup(groups[0]);
  return panel;
}

function buildSlider({ name, title, low, high }) {
  const id = `photo-slider-${name}`;
  const shown = make('output', { for: id });
  const range = { min: low < 0 ? -100 : 0, max: 100, step: 2 }; // 0 in the middle, whatever the ends mean
  const tell = () => { state.edits[name] = amountOf(slider, low, high); shown.textContent = signed(slider.value); };
  const slider = makeSlider({ id, ...range, ondblclick: () => { delete state.edits[name]; draw(); } }, tell);
  slider.value = 0;
  parts.sliders[name] = { slider, shown, low, high };
  return make('div', { class: 'slider' },
    make('label', { for: id, 'data-named': JSON.stringify(title) }), slider, shown);
}

// A slider: what it says is told at once; it is drawn when it is let go, and while it is held still.

const STILL_MSEC = 350;
const SNAP = 6; // so near to the middle it stands in the middle, which no finger hits
let gestures = Date.now(); // those of an earlier visit, which the history may hold, have other numbers

function makeSlider(attributes, tell) {
  let held = 0; // number of the gesture; what is drawn in one is one step of the history
  let still;
  const slider = make('input', {
    type: 'range', ...attributes,
    onpointerdown: () => { gestures += 1; held = gestures; },
    onkeydown: () => { held = 0; },
    oninput: () => {
      if (held && slider.min < 0 && Math.abs(slider.value) <= SNAP) slider.value = 0;
      tell();
      fill(slider);
      clearTimeout(still);
      const isFree = !data.zerogpu_frame; // a borrowed GPU counts the seconds
      if (held && isFree) still = setTimeout(() => draw(held), STILL_MSEC);
    },
    onchange: () => {
      clearTimeout(still);
      tell();
      const drawn = state.waiting.has('look') ? state.wanted : state.drawn;
      if (!drawn || keyOf(drawn) !== keyOf(settings())) draw(held);
      held = 0;
    },
  });
  return slider;
}

function amountOf({ value }, low, high) { return Number((value / 100 * (value < 0 ? -low : high)).toFixed(4)); }

function shareOf(amount, low, high) { return Math.round(100 * (amount < 0 ? amount / -low : amount / high)); }

function signed(share) { return share > 0 ? `+${share}` : String(share); }

function resetEdits() {
  makeupAsked += 1;
  arrived('makeup');
  Object.assign(state, { edits: {}, glasses: 'none', ...NO_MAKEUP });
  draw();
}

function refuse(what) {
  // What a face cannot wear, or is no longer there to be worn, is taken off again, so that all else can go on.
  if (what === 'glasses') state.glasses = 'none';
  if (what === 'gone') Object.assign(state, NO_MAKEUP);
  showAdjusting();
}

// Glasses

function buildGlasses() {
  parts.frames = ['none', ...data.frames].map((name) => make('button', {
    type: 'button', class: 'frame', 'data-frame': name, onclick: () => { state.glasses = name; draw(); },
  }, icon(name), make('span', { 'data-text': `photo.glasses_${name}` })));
  return make('div', { class: 'frames' }, ...parts.frames);
}

// The make-up of another picture

const makeupPictures = {}; // path on the server -> address of the picture here
let makeupAsked = 0;

function buildMakeupFrom() {
  parts.pickMakeup = filePicker({ accept: 'image/*,.heic,.heif', id: 'photo-makeup-file' }, chooseMakeup);
  parts.makeupPicture = make('img', { alt: '', hidden: true });
  parts.makeupChoose = make('button', {
    type: 'button', class: 'chip from-picture', 'aria-describedby': 'photo-makeup-consent', onclick: () => parts.pickMakeup.click(),
  }, parts.makeupPicture, icon('photo'), make('span', { 'data-text': 'photo.makeup_from' }));
  parts.makeupOff = iconButton('close', 'photo.makeup_off', () => { state.makeup = ''; draw(); });
  parts.makeupSliders = {
    makeupStrength: buildShare('makeupStrength', 'photo-makeup-strength', 'photo.makeup_strength'),
    makeupTone: buildShare('makeupTone', 'photo-makeup-tone', 'photo.makeup_tone'),
  };
  const { makeupStrength, makeupTone } = parts.makeupSliders;
  parts.makeupTone = make('div', { class: 'slider' },
    make('label', { for: 'photo-makeup-tone', 'data-text': 'photo.makeup_tone_short' }), makeupTone.slider, makeupTone.shown);
  parts.makeupConsent = make('span', { class: 'hint', id: 'photo-makeup-consent', 'data-text': 'photo.makeup_consent' });
  // Two rows, with a picture or without one: what stands below keeps its place.
  return [
    make('div', { class: 'slider makeup-from' },
      parts.makeupChoose, makeupStrength.slider, makeupStrength.shown, parts.makeupOff, parts.pickMakeup),
    make('div', { class: 'makeup-more' }, parts.makeupConsent, parts.makeupTone),
  ];
}

function buildShare(name, id, label) {
  // From nothing to all of it, kept in the state by its name.
  const shown = make('output', { for: id });
  const slider = makeSlider({ id, min: 0, max: 100, step: 5, 'data-aria': label },
    () => { state[name] = slider.value / 100; shown.textContent = slider.value; });
  return { slider, shown };
}

async function chooseMakeup(file) {
  const fault = faultOf(file);
  if (fault) { tell(fault); return; }
  tell();
  wait('makeup');
  makeupAsked += 1;
  const number = makeupAsked;
  try {
    const { path } = await upload(file);
    makeupPictures[path] = URL.createObjectURL(file);
    if (number === makeupAsked) trigger('makeup_chosen', { path, number, language: state.language });
  } catch {
    if (number === makeupAsked) { arrived('makeup'); tell(say('photo.error_upload')); }
  }
}

function takeMakeup(number, error, path) {
  if (number !== makeupAsked) return;
  if (error) { arrived('makeup'); tell(error); return; }
  Object.assign(state, { ...NO_MAKEUP, makeup: path });
  draw();
  arrived('makeup');
}

// What is shown

function showGroup(chosen) {
  state.group = chosen;
  if (chosen !== 'face') showSeen(false); // its switch is out of sight
  for (const [group, panel] of Object.entries(parts.groups)) panel.hidden = group !== chosen;
  for (const chip of parts.chips) chip.setAttribute('aria-pressed', String(chip.dataset.group === chosen));
  turnToGroup();
  if (state.photo) keepVisit();
}

function turnToGroup() {
  const chip = parts.chips.find((one) => one.dataset.group === state.group);
  chip?.parentElement.scrollTo({ left: chip.offsetLeft - 60 });
}

function showAdjusting() {
  for (const [name, { slider, shown, low, high }] of Object.entries(parts.sliders)) {
    slider.value = shareOf(state.edits[name] || 0, low, high);
    fill(slider);
    shown.textContent = signed(slider.value);
  }
  for (const frame of parts.frames || []) frame.setAttribute('aria-pressed', String(frame.dataset.frame === state.glasses));
  if (parts.makeupSliders) showMakeup();
  parts.resetEdits.disabled = !adjustsSomething();
  parts.faceless.hidden = !isFaceless();
}

function showMakeup() {
  const worn = Boolean(state.makeup);
  for (const [name, { slider, shown }] of Object.entries(parts.makeupSliders)) {
    slider.value = Math.round(100 * state[name]);
    shown.textContent = slider.value;
    fill(slider);
    slider.hidden = shown.hidden = !worn;
  }
  parts.makeupOff.hidden = parts.makeupTone.hidden = !worn;
  parts.makeupConsent.hidden = worn;
  const picture = worn && makeupPictures[state.makeup]; // none for who has come back
  parts.makeupPicture.hidden = !picture;
  if (picture) parts.makeupPicture.src = picture;
  parts.makeupChoose.querySelector('svg').toggleAttribute('hidden', Boolean(picture));
}
