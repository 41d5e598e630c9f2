import { createRollcall } from '@rollcall/client';
import { getToken, login, logout, rename, session } from './session.js';
import { connectionText, dateOf, initialOf, statusText, tintOf } from './texts.js';

const $ = (id) => document.getElementById(id);
let rollcall;
let chosen = null;

/** Makes an element with properties and children. */
function h(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Runs a promise and shows its error. */
const attempt = (promise) => promise.then(() => '', ({ message }) => message).then((text) => ($('error').textContent = text));

/** Calls a function with the fields of a form when it is submitted. */
const onSubmit = (id, call) => $(id).addEventListener('submit', (event) => {
  event.preventDefault();
  call(Object.fromEntries([...new FormData(event.target)].map(([name, value]) => [name, value.trim()])), event.target);
});

/** Shows items in a list. Their elements stay, so that they keep the focus, and are filled again if `version` differs. */
function show(list, items, key, version, fill) {
  const before = new Map([...list.children].map((element) => [element.dataset.key, element]));
  const elements = items.map((item) => {
    const element = before.get(key(item)) ?? h('li');
    const present = JSON.stringify(version(item));
    if (element.dataset.version !== present) {
      const focused = [...element.querySelectorAll('button')].indexOf(document.activeElement);
      element.replaceChildren(...fill(item));
      if (focused >= 0) element.querySelectorAll('button')[focused]?.focus();
    }
    Object.assign(element.dataset, { key: key(item), version: present });
    return element;
  });
  before.forEach((element) => elements.includes(element) || element.remove());
  elements.forEach((element, i) => list.children[i] === element || list.insertBefore(element, list.children[i] ?? null));
}

/** A user's avatar and name, with a line below. */
function person(user, line, { name = '', online = false, heading = false } = {}) {
  const shown = name || user.name || user.id;
  const picture = user.avatarUrl ? h('img', { src: user.avatarUrl, alt: '' }) : initialOf(shown);
  return [
    h('span', { className: `avatar ${tintOf(user.id)} ${online ? 'online' : ''}`, ariaHidden: 'true' }, picture),
    h('span', { className: 'names' }, h(heading ? 'h2' : 'b', {}, shown), h('small', {}, line)),
  ];
}

const button = (text, label, call, className = '') => h('button', { textContent: text, ariaLabel: label, className, onclick: () => attempt(call()) });

function showFriends() {
  const { items, status, error } = rollcall.friends.getSnapshot();
  const isOnline = ({ userId }) => rollcall.presence.get(userId)?.presence === 'ONLINE';
  const line = ({ userId, blocked }) => (blocked ? 'Blocked' : statusText(rollcall.presence.get(userId)));
  $('friends-hint').textContent = error?.message ?? (items.length ? '' : status === 'ready' ? 'None yet: send a request.' : 'Loading…');
  const friends = [...items.filter(isOnline), ...items.filter((friend) => !isOnline(friend))];
  show($('friends'), friends, ({ userId }) => userId, (friend) => [friend, line(friend), isOnline(friend), friend.userId === chosen], (friend) => [
    h('button', { className: 'person', ariaPressed: `${friend.userId === chosen}`, onclick: () => choose(friend.userId) },
      ...person(friend.user, line(friend), { name: friend.remark, online: isOnline(friend) })),
  ]);
}

function showRequests() {
  const { incoming, outgoing, accept, decline, cancel } = rollcall.requests;
  const row = (...children) => [h('div', { className: 'person' }, ...children)];
  const key = ({ id }) => id;
  const version = ({ user, message }) => [user, message];
  show($('incoming'), incoming.getSnapshot().items, key, version, ({ id, user, message }) => row(
    ...person(user, message ?? 'wants to be your friend'),
    button('Accept', `Accept ${user.name}`, () => accept(id), 'primary'),
    button('Decline', `Decline ${user.name}`, () => decline(id)),
  ));
  show($('outgoing'), outgoing.getSnapshot().items, key, version, ({ id, user }) => row(
    ...person(user, 'has not responded yet'),
    button('Cancel', `Cancel the request to ${user.name}`, () => cancel(id)),
  ));
}

function showBlocked() {
  const { items } = rollcall.blocklist.getSnapshot();
  $('blocked-hint').textContent = items.length ? '' : 'None.';
  show($('blocked'), items, ({ userId }) => userId, ({ user }) => user, ({ userId, user, createdAt }) => [
    h('div', { className: 'person' }, ...person(user, `since ${dateOf(createdAt)}`), button('Unblock', `Unblock ${user.name}`, () => rollcall.blocklist.remove(userId))),
  ]);
}

let shownDetails;
function showDetails() {
  const { friends, blocklist, presence } = rollcall;
  const friend = friends.getSnapshot().items.find(({ userId }) => userId === chosen);
  const status = presence.get(chosen);
  const version = JSON.stringify([friend, status]);
  if (version === shownDetails) return; // what is being typed stays
  shownDetails = version;
  if (!friend) return $('details').replaceChildren(h('p', { className: 'hint' }, 'Choose a friend.'));
  const { userId, user, remark, blocked, createdAt } = friend;
  const typed = $('details').querySelector('input');
  const focused = document.activeElement === typed;
  const input = h('input', { value: focused ? typed.value : (remark ?? ''), maxLength: 100, autocomplete: 'off' });
  const save = (event) => {
    event.preventDefault();
    attempt(friends.setRemark(userId, input.value.trim()));
  };
  $('details').replaceChildren(
    h('div', { className: 'person' }, ...person(user, statusText(status), { name: remark, online: status?.presence === 'ONLINE', heading: true })),
    h('p', { className: 'hint' }, `${user.name} (${userId}), a friend since ${dateOf(createdAt)}`),
    h('form', { className: 'inline', onsubmit: save }, h('label', {}, 'Your own name for this friend ', input), h('button', {}, 'Save')),
    h('div', { className: 'actions' },
      blocked ? button('Unblock', null, () => blocklist.remove(userId)) : button('Block', null, () => blocklist.add(userId)),
      button('Remove from friends', null, () => friends.remove(userId), 'danger')),
  );
  if (focused) input.focus();
}

function choose(id) {
  chosen = id;
  showFriends();
  showDetails();
}

/** Keeps the statuses of the friends in the store. */
let watched = { ids: '', stop() {} };
function watch() {
  const ids = rollcall.friends.getSnapshot().items.map(({ userId }) => userId);
  if (watched.ids === ids.sort().join()) return;
  const before = watched;
  watched = { ids: ids.join(), stop: rollcall.presence.watch(ids) };
  before.stop();
}

function start() {
  $('login').hidden = true;
  $('chat').hidden = false;
  $('name').elements.name.value = session.name;
  rollcall = createRollcall({ url: session.url, getToken });
  const { connection, friends, requests, blocklist, presence } = rollcall;
  const follow = (stores, ...shows) => stores.forEach((store) => store.subscribe(() => shows.forEach((call) => call())));
  follow([connection], () => ($('connection').textContent = connectionText(connection.getSnapshot())));
  follow([friends], watch, showFriends, showDetails);
  follow([requests.incoming, requests.outgoing], showRequests);
  follow([blocklist], showBlocked);
  follow([presence], showFriends, showDetails);
  let text;
  follow([presence], () => {
    const { self } = presence.getSnapshot();
    if (self && self.customStatus !== text) $('text').elements.text.value = text = self.customStatus;
  });
  showDetails();
}

onSubmit('login', ({ id, name }, form) => login(id, name).then(start, ({ message }) => (form.querySelector('.error').textContent = message)));
onSubmit('name', ({ name }) => attempt(rename(name)));
onSubmit('text', ({ text }) => attempt(rollcall.presence.setCustomStatus(text)));
onSubmit('add', ({ id }, form) => attempt(rollcall.requests.send(id).then(() => form.reset())));
$('logout').onclick = () => attempt(rollcall.logout().then(() => {
  logout();
  location.reload();
}));

if (session) start();
else $('login').hidden = false;
