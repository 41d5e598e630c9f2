import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Network, until, World } from './lib.mjs';

const world = World.use();

test('a device connects, and its user is online', async () => {
  await world.register('ann');
  const client = await world.online('ann', { platform: 'IOS' });
  await until(() => client.presence.getSnapshot().self?.presence === 'ONLINE', 'the own status');
  const { user } = await world.back.send('{ user(id: "ann") { devices { platform } } }');
  assert.deepEqual(user.devices, [{ platform: 'IOS' }]);
  client.close();
  assert.deepEqual(client.connection.getSnapshot(), { status: 'closed', error: null });
  await until(async () => (await world.back.presences('ann'))[0] === 'OFFLINE', 'the user to be offline');
  await assert.rejects(client.friends.remove('bob'), { name: 'RollcallError', code: 'CLOSED' });
  client.reconnect();
  await world.reaches(client, 'online');
});

test('a server that is killed and started again is followed again', async () => {
  await world.register('kim', 'kit', 'lou');
  await world.befriend('kim', 'kit');
  const client = await world.online('kim');
  client.presence.watch(['kit']);
  await client.friends.ready();
  await world.server.kill();
  const { nextAt, error } = await world.reaches(client, 'reconnecting');
  assert.ok(nextAt instanceof Date);
  assert.equal(error.code, 'CONNECTION_LOST');
  assert.equal(client.friends.getSnapshot().items.length, 1); // what was known stays
  await world.server.start();
  await world.befriend('kim', 'lou');
  await world.reaches(client, 'online');
  await until(() => client.friends.getSnapshot().items.length === 2, 'the friend that came meanwhile');
  await until(() => client.presence.getSnapshot().status === 'ready', 'the statuses');
});

test('a cut network: a running call fails as lost, and the stores are right after it', async (t) => {
  await world.register('cas', 'cat', 'cay');
  await world.befriend('cas', 'cat');
  const network = await Network.to(world.server);
  t.after(() => network.close());
  const client = await world.online('cas', { url: network.url });
  await client.friends.ready();
  network.freeze();
  const lost = assert.rejects(client.friends.setRemark('cat', 'Kitty'), { code: 'CONNECTION_LOST' });
  assert.equal(client.friends.getSnapshot().items[0].remark, 'Kitty'); // optimistic
  network.cut();
  await lost;
  assert.equal(client.friends.getSnapshot().items[0].remark, null); // taken back
  await world.reaches(client, 'reconnecting');
  await world.befriend('cas', 'cay');
  network.heal();
  await until(() => client.friends.getSnapshot().items.length === 2, 'the friend that came meanwhile');
});

test('a frozen network is noticed by a ping without a pong', async (t) => {
  await world.register('fay');
  const network = await Network.to(world.server);
  t.after(() => network.close());
  const client = await world.online('fay', { url: network.url });
  network.freeze();
  await until(() => client.failures.length > 0, 'the lost connection');
  assert.match(client.failures[0].message, /no answer/);
  await world.reaches(client, 'online');
  await client.presence.setCustomStatus('back');
});

test('a token is renewed before it expires, on a new socket before the old one is closed', async () => {
  await world.register('ron');
  const tokens = [];
  const client = await world.online('ron', {
    getToken: async (why) => {
      tokens.push(why);
      return world.token('ron', 2);
    },
  });
  await until(() => tokens.length >= 3, 'two renewals');
  assert.deepEqual(tokens.slice(0, 3), ['start', 'expired', 'expired']);
  await client.presence.setCustomStatus('still here');
  assert.ok(client.states.every((state) => state === 'online' || state === 'connecting'), `${client.states}`);
  const { user } = await world.back.send('{ user(id: "ron") { status { presence } } }');
  assert.equal(user.status.presence, 'ONLINE');
  client.close();
});

test('an expired token that was not renewed in time gets another one', async () => {
  await world.register('eve');
  const tokens = [];
  const client = await world.online('eve', {
    getToken: async (why) => {
      tokens.push(why);
      const { token } = await world.token('eve', tokens.length === 1 ? 1 : 600);
      return { token }; // keeps its end from the library
    },
  });
  await until(() => tokens.length === 2, 'the second token');
  await world.reaches(client, 'online');
  assert.deepEqual(tokens, ['start', 'refused']);
});

test('tokens that end together with the connection: refused twice is unauthenticated', async () => {
  await world.register('una');
  const { token } = await world.token('una', 600);
  const same = world.client('una', { getToken: () => ({ token: `${token}x` }) });
  assert.equal((await world.reaches(same, 'unauthenticated')).error.code, 'UNAUTHENTICATED');
  let count = 0;
  const other = world.client('una', { getToken: () => ({ token: `${token}${count++}` }) });
  await world.reaches(other, 'unauthenticated');
  assert.equal(count, 2);
  await assert.rejects(other.friends.ready(), { code: 'UNAUTHENTICATED' });
  // After a new login
  const again = world.client('una', { getToken: () => ({ token: count < 5 ? `${token}${count++}` : token }) });
  await world.reaches(again, 'unauthenticated');
  count = 5;
  again.reconnect();
  await world.reaches(again, 'online');
});

test('a banned device knows until when, and returns when the ban is lifted', async () => {
  await world.register('ban');
  const client = await world.online('ban');
  await world.back.send('mutation { banUsers(input: {userIds: ["ban"], minutes: 5}) { results { outcome } } }');
  const state = await world.reaches(client, 'banned');
  const { user } = await world.back.send('{ user(id: "ban") { ban { until } } }');
  assert.equal(state.until.toISOString(), user.ban.until);
  assert.equal(state.error.code, 'USER_BANNED');
  await assert.rejects(client.presence.setCustomStatus('x'), { code: 'USER_BANNED' });
  await world.back.send('mutation { banUsers(input: {userIds: ["ban"], permanent: true}) { results { outcome } } }');
  await until(() => client.connection.getSnapshot().until === null, 'the ban without an end');
  await world.back.send('mutation { unbanUsers(input: {userIds: ["ban"]}) { results { outcome } } }');
  await world.reaches(client, 'online');
  assert.deepEqual(client.reported, []);
});

test('a device that the App Server disconnects returns', async () => {
  await world.register('dis');
  const client = await world.online('dis');
  await world.back.send('mutation { disconnectUser(input: {userId: "dis", allDevices: true}) { disconnectedCount } }');
  await until(() => client.states.includes('reconnecting'), 'the disconnect');
  await world.reaches(client, 'online');
});

test('logout ends one device or all, and none returns by itself', async () => {
  await world.register('out');
  const [one, two, three] = await Promise.all([world.online('out'), world.online('out'), world.online('out')]);
  await one.logout();
  assert.equal(one.connection.getSnapshot().error.code, 'LOGGED_OUT');
  assert.deepEqual(await world.back.presences('out'), ['ONLINE']);
  await two.logout({ allDevices: true });
  assert.equal((await world.reaches(three, 'closed')).error.code, 'LOGGED_OUT');
  assert.deepEqual(await world.back.presences('out'), ['UNLOGINED']);
});

test('a deactivated user and a device too many are closed for good', async () => {
  await world.set('deviceLimit=1');
  await world.register('dea');
  const first = await world.online('dea');
  const second = await world.online('dea');
  assert.equal((await world.reaches(first, 'closed')).error.code, 'DEVICE_LIMIT');
  await world.back.send('mutation { deactivateUsers(input: {userIds: ["dea"]}) { results { outcome } } }');
  assert.equal((await world.reaches(second, 'closed')).error.code, 'USER_DEACTIVATED');
  await world.set('deviceLimit=20');
});

test('a disabled app closes its clients for good, which connect again once it is enabled', async () => {
  await world.register('off');
  const client = await world.online('off');
  await world.server.command('app', 'disable', world.app.key);
  assert.equal((await world.reaches(client, 'closed')).error.code, 'APP_DISABLED');
  await world.server.command('app', 'enable', world.app.key);
  client.reconnect();
  await world.reaches(client, 'online');
});

test('a token that was ended while connected: the first call that is refused gets another one', async () => {
  await world.register('end');
  const tokens = [];
  const client = await world.online('end', {
    getToken: (why) => {
      tokens.push(why);
      return world.token('end');
    },
  });
  await world.back.send('mutation ($at: DateTime!) { expireTokens(input: {userIds: ["end"], issuedBefore: $at}) { results { outcome } } }', { at: new Date().toISOString() });
  await assert.rejects(client.presence.setCustomStatus('x'), { code: 'UNAUTHENTICATED' });
  await until(() => tokens.includes('refused'), 'another token');
  await world.reaches(client, 'online');
  await client.presence.setCustomStatus('y');
  assert.deepEqual(client.reported, []);
});

/** Gives Node.js what a page has: listeners, a network that it knows of, and a document that may be hidden. */
function page(t) {
  const listeners = new Map();
  const given = {
    document: { hidden: false },
    navigator: { onLine: true },
    addEventListener: (type, listener) => listeners.set(type, listener),
    removeEventListener: (type, listener) => listeners.get(type) === listener && listeners.delete(type),
  };
  for (const [name, value] of Object.entries(given)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
  }
  return {
    ...given,
    listeners,
    fire: (type) => listeners.get(type)(),
  };
}

test('a page that is shown and a network that is back cut the back-off short', async (t) => {
  const { document, navigator, listeners, fire } = page(t);
  t.mock.method(Math, 'random', () => 0.999); // the longest back-off
  await world.register('bak');
  const network = await Network.to(world.server);
  t.after(() => network.close());
  const client = await world.online('bak', { url: network.url, timing: { backoffMs: 600_000, backoffMaxMs: 600_000 } });

  network.cut();
  const { nextAt } = await world.reaches(client, 'reconnecting');
  assert.ok(nextAt - Date.now() > 500_000);
  network.heal();
  document.hidden = true;
  fire('visibilitychange');
  fire('online'); // not while the page is hidden, when a browser slows it down anyway
  await new Promise(setImmediate);
  assert.equal(client.connection.getSnapshot().status, 'reconnecting');
  document.hidden = false;
  fire('visibilitychange');
  await world.reaches(client, 'online');

  navigator.onLine = false;
  network.cut();
  await world.reaches(client, 'offline');
  network.heal();
  navigator.onLine = true;
  fire('online');
  await world.reaches(client, 'online');
  fire('online'); // which it is already
  fire('visibilitychange');
  assert.equal(client.connection.getSnapshot().status, 'online');
  client.close();
  assert.equal(listeners.size, 0);
});
