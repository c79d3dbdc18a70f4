// All parts are known: build the page, and listen to the server and to the switch of the language.

const languages = document.querySelector('#language');
build();
relabel(chosenLanguage() || data.language);
languages.querySelector(`[value="${state.language}"]`).checked = true;
window.addEventListener('gan-space-photo', ({ detail }) => answers[detail.kind](detail.answer || {}));
languages.addEventListener('change', ({ target }) => {
  const framed = window.parent !== window && location.protocol === 'https:'; // by a page of another site, as on a Space
  const where = framed ? 'samesite=none; secure; partitioned' : 'samesite=lax';
  document.cookie = `gan_space_language=${target.value}; path=/; max-age=31536000; ${where}`; // the next page comes in it
  try { localStorage.setItem('gan_space_language', target.value); } catch { /* storage is switched off */ }
  relabel(target.value);
});
for (const link of document.querySelectorAll('#pages a')) {
  const query = new URLSearchParams(location.search); // in which hosts say who asks, and whether the page is dark
  if (link.dataset.page) query.set('tab', link.dataset.page);
  link.href = `${home.pathname}?${query}`; // gradio's page needs the slash
}
document.querySelector('#pages [aria-current]').addEventListener('click', (event) => {
  if (!state.photo || !window.history.state?.open) return;
  event.preventDefault(); // it would bring the photo again, and no other way leads to the start
  window.history.go(window.history.state.panel ? -2 : -1);
});
if (data.greeting.length) runGreeting(data.greeting); else if (data.examples.length) trigger('greeting_wanted');
if (lastVisit) comeBack(lastVisit);

function chosenLanguage() {
  // Browsers that keep cookies from a page inside another's let it store this.
  if (new URLSearchParams(location.search).has('lang')) return '';
  try {
    const chosen = localStorage.getItem('gan_space_language');
    return chosen in data.texts ? chosen : '';
  } catch { return ''; }
}
