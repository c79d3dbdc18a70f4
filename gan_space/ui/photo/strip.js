// Every look on this very face: the strip, favourites and last ones first, and how strong the look is.

const MAX_YOURS = 6;
const strip = { of: '', number: 0, drawn: new Set(), moved: false, done: false }; // of the last question, and what came
const strengths = {}; // look -> how strong it was made in this visit
let stripResting;
let jumped = ''; // the group that was tapped last, until the strip is moved by hand or a look is chosen

function kept() {
  try {
    const { favourites = [], last = [] } = JSON.parse(localStorage.getItem(KEPT)) || {};
    return { favourites: favourites.filter(lookOf), last: last.filter(lookOf) };
  } catch { return { favourites: [], last: [] }; }
}

function keep(change) {
  const now = kept();
  change(now);
  try { localStorage.setItem(KEPT, JSON.stringify(now)); } catch { /* storage is switched off */ }
}

function lookOf(name) { return data.looks.find((one) => one.name === name); }

function nameOf(look) { return look ? lookOf(look).title[state.language] : say('photo.original'); }

function titleOf({ look, ...rest }) { // of what was made: the look, and whether more than it was changed
  const adjusted = adjusts(rest) && say('photo.adjusted');
  return [look || !adjusted ? nameOf(look) : '', adjusted].filter(Boolean).join(' + ');
}

function yours() {
  const { favourites, last } = kept();
  return [...new Set([...favourites, ...last])].slice(0, MAX_YOURS);
}

function buildStrip() {
  parts.strip = make('div', { class: 'strip' });
  parts.jumps = make('div', { class: 'jumps', role: 'group', 'data-aria': 'photo.jump' });
  parts.strip.addEventListener('keydown', moveInStrip);
  const tellsOfEnd = 'onscrollend' in window; // else it has ended when nothing has moved for a while
  parts.strip.addEventListener('scroll', () => {
    clearTimeout(stripResting);
    showJumps();
    if (!tellsOfEnd) stripResting = setTimeout(drawInView, 150);
  }, { passive: true });
  if (tellsOfEnd) parts.strip.addEventListener('scrollend', drawInView);
  for (const moves of ['wheel', 'touchmove', 'pointerdown', 'keydown']) {
    parts.strip.addEventListener(moves, () => { jumped = ''; }, { passive: true });
  }
  fillSections();
  return make('div', { class: 'looks', role: 'tabpanel', id: 'photo-panel-looks', 'aria-labelledby': 'photo-tab-looks' },
    parts.jumps, parts.strip);
}

function fillSections() {
  const all = [['yours', yours()]];
  for (const group of data.groups) all.push([group, data.looks.filter((one) => one.group === group).map((one) => one.name)]);
  const sections = all.filter(([, names]) => names.length);
  parts.jumps.replaceChildren(...sections.map(([group]) => make('button', {
    type: 'button', class: 'jump', 'data-section': group, 'data-text': `photo.group_${group}`, onclick: () => jump(group),
  })));
  parts.strip.replaceChildren(...sections.map(([group, names], number) =>
    make('div', { class: 'section', role: 'group', 'data-section': group, 'data-aria': `photo.group_${group}` },
      make('h2', { 'data-text': `photo.group_${group}` }),
      make('div', { class: 'section-looks' },
        number === 0 ? lookButton('') : null, ...names.map(lookButton)))));
  nameParts(parts.strip);
  nameParts(parts.jumps);
  showJumps();
}

// Groups: a tap goes to the first look of one. Marked is the tapped one, which need not come to the top at the strip's end;
// then the chosen look's while that is in view, else the first in view.

function jump(group) {
  const section = parts.strip.querySelector(`[data-section="${group}"]`);
  const behavior = matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth';
  parts.strip.scrollTo({ left: section.offsetLeft - 4, top: section.offsetTop - 2, behavior });
  jumped = group;
  showJumps();
}

function showJumps() {
  const { scrollLeft, scrollTop } = parts.strip;
  const sections = [...parts.strip.children];
  const passed = sections.filter((one) => one.offsetLeft <= scrollLeft + 40 && one.offsetTop <= scrollTop + 40 && !one.hidden);
  const tapped = sections.find((one) => one.dataset.section === jumped && !one.hidden);
  const current = (tapped || sectionOfChosen() || passed.at(-1) || sections[0])?.dataset.section;
  for (const button of parts.jumps.children) button.setAttribute('aria-pressed', String(button.dataset.section === current));
}

function sectionOfChosen() {
  const { scrollLeft: left, scrollTop: top, clientWidth: width, clientHeight: height } = parts.strip;
  const isInView = (one) => one.offsetLeft + one.offsetWidth > left && one.offsetLeft < left + width
    && one.offsetTop + one.offsetHeight > top && one.offsetTop < top + height;
  const chosen = state.look ? [...parts.strip.querySelectorAll(`.look[data-look="${CSS.escape(state.look)}"]`)] : [];
  return chosen.find(isInView)?.closest('.section');
}

function turnToChosen() {
  const chosen = parts.strip.querySelector(`.look[data-look="${CSS.escape(state.look)}"]`);
  if (!sectionOfChosen()) parts.strip.scrollTo(chosen.offsetLeft - 12, chosen.offsetTop - 30);
  showJumps();
}

function lookButton(name) {
  const title = name ? JSON.stringify(lookOf(name).title) : '';
  const label = name ? make('span', { class: 'look-name', 'data-named': title }) : make('span', { class: 'look-name', 'data-text': 'photo.original' });
  return make('button', { type: 'button', class: 'look', 'data-look': name, tabindex: -1, onclick: () => chooseLook(name) },
    make('span', { class: 'look-picture' }, make('img', { alt: '', hidden: true })), label);
}

function chooseLook(name) {
  state.look = name;
  jumped = '';
  if (name) state.strength = strengths[name] ?? Math.min(lookOf(name).strength, data.max_strength);
  if (name) keep((now) => { now.last = [name, ...now.last.filter((one) => one !== name)].slice(0, MAX_YOURS); });
  draw();
  showJumps();
}

function showStrip() {
  const buttons = [...parts.strip.querySelectorAll('.look')];
  for (const button of buttons) {
    const chosen = button.dataset.look === state.look;
    button.setAttribute('aria-pressed', String(chosen));
    button.classList.toggle('drawing', chosen && state.waiting.has('look'));
    button.classList.toggle('liked', kept().favourites.includes(button.dataset.look));
  }
  const current = buttons.find((button) => button.tabIndex === 0);
  const next = buttons.find((button) => button.dataset.look === state.look);
  if (next && (!current || current.dataset.look !== state.look)) buttons.forEach((button) => { button.tabIndex = button === next ? 0 : -1; });
}

function nextRow(here, buttons, step) {
  // The one below or above, as far as looks stand in rows.
  const { top, left } = here.getBoundingClientRect();
  const places = buttons.map((button) => ({ button, ...button.getBoundingClientRect().toJSON() }))
    .filter((place) => step * (place.top - top) > 4)
    .sort((a, b) => Math.abs(a.top - top) - Math.abs(b.top - top) || Math.abs(a.left - left) - Math.abs(b.left - left));
  return places[0]?.button;
}

function moveInStrip(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const buttons = [...parts.strip.querySelectorAll('.look:not([hidden])')];
  const at = buttons.indexOf(event.target);
  const end = { Home: 0, End: -1 }[event.key];
  if ((!step && end === undefined) || at < 0) return;
  event.preventDefault();
  const inRow = ['ArrowDown', 'ArrowUp'].includes(event.key) ? nextRow(event.target, buttons, step) : null;
  const next = end !== undefined ? buttons.at(end) : inRow || buttons[Math.min(Math.max(at + step, 0), buttons.length - 1)];
  parts.strip.querySelectorAll('.look').forEach((button) => { button.tabIndex = button === next ? 0 : -1; });
  next.focus();
  next.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

function clearStrip() {
  fillSections();
  parts.strip.scrollTo(0, 0);
}

// The server draws them in the order in which they are seen: from where the strip stands, and from where it is moved to.

function inView() {
  const edge = parts.strip.getBoundingClientRect();
  return [...parts.strip.querySelectorAll('.look')].filter((button) => {
    const { left, right, top, bottom } = button.getBoundingClientRect();
    return right > edge.left && left < edge.right && bottom > edge.top && top < edge.bottom;
  }).map((button) => button.dataset.look).filter(Boolean);
}

function askForStrip() {
  const of = JSON.stringify([state.photo.before, state.faces]);
  // Small pictures of another face are not to be taken for this one's.
  if (strip.of !== of) for (const picture of parts.strip.querySelectorAll('.look img')) picture.classList.add('stale');
  Object.assign(strip, { of, number: strip.number + 1, drawn: new Set(), moved: false, done: false });
  trigger('strip_wanted', { ...settings(), first: inView(), number: strip.number, language: state.language });
}

function drawInView() {
  // Once a strip: what is left of it then is drawn in a second or two.
  if (!state.photo?.ready || strip.moved || strip.done || parts.strip.closest('[hidden]')) return;
  const first = inView();
  if (first.every((name) => strip.drawn.has(name))) return;
  Object.assign(strip, { number: strip.number + 1, moved: true });
  trigger('strip_moved', { ...settings(), first, done: [...strip.drawn], number: strip.number, language: state.language });
}

function fillStrip(thumbs, done) {
  for (const name of Object.keys(thumbs)) strip.drawn.add(name);
  strip.done = done;
  const faceless = isFaceless();
  for (const button of parts.strip.querySelectorAll('.look')) {
    const name = button.dataset.look;
    const place = button.querySelector('img');
    if (thumbs[name]) place.classList.remove('stale');
    if (thumbs[name] && place.src !== thumbs[name]) { place.src = thumbs[name]; place.hidden = false; }
    const isForFaces = faceless && lookOf(name)?.needs_faces; // and there is none
    button.hidden = Boolean(name) && !strip.drawn.has(name) && (done || isForFaces);
  }
  for (const section of parts.strip.children) {
    section.hidden = !section.querySelector('.look:not([hidden])');
    parts.jumps.querySelector(`[data-section="${section.dataset.section}"]`).hidden = section.hidden;
  }
}

// Strength

function buildStrength() {
  const range = { min: 0, max: Math.round(100 * data.max_strength), step: 1 };
  parts.strength = makeSlider({ id: 'photo-strength', ...range },
    () => { state.strength = strengths[state.look] = parts.strength.value / 100; blend(); showStrength(); });
  parts.strengthShown = make('output', { for: 'photo-strength' });
  parts.lookName = make('span', { class: 'chosen-look' });
  parts.like = iconButton('heart', 'photo.like', toggleLike, { 'aria-pressed': 'false' });
  parts.strengthHint = make('span', { class: 'hint' });
  return make('div', { class: 'strength' },
    parts.strengthHint, parts.like, parts.lookName,
    make('label', { for: 'photo-strength', class: 'only-read', 'data-text': 'photo.strength' }),
    parts.strength, parts.strengthShown);
}

function hintNow() {
  if (!state.waiting.has('photo')) return say(adjustsSomething() ? 'photo.compare_hint' : 'photo.choose_look');
  return state.sent < 1 ? say('photo.waiting_upload', { percent: Math.floor(100 * state.sent) }) : say('photo.waiting_photo');
}

function showStrength() {
  parts.strengthHint.hidden = Boolean(state.look);
  parts.strengthHint.textContent = hintNow();
  for (const part of [parts.like, parts.lookName, parts.strength, parts.strengthShown]) part.hidden = !state.look;
  parts.strength.value = Math.round(100 * state.strength);
  fill(parts.strength);
  parts.strengthShown.textContent = state.look ? parts.strength.value : '';
  parts.lookName.textContent = state.photo ? nameOf(state.look).replaceAll('-', '\u2011') : ''; // whole words
  parts.like.setAttribute('aria-pressed', String(kept().favourites.includes(state.look)));
}

function blend() {
  // While the slider moves, less of a look is the photo shining through; then it is drawn.
  if (state.drawn && state.drawn.strength > 0) parts.now.style.opacity = Math.min(state.strength / state.drawn.strength, 1);
}

function toggleLike() {
  const name = state.look;
  keep((now) => {
    now.favourites = now.favourites.includes(name) ? now.favourites.filter((one) => one !== name) : [name, ...now.favourites];
  });
  showChosen();
}
