// Keys, theme, copying, and posts that do not leave the page. Everything here works without it, by links and forms.

const $ = (selector, from = document) => from.querySelector(selector);
const base = document.body.dataset.base ?? '';

for (const element of document.querySelectorAll('[data-show], [data-copy]')) element.hidden = false;
document.documentElement.classList.add('script');
addEventListener('scroll', () => document.body.classList.toggle('scrolled', scrollY > 4), { passive: true });

// What was just done is told once, not again after a reload.
const address = new URL(location.href);
if (address.searchParams.has('said')) {
  address.searchParams.delete('said');
  history.replaceState(history.state, '', address);
}
for (const toast of document.querySelectorAll('[data-once]')) fade(toast);

function fade(toast) {
  let left = 5000;
  const timer = setInterval(() => {
    if (toast.matches(':hover, :focus-within')) return;
    left -= 250;
    if (left <= 0) { clearInterval(timer); toast.remove(); }
  }, 250);
}

function toast(text, bad) {
  const place = $('#toasts');
  if (!place) return;
  const box = document.createElement('div');
  box.className = bad ? 'toast bad' : 'toast';
  box.setAttribute('role', bad ? 'alert' : 'status');
  box.textContent = text;
  place.append(box);
  while (place.children.length > 3) place.firstElementChild.remove();
  fade(box);
}

// A post whose result the page itself will show: sent from here, told in a toast.
async function send(form, button) {
  if (form.dataset.sending) return;
  form.dataset.sending = '1';
  button?.classList.add('busy');
  button?.setAttribute('aria-disabled', 'true');
  try {
    const answer = await fetch(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form)), headers: { 'x-watchbell': '1' } });
    const said = await answer.json();
    if (answer.ok && said.said) toast(said.said);
    else toast(said.detail ?? 'This did not work.', true);
  } catch {
    toast('The server did not answer. Nothing is known of what was asked.', true);
  }
  delete form.dataset.sending;
  button?.classList.remove('busy');
  button?.removeAttribute('aria-disabled');
}

document.addEventListener('submit', event => {
  const form = event.target;
  if (form.dataset.post !== undefined || form.dataset.busy !== undefined) {
    event.preventDefault();
    send(form, event.submitter);
  }
});

document.addEventListener('change', event => {
  if (event.target.dataset?.submit !== undefined) event.target.form.requestSubmit();
});

document.addEventListener('click', event => {
  const shows = event.target.closest('[data-show]');
  if (shows) {
    const field = document.getElementById(shows.dataset.show);
    const hidden = field.type === 'password';
    field.type = hidden ? 'text' : 'password';
    shows.setAttribute('aria-label', hidden ? 'Hide password' : 'Show password');
  }
  const copies = event.target.closest('[data-copy]');
  if (copies) navigator.clipboard?.writeText(copies.dataset.copy).then(() => toast('Copied.'), () => toast('The browser did not allow copying.', true));
  for (const menu of document.querySelectorAll('details.drop[open]')) if (!menu.contains(event.target)) menu.open = false;
  if (event.target.id === 'keys') event.target.close();
});

function typing(target) {
  return /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable;
}

// Rows to walk through: problems, cards, lines of a table.
function walk(step) {
  const links = [...document.querySelectorAll('main .problem .name a, main .card .l1 a, main .tbl a.nm, main .tbl td:first-child + td a.quiet')].filter(it => it.offsetParent);
  const at = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, at < 0 ? (step > 0 ? 0 : links.length - 1) : at + step))]?.focus();
}

const places = { o: '/', i: '/incidents', a: '/alerting', s: '/settings' };
let after = '';

document.addEventListener('keydown', event => {
  if (event.key === 'Escape') {
    for (const menu of document.querySelectorAll('details.drop[open]')) menu.open = false;
    if (typing(event.target)) event.target.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || $('dialog[open]')) return;
  const { key } = event;
  if (after === 'g') {
    after = '';
    if (places[key]) location.href = base + places[key];
    return;
  }
  if (key === 'g') { after = 'g'; setTimeout(() => { after = ''; }, 900); return; }
  const target = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (key === '/' && $('#filter')) { event.preventDefault(); $('#filter').select(); $('#filter').focus(); }
  else if (key === '?') $('#keys')?.showModal();
  else if (key === 't') $('#theme')?.click();
  else if (key === 'j' || key === 'k') walk(key === 'j' ? 1 : -1);
  else if (key === 'n') { if ($('main a[href$="/new"]')) $('main a[href$="/new"]').click(); }
  else if (key === 'v') document.querySelector('[data-view]:not([aria-current])')?.click();
  else if (target) { event.preventDefault(); target.click(); }
  else if ((key === 'c' || key === 'a') && document.activeElement.closest?.('.problem')) {
    const word = key === 'c' ? 'check' : 'acknowledge';
    document.activeElement.closest('.problem').querySelector(`form[action$="/${word}"] button`)?.click();
  }
});
