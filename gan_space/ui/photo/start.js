// All parts are known: build the page, and listen to the server and to the switch of the language.

build();
relabel(data.language);
window.addEventListener('gan-space-photo', ({ detail }) => answers[detail.kind](detail.answer || {}));
document.querySelector('#language').addEventListener('change', ({ target }) => {
  document.cookie = `gan_space_language=${target.value}; path=/; max-age=31536000; samesite=lax`; // the next page comes in it
  try { localStorage.setItem('gan_space_language', target.value); } catch { /* storage is switched off */ }
  relabel(target.value);
});
for (const link of document.querySelectorAll('#pages a[data-page]')) {
  const query = new URLSearchParams(location.search);
  query.set('tab', link.dataset.page);
  link.href = `?${query}`;
}
if (data.greeting.length) runGreeting(data.greeting); else if (data.examples.length) trigger('greeting_wanted');
if (lastVisit) comeBack(lastVisit);
