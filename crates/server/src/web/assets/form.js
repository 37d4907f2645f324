// Comfort for forms: rows are added in place, a kind is chosen by its card, a check is tried beside the form, and
// nobody leaves unsaved changes unasked. Without it the same buttons post the form.

const form = document.querySelector('form[data-edit]');

function addRow(rows) {
  const all = [...rows.querySelectorAll(':scope > .list-row')];
  const last = all.at(-1), name = rows.dataset.rows, next = all.length;
  const row = last.cloneNode(true);
  const place = new RegExp('^' + name.replaceAll('.', '\\.') + '\\.\\d+');
  for (const element of [row, ...row.querySelectorAll('*')]) {
    for (const attribute of ['name', 'id', 'for', 'aria-describedby', 'data-rows']) {
      const value = element.getAttribute(attribute);
      if (!value) continue;
      const dashed = name.replaceAll('.', '-');
      element.setAttribute(attribute, value.replace(place, `${name}.${next}`).replace(new RegExp(`f-${dashed}-\\d+`, 'g'), `f-${dashed}-${next}`));
    }
    if (element.matches('input:not([type=radio]):not([type=checkbox]), textarea')) element.value = '';
    if (element.matches('[type=checkbox]')) element.checked = false;
    if (element.matches('.err')) element.remove();
  }
  if (row.tagName === 'DETAILS') row.open = true;
  last.after(row);
  row.querySelector('input, select, textarea')?.focus();
}

if (form) {
  let dirty = false;
  const message = form.querySelector('.savebar .msg');
  form.addEventListener('input', () => { dirty = true; if (message) message.hidden = false; });
  form.addEventListener('submit', () => { dirty = false; });
  addEventListener('beforeunload', event => { if (dirty) event.preventDefault(); });

  form.addEventListener('click', event => {
    const add = event.target.closest('.add-row');
    if (add) { event.preventDefault(); addRow(add.closest('.rows')); }
    const tries = event.target.closest('[data-try]');
    if (tries) { event.preventDefault(); attempt(tries); }
  });

  form.addEventListener('change', event => {
    if (event.target.name === 'kind') form.requestSubmit(document.getElementById('choose-kind'));
  });

  // What is proposed from the name shows where it will stand.
  const slug = form.querySelector('[data-slug]'), name = form.querySelector('[name=name]');
  name?.addEventListener('input', () => {
    if (slug) slug.placeholder = name.value.toLowerCase().normalize('NFD').replace(/[\u0300-\u036f]/g, '').replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') || 'made from the name';
  });

  document.addEventListener('keydown', event => {
    if ((event.ctrlKey || event.metaKey) && event.key === 's') {
      event.preventDefault();
      form.requestSubmit(form.querySelector('.savebar [value=save]'));
    }
  });

  async function attempt(button) {
    if (button.getAttribute('aria-disabled')) return;
    const body = new URLSearchParams(new FormData(form));
    body.set('do', 'check');
    button.classList.add('busy');
    button.setAttribute('aria-disabled', 'true');
    try {
      const answer = await fetch(form.action, { method: 'POST', body, headers: { 'x-watchbell': '1' } });
      if (!answer.ok) throw new Error(String(answer.status));
      document.getElementById('tried').innerHTML = (await answer.json()).html;
      const there = document.getElementById('tried').getBoundingClientRect();
      if (there.top > innerHeight || there.bottom < 0) document.getElementById('tried').scrollIntoView({ block: 'nearest' });
    } catch {
      // Mistakes are shown at their fields by the page that the plain post gives.
      dirty = false;
      const wish = document.createElement('input');
      wish.type = 'hidden';
      wish.name = 'do';
      wish.value = 'check';
      form.prepend(wish);
      form.submit();
    }
    button.classList.remove('busy');
    button.removeAttribute('aria-disabled');
  }
}
document.getElementById('mistakes')?.focus();
