// "Show what was seen": outlines over the photo as it is, asked for when they are first wanted, and where parts are unsure.

const seen = { shown: false, number: 0, of: '', faces: [] }; // `of`: address of the photo in which `faces` were seen

function buildSeeing() {
  parts.see = make('button', {
    type: 'button', class: 'chip see', id: 'photo-see', 'aria-pressed': 'false', 'aria-describedby': 'photo-seen-told',
    'data-text': 'photo.see', onclick: () => showSeen(!seen.shown),
  });
  parts.seenTold = make('div', { class: 'hint seen-told', id: 'photo-seen-told' });
  return make('div', { class: 'seeing-row' }, parts.see, parts.seenTold);
}

function showSeen(shown) {
  if (!parts.see || (!shown && !seen.shown)) return;
  seen.shown = shown && Boolean(state.photo?.ready);
  const known = seen.shown && seen.of === state.photo.before;
  if (!known) {
    seen.number += 1;
    if (seen.shown) { wait('seen'); trigger('seen_wanted', { number: seen.number, language: state.language }); } else arrived('seen');
  }
  root.classList.toggle('seeing', known);
  parts.seen.hidden = !known;
  parts.see.setAttribute('aria-pressed', String(seen.shown));
  tellSeen(known);
}

function takeSeen({ number, error, what, picture, faces }) {
  if (number !== seen.number) return;
  arrived('seen');
  if (what === 'gone' && state.photo?.ready && bringAgain()) return; // then it is asked for once more
  if (error) { showSeen(false); tell(error); return; }
  Object.assign(seen, { of: state.photo.before, faces });
  parts.seen.src = picture;
  showSeen(true);
  parts.status.textContent = parts.seenTold.textContent;
  parts.seenTold.scrollIntoView({ block: 'nearest' });
}

function tellSeen(known) {
  const line = (text) => make('p', {}, text);
  const list = new Intl.ListFormat(state.language);
  const lines = seen.faces.map(({ error, covered }, number) => {
    const hidden = list.format(covered.map((name) => say(`photo.part_${name}`)));
    return line([
      seen.faces.length > 1 ? say('photo.face_number', { number: number + 1 }) : '',
      say('photo.seen_error', { error: error.toFixed(1) }),
      hidden ? say('photo.seen_covered', { parts: hidden }) : say('photo.seen_free'),
    ].filter(Boolean).join(' · '));
  });
  const told = lines.length ? [line(say('photo.seen_legend')), ...lines] : [line(say('photo.seen_none'))];
  parts.seenTold.replaceChildren(...(known ? told : []));
}
