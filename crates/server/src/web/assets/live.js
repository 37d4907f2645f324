// Keeps the page true: parts that changed arrive as HTML and take the place of their element. Nothing moves under
// the pointer or the focus; when nothing is heard for a while, the page says so.

const SILENCE = 15000;
const body = document.body;
let heard = Date.now();
let since = new Date();
let stale = false;
let source;
const waiting = new Map();
const baseTitle = document.querySelector('h1')?.textContent;

function clockTime(date) {
  return date.toLocaleTimeString('en-GB', { timeZone: document.documentElement.dataset.zone || undefined });
}

function alive() {
  heard = Date.now();
  since = new Date();
  if (stale) setStale(false);
  for (const light of document.querySelectorAll('.live')) {
    light.hidden = false;
    light.lastElementChild.textContent = light.closest('.phone-bar') ? clockTime(since).slice(0, 5) : 'Live · ' + clockTime(since);
  }
}

function setStale(on) {
  stale = on;
  body.classList.toggle('stale', on);
  const note = document.getElementById('stale');
  note.hidden = !on;
  for (const light of document.querySelectorAll('.live')) {
    light.classList.toggle('stale', on);
    light.hidden = false;
    if (on) light.lastElementChild.textContent = 'Not live since ' + clockTime(since);
  }
  const heading = document.querySelector('#headline h1');
  if (heading) heading.textContent = (on ? 'Last known: ' : '') + heading.textContent.replace('Last known: ', '');
  document.title = (on ? '○ ' : '') + document.title.replace('○ ', '');
  if (on) say('Not live. You see the last known state.');
}

// One sentence at most every ten seconds, for who listens to the page.
let said = 0, pending;
function say(text) {
  clearTimeout(pending);
  const wait = Math.max(0, said + 10000 - Date.now());
  pending = setTimeout(() => { said = Date.now(); document.getElementById('announce').textContent = text; }, wait);
}

function made(html, like) {
  const template = document.createElement('template');
  // A row makes sense inside a table only.
  template.innerHTML = like.tagName === 'TR' ? `<table><tbody>${html}</tbody></table>` : html;
  return template.content.querySelector('#' + CSS.escape(like.id));
}

let moved = 0;
addEventListener('pointermove', () => { moved = Date.now(); }, { passive: true });

// In use: something is being typed or chosen in it, text is marked, or a chart is being read.
function inUse(element) {
  const active = document.activeElement;
  if (active && element.contains(active) && /^(INPUT|TEXTAREA|SELECT)$/.test(active.tagName)) return true;
  if (element.querySelector('details.drop[open]')) return true;
  if (element.dataset.hold !== undefined && element.matches(':hover')) {
    // A list of buttons is held while the pointer is on its way to one, not for as long as it rests there.
    if (element.dataset.hold !== 'moving' || Date.now() - moved < 2000) return true;
  }
  const selection = getSelection();
  return selection && !selection.isCollapsed && element.contains(selection.anchorNode);
}

function busy(list) {
  return list.matches(':hover') || list.contains(document.activeElement);
}

function swap(id, html) {
  const old = document.getElementById(id);
  if (!old) return;
  if (inUse(old)) { waiting.set(id, html); return; }
  waiting.delete(id);
  const next = made(html, old);
  if (!next || next.isEqualNode(old)) return;
  // Open details stay open, and the focus stays on the same thing.
  const open = [...old.querySelectorAll('details')].map(it => it.open);
  [...next.querySelectorAll('details')].forEach((it, at) => { if (open[at] !== undefined) it.open = open[at]; });
  const active = old.contains(document.activeElement) ? document.activeElement : null;
  const same = active && [...old.querySelectorAll(active.tagName)].indexOf(active);
  const changed = stateOf(old) !== stateOf(next);
  old.replaceWith(next);
  if (active) (next.querySelectorAll(active.tagName)[same] ?? next.querySelector('a, button'))?.focus({ preventScroll: true });
  if (changed && (next.tagName === 'TR' || next.classList.contains('card'))) next.classList.add('fresh');
  dispatchEvent(new CustomEvent('watchbell:swapped', { detail: next }));
}

function stateOf(element) {
  return element.className.replace('fresh', '').trim();
}

// A list whose order changed: rows are renewed where they stand, and change places only when nobody is there.
function swapList(id, html) {
  const old = document.getElementById(id);
  if (!old) return;
  const next = made(html, old);
  if (!next) return;
  const ids = list => [...list.querySelectorAll('[id]')].map(it => it.id).join();
  if (ids(old) === ids(next)) {
    for (const row of next.querySelectorAll('[id]')) swap(row.id, row.outerHTML);
    return;
  }
  if (busy(old)) {
    for (const row of next.querySelectorAll('tr[id], li[id]')) if (document.getElementById(row.id)) swap(row.id, row.outerHTML);
    offer(old, html);
    return;
  }
  old.replaceWith(next);
}

function offer(list, html) {
  let button = document.getElementById('show-changes');
  if (!button) {
    button = document.createElement('button');
    button.id = 'show-changes';
    button.className = 'btn sm';
    button.type = 'button';
    button.textContent = 'The order has changed, show';
    list.before(button);
  }
  button.onclick = () => { button.remove(); const next = made(html, list); list.replaceWith(next); };
  list.addEventListener('pointerleave', () => setTimeout(() => {
    if (button.isConnected && !busy(list)) button.click();
  }, 1500), { once: true });
}

function receive(data) {
  const news = JSON.parse(data);
  alive();
  dispatchEvent(new CustomEvent('watchbell:now', { detail: news.now }));
  const headline = document.querySelector('#headline h1')?.textContent;
  const apply = () => {
    for (const [id, html] of news.parts) news.lists.includes(id) ? swapList(id, html) : swap(id, html);
    if (news.title) document.title = news.title;
    const icon = document.getElementById('icon');
    if (icon && icon.getAttribute('href') !== news.icon) icon.setAttribute('href', news.icon);
    const now = document.querySelector('#headline h1');
    if (now && now.textContent !== headline) say(`${now.textContent}. ${now.nextElementSibling?.textContent ?? ''}`);
  };
  // A hidden tab draws no frames, but its title is read.
  document.hidden ? apply() : requestAnimationFrame(apply);
}

let revision = body.dataset.rev;

function address() {
  const title = baseTitle ? '&title=' + encodeURIComponent(baseTitle) : '';
  return `${body.dataset.base ?? ''}/live?${body.dataset.live || 'of='}${title}&rev=${revision}`;
}

function ticked(now) {
  alive();
  dispatchEvent(new CustomEvent('watchbell:now', { detail: Number(now) }));
}

function gone() {
  source?.close();
  location.reload();
}

function listen() {
  source = new EventSource(address());
  source.addEventListener('parts', event => { revision = event.lastEventId; receive(event.data); });
  source.addEventListener('tick', event => ticked(event.data));
  source.addEventListener('gone', gone);
  source.addEventListener('error', () => {
    // Refused for good: the session may have ended. Otherwise the browser tries again by itself.
    if (source.readyState === EventSource.CLOSED && !document.hidden) setTimeout(listen, 5000);
  });
}

// A browser keeps only six connections to one host: a tab that nobody looks at gives up its own, and asks now and
// then, so that its title and icon still answer.
async function ask() {
  try {
    const answer = await fetch(address() + '&once=1');
    if (answer.status === 401) return gone();
    const text = await answer.text();
    const field = name => text.match(new RegExp(`^${name}: ?(.*)$`, 'm'))?.[1];
    if (field('event') === 'parts') { revision = field('id'); receive(field('data')); }
    else ticked(field('data'));
  } catch { /* The light says for how long nothing was heard. */ }
}

let resting;
function rest() {
  clearTimeout(resting);
  if (document.hidden) {
    resting = setTimeout(() => { source.close(); resting = setInterval(ask, 10000); }, 30000);
  } else {
    clearInterval(resting);
    if (source.readyState === EventSource.CLOSED) listen();
  }
}

setInterval(() => {
  if (!stale && Date.now() - heard > SILENCE) setStale(true);
  for (const [id, html] of waiting) swap(id, html);
}, 1000);

if (body.dataset.live !== undefined) {
  listen();
  addEventListener('visibilitychange', rest);
  addEventListener('pagehide', () => source.close());
  addEventListener('pageshow', event => { if (event.persisted) listen(); });
}
