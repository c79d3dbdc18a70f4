// All parts are known: build the page, and listen to the server and to the switch of the language.

build();
relabel(pageLanguage());
window.addEventListener('gan-space-photo', ({ detail }) => answers[detail.kind](detail.answer || {}));
new MutationObserver(() => {
  const chosen = document.documentElement.lang.startsWith('zh') ? 'zh-CN' : 'en';
  if (chosen !== state.language) relabel(chosen);
}).observe(document.documentElement, { attributes: true, attributeFilter: ['lang'] });
