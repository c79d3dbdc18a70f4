// A "?" beside each word of the trade, which says what it means; and files of the wrong kind, refused before they are sent.
(() => {
  const { terms, texts } = KNOWN_TERMS;
  const say = (key) => texts[document.documentElement.lang.startsWith('zh') ? 'zh-CN' : 'en'][key];

  // Words of the trade

  let bubble;

  function explain(button) {
    if (!bubble) {
      bubble = document.createElement('div');
      Object.assign(bubble, { className: 'term-bubble', popover: 'auto' });
      bubble.setAttribute('role', 'status');
      document.body.append(bubble);
    }
    bubble.textContent = say(button.dataset.term);
    bubble.showPopover();
    const { left, bottom, top } = button.getBoundingClientRect();
    const { offsetWidth, offsetHeight } = bubble;
    bubble.style.left = `${Math.max(8, Math.min(left - 16, innerWidth - offsetWidth - 8))}px`;
    bubble.style.top = `${bottom + 6 + offsetHeight < innerHeight ? bottom + 6 : Math.max(8, top - 6 - offsetHeight)}px`;
  }

  function mark() {
    for (const [id, key] of Object.entries(terms)) {
      const label = document.querySelector(`#${id} [data-testid="block-info"]`);
      if (!label || label.nextElementSibling?.matches('.term')) continue;
      const button = document.createElement('button');
      Object.assign(button, { type: 'button', className: 'term', textContent: '?' });
      button.dataset.term = key;
      button.addEventListener('click', (event) => { event.preventDefault(); explain(button); });
      label.after(button);
    }
    for (const button of document.querySelectorAll('.term')) {
      const name = `${button.previousElementSibling.textContent.trim()}: ${say('term.what')}`;
      if (button.getAttribute('aria-label') !== name) button.setAttribute('aria-label', name);
    }
  }

  // What gradio leaves without a name for those who do not see it

  function nameParts() {
    for (const button of document.querySelectorAll('.block button:has(img):not([aria-label], [title])')) {
      const label = button.closest('.block').querySelector('[data-testid="block-label"]')?.textContent.trim();
      if (!button.textContent.trim()) button.setAttribute('aria-label', label || say('term.picture'));
    }
    for (const place of document.querySelectorAll('.empty[aria-label]:not([role])')) place.setAttribute('role', 'img');
    renameParts();
  }

  // What gradio names in English alone, whatever the page speaks; a small picture is named by what stands on it

  const NAMES = {
    'Remove Image': 'upload.remove', 'Upload file': 'upload.file', 'Capture from camera': 'upload.camera',
    'Paste from clipboard': 'upload.paste', 'Click to upload or drop files': 'upload.drop', Fullscreen: 'upload.fullscreen',
  };
  const named = new WeakMap(); // part -> by kind: gradio's name, and ours

  function nameOf(part, theirs) {
    if (NAMES[theirs]) return say(NAMES[theirs]);
    const [, number] = theirs.match(/^Thumbnail (\d+) of/) || [];
    if (number) return part.textContent.trim() || `${say('term.picture')} ${number}`;
    if (part.matches('label > input')) return part.parentElement.textContent.trim(); // not what stands for it in a program
    return theirs.replace(/^(number input|range slider) for /, '');
  }

  function renameParts() {
    for (const part of document.querySelectorAll('#tabs :is([aria-label], [title])')) {
      const names = named.get(part) || {};
      for (const kind of ['aria-label', 'title']) {
        const now = part.getAttribute(kind);
        if (!now) continue;
        if (now !== names[kind]?.ours) names[kind] = { theirs: now };
        names[kind].ours = nameOf(part, names[kind].theirs);
        if (names[kind].ours !== now) part.setAttribute(kind, names[kind].ours);
      }
      named.set(part, names);
    }
  }

  let resting;
  new MutationObserver(() => { clearTimeout(resting); resting = setTimeout(() => { mark(); nameParts(); }, 200); })
    .observe(document.documentElement, { childList: true, subtree: true, attributeFilter: ['lang'] });

  // What gradio says while somebody waits: its words become ours, its numbers stay

  const PROGRESS = [[/^\s*queue: /, 'progress.queue'], [/^\s*processing(?= )/, 'progress.busy']];

  function translateProgress() {
    for (const line of document.querySelectorAll('.progress-text')) {
      for (const node of line.childNodes) {
        for (const [theirs, key] of PROGRESS) {
          if (node.nodeType === Node.TEXT_NODE && theirs.test(node.data)) node.data = node.data.replace(theirs, say(key));
        }
      }
    }
  }

  new MutationObserver(translateProgress)
    .observe(document.documentElement, { childList: true, subtree: true, characterData: true });

  // Files of the wrong kind

  const PHOTOS = /\.(jpe?g|png|webp|hei[cf]|avif|gif|bmp|tiff?|jp2|jpf|mpo)$/i;

  function fits(file, accept) {
    if (accept.includes('.zip')) return /\.zip$/i.test(file.name);
    if (accept.includes('image')) return file.type.startsWith('image/') || PHOTOS.test(file.name);
    return true;
  }

  function refuseWrong(event, input, files) {
    if (!input) return;
    const block = input.closest('.block') || input.parentElement;
    block.parentElement.querySelectorAll(':scope > .refused').forEach((one) => one.remove());
    if ([...files].every((file) => fits(file, input.accept))) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const line = document.createElement('p');
    Object.assign(line, { className: 'refused', textContent: say(input.accept.includes('.zip') ? 'upload.no_zip' : 'upload.no_photo') });
    line.setAttribute('role', 'alert');
    block.after(line);
    if (event.type === 'change') input.value = '';
  }

  // gradio goes by the kind that a browser names, and many name none for what phones write (HEIC).

  const withKind = (file) => (file.type || !PHOTOS.test(file.name) ? file
    : new File([file], file.name, { type: `image/${file.name.split('.').pop().toLowerCase()}` }));

  function nameKinds(event, input, files) {
    if (!input?.accept.includes('image') || event.defaultPrevented || [...files].every((file) => withKind(file) === file)) return;
    const all = new DataTransfer();
    for (const file of files) all.items.add(withKind(file));
    if (event.type === 'change') { input.files = all.files; return; }
    event.preventDefault();
    event.stopImmediatePropagation();
    event.target.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: all }));
  }

  document.addEventListener('change', (event) => {
    if (!event.target.matches?.('input[type=file]')) return;
    refuseWrong(event, event.target, event.target.files);
    nameKinds(event, event.target, event.target.files);
  }, true);
  document.addEventListener('drop', (event) => {
    const block = event.target.closest?.('.block');
    const input = block?.querySelector('input[type=file]');
    refuseWrong(event, input, event.dataTransfer?.files || []);
    nameKinds(event, input, event.dataTransfer?.files || []);
  }, true);
})();
