// Every look on this very face: the strip, favourites and last ones first, and how strong the look is.

const MAX_YOURS = 6;

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

function yours() {
  const { favourites, last } = kept();
  return [...new Set([...favourites, ...last])].slice(0, MAX_YOURS);
}

function buildStrip() {
  parts.strip = make('div', { class: 'strip', role: 'tabpanel', id: 'photo-panel-looks', 'aria-labelledby': 'photo-tab-looks' });
  parts.strip.addEventListener('keydown', moveInStrip);
  fillSections();
  return parts.strip;
}

function fillSections() {
  const sections = [['yours', yours()]];
  for (const group of data.groups) sections.push([group, data.looks.filter((one) => one.group === group).map((one) => one.name)]);
  parts.strip.replaceChildren(...sections.filter(([, names]) => names.length).map(([group, names], number) =>
    make('div', { class: 'section', role: 'group', 'data-aria': `photo.group_${group}` },
      make('h3', { 'data-text': `photo.group_${group}` }),
      make('div', { class: 'section-looks' },
        number === 0 ? lookButton('') : null, ...names.map(lookButton)))));
  nameParts(parts.strip);
}

function lookButton(name) {
  const title = name ? JSON.stringify(lookOf(name).title) : '';
  const label = name ? make('span', { class: 'look-name', 'data-named': title }) : make('span', { class: 'look-name', 'data-text': 'photo.original' });
  return make('button', { type: 'button', class: 'look', 'data-look': name, tabindex: -1, onclick: () => chooseLook(name) },
    make('span', { class: 'look-picture' }, make('img', { alt: '', hidden: true })), label);
}

function chooseLook(name) {
  state.look = name;
  if (name) state.strength = Math.min(lookOf(name).strength, data.max_strength);
  if (name) keep((now) => { now.last = [name, ...now.last.filter((one) => one !== name)].slice(0, MAX_YOURS); });
  draw();
}

function showStrip() {
  const buttons = [...parts.strip.querySelectorAll('.look')];
  for (const button of buttons) {
    const chosen = button.dataset.look === state.look;
    button.setAttribute('aria-pressed', String(chosen));
    button.classList.toggle('drawing', chosen && state.waiting === 'look');
    button.classList.toggle('liked', kept().favourites.includes(button.dataset.look));
  }
  const current = buttons.find((button) => button.tabIndex === 0);
  const next = buttons.find((button) => button.dataset.look === state.look);
  if (next && (!current || current.dataset.look !== state.look)) buttons.forEach((button) => { button.tabIndex = button === next ? 0 : -1; });
}

function moveInStrip(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const buttons = [...parts.strip.querySelectorAll('.look')];
  const at = buttons.indexOf(event.target);
  if (!step || at < 0) return;
  event.preventDefault();
  const next = buttons[Math.min(Math.max(at + step, 0), buttons.length - 1)];
  buttons.forEach((button) => { button.tabIndex = button === next ? 0 : -1; });
  next.focus();
  next.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

function clearStrip() {
  fillSections();
  parts.strip.scrollLeft = 0;
  const first = parts.strip.querySelector('.look[data-look=""] img');
  first.src = state.photo.before;
  first.hidden = false;
}

function askForStrip() {
  const { favourites, last } = kept();
  const asked = { ...settings(), first: [...favourites, ...last], language: state.language };
  state.strip = (state.strip || 0) + 1;
  const first = parts.strip.querySelector('.look[data-look=""] img');
  first.src = state.photo.before;
  trigger('strip_wanted', { ...asked, number: state.strip });
}

function fillStrip(thumbs, done) {
  for (const button of parts.strip.querySelectorAll('.look')) {
    const name = button.dataset.look;
    const place = button.querySelector('img');
    if (thumbs[name] && place.src !== thumbs[name]) { place.src = thumbs[name]; place.hidden = false; }
    button.hidden = done && Boolean(name) && !thumbs[name]; // one for faces, and there is none
  }
}

// Strength

function buildStrength() {
  parts.strength = make('input', {
    type: 'range', min: 0, max: Math.round(100 * data.max_strength), step: 1, id: 'photo-strength',
    oninput: () => { state.strength = parts.strength.value / 100; blend(); showStrength(); },
    onchange: draw,
  });
  parts.strengthShown = make('output', { for: 'photo-strength' });
  parts.lookName = make('span', { class: 'chosen-look' });
  parts.like = iconButton('heart', 'photo.like', toggleLike, { 'aria-pressed': 'false' });
  return make('div', { class: 'strength' },
    parts.like, parts.lookName,
    make('label', { for: 'photo-strength', class: 'only-read', 'data-text': 'photo.strength' }),
    parts.strength, parts.strengthShown);
}

function showStrength() {
  parts.strength.disabled = !state.look;
  parts.strength.value = Math.round(100 * state.strength);
  fill(parts.strength);
  parts.strengthShown.textContent = state.look ? parts.strength.value : '';
  parts.lookName.textContent = state.photo ? nameOf(state.look) : '';
  parts.like.disabled = !state.look;
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
