// Ages that tick, and the browser's time zone for the next page. The rules of `length` in words.rs, once more.

const page = document.documentElement;
// The server's clock counts: a wrong one here would make every outage older or younger.
let skew = Number(page.dataset.now) - Date.now();
addEventListener('watchbell:now', event => { skew = event.detail - Date.now(); });

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && page.dataset.zone !== undefined && !document.cookie.includes('tz=' + encodeURIComponent(zone))) {
  document.cookie = `tz=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;
}

const unit = (count, name) => `${count}\u00a0${name}`;
const pair = (large, l, small, s) => small ? `${unit(large, l)} ${unit(small, s)}` : unit(large, l);

function length(seconds, fine) {
  if (seconds < 60) return unit(seconds, 's');
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (minutes < 60) return fine ? pair(minutes, 'min', seconds % 60, 's') : unit(minutes, 'min');
  if (hours < 24) return pair(hours, 'h', minutes % 60, 'min');
  if (days < 14) return pair(days, 'd', hours % 24, 'h');
  return unit(days, 'd');
}

function tick() {
  if (document.hidden || document.body.classList.contains('stale')) return;
  const now = Date.now() + skew;
  for (const age of document.querySelectorAll('time[data-age]')) {
    const seconds = Math.max(0, Math.floor((now - Date.parse(age.dateTime)) / 1000));
    const text = length(seconds, age.dataset.age === 'fine');
    if (age.textContent !== text) age.textContent = text;
  }
}
setInterval(tick, 1000);
addEventListener('visibilitychange', tick);
