// The crosshair of the response chart and the day under the pointer. What they say also stands in the tables below.

function chart(box) {
  const source = box.querySelector('script[type="application/json"]');
  if (!source) return;
  const data = JSON.parse(source.textContent), n = data.p50.length;
  const plot = box.querySelector('.plot'), tip = box.querySelector('.tip');
  const line = box.querySelector('.cross'), dot = box.querySelector('.dot');
  const format = new Intl.DateTimeFormat('en-GB', { timeZone: data.zone, weekday: 'short', hour: '2-digit', minute: '2-digit' });
  const ms = value => value == null ? '–' : `${Math.round(value)}\u00a0ms`;
  let at = -1;

  function show(index) {
    at = Math.max(0, Math.min(n - 1, index));
    const width = plot.clientWidth, height = plot.clientHeight, x = (at + .5) / n * width, value = data.p50[at];
    line.setAttribute('x1', x);
    line.setAttribute('x2', x);
    dot.setAttribute('r', value == null ? 0 : 4.5);
    dot.setAttribute('cx', x);
    dot.setAttribute('cy', value == null ? 0 : Math.max(0, height - value / data.max * height));
    tip.querySelector('h4').textContent = format.format(data.from + at * data.step);
    const cells = tip.querySelectorAll('dd');
    cells[0].textContent = ms(data.p50[at]);
    cells[1].textContent = ms(data.p95[at]);
    cells[2].textContent = data.n[at];
    const left = plot.getBoundingClientRect().left - box.getBoundingClientRect().left;
    const beside = x + 14 + tip.offsetWidth > width ? x - tip.offsetWidth - 14 : x + 14;
    tip.style.transform = `translate(${Math.round(left + beside)}px, 14px)`;
    box.classList.add('hot');
  }

  plot.addEventListener('pointermove', event => {
    const place = plot.getBoundingClientRect();
    show(Math.floor((event.clientX - place.left) / place.width * n));
  });
  plot.addEventListener('pointerleave', () => box.classList.remove('hot'));
  plot.addEventListener('focus', () => { if (plot.matches(':focus-visible')) show(at < 0 ? n - 1 : at); });
  plot.addEventListener('blur', () => box.classList.remove('hot'));
  plot.addEventListener('keydown', event => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12, Home: -n, End: n }[event.key];
    if (step) { event.preventDefault(); show(at + step); }
  });
}

function days(box) {
  const said = JSON.parse(box.querySelector('script').textContent);
  const tip = box.querySelector('.tip'), plot = box.querySelector('.days');
  plot.addEventListener('pointermove', event => {
    const place = plot.getBoundingClientRect();
    const at = Math.max(0, Math.min(said.length - 1, Math.floor((event.clientX - place.left) / place.width * said.length)));
    tip.querySelector('h4').textContent = said[at][0];
    tip.querySelector('p').textContent = said[at][1];
    const x = (at + .5) / said.length * plot.clientWidth;
    const left = Math.max(0, Math.min(plot.clientWidth - tip.offsetWidth, x - tip.offsetWidth / 2));
    tip.style.transform = `translate(${Math.round(left)}px, ${plot.clientHeight + 8}px)`;
    tip.classList.add('on');
  });
  plot.addEventListener('pointerleave', () => tip.classList.remove('on'));
}

function begin(within) {
  within.querySelectorAll('.chart').forEach(chart);
  within.querySelectorAll('.days-box').forEach(days);
}
begin(document);
addEventListener('watchbell:swapped', event => begin(event.detail));
