// Glue between Zendesk's frame and the server-rendered card: headers, height, focus, and the reply box. No framework.
(() => {
  'use strict';
  const boot = JSON.parse(document.getElementById('boot').textContent);
  document.getElementById('boot').remove();
  const byId = id => document.getElementById(id);
  const root = document.documentElement;
  const client = window.ZAFClient ? window.ZAFClient.init() : false;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
  const ran = new Set(), inserted = new Map();
  let { token, ticket, lang } = boot, stage = byId('card').dataset.stage, height = 0;

  const headers = () => ({ Authorization: `Bearer ${token}`, 'Accept-Language': lang, 'X-Time-Zone': zone });
  const say = text => { if (text && byId('live').textContent !== text) byId('live').textContent = text; };
  const invoke = (...args) => client ? client.invoke(...args).catch(() => null) : Promise.resolve(null);
  const read = paths => client ? client.get(paths).catch(() => ({})) : Promise.resolve({});
  const scheme = name => { if (name === 'light' || name === 'dark') root.dataset.scheme = name; };
  const empty = none => { byId('no-ticket').hidden = !none; byId('card').hidden = none; };
  const load = () => empty(false) || htmx.ajax('GET', `/api/tickets/${ticket}/card?view=glance`, { target: '#card', swap: 'outerHTML' });
  const offline = text => {
    byId('offline').hidden = !text;
    byId('offline').lastElementChild.textContent = text;
    say(text);
    fit();
  };

  // In review the card is taller than the panel: bound the frame, so that the approve bar can stick to its bottom edge.
  const fit = () => {
    let wanted = Math.ceil(byId('card').getBoundingClientRect().height) + byId('offline').offsetHeight + byId('no-ticket').offsetHeight;
    if (document.querySelector('.bar-approve')) wanted = Math.min(wanted, Math.max(480, screen.availHeight - 160));
    if (wanted !== height) invoke('resize', { width: '100%', height: `${height = wanted}px` });
  };

  // The agent's own text is never overwritten: an empty box is filled, another one is added to.
  const escaped = text => text.replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
  const html = text => text.trim().split(/\n{2,}/).map(p => `<p>${escaped(p).replace(/\n/g, '<br>')}</p>`).join('');
  const spent = () => {
    const key = byId('draft')?.dataset.approval, said = inserted.get(key);
    document.querySelectorAll('[data-insert]').forEach(button => { button.hidden = inserted.has(key); });
    if (said && byId('reply-says')) byId('reply-says').textContent = boot.texts[said];
  };
  const insert = async () => {
    const draft = byId('draft');
    if (!client || !draft || inserted.has(draft.dataset.approval)) return;
    inserted.set(draft.dataset.approval, '');
    const now = await read(['ticket.id', 'comment.text', 'comment.type']);
    let text = 'reply_failed';
    if (String(now['ticket.id']) === String(ticket)) {
      const empty = !String(now['comment.text'] || '').replace(/<[^>]*>|&nbsp;/g, '').trim();
      if (empty && now['comment.type'] === 'internalNote') await client.set('comment.type', 'publicReply').catch(() => null);
      const done = client.invoke(empty ? 'ticket.editor.insert' : 'comment.appendHtml', html(draft.value));
      text = await done.then(() => empty ? 'reply_in' : 'reply_added', () => 'reply_failed');
    }
    inserted.set(draft.dataset.approval, text);
    spent();
    if (text === 'reply_failed') {
      inserted.delete(draft.dataset.approval);
      draft.hidden = false;
      spent();
    }
    invoke('notify', boot.texts[text], text === 'reply_failed' ? 'alert' : 'notice');
    say(boot.texts[text]);
    fit();
  };

  // A frame is often not given the clipboard; then the text is selected and copied as a person would.
  const copy = async area => {
    try { await navigator.clipboard.writeText(area.value); return true; } catch { /* refused */ }
    area.hidden = false;
    area.select();
    const done = document.execCommand('copy');
    area.hidden = done;
    return done;
  };

  const swapped = (byPerson) => {
    const card = byId('card'), { approval, focus, say: said } = card.dataset, before = stage;
    stage = card.dataset.stage;
    if (before !== stage || byPerson) {
      say(said || (byId('note') || byId('verdict')).textContent.trim());
      if (focus && before !== 'loading' && document.hasFocus()) (byId(focus) || byId('verdict')).focus();
    }
    if (approval && ((stage !== 'done' && stage !== 'stopped') || before === 'review')) ran.add(approval);
    if (stage === 'done' && ran.has(approval)) insert();
    spent();
    chosen();
    fit();
  };

  // Skipped steps are not sent, and the button keeps saying what the rest costs.
  const chosen = () => {
    const form = byId('approve');
    if (!form) return;
    const kept = [...document.querySelectorAll('input[name="steps"]:not(:disabled)')], texts = JSON.parse(form.dataset.texts);
    const weighty = kept.filter(one => 'weighty' in one.dataset).map(one => one.value).join(',');
    const chosen = texts.chosen[weighty] || {}, amount = byId('amount'), go = byId('go'), sum = byId('sum');
    const needed = amount && chosen.go ? chosen.type || amount.dataset.confirm : '';
    go.textContent = chosen.go || texts.count[kept.length];
    if (!go.disabled && chosen.note) byId('bar-note').textContent = chosen.note;
    if (sum && chosen.sum) [sum.firstChild.textContent, sum.lastChild.textContent] = chosen.sum;
    if (amount) {
      byId('typed').hidden = amount.disabled = !needed;
      byId('typed').querySelector('b').textContent = needed;
    }
    const typed = !needed || amount.value.trim().replace(',', '.') === needed;
    go.toggleAttribute('aria-disabled', false);
    if (!typed || !kept.length || go.disabled) go.setAttribute('aria-disabled', 'true');
  };

  document.addEventListener('click', event => {
    const button = event.target.closest('button');
    if (!button) return;
    if ('skip' in button.dataset) {
      const off = button.getAttribute('aria-pressed') !== 'true', step = button.closest('.step');
      button.setAttribute('aria-pressed', String(off));
      step.dataset.s = off ? 'skip' : 'plan';
      step.querySelector('input[name="steps"]').disabled = off;
      chosen();
    } else if (button.dataset.insert) insert();
    else if (button.dataset.copy) {
      copy(byId(button.dataset.copy)).then(done => invoke('notify', boot.texts[done ? 'copied' : 'copy_failed'], done ? 'notice' : 'alert'));
    }
  });
  document.addEventListener('input', event => { if (event.target.id === 'amount') chosen(); });
  document.addEventListener('submit', event => {
    if (event.target.id !== 'approve' || byId('go').getAttribute('aria-disabled') !== 'true') return;
    event.preventDefault();
    event.stopImmediatePropagation();
    (byId('amount') || byId('go')).focus();
  }, true);

  document.addEventListener('htmx:config:request', event => Object.assign(event.detail.ctx.request.headers, headers()));
  document.addEventListener('htmx:before:swap', event => {
    const type = event.detail.ctx.response?.headers.get('Content-Type') || '';
    if (type.startsWith('text/html')) return;
    event.preventDefault();
    let message = '';
    try { message = JSON.parse(event.detail.ctx.text).error.message; } catch { /* not our answer: a proxy's page */ }
    offline(message || boot.texts.offline);
  });
  document.addEventListener('htmx:error', () => offline(boot.texts.offline));
  document.addEventListener('htmx:after:swap', event => {
    offline('');
    swapped(event.detail.ctx.sourceElement?.id !== 'card' || event.detail.ctx.request?.method === 'POST');
  });

  const renew = async () => {
    const answer = await fetch('/api/session', { method: 'POST', headers: headers() }).catch(() => null);
    if (answer?.ok) token = (await answer.json()).token || token;
  };
  setInterval(renew, 600000);
  new ResizeObserver(fit).observe(document.body);

  const start = async () => {
    const got = await read(['ticket.id', 'ticket.requester.id', 'currentUser.locale', 'colorScheme']);
    scheme(got.colorScheme);
    lang = got['currentUser.locale'] || lang;
    const other = got['ticket.id'] && String(got['ticket.id']) !== String(ticket);
    ticket = got['ticket.id'] || ticket;
    if (ticket && (other || !boot.loaded)) load();
    else if (ticket) swapped(false);
    else empty(true);
  };
  if (!client) { if (ticket && !boot.loaded) load(); return; }
  client.on('app.registered', start);
  client.on('app.activated', async () => {
    const { 'ticket.id': id } = await read(['ticket.id']);
    if (id && String(id) !== String(ticket)) { ticket = id; load(); }
  });
  client.on('colorScheme.changed', scheme);
  for (const change of ['ticket.requester.id.changed', 'ticket.conversation.changed'])
    client.on(change, () => { if (ticket && ['glance', 'empty', 'error', 'done'].includes(stage)) load(); });
})();
