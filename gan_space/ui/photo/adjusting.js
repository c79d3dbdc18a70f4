// "Adjust": sliders for this face, by groups.

const SLIDER_GROUPS = ['expression', 'face', 'skin', 'makeup', 'age'];

function buildAdjusting() {
  const groups = SLIDER_GROUPS.filter((group) => data.sliders.some((one) => one.group === group));
  parts.groups = {};
  parts.sliders = {};
  const chips = groups.map((group) => {
    parts.groups[group] = make('div', { class: 'sliders', role: 'group', 'data-aria': `photo.adjust_${group}`, hidden: true },
      ...data.sliders.filter((one) => one.group === group).map(buildSlider));
    return make('button', {
      type: 'button', class: 'chip', 'data-group': group, 'data-text': `photo.adjust_${group}`, onclick: () => showGroup(group),
    });
  });
  parts.chips = chips;
  parts.resetEdits = make('button', {
    type: 'button', class: 'chip reset', 'data-text': 'photo.reset',
    onclick: () => { state.edits = {}; draw(); },
  });
  const panel = make('div', { class: 'adjusting', role: 'tabpanel', id: 'photo-panel-adjust', 'aria-labelledby': 'photo-tab-adjust', hidden: true },
    make('div', { class: 'chips' }, ...chips, parts.resetEdits), ...Object.values(parts.groups));
  if (groups.length) showGroup(groups[0]);
  return panel;
}

function buildSlider({ name, title, low, high }) {
  const id = `photo-slider-${name}`;
  const shown = make('output', { for: id });
  const slider = make('input', {
    type: 'range', id, min: low, max: high, step: 0.05,
    oninput: () => { state.edits[name] = Number(slider.value); shown.textContent = percent(slider, low, high); fill(slider); },
    onchange: () => { state.edits[name] = Number(slider.value); draw(); },
    ondblclick: () => { delete state.edits[name]; draw(); },
  });
  slider.value = 0;
  parts.sliders[name] = { slider, shown, low, high };
  return make('div', { class: 'slider' },
    make('label', { for: id, 'data-named': JSON.stringify(title) }), slider, shown);
}

function percent(slider, low, high) {
  // -100 to 100, whatever the range of the slider is.
  const amount = Number(slider.value);
  const share = Math.round(100 * (amount < 0 ? amount / -low : amount / high));
  return share > 0 ? `+${share}` : String(share);
}

function showGroup(chosen) {
  for (const [group, panel] of Object.entries(parts.groups)) panel.hidden = group !== chosen;
  for (const chip of parts.chips) chip.setAttribute('aria-pressed', String(chip.dataset.group === chosen));
}

function showAdjusting() {
  for (const [name, { slider, shown, low, high }] of Object.entries(parts.sliders)) {
    slider.value = state.edits[name] || 0;
    fill(slider);
    shown.textContent = percent(slider, low, high);
  }
  parts.resetEdits.disabled = !Object.values(state.edits).some((amount) => amount);
}
