import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counting, until, World } from './lib.mjs';

const world = World.use();
const shows = (client, id, presence) => until(() => client.presence.get(id)?.presence === presence, `${id} to be ${presence}`);

test('statuses of watched users, of oneself and of friends', async () => {
  await world.register('wa', 'wb', 'wc');
  await world.befriend('wa', 'wc');
  const client = await world.online('wa');
  const stop = client.presence.watch(['wb', 'nobody', 'not an ID']);
  await shows(client, 'wb', 'UNLOGINED');
  assert.equal(client.presence.get('nobody'), undefined);
  const other = await world.online('wb');
  await shows(client, 'wb', 'ONLINE');
  await other.presence.setCustomStatus('at lunch');
  assert.equal(other.presence.getSnapshot().self.customStatus, 'at lunch');
  await until(() => client.presence.get('wb').customStatus === 'at lunch', 'the text');
  await until(() => client.presence.getSnapshot().status === 'ready', 'the store to be ready');
  const friend = await world.online('wc');
  await shows(client, 'wc', 'ONLINE'); // unwatched: friendStatusNotifyEnabled
  friend.close();
  await shows(client, 'wc', 'OFFLINE');
  stop();
  await until(() => client.presence.get('wb') === undefined && client.presence.getSnapshot().status === 'idle', 'the end of the watch');
  stop(); // twice is once
});

test('an own text shows at once and is taken back if it is refused', async () => {
  await world.register('ta');
  const client = await world.online('ta');
  await until(() => client.presence.getSnapshot().self, 'the own status');
  const running = client.presence.setCustomStatus('soon');
  await until(() => client.presence.getSnapshot().self.customStatus === 'soon', 'the text');
  await running;
  await assert.rejects(client.presence.setCustomStatus('ä'.repeat(51)), { code: 'INVALID_ARGUMENT' });
  await until(() => client.presence.getSnapshot().self.customStatus === 'soon', 'the text of before');
});

test('watches are counted, gathered, split into 200 IDs, and replaced before the old one ends', async () => {
  const crowd = Array.from({ length: 450 }, (_, i) => `w-${i}`);
  await world.register('ca', ...crowd);
  const { Counting, sent } = counting('userStatus');
  const client = await world.online('ca', { webSocketImpl: Counting });
  const stops = crowd.map((id) => client.presence.watch([id]));
  const twice = client.presence.watch(['w-0']);
  await until(() => client.presence.getSnapshot().statuses.size >= 451, 'all statuses');
  await until(() => client.presence.getSnapshot().status === 'ready', 'the store to be ready');
  const starts = () => sent.filter(({ ids }) => ids);
  assert.deepEqual(starts().map(({ ids }) => ids.length), [200, 200, 50]);
  for (let i = 1; i < 3; i++) assert.ok(starts()[i].at - starts()[i - 1].at >= 245, 'at most four a second');
  stops[0](); // still watched by the other
  stops[449]();
  await until(() => starts().length === 4 && client.presence.getSnapshot().status === 'ready', 'the changed chunk alone');
  assert.equal(starts()[3].ids.length, 49);
  await until(() => sent.at(-1).id === starts()[2].id, 'the end of the old operation');
  assert.ok(sent.indexOf(starts()[3]) < sent.length - 1);
  assert.ok(client.presence.get('w-0'));
  twice();
  await until(() => !client.presence.get('w-0'), 'the last watch to end');
  client.close();
});

test('switched off and on again: disabled, and then right again', async () => {
  await world.register('da', 'db');
  const client = await world.online('da');
  client.presence.watch(['db']);
  await shows(client, 'db', 'UNLOGINED');
  await world.set('statusQueryEnabled=false');
  await until(() => client.presence.getSnapshot().status === 'disabled', 'the store to be disabled');
  assert.equal(client.presence.getSnapshot().error.code, 'FEATURE_DISABLED');
  assert.equal(client.presence.get('db'), undefined);
  const other = await world.online('db');
  await world.set('statusQueryEnabled=true');
  await shows(client, 'db', 'ONLINE');
  await until(() => client.presence.getSnapshot().status === 'ready', 'the store to be ready');
  other.close();
  await shows(client, 'db', 'OFFLINE');
  assert.deepEqual(client.reported, []);
});

test('too many watches wait for as long as the server says, and do not fail', async () => {
  await world.register('la', 'lb', 'lc');
  const { Counting, sent } = counting('userStatus');
  const refused = [];
  class Refused extends Counting {
    set onmessage(listener) {
      super.onmessage = ({ data }) => {
        const { type, payload } = JSON.parse(data);
        if (type === 'error' && payload[0].extensions.code === 'RATE_LIMITED') refused.push({ at: Date.now(), wait: payload[0].extensions.retryAfterMs });
        listener({ data });
      };
    }
  }
  const client = await world.online('la', { webSocketImpl: Refused, timing: { statusPaceMs: 1, debounceMs: 1 } });
  const seen = new Set();
  client.presence.subscribe(() => seen.add(client.presence.getSnapshot().status));
  const starts = () => sent.filter(({ ids }) => ids);
  let watched;
  let stop = () => {};
  for (let count = 1; !refused.length; count++) {
    const before = stop;
    watched = count % 2 ? 'lb' : 'lc';
    stop = client.presence.watch([watched]);
    before();
    await until(() => starts().length >= count || refused.length, 'the operation');
  }
  assert.ok(starts().length > 20, 'the rate of the server');
  await shows(client, watched, 'UNLOGINED');
  await until(() => client.presence.getSnapshot().status === 'ready', 'the store to be ready');
  const [{ at, wait }] = refused;
  const again = starts().filter((operation) => operation.at > at + 20); // without what was on its way
  assert.ok(again[0].at >= at + wait - 20, `after ${again[0].at - at} of ${wait} ms`);
  assert.deepEqual([...seen].sort(), ['loading', 'ready']);
  assert.deepEqual(client.reported, []);
});
