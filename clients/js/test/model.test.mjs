// Random changes by the client, by others and by the App Server, with lost connections between them.
// Whatever happens, each store must end as the server has it. SEED=n repeats a run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Network, until, World } from './lib.mjs';

const world = World.use();
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));

/** mulberry32 */
function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

test(`the stores follow the server through random changes (SEED=${seed})`, async (t) => {
  const next = random(seed);
  const pick = (list) => list[Math.floor(next() * list.length)];
  const others = ['m1', 'm2', 'm3', 'm4', 'm5', 'm6'];
  await world.register('me', ...others);
  const network = await Network.to(world.server);
  t.after(() => network.close());
  const me = await world.online('me', { url: network.url });
  const lists = { friends: me.friends, incoming: me.requests.incoming, outgoing: me.requests.outgoing, blocks: me.blocklist };
  for (const list of Object.values(lists)) await list.ready();
  me.presence.watch(others);
  const devices = new Map();

  const back = (field, input, result) => world.back.send(`mutation ($input: ${field[0].toUpperCase()}${field.slice(1)}Input!) { ${field}(input: $input) { ${result} } }`, { input });
  const requestsOf = async (userId, direction) => {
    const { user } = await world.back.send(`{ user(id: "${userId}") { friendRequests(direction: ${direction}, first: 100) { nodes { id from { id } to { id } } } } }`);
    return user.friendRequests.nodes.filter(({ from, to }) => [from.id, to.id].includes('me'));
  };
  const answer = async (mutation, userId, direction) => {
    const request = pick(await requestsOf(userId, direction));
    if (request) await world.back.send(`mutation ($input: FriendRequestInput!) { ${mutation}(input: $input) { __typename } }`, { input: { userId, requestId: request.id } });
  };
  const block = (field) => () => world.back.send(`mutation ($input: BlocklistInput!) { ${field}(input: $input) { results { outcome } } }`, { input: { userId: 'me', targetIds: [pick(others)] } });
  const request = (list) => pick(list.getSnapshot().items)?.id ?? 'request:none';
  const deeds = [
    // the client
    () => me.friends.remove(pick(others)),
    () => me.friends.setRemark(pick(others), pick(['', 'a', 'b'])),
    () => me.requests.send(pick(others), pick(['', 'hello'])),
    () => me.requests.send(pick(others)),
    () => me.requests.accept(request(me.requests.incoming)),
    () => me.requests.decline(request(me.requests.incoming)),
    () => me.requests.cancel(request(me.requests.outgoing)),
    () => me.blocklist.add(pick(others)),
    () => me.blocklist.remove(pick(others)),
    () => me.presence.setCustomStatus(pick(['', 'x', 'y'])),
    // the App Server, for the user and for the others
    () => world.befriend('me', pick(others)),
    () => back('removeFriend', { userId: pick(others), friendId: 'me' }, 'outcome'),
    () => back('setFriendRemark', { userId: 'me', friendId: pick(others), remark: pick(['', 'c', 'd']) }, '__typename'),
    () => back('sendFriendRequest', { userId: pick(others), targetId: 'me', message: 'hi' }, '__typename'),
    () => back('sendFriendRequest', { userId: pick(others), targetId: 'me' }, '__typename'),
    () => answer('acceptFriendRequest', pick(others), 'INCOMING'),
    () => answer('declineFriendRequest', pick(others), 'INCOMING'),
    () => answer('cancelFriendRequest', pick(others), 'OUTGOING'),
    block('addToBlocklist'),
    block('removeFromBlocklist'),
    () => world.rename(pick(others), `Name ${Math.floor(next() * 1000)}`),
    async () => {
      const id = pick(others);
      const device = devices.get(id);
      devices.delete(id);
      if (device) device.close();
      else devices.set(id, await world.online(id));
    },
    () => pick([() => me.friends.reload(), () => me.requests.incoming.reload(), () => me.blocklist.reload()])(),
  ];

  const ofServer = async () => {
    const { user } = await world.back.send(`{ user(id: "me") {
      friends(first: 100) { nodes { user { id name } remark blocked createdAt } }
      incoming: friendRequests(direction: INCOMING, first: 100) { nodes { id from { id name } message createdAt } }
      outgoing: friendRequests(direction: OUTGOING, first: 100) { nodes { id to { id name } message createdAt } }
      blocklist(first: 100) { nodes { user { id name } } }
      status { customStatus }
    } }`);
    const { userStatuses } = await world.back.send(`{ userStatuses(ids: ${JSON.stringify(others)}) { presence } }`);
    return {
      friends: user.friends.nodes.map((f) => `${f.user.id} ${f.user.name} ${f.remark} ${f.blocked} ${f.createdAt}`).sort(),
      // A request that is sent again within an hour is not announced, so its new message comes later.
      incoming: user.incoming.nodes.map((r) => `${r.id} ${r.from.id} ${r.from.name}`).sort(),
      outgoing: user.outgoing.nodes.map((r) => `${r.id} ${r.to.id} ${r.to.name} ${r.message}`).sort(),
      blocks: user.blocklist.nodes.map((b) => `${b.user.id} ${b.user.name}`).sort(),
      text: user.status.customStatus,
      presences: userStatuses.map(({ presence }) => presence),
    };
  };
  const ofClient = () => {
    const of = (list, show) => list.getSnapshot().items.map(show).sort();
    return {
      friends: of(me.friends, (f) => `${f.userId} ${f.user.name} ${f.remark} ${f.blocked} ${f.createdAt}`),
      incoming: of(me.requests.incoming, (r) => `${r.id} ${r.userId} ${r.user.name}`),
      outgoing: of(me.requests.outgoing, (r) => `${r.id} ${r.userId} ${r.user.name} ${r.message}`),
      blocks: of(me.blocklist, (b) => `${b.userId} ${b.user.name}`),
      text: me.presence.getSnapshot().self?.customStatus,
      presences: others.map((id) => me.presence.get(id)?.presence),
    };
  };

  for (let round = 1; round <= 10; round++) {
    // An error is a deed that was not possible, such as accepting a request that is gone.
    const running = Array.from({ length: 8 }, async () => pick(deeds)().catch((error) => assert.equal(typeof error.code, 'string', error.stack)));
    const trouble = pick(['none', 'none', 'cut', 'disconnect']);
    if (trouble === 'cut') {
      network.cut();
      running.push(pick(deeds)().catch(() => {}));
      network.heal();
    }
    if (trouble === 'disconnect') await world.back.send('mutation { disconnectUser(input: {userId: "me", allDevices: true}) { disconnectedCount } }');
    await Promise.all(running);
    await world.reaches(me, 'online');
    let server;
    let client;
    await until(async () => {
      server = await ofServer();
      client = ofClient();
      return JSON.stringify(server) === JSON.stringify(client) && Object.values(lists).every((list) => list.getSnapshot().status === 'ready');
    }, `round ${round}`, 8_000).catch((error) => {
      assert.deepEqual(client, server, `round ${round}, SEED=${seed}`);
      throw error;
    });
  }
});
