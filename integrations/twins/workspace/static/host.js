// The workspace's page: tickets, conversation, reply box, the app's frame, the wire and what changed.
import { Host } from '/static/protocol.js';

const byId = id => document.getElementById(id);
const make = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const ask = async (path, body) => {
  const options = body === undefined ? {} : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
};
const drafts = new Map();
let desk, ticket, scheme = 'light', kind = 'publicReply', epoch = 0, seen = 0, touched = '', origin = '', opening = 0;

// -- the app's frame: a fresh signed launch each time, as the product takes every token once --------------------------
const host = new Host({
  frame: () => byId('app'),
  origin: () => origin,
  describe: () => ({
    metadata: { appId: desk.app.id, installationId: desk.app.installation, name: 'Billing', version: '2.0', settings: {} },
    context: { instanceGuid: desk.app.guid, product: 'support', account: desk.account, location: 'ticket_sidebar', ticketId: ticket.id },
  }),
  read: {
    'ticket': () => ({ id: ticket.id, subject: ticket.subject, status: ticket.status, tags: ticket.tags, requester: ticket.requester }),
    'ticket.id': () => ticket.id,
    'ticket.subject': () => ticket.subject,
    'ticket.status': () => ticket.status,
    'ticket.tags': () => ticket.tags,
    'ticket.requester': () => ticket.requester,
    'ticket.requester.id': () => ticket.requester.id,
    'ticket.requester.name': () => ticket.requester.name,
    'ticket.requester.email': () => ticket.requester.email,
    'currentUser': () => desk.agent,
    'currentUser.id': () => desk.agent.id,
    'currentUser.name': () => desk.agent.name,
    'currentUser.email': () => desk.agent.email,
    'currentUser.role': () => desk.agent.role,
    'currentUser.locale': () => desk.agent.locale,
    'currentAccount.subdomain': () => desk.account.subdomain,
    'colorScheme': () => scheme,
    'comment.text': () => editor.innerText.trim(),
    'comment.type': () => kind,
    'viewport.size': () => ({ width: innerWidth, height: innerHeight }),
  },
  write: {
    'comment.type': value => {
      if (!['publicReply', 'internalNote'].includes(value)) throw new Error('takes publicReply or internalNote');
      speak(value);
    },
    'comment.text': value => { editor.replaceChildren(...clean(String(value))); written(); },
  },
  actions: {
    'resize': ({ height } = {}) => { if (/^\d+(\.\d+)?px$/.test(height)) byId('app').style.height = height; },
    'notify': (text, level = 'notice') => toast(text, level !== 'notice'),
    'ticket.editor.insert': html => insert(html),
    'comment.appendHtml': html => insert(html),
    'comment.appendText': text => insert(`<p>${String(text).replace(/[&<>]/g, c => `&#${c.charCodeAt(0)};`)}</p>`),
    'routeTo': (place, id) => { if (place === 'ticket') open(Number(id)); },
  },
});

const launch = async () => {
  const mine = ticket.id, given = await ask(`/tickets/${mine}/launch`, {});
  if (ticket.id !== mine) return;
  const frame = make('iframe', { id: 'app', name: 'app', title: 'Billing' });
  frame.setAttribute('sandbox', 'allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox allow-downloads');
  frame.setAttribute('allow', 'clipboard-write');
  byId('frame').replaceChildren(frame);
  origin = new URL(given.action).origin;
  showFault(given.fault);
  const form = byId('launch');
  form.action = `${given.action}&colorScheme=${scheme}`;
  form.target = 'app';
  form.elements.token.value = given.token;
  form.submit();
  form.elements.token.value = '';
};

// -- the reply box ------------------------------------------------------------------------------------------------------
const editor = byId('editor');
const KEPT = new Set(['P', 'BR', 'STRONG', 'B', 'EM', 'I', 'UL', 'OL', 'LI', 'A', 'DIV']);
const clean = html => {
  const copy = node => {
    if (node.nodeType === Node.TEXT_NODE) return [document.createTextNode(node.data)];
    if (node.nodeType !== Node.ELEMENT_NODE || ['SCRIPT', 'STYLE'].includes(node.tagName)) return [];
    const inside = [...node.childNodes].flatMap(copy);
    if (!KEPT.has(node.tagName)) return inside;
    const made = make(node.tagName, {}, ...inside);
    if (made.tagName === 'A' && /^https?:/.test(node.href)) made.href = node.href;
    return [made];
  };
  return [...new DOMParser().parseFromString(html, 'text/html').body.childNodes].flatMap(copy);
};
const written = () => drafts.set(ticket.id, [...editor.childNodes].map(node => node.cloneNode(true)));
const insert = html => {
  if (!editor.innerText.trim()) editor.replaceChildren();
  editor.append(...clean(String(html)));
  written();
  step(3);
  poll();
};
const toast = (text, alert = false) => { byId('toast').textContent = text; byId('toast').className = alert ? 'alert' : ''; };
const speak = chosen => {
  kind = chosen;
  document.querySelectorAll('[data-kind]').forEach(one => one.setAttribute('aria-pressed', String(one.dataset.kind === kind)));
  byId('composer').classList.toggle('note', kind === 'internalNote');
  byId('to').textContent = kind === 'publicReply' ? `to ${ticket.requester.name}` : 'for agents only';
  editor.setAttribute('aria-label', kind === 'publicReply' ? 'Reply' : 'Internal note');
};
editor.addEventListener('input', written);
editor.addEventListener('paste', event => {
  event.preventDefault();
  document.execCommand('insertText', false, event.clipboardData.getData('text/plain'));
});
document.querySelectorAll('[data-kind]').forEach(one => one.addEventListener('click', () => speak(one.dataset.kind)));
byId('composer').addEventListener('submit', async event => {
  event.preventDefault();
  const text = editor.innerText.trim();
  const before = ticket.status;
  show(await ask(`/tickets/${ticket.id}/reply`, { text, public: kind === 'publicReply' }));
  editor.replaceChildren();
  written();
  toast(text && kind === 'publicReply' ? 'Reply sent' : 'Submitted');
  speak('publicReply');
  host.tell('ticket.saved', {});
  host.tell('ticket.conversation.changed', {});
  if (before !== ticket.status) host.tell('ticket.status.changed', ticket.status);
  list();
});

// -- the ticket ---------------------------------------------------------------------------------------------------------
const initials = name => name.split(/\s+/).map(word => word[0]).slice(0, 2).join('').toUpperCase();
const age = minutes => minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
const clock = at => new Date(at).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
const marked = (text, phrase) => {
  const at = phrase ? text.toLowerCase().indexOf(phrase.toLowerCase()) : -1;
  if (at < 0) return [text];
  return [text.slice(0, at), make('mark', { textContent: text.slice(at, at + phrase.length) }), text.slice(at + phrase.length)];
};
const message = (comment, phrase) => {
  const by = make('p', { className: 'by' }, make('b', { textContent: comment.author }), ' ');
  by.append(make('time', { dateTime: comment.at, textContent: clock(comment.at) }));
  if (!comment.public) by.append(make('em', { textContent: ' · internal note' }));
  const body = comment.body.split(/\n{2,}/).map(part => make('p', {}, ...marked(part, comment.from_requester ? phrase : '')));
  const avatar = make('div', { className: 'avatar', textContent: initials(comment.author) });
  avatar.setAttribute('aria-hidden', 'true');
  const shown = make('article', { className: [comment.from_requester ? '' : 'agent', comment.public ? '' : 'note'].join(' ').trim() });
  shown.append(avatar, make('div', {}, by, ...body));
  if (comment.from_requester) shown.lang = ticket.requester.locale;
  return shown;
};
const show = read => {
  const grew = ticket?.id === read.id && read.comments.length > byId('messages').children.length && read.comments.at(-1).public;
  ticket = read;
  touched = read.updated_at;
  byId('subject').textContent = read.subject;
  byId('number').textContent = read.id;
  byId('status').textContent = read.status[0].toUpperCase() + read.status.slice(1);
  byId('status').dataset.status = read.status;
  byId('messages').replaceChildren(...read.comments.map(comment => message(comment, read.highlight)));
  if (grew) byId('messages').scrollTop = byId('messages').scrollHeight;
};
const list = async () => {
  desk = await ask('/tickets');
  byId('unsolved').textContent = desk.tickets.filter(one => one.status !== 'solved').length;
  byId('tickets').replaceChildren(...desk.tickets.map(one => {
    const solved = one.status === 'solved' ? ' · solved' : '';
    const line = make('span', { textContent: `${one.requester} · ${age(one.minutes_ago)}${solved}` });
    const link = make('a', { href: `/agent/tickets/${one.id}` }, make('b', { textContent: one.subject }), line);
    if (one.id === ticket?.id) link.setAttribute('aria-current', 'page');
    link.addEventListener('click', event => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      history.pushState({}, '', link.href);
      open(one.id);
    });
    return make('li', {}, link);
  }));
};
const open = async id => {
  const turn = ++opening, read = await ask(`/tickets/${id}`);
  if (turn !== opening) return;
  show(read);
  document.title = `${ticket.subject} · Sandbox workspace`;
  document.querySelectorAll('.list a').forEach(one => {
    one.toggleAttribute('aria-current', false);
    if (one.pathname.endsWith(`/${id}`)) one.setAttribute('aria-current', 'page');
  });
  editor.replaceChildren(...(drafts.get(id) || []).map(node => node.cloneNode(true)));
  speak('publicReply');
  toast('');
  step(1);
  poll();
  await launch();
};

// -- the steps, the wire, what changed ----------------------------------------------------------------------------------
let reached = 1;
const step = number => {
  reached = number === 1 ? 1 : Math.max(reached, number);
  document.querySelectorAll('.tour li').forEach(one => {
    const here = Number(one.dataset.step);
    one.classList.toggle('on', here <= reached);
    one.toggleAttribute('aria-current', false);
    if (here === reached) one.setAttribute('aria-current', 'step');
  });
};
const status = line => {
  const fault = line.fault ? line.fault.replace('_', ' ') : '';
  return [fault, line.status ?? (fault ? '' : '…')].join(' ').trim();
};
const line = one => {
  const row = make('tr', { title: [`${one.method} ${one.target}`, one.effect].filter(Boolean).join('\n') });
  row.dataset.service = one.service;
  row.classList.toggle('wrote', Boolean(one.effect));
  row.classList.toggle('bad', one.status === null || one.status >= 400 || Boolean(one.fault));
  const time = new Date(one.at).toLocaleTimeString('en-GB');
  for (const text of [time, one.service, `${one.method} ${one.target}`, status(one)]) row.append(make('td', { textContent: text }));
  return row;
};
const showWire = read => {
  if (read.epoch !== epoch) {
    [epoch, seen] = [read.epoch, 0];
    byId('wire').replaceChildren();
  }
  const fresh = read.entries.filter(one => one.number > seen);
  if (!fresh.length) return;
  const first = seen === 0;
  seen = fresh.at(-1).number;
  byId('wire').append(...fresh.slice(-400).map(line));
  while (byId('wire').children.length > 400) byId('wire').firstElementChild.remove();
  byId('count').textContent = seen;
  byId('scroll').scrollTop = byId('scroll').scrollHeight;
  if (!first && fresh.some(one => one.service === 'Stripe' && one.method === 'POST')) step(2);
};
const showChanges = changes => {
  byId('changes').replaceChildren(...changes.map(({ name, before, now }) => {
    if (name === 'Reply' && now === before && editor.innerText.trim() && kind === 'publicReply') now = 'drafted';
    const value = make('dd');
    if (now === before) value.textContent = now;
    else value.append(make('s', { textContent: `${before} → ` }), make('b', { textContent: now }));
    return make('div', { className: now.length > 24 ? 'long' : '' }, make('dt', { textContent: name }), value);
  }));
};
const showFault = name => { byId('fault').value = name; byId('fault').classList.toggle('armed', name !== 'off'); };

let polling = null;
const poll = () => { polling ??= read().catch(() => null).finally(() => { polling = null; }); return polling; };
const read = async () => {
  if (!ticket) return;
  const mine = ticket.id, answer = await ask(`/wire?after=${seen}&epoch=${epoch}&ticket=${mine}`);
  showWire(answer);
  showFault(answer.fault);
  if (ticket.id !== mine) return;
  showChanges(answer.changes);
  if (answer.updated_at !== touched) {
    const fresh = await ask(`/tickets/${mine}`);
    if (ticket.id === mine) show(fresh);
  }
};

// -- the header ---------------------------------------------------------------------------------------------------------
const paint = name => {
  scheme = name;
  document.documentElement.dataset.scheme = name;
  byId('scheme').textContent = name === 'light' ? 'Dark' : 'Light';
};
byId('scheme').addEventListener('click', () => {
  paint(scheme === 'light' ? 'dark' : 'light');
  sessionStorage.setItem('scheme', scheme);
  host.tell('colorScheme.changed', scheme);
});
byId('fault').addEventListener('change', async event => showFault((await ask('/fault', { name: event.target.value })).name));
byId('reload').addEventListener('click', launch);
byId('reset').addEventListener('click', async () => {
  byId('reset').disabled = true;
  try {
    await ask('/reset', {});
    drafts.clear();
    await list();
    await open(ticket.id);
  } catch { toast('The reset did not work. Stop the demo and start it again.', true); }
  byId('reset').disabled = false;
});

const wanted = () => Number(location.pathname.match(/\/agent\/tickets\/(\d+)/)?.[1]) || desk.tickets[0].id;
addEventListener('popstate', () => open(wanted()));
paint(sessionStorage.getItem('scheme') || 'light');
await list();
await open(desk.tickets.some(one => one.id === wanted()) ? wanted() : desk.tickets[0].id);
setInterval(poll, 500);
