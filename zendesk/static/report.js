/* Copies the week as Markdown; without it the link opens the same text. */
'use strict';
document.addEventListener('click', event => {
  const link = event.target.closest('a[data-copy-text]');
  if (!link || !navigator.clipboard) return;
  event.preventDefault();
  fetch(link.href)
    .then(answer => answer.ok ? answer.text() : Promise.reject(new Error('refused')))
    .then(text => navigator.clipboard.writeText(text))
    .then(() => { link.textContent = link.dataset.copied; }, () => { location.assign(link.href); });
});
