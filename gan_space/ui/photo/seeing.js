// "Show what was seen": outlines over the photo as it is, asked for when they are first wanted, and where parts are unsure.

// `of`: address of the photo in which `faces` were seen; `asking`: that of the photo of which the answer is on its way.
const seen = { shown: false, number: 0, of: '', asking: '', faces: [] };

function buildSeeing() {
  parts.see = make('button', {
    type: 'button', class: 'chip see', id: 'photo-see', 'aria-pressed': 'false', 'aria-describedby': 'photo-seen-list',
    'data-text': 'photo.see', onclick: () => showSeen(!seen.shown),
  });
  parts.seenList = make('div', { class: 'hint seen-list', id: 'photo-seen-list' });
  return make('div', { class: 'seeing-row' }, parts.see, parts.seenList);
}

function showSeen(shown) {
  if (!parts.see || (!shown && !seen.shown)) return;
  seen.shown = shown && Boolean(state.photo);
  const known = seen.shown && seen.of === state.photo.before;
  if (!seen.shown) arrived('seen');
  else if (!known && state.photo.ready) askForSeen(); // else it is asked for when the photo has arrived
  root.classList.toggle('seeing', known);
  parts.seen.hidden = !known;
  parts.see.setAttribute('aria-pressed', String(seen.shown));
  tellSeen(known);
}

function askForSeen() {
  wait('seen');
  const { before } = state.photo;
  if (seen.asking === before) return;
  seen.asking = before;
  seen.number += 1;
  trigger('seen_wanted', { number: seen.number, language: state.language });
}

function takeSeen({ number, error, what, picture, faces }) {
  if (number !== seen.number) return;
  const of = seen.asking;
  seen.asking = '';
  if (of !== state.photo?.before) return; // another photo was chosen meanwhile
  if (seen.shown) arrived('seen');
  if (!error) { Object.assign(seen, { of, faces }); parts.seen.src = picture; }
  if (!seen.shown) return;
  if (what === 'gone' && (!state.photo.ready || bringAgain())) return; // then it is asked for once more
  if (error) { showSeen(false); tell(error); return; }
  showSeen(true);
  parts.status.textContent = [...parts.seenList.children].map((line) => line.textContent).join(' ');
  parts.seenList.scrollIntoView({ block: 'nearest' });
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
  const shown = lines.length ? [line(say('photo.seen_legend')), ...lines] : [line(say('photo.seen_none'))];
  parts.seenList.replaceChildren(...(known ? shown : []));
}
