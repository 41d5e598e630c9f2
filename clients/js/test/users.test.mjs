import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until, World } from './lib.mjs';

const world = World.use();

/** A provider with a name for each ID that begins with p; `asked` are the batches. */
function provider() {
  const ask = async (ids) => {
    ask.asked.push([...ids]);
    return new Map(ids.filter((id) => id.startsWith('p')).map((id) => [id, { name: `${ask.prefix} ${id}`, title: 'Dr.' }]));
  };
  ask.asked = [];
  ask.prefix = 'Provided';
  return ask;
}

test('set local user information: a provider names the users, and Rollcall those that it does not know', async () => {
  await world.register('set', 'p-1', 'r-1');
  const client = await world.online('set');
  assert.equal((await client.getUserInfo('p-1')).name, 'User p-1');
  const mine = provider();
  client.setUserInfoProvider(mine);
  assert.deepEqual(await client.users.refresh('p-1'), { id: 'p-1', name: 'Provided p-1', avatarUrl: null, title: 'Dr.' });
  assert.equal((await client.getUserInfo('p-2')).name, 'Provided p-2'); // unknown to Rollcall
  assert.deepEqual(await client.getUserInfo('r-1'), { id: 'r-1', name: 'User r-1', avatarUrl: null });
  client.setUserInfoProvider(undefined);
  assert.equal((await client.refreshUserInfo('p-1')).name, 'User p-1');
  client.close();
});

test('get local user information: one, many and what the cache has', async () => {
  await world.register('get', 'r-2', 'r-3');
  const client = await world.online('get');
  assert.equal(client.peekUserInfo('r-2'), undefined);
  assert.deepEqual(await client.getUserInfo('r-2'), { id: 'r-2', name: 'User r-2', avatarUrl: null });
  assert.deepEqual(client.peekUserInfo('r-2'), { id: 'r-2', name: 'User r-2', avatarUrl: null });
  const many = await client.getUserInfo(['r-3', 'nobody', 'r-2', 'not an ID']);
  assert.deepEqual(many.map((user) => user?.name ?? null), ['User r-3', null, 'User r-2', null]);
  assert.equal(client.peekUserInfo('nobody'), null);
  assert.deepEqual(await client.getUserInfo([]), []);
  client.close();
});

test('refresh local user information: with new values at once, or from where it comes', async () => {
  await world.register('ref', 'r-4');
  const mine = provider();
  const client = await world.online('ref', { userInfoProvider: mine });
  let calls = 0;
  const stop = client.users.subscribe('p-4', () => calls++);
  await until(() => client.peekUserInfo('p-4')?.name === 'Provided p-4', 'the first load');
  const before = calls;
  assert.equal((await client.refreshUserInfo('p-4', { name: 'By hand' })).title, 'Dr.');
  assert.equal(client.peekUserInfo('p-4').name, 'By hand');
  assert.equal(calls, before + 1);
  mine.prefix = 'Again';
  assert.equal((await client.refreshUserInfo('p-4')).name, 'Again p-4');
  assert.equal(calls, before + 2);
  await client.refreshUserInfo('p-4'); // the same again is no change
  assert.equal(calls, before + 2);
  stop();
  await client.refreshUserInfo('p-4', { name: 'Unseen' });
  assert.equal(calls, before + 2);
  client.close();
});

test('without a provider a change in Rollcall arrives by itself', async () => {
  await world.register('own', 'r-5');
  const client = await world.online('own');
  const names = [];
  client.users.subscribe('r-5', () => names.push(client.users.peek('r-5').name));
  await until(() => names.includes('User r-5'), 'the first name');
  // The subscription begins a moment after the first load; a change before it is loaded with it.
  await world.rename('r-5', 'First');
  await until(() => names.includes('First'), 'the first change');
  await world.rename('r-5', 'Second');
  await until(() => names.at(-1) === 'Second', 'the second change');
  client.close();
});

test('calls within a moment become batches of at most 500, one call at a time for each user', async () => {
  await world.register('bat');
  const mine = provider();
  const client = await world.online('bat', { userInfoProvider: mine });
  const ids = Array.from({ length: 1100 }, (_, i) => `p${i}`);
  const [users] = await Promise.all([client.users.getMany(ids), client.users.getMany(ids), client.users.get('p7')]);
  assert.ok(users.every(({ name }, i) => name === `Provided p${i}`));
  assert.deepEqual(mine.asked.map((batch) => batch.length), [500, 500, 100]);
  assert.deepEqual(mine.asked.flat(), ids);
  client.close();
});

test('an old entry is returned once more while it is loaded again', async () => {
  await world.register('swr');
  const mine = provider();
  const client = await world.online('swr', { userInfoProvider: mine, cache: { ttlMs: 0 } });
  await client.users.get('p1');
  mine.prefix = 'New';
  assert.equal((await client.users.get('p1')).name, 'Provided p1');
  await until(() => client.users.peek('p1').name === 'New p1', 'the new name');
  assert.equal(mine.asked.length, 2);
  client.close();
});

test('an unknown user is asked for again only after a while', async () => {
  await world.register('neg');
  const mine = provider();
  const client = await world.online('neg', { userInfoProvider: mine, timing: { recoverMs: 300 } });
  assert.equal(await client.users.get('x1'), null);
  assert.equal(await client.users.get('x1'), null);
  assert.equal(mine.asked.length, 1);
  await until(() => client.users.peek('x1') === undefined, 'the end of the entry');
  await world.register('x1');
  assert.equal((await client.users.get('x1')).name, 'User x1');
  client.close();
});

test('the least recently used users leave the cache first, those in use stay', async () => {
  await world.register('lru');
  const client = await world.online('lru', { userInfoProvider: provider(), cache: { max: 3 } });
  client.users.subscribe('p1', () => {});
  await client.users.getMany(['p1', 'p2', 'p3']);
  await client.users.get('p2'); // now used more recently than p3
  await client.users.get('p4');
  assert.deepEqual(['p1', 'p2', 'p3', 'p4'].map((id) => client.users.peek(id)?.id), ['p1', 'p2', undefined, 'p4']);
  client.close();
});

test('a storage keeps users between visits, and logout empties it', async () => {
  await world.register('sto');
  const items = new Map();
  const storage = { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value), removeItem: (key) => items.delete(key) };
  const options = { userInfoProvider: provider(), cache: { storage, storageKey: 'mine' } };
  const first = await world.online('sto', options);
  await first.users.get('p1');
  await until(() => items.get('mine')?.includes('Provided p1'), 'the storage');
  first.close();
  const second = world.client('sto', options);
  assert.equal(second.users.peek('p1').name, 'Provided p1'); // before it is connected
  await world.reaches(second, 'online');
  await second.logout();
  assert.equal(items.size, 0);
  // A storage that fails, or holds something else, does no harm.
  items.set('mine', '{"what": 1}');
  const third = await world.online('sto', { ...options, cache: { storage: { ...storage, setItem() { throw new Error('full'); } }, storageKey: 'mine' } });
  assert.equal((await third.users.get('p1')).name, 'Provided p1');
  third.close();
});

for (const [what, bad] of Object.entries({
  'that throws': () => { throw new Error('broken'); },
  'that rejects': async () => { throw new Error('broken'); },
  'that throws null': () => { throw null; },
  'that empties its list of IDs': (ids) => { ids.length = 0; throw new Error('broken'); },
  'that hangs': () => new Promise(() => {}),
  'that returns nothing': async () => undefined,
  'that returns a text': async () => 'what?',
  'that returns another user': async () => new Map([['other', { name: 'Other' }], ['bad-1', { id: 'other', name: 'Other' }]]),
  'that returns no names': async () => ({ 'bad-1': { title: 'Dr.' } }),
})) {
  test(`a provider ${what} is reported, and Rollcall's profile is shown`, async () => {
    await world.register('bad', 'bad-1');
    const client = await world.online('bad', { userInfoProvider: bad, timing: { requestMs: 500 } });
    assert.equal((await client.users.get('bad-1')).name, 'User bad-1');
    assert.equal(client.users.peek('other'), undefined);
    assert.ok(client.reported.length > 0);
    assert.ok(client.reported.every(({ code }) => code === 'PROVIDER_FAILED'), `${client.reported}`);
    // What it returned before is kept.
    const good = provider();
    client.setUserInfoProvider((ids) => (good.asked.length ? bad(ids) : good(ids)));
    assert.equal((await client.users.refresh('p1')).name, 'Provided p1');
    assert.equal((await client.users.refresh('p1')).name, 'Provided p1');
    client.close();
  });
}
