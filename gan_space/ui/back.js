// The browser's Back goes back one tab, also one inside another, before it leaves the page; Forward and a reload follow.
(() => {
  const BUTTONS = ':scope > .tab-wrapper :is([role=tab], .overflow-dropdown button)';
  const ELSEWHERE = 'photo'; // a page of its own
  const [STEP_MSEC, MAX_STEPS] = [50, 200]; // a tab inside another is there some time after that one was opened
  let shown = 0; // number of the last `show`

  const nameOf = (button) => button.dataset.tabId || button.textContent.trim(); // those in gradio's menu have no name
  const buttonsOf = (tabs) => [...tabs.querySelectorAll(BUTTONS)];
  const query = () => new URLSearchParams(window.location.search);

  function chosen() { // [id of tabs in sight, name of the open one], from the outside in
    return [...document.querySelectorAll('.tabs[id]')].filter((tabs) => tabs.checkVisibility())
      .map((tabs) => [tabs.id, buttonsOf(tabs).find((button) => button.matches('.selected'))])
      .filter(([, button]) => button).map(([id, button]) => [id, nameOf(button)]);
  }

  async function show(wanted) {
    shown += 1;
    const number = shown;
    for (const [id, name] of wanted) {
      const find = () => buttonsOf(document.getElementById(id) || document.head).find((one) => nameOf(one) === name);
      for (let step = 0; !find() && step < MAX_STEPS; step += 1) {
        await new Promise((done) => { setTimeout(done, STEP_MSEC); });
      }
      if (number !== shown) return;
      if (find()?.matches(':not(.selected)')) find().click();
    }
  }

  document.addEventListener('click', ({ target, isTrusted }) => { // before gradio hears of it; not those of `show`
    const button = isTrusted && target.closest('[role=tab], .overflow-dropdown button');
    if (!button || button.matches('.selected') || nameOf(button) === ELSEWHERE) return;
    shown += 1;
    const { id } = button.closest('.tabs');
    const before = chosen();
    const after = [...before.slice(0, before.findIndex(([one]) => one === id)), [id, nameOf(button)]];
    const there = query();
    if (id === 'tabs' && !there.has('recipe')) there.set('tab', nameOf(button)); // what a reload opens
    window.history.replaceState({ ...window.history.state, tabs: before }, '');
    window.history.pushState({ tabs: after }, '', `?${there}`);
  }, true);

  window.addEventListener('popstate', ({ state }) => { if (state?.tabs) show(state.tabs); });
  window.addEventListener('pageshow', ({ persisted }) => { // the tab that led away may be kept open
    if (persisted) show(window.history.state?.tabs || [['tabs', query().get('tab')]]);
  });
  if (window.history.state?.tabs && !query().has('recipe')) show(window.history.state.tabs);
})();
