// Runs the client of "A device that stays connected" in docs/api.md as it is written there, except for
// its times, against a real server.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { AppServer } from './lib/api.mjs';
import { Events, statusChanged } from './lib/events.mjs';
import { Server } from './lib/server.mjs';
import { until, within } from './lib/wait.mjs';

const ownStatus = 'subscription ($ids: [ID!]!) { userStatus(ids: $ids) { presence customStatus } }';

/** The documents that devices have sent, and the codes with which their connections were closed, in order. */
const sent = [];
const closes = [];

// A browser has one, too.
globalThis.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    this.on('close', (code) => closes.push(code));
  }

  send(message) {
    const { payload } = JSON.parse(message);
    if (payload?.query) sent.push(payload.query);
    super.send(message);
  }
};

/** The module of the page; a ping every 500 ms, and a second until the network counts as gone. */
async function recipe() {
  const page = await readFile(new URL('../docs/api.md', import.meta.url), 'utf8');
  let [, code] = page.match(/<!-- test: device -->\n```js\n([^]*?)^```$/m);
  for (const [written, used] of [
    ["'graphql-ws'", `'${import.meta.resolve('graphql-ws')}'`],
    ['keepAlive: 10_000', 'keepAlive: 500'],
    ['client.terminate(), 5_000', 'client.terminate(), 1_000'],
  ]) {
    assert.ok(code.includes(written), written);
    code = code.replace(written, used);
  }
  return import(`data:text/javascript,${encodeURIComponent(code)}`);
}

/** A network between a device and the server. `lose` drops what is sent on the present connections from then on, and closes none. */
class Network {
  static async to(server) {
    const network = new Network();
    network.links = [];
    network.listener = net.createServer((near) => {
      const far = net.connect(server.address.split(':')[1], '127.0.0.1');
      const link = { lost: false, near, far };
      network.links.push(link);
      for (const [from, to] of [[near, far], [far, near]]) {
        from.on('data', (bytes) => link.lost || to.write(bytes));
        from.on('close', () => link.lost || to.destroy());
        from.on('error', () => {});
      }
    });
    await new Promise((resolve) => network.listener.listen(0, '127.0.0.1', resolve));
    network.url = `ws://127.0.0.1:${network.listener.address().port}/graphql`;
    return network;
  }

  lose() {
    for (const link of this.links) link.lost = true;
  }

  close() {
    this.listener.close();
    for (const { near, far } of this.links) {
      near.destroy();
      far.destroy();
    }
  }
}

describe('the recipes of docs/api.md', () => {
  let server;
  let app;
  let connect;
  const devices = [];
  before(async () => {
    ({ connect } = await recipe());
    server = await Server.create();
    const created = await server.createApp({ statusQueryEnabled: true, friendStatusNotifyEnabled: true });
    await server.start({ ROLLCALL_PING_INTERVAL: '1h' });
    app = await AppServer.login(server, created);
    for (const id of ['ann', 'ben', 'cal', 'dan']) await app.register(id);
  });
  after(async () => {
    for (const device of devices) await device.close(); // a failed test's would connect for ever
    await server?.remove();
  });

  /** A device of the user; `tokens` counts those that it fetched, `connects` its connects. */
  function open(id, { seconds, expiresAt = true, url = server.socket } = {}) {
    const device = { tokens: 0, connects: 0 };
    const { subscribe, request, close } = connect({
      url,
      fetchToken: async () => {
        const { issueUserToken: issued } = await app.send(
          'mutation ($input: IssueUserTokenInput!) { issueUserToken(input: $input) { token expiresAt } }',
          { input: { userId: id, ttlSeconds: seconds } },
        );
        device.tokens++;
        return { token: issued.token, expiresAt: expiresAt ? issued.expiresAt : null };
      },
      refresh: async () => {
        await request({ query: '{ me { id } }' });
        device.connects++;
      },
    });
    const follow = (query, variables) => {
      const events = new Events();
      subscribe({ query, variables }, { next: (r) => events.next(r), error: events.error, complete: events.complete });
      return events;
    };
    devices.push(device);
    return Object.assign(device, { follow, request, close });
  }

  /** Subscribes to the device's own status and waits for the first one. */
  async function online(device, id) {
    const own = device.follow(ownStatus, { ids: [id] });
    assert.equal((await own.take()).presence, 'ONLINE');
    return own;
  }

  /** Sets a custom status over the device, and waits until the subscription brings it. */
  async function works(device, own) {
    await device.request({ query: 'mutation { setStatus(input: { customStatus: "still here" }) { status { customStatus } } }' });
    while ((await own.take()).customStatus !== 'still here');
  }

  test('a token is renewed before it expires, and the subscription goes on', async () => {
    closes.length = 0;
    const device = open('ann', { seconds: 5 });
    const own = await online(device, 'ann');
    await until(() => device.tokens >= 2 && device.connects >= 2, 'the renewal');
    await works(device, own);
    assert.ok(!closes.includes(4401), `${closes}`);
    await device.close();
  });

  test('a device whose timer came too late gets a new token after 4401', async () => {
    closes.length = 0;
    const device = open('ben', { seconds: 1, expiresAt: false });
    const own = await online(device, 'ben');
    const second = device.follow(statusChanged);
    await until(() => device.tokens >= 2 && device.connects >= 2, 'a second connect');
    assert.equal(await Promise.race([own.ended, second.ended, works(device, own)]), undefined);
    assert.ok(closes.includes(4401), `${closes}`);
    await device.close();
  });

  test('a banned device stops, and knows until when', async () => {
    const device = open('cal');
    const own = await online(device, 'cal');
    await app.send('mutation { banUsers(input: {userIds: ["cal"], minutes: 5}) { results { outcome } } }');
    const { code, reason } = await within(own.ended, 'the device to stop');
    const [word, , end] = reason.split(' ');
    const { user } = await app.send('{ user(id: "cal") { ban { until } } }');
    assert.deepEqual([code, word, end], [4401, 'USER_BANNED', user.ban.until]);
    assert.equal(device.tokens, 1);
  });

  test('a lost network is noticed, and what changed meanwhile is queried', async (t) => {
    const network = await Network.to(server);
    t.after(() => network.close());
    const device = open('dan', { url: network.url });
    const own = await online(device, 'dan');
    await until(() => device.connects >= 1, 'the first query');
    sent.length = 0;
    network.lose();
    await until(() => device.connects >= 2 && sent.includes(ownStatus), 'the second connect');
    assert.deepEqual(sent.slice(0, 2), [ownStatus, '{ me { id } }']); // subscribed first, queried then
    await works(device, own);
  });
});
