import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counting, until, World } from './lib.mjs';

const world = World.use({ onlyFriendsCanMessage: true });
const ids = (list) => list.getSnapshot().items.map(({ userId }) => userId);

/** Starts a call, and returns what the stores show while it runs. */
async function during(call, look) {
  const running = call();
  const seen = look();
  await running;
  return seen;
}

test('friends: changes of others, of the App Server and of another device arrive', async () => {
  await world.register('fa', 'fb', 'fc');
  const [one, two] = await Promise.all([world.online('fa'), world.online('fa')]);
  assert.equal(one.friends.getSnapshot().status, 'idle');
  assert.deepEqual(await Promise.all([one.friends.ready(), two.friends.ready()]), [[], []]);
  await world.befriend('fa', 'fb');
  await world.befriend('fa', 'fc');
  for (const client of [one, two]) await until(() => ids(client.friends).join() === 'fc,fb', 'both friends, the newest first');
  await one.friends.setRemark('fb', 'Bee');
  await until(() => two.friends.getSnapshot().items[1].remark === 'Bee', 'the remark');
  await world.rename('fb', 'Beatrice');
  await until(() => two.friends.getSnapshot().items[1].user.name === 'Beatrice', 'the name');
  assert.deepEqual(two.friends.getSnapshot().items[1], {
    userId: 'fb', user: { id: 'fb', name: 'Beatrice', avatarUrl: null }, remark: 'Bee',
    createdAt: two.friends.getSnapshot().items[1].createdAt, blocked: false,
  });
  await two.blocklist.add('fc');
  await until(() => one.friends.getSnapshot().items[0].blocked, 'the block');
  await one.friends.remove('fc');
  await until(() => ids(two.friends).join() === 'fb', 'the end of a friendship');
  await world.back.send('mutation { deactivateUsers(input: {userIds: ["fb"]}) { results { outcome } } }');
  for (const client of [one, two]) await until(() => ids(client.friends).length === 0, 'the deactivated friend to go');
});

test('requests: sent, accepted, declined and cancelled', async () => {
  await world.register('ra', 'rb', 'rc', 'rd');
  const [a, b, c] = await Promise.all([world.online('ra'), world.online('rb'), world.online('rc')]);
  for (const client of [a, b, c]) await Promise.all([client.friends.ready(), client.requests.incoming.ready(), client.requests.outgoing.ready()]);
  assert.equal(await a.requests.send('rb', 'Hello'), 'PENDING');
  assert.equal(await a.requests.send('rc'), 'PENDING');
  assert.deepEqual(ids(a.requests.outgoing), ['rc', 'rb']);
  await until(() => ids(b.requests.incoming).join() === 'ra', 'the request');
  const [request] = b.requests.incoming.getSnapshot().items;
  assert.deepEqual([request.message, request.direction, request.user.name], ['Hello', 'INCOMING', 'User ra']);
  const seen = await during(() => b.requests.accept(request.id), () => [ids(b.friends), ids(b.requests.incoming)]);
  assert.deepEqual(seen, [['ra'], []]); // at once
  await until(() => ids(a.friends).join() === 'rb' && ids(a.requests.outgoing).join() === 'rc', 'the accepted request');
  await until(() => ids(c.requests.incoming).length === 1, 'the other request');
  await c.requests.decline(c.requests.incoming.getSnapshot().items[0].id);
  assert.deepEqual(ids(c.requests.incoming), []);
  await until(() => ids(a.requests.outgoing).length === 0, 'the declined request');
  await a.requests.send('rc');
  await until(() => ids(c.requests.incoming).length === 1, 'the request that is sent again');
  await a.requests.cancel(a.requests.outgoing.getSnapshot().items[0].id);
  await until(() => ids(c.requests.incoming).length === 0, 'the cancelled request');
  await c.requests.send('ra');
  assert.equal(await a.requests.send('rc'), 'FRIENDS'); // they cross
  for (const [client, friend] of [[a, 'rc'], [c, 'ra']]) await until(() => ids(client.friends).includes(friend), 'the crossing');
  await until(() => ids(c.requests.outgoing).length === 0, 'the crossed request');
});

test('blocklist: blocks and their ends show at once, on all devices', async () => {
  await world.register('ba', 'bb', 'bc');
  await world.befriend('ba', 'bb');
  const [one, two] = await Promise.all([world.online('ba'), world.online('ba')]);
  for (const client of [one, two]) await Promise.all([client.friends.ready(), client.blocklist.ready(), client.requests.outgoing.ready()]);
  await one.requests.send('bc');
  const seen = await during(() => one.blocklist.add('bb'), () => [one.blocklist.has('bb'), one.friends.getSnapshot().items[0].blocked]);
  assert.deepEqual(seen, [true, true]);
  await one.blocklist.add('bc');
  assert.deepEqual(ids(one.requests.outgoing), []); // a block ends requests
  await until(() => ids(two.blocklist).join() === 'bc,bb' && two.friends.getSnapshot().items[0].blocked, 'the blocks on the other device');
  await two.blocklist.remove('bb');
  await until(() => ids(one.blocklist).join() === 'bc' && !one.friends.getSnapshot().items[0].blocked, 'the end of the block');
  assert.equal(one.blocklist.getSnapshot().items[0].user.name, 'User bc');
});

test('what the server refuses is taken back, with its code', async () => {
  await world.register('oa', 'ob', 'oc');
  await world.befriend('oa', 'ob');
  const client = await world.online('oa');
  await Promise.all([client.friends.ready(), client.blocklist.ready(), client.requests.incoming.ready()]);
  const refused = async (call, code, look) => {
    const before = JSON.stringify(look());
    const running = assert.rejects(call(), { name: 'RollcallError', code });
    await running;
    assert.equal(JSON.stringify(look()), before);
  };
  const friends = () => client.friends.getSnapshot().items;
  const blocked = () => client.blocklist.getSnapshot().items;
  await refused(() => client.friends.setRemark('ob', 'x'.repeat(101)), 'INVALID_ARGUMENT', friends);
  await refused(() => client.friends.setRemark('oc', 'x'), 'NOT_FRIENDS', friends);
  await refused(() => client.friends.remove('nobody'), 'USER_NOT_FOUND', friends);
  await refused(() => client.blocklist.add('oa'), 'SELF_REFERENCE', blocked);
  await refused(() => client.blocklist.add('nobody'), 'USER_NOT_FOUND', blocked);
  await refused(() => client.requests.send('ob'), 'ALREADY_FRIENDS', friends);
  await refused(() => client.requests.accept('request:none'), 'REQUEST_NOT_FOUND', friends);
  await world.set('blocklistLimit=1');
  await client.blocklist.add('ob');
  await assert.rejects(client.blocklist.add('oc'), ({ code, details }) => code === 'BLOCKLIST_LIMIT_REACHED' && details.limit === 1);
  assert.deepEqual(ids(client.blocklist), ['ob']);
  await world.set('blocklistLimit=500');
});

test('1000 friends load in pages, and events during the load are not lost', async () => {
  const crowd = Array.from({ length: 1000 }, (_, i) => `crowd-${i}`);
  await world.register('pop', 'late', ...crowd);
  await world.befriend('pop', ...crowd);
  const { Counting, sent } = counting('userChanged');
  const client = await world.online('pop', { webSocketImpl: Counting, timing: { debounceMs: 100, profilePaceMs: 2_500 } }); // as an app has them
  const loading = client.friends.ready();
  await world.back.send(`mutation {
    a: removeFriend(input: {userId: "pop", friendId: "crowd-999"}) { outcome }
    b: removeFriend(input: {userId: "pop", friendId: "crowd-0"}) { outcome }
    c: addFriend(input: {userId: "pop", friendId: "late"}) { created }
    d: setFriendRemark(input: {userId: "pop", friendId: "crowd-500", remark: "Five"}) { friendship { id } }
  }`);
  await loading;
  const loaded = Date.now();
  await until(() => ids(client.friends)[0] === 'late', 'the friend that came last');
  const items = client.friends.getSnapshot().items;
  assert.deepEqual(ids(client.friends).sort(), ['late', ...crowd.slice(1, -1)].sort());
  assert.equal(items.find(({ userId }) => userId === 'crowd-500').remark, 'Five');
  assert.ok(items.every(({ userId, user }) => user.name === `User ${userId}`));
  assert.equal(client.friends.getSnapshot(), client.friends.getSnapshot());
  // A change of one friend keeps the items of the others.
  await client.friends.setRemark('crowd-7', 'Seven');
  const changed = client.friends.getSnapshot().items.filter((item, i) => item !== items[i]);
  assert.deepEqual(changed.map(({ userId }) => userId), ['crowd-7']);
  // All of them are followed at once: five operations of 200, which the server's rate allows.
  await until(() => new Set(sent.flatMap((operation) => operation.ids ?? [])).size >= 999, 'the last operation');
  assert.ok(sent[4].at - loaded < 6_000, `after ${sent[4].at - loaded} ms`);
  await world.rename('crowd-1', 'First');
  await until(() => client.users.peek('crowd-1').name === 'First', 'the new name of the oldest friend');
  assert.deepEqual(client.reported, []);
  client.close();
});
