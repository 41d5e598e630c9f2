import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import { createRollcall, until, World } from './lib.mjs';

const world = World.use();

for (const [what, bad, message] of [
  ['throws', () => { throw new Error('no back end'); }, /no back end/],
  ['rejects', async () => { throw new Error('no back end'); }, /no back end/],
  ['hangs', () => new Promise(() => {}), /no answer/],
  ['returns nothing', async () => undefined, /getToken/],
  ['returns a number', async () => 7, /getToken/],
  ['returns an empty token', async () => ({ token: '' }), /getToken/],
  ['returns a wrong time', async () => ({ token: 'x', expiresAt: 'tomorrow' }), /getToken/],
]) {
  test(`a token function that ${what} is reported and called again`, async () => {
    await world.register('tok');
    let calls = 0;
    const client = world.client('tok', { getToken: () => (calls++ ? world.token('tok') : bad()), timing: { requestMs: 300 } });
    await until(() => client.reported.length || client.connection.getSnapshot().status === 'online', 'the failure');
    assert.equal(client.reported[0].code, 'TOKEN_FAILED');
    assert.match(client.reported[0].message, message);
    await world.reaches(client, 'online');
    client.close();
  });
}

test('a URL that is none, and no WebSocket, are refused at once', () => {
  const getToken = () => ({ token: 'x' });
  assert.throws(() => createRollcall({ url: 'nowhere', getToken, webSocketImpl: WebSocket }), { code: 'INVALID_ARGUMENT', details: { field: 'url' } });
  assert.throws(() => createRollcall({ url: 'ftp://x/', getToken, webSocketImpl: WebSocket }), { code: 'INVALID_ARGUMENT' });
  const { WebSocket: own } = globalThis;
  globalThis.WebSocket = undefined;
  assert.throws(() => createRollcall({ url: 'ws://x/', getToken }), { code: 'INVALID_ARGUMENT', details: { field: 'webSocketImpl' } });
  globalThis.WebSocket = own;
});

test('a WebSocket class that throws, and an address without a server, are attempts that failed', async () => {
  class Throwing extends WebSocket {
    constructor() {
      throw new Error('not from this page');
    }
  }
  for (const options of [{ webSocketImpl: Throwing }, { url: 'ws://127.0.0.1:1/graphql' }]) {
    const client = world.client('tok', options);
    const { error } = await world.reaches(client, 'reconnecting');
    assert.equal(error.code, 'CONNECTION_LOST');
    client.close();
  }
});

/** A server of another version: `change` rewrites what the client sends, `alter` what it receives. */
function version({ change = (text) => text, alter = (text) => text }) {
  return class extends WebSocket {
    send(text) {
      super.send(change(text));
    }

    set onmessage(listener) {
      super.onmessage = ({ data }) => listener({ data: alter(data) });
    }
  };
}

test('a server without an operation: that store has failed, the rest goes on', async () => {
  await world.register('va', 'vb');
  await world.befriend('va', 'vb');
  const client = await world.online('va', {
    webSocketImpl: version({ change: (text) => text.replace('blocklist(', 'blocks(').replace('{userChanged(', '{changed(') }),
  });
  client.blocklist.subscribe(() => {});
  await until(() => client.blocklist.getSnapshot().status === 'failed', 'the blocklist to fail');
  await assert.rejects(client.blocklist.ready(), { name: 'RollcallError', code: 'GRAPHQL_VALIDATION_FAILED' });
  assert.equal((await client.friends.ready())[0].userId, 'vb');
  await until(() => client.reported.some(({ code }) => code === 'GRAPHQL_VALIDATION_FAILED'), 'the report');
  client.presence.watch(['vb']);
  await until(() => client.presence.get('vb'), 'the status');
});

test('a server without relationshipChanged: the lists are loaded, and say that they do not follow', async () => {
  await world.register('ve', 'vf');
  await world.befriend('ve', 'vf');
  const client = await world.online('ve', { webSocketImpl: version({ change: (text) => text.replace('{relationshipChanged{', '{changes{') }), timing: { recoverMs: 30_000 } });
  client.friends.subscribe(() => {});
  await until(() => client.friends.getSnapshot().status === 'failed' && client.friends.getSnapshot().items.length === 1, 'the list');
  assert.equal(client.friends.getSnapshot().error.code, 'GRAPHQL_VALIDATION_FAILED');
});

test('a newer server: unknown kinds, values, fields and messages are ignored', async () => {
  await world.register('vn', 'vo', 'vp');
  let altered = 0;
  const client = await world.online('vn', {
    webSocketImpl: version({
      alter: (text) => {
        const message = JSON.parse(text);
        const event = message.payload?.data?.relationshipChanged;
        if (event?.user.id === 'vo') {
          event.kind = 'FRIEND_PINNED';
          altered++;
        }
        return JSON.stringify({ ...message, extra: 1, payload: message.payload && { ...message.payload, extensions: {} } });
      },
    }),
  });
  await client.friends.ready();
  await world.befriend('vn', 'vo');
  await world.befriend('vn', 'vp');
  await until(() => client.friends.getSnapshot().items.length === 1, 'the known event');
  assert.equal(altered, 1);
  assert.equal(client.friends.getSnapshot().items[0].userId, 'vp');
});

test('a server whose answers lack what they must have: a typed error, and the rest goes on', async () => {
  await world.register('vl', 'vm', 'vk');
  await world.befriend('vl', 'vm');
  const client = await world.online('vl', {
    webSocketImpl: version({
      alter: (text) => {
        const message = JSON.parse(text);
        const data = message.payload?.data;
        if (data?.relationshipChanged) data.relationshipChanged = null;
        if (data?.me?.page?.nodes[0]?.createdAt && !('remark' in data.me.page.nodes[0])) message.payload.data = null; // the blocklist
        if (data?.users) delete message.payload;
        return JSON.stringify(message);
      },
    }),
  });
  await client.friends.ready();
  await client.blocklist.ready(); // is empty
  await world.befriend('vl', 'vk');
  await until(() => client.friends.getSnapshot().status === 'failed' || client.friends.getSnapshot().items.length === 2, 'the event without a value');
  await until(() => client.friends.getSnapshot().status === 'ready' && client.friends.getSnapshot().items.length === 2, 'the list to be loaded again');
  await assert.rejects(client.getUserInfo('vz'), { name: 'RollcallError' });
  await world.back.send('mutation { addToBlocklist(input: {userId: "vl", targetIds: ["vm"]}) { results { outcome } } }');
  await assert.rejects(client.blocklist.reload(), { name: 'RollcallError' });
  await client.presence.setCustomStatus('still here');
});

test('a token that has expired by the clock of the device is used until the server refuses it', async () => {
  await world.register('clk');
  let calls = 0;
  const client = await world.online('clk', {
    getToken: async () => {
      calls++;
      return { token: (await world.token('clk')).token, expiresAt: new Date(Date.now() - 3_600_000) };
    },
  });
  // It would be renewed after backoffMs (20 ms), again and again.
  for (let i = 0; i < 50 && calls === 1; i++) await client.presence.setCustomStatus(`text ${i % 2}`).then(() => new Promise((resolve) => setTimeout(resolve, 5)));
  assert.equal(calls, 1);
});

test('a server that sends no JSON is left, and tried again', async () => {
  let bad = true;
  const client = world.client('vn', { webSocketImpl: version({ alter: (text) => (bad ? '<html>' : text) }) });
  const { error } = await world.reaches(client, 'reconnecting');
  assert.match(error.message, /4400/);
  bad = false;
  await world.reaches(client, 'online');
});

test('a listener that throws is logged and stops no other', async (t) => {
  const logged = t.mock.method(console, 'error', () => {});
  const client = await world.online('vn');
  let called = 0;
  client.friends.subscribe(() => { throw new Error('of the app'); });
  client.friends.subscribe(() => called++);
  await client.friends.ready();
  assert.ok(called);
  assert.ok(logged.mock.calls.every(({ arguments: [error] }) => error.message === 'of the app'));
  assert.ok(logged.mock.callCount() >= called);
  client.close();
});
