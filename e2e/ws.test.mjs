import assert from 'node:assert/strict';
import { on } from 'node:events';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { AppServer } from './lib/api.mjs';
import { databases } from './lib/databases.mjs';
import { statusChanged, userStatus } from './lib/events.mjs';
import { Server } from './lib/server.mjs';
import { Connection, RawSocket, Reconnecting } from './lib/socket.mjs';
import { until, within } from './lib/wait.mjs';

for (const { name, create, skip } of databases) {
  describe(`npm graphql-ws on ${name}`, { skip }, () => {
    let server;
    let app; // the back end of an app whose users may see each other
    let closedApp; // of one whose users may not
    before(async () => {
      server = await Server.create(create);
      const open = await server.createApp({ name: 'open', statusQueryEnabled: true });
      const closed = await server.createApp({ name: 'closed', edition: 'standard' });
      await server.start();
      app = await AppServer.login(server, open);
      closedApp = await AppServer.login(server, closed);
    });
    after(() => server?.remove());

    test('an App Server registers and queries over its socket', async () => {
      const back = await Connection.open(server, app.token);
      const { data } = await back.request(
        `mutation { registerUser(input: {id: "over-ws", name: "Over WS"}) { created token user { id name state status { presence changedAt } } } }`,
      );
      assert.equal(data.registerUser.created, true);
      assert.deepEqual(data.registerUser.user, {
        id: 'over-ws',
        name: 'Over WS',
        state: 'ACTIVE',
        status: { presence: 'UNLOGINED', changedAt: null },
      });
      const { data: asked } = await back.request(
        '{ app { environment edition onlineUserCount } users(ids: ["nobody", "over-ws"]) { id } userStatuses(ids: ["over-ws", "nobody"]) { userId presence } }',
      );
      assert.deepEqual(asked, {
        app: { environment: 'DEVELOPMENT', edition: 'FLAGSHIP', onlineUserCount: 0 }, // an App Server is not a device
        users: [null, { id: 'over-ws' }],
        userStatuses: [{ userId: 'over-ws', presence: 'UNLOGINED' }, null],
      });
      await back.close();
    });

    test('a user sees another connect, lose the connection, return and log out', async () => {
      const [annToken, benToken, calToken] = [await app.register('ann'), await app.register('ben'), await app.register('cal')];
      const ann = await Connection.open(server, annToken);
      const seen = ann.subscribe(userStatus, { ids: ['ben', 'cal'] });
      assert.deepEqual([await seen.takeStatus(), await seen.takeStatus()].sort(), ['ben UNLOGINED', 'cal UNLOGINED']);

      const first = await Connection.open(server, benToken, 'IOS');
      assert.equal(await seen.takeStatus(), 'ben ONLINE');
      const second = await Connection.open(server, benToken, 'ANDROID'); // no change, so no event
      await first.terminate();
      await second.terminate();
      assert.equal(await seen.takeStatus(), 'ben OFFLINE');

      const third = await Connection.open(server, benToken);
      assert.equal(await seen.takeStatus(), 'ben ONLINE');
      const { data } = await third.request('mutation { logout(input: {}) { loggedOutCount } }');
      assert.equal(data.logout.loggedOutCount, 1);
      assert.equal((await within(third.closed, 'the close after logout')).code, 4401);
      assert.equal(await seen.takeStatus(), 'ben UNLOGINED');

      // Nothing else was sent: the next event is cal's.
      const cal = await Connection.open(server, calToken);
      assert.equal(await seen.takeStatus(), 'cal ONLINE');
      assert.deepEqual(await app.presences('ann', 'ben', 'cal'), ['ONLINE', 'UNLOGINED', 'ONLINE']);

      // The token outlives the logout.
      const again = await Connection.open(server, benToken);
      assert.equal(await seen.takeStatus(), 'ben ONLINE');
      await Promise.all([again, cal, ann].map((connection) => connection.close()));
      await until(async () => (await app.presences('ann', 'ben', 'cal')).every((p) => p === 'OFFLINE'), 'all to be OFFLINE');
    });

    test("a device receives its own account's changes, and all devices log out at once", async () => {
      const token = await app.register('dot');
      const phone = await Connection.open(server, token, 'IOS');
      const laptop = await Connection.open(server, token, 'DESKTOP');
      const back = await Connection.open(server, app.token);
      const seen = back.subscribe(userStatus, { ids: ['dot'] });
      assert.equal(await seen.takeStatus(), 'dot ONLINE');
      const own = phone.subscribe(statusChanged);
      const { data } = await laptop.request('mutation { logout(input: {allDevices: true}) { loggedOutCount } }');
      assert.equal(data.logout.loggedOutCount, 2);
      for (const device of [phone, laptop]) {
        assert.equal((await within(device.closed, 'the close after logout')).code, 4401);
      }
      assert.equal(await seen.takeStatus(), 'dot UNLOGINED');
      await own.ended;
      await back.close();
    });

    test('a logout over HTTP ends the devices', async () => {
      const token = await app.register('eve');
      const device = await Connection.open(server, token);
      await new AppServer(server, token).send('mutation { logout(input: {}) { loggedOutCount } }');
      assert.equal((await within(device.closed, 'the close after logout')).code, 4401);
      assert.deepEqual(await app.presences('eve'), ['UNLOGINED']);
    });

    test('without status query, other users are hidden and the own status is not', async () => {
      const token = await closedApp.register('fay');
      await closedApp.register('gus');
      const fay = await Connection.open(server, token);
      const { errors } = await fay.request('{ userStatuses(ids: ["gus"]) { presence } }');
      assert.equal(errors[0].extensions.code, 'FEATURE_DISABLED');
      assert.equal(errors[0].extensions.number, 72001);
      const { data } = await fay.request('{ me { id status { presence } } userStatuses(ids: ["fay"]) { presence } }');
      assert.deepEqual(data, { me: { id: 'fay', status: { presence: 'ONLINE' } }, userStatuses: [{ presence: 'ONLINE' }] });
      const [refused] = await within(fay.subscribe(userStatus, { ids: ['gus'] }).ended, 'the refusal');
      assert.equal(refused.extensions.code, 'FEATURE_DISABLED');
      const own = fay.subscribe(userStatus, { ids: ['fay'] });
      assert.equal(await own.takeStatus(), 'fay ONLINE');
      await fay.close();
    });

    test('two apps never see each other', async () => {
      await closedApp.register('only-there');
      assert.deepEqual(await app.presences('only-there'), [null]);
      const back = await Connection.open(server, app.token);
      const [refused] = await within(back.subscribe(userStatus, { ids: ['only-there'] }).ended, 'the refusal');
      assert.equal(refused.extensions.code, 'USER_NOT_FOUND');
      await back.close();
    });

    test('an operation without permission gets an error, and the connection stays open', async () => {
      const device = await Connection.open(server, await app.register('hal'));
      const [unknown] = await within(device.subscribe('subscription { nothing }').ended, 'the refusal');
      assert.match(unknown.message, /nothing/);
      const { errors } = await device.request('mutation { registerUser(input: {id: "x", name: "x"}) { created } }');
      assert.equal(errors[0].extensions.code, 'FORBIDDEN');
      const back = await Connection.open(server, app.token);
      const bad = await back.request('mutation { registerUser(input: {id: "no spaces ", name: "x"}) { created } }');
      assert.deepEqual(
        { code: bad.errors[0].extensions.code, field: bad.errors[0].extensions.field },
        { code: 'INVALID_ARGUMENT', field: 'input.id' },
      );
      assert.equal((await device.request('{ me { id } }')).data.me.id, 'hal');
      await Promise.all([device.close(), back.close()]);
    });

    test('the device of a banned user stops', async () => {
      const device = new Reconnecting(server, await app.register('jo'));
      const own = device.subscribe(userStatus, { ids: ['jo'] });
      assert.equal(await own.takeStatus(), 'jo ONLINE');
      await app.send('mutation { banUsers(input: {userIds: ["jo"], minutes: 5}) { results { outcome } } }');
      const { code, reason } = await within(own.ended, 'the client to stop');
      const { user } = await app.send('{ user(id: "jo") { ban { until } } }');
      assert.deepEqual({ code, reason }, { code: 4401, reason: `USER_BANNED until ${user.ban.until}` });
      assert.equal(device.links.length, 1);
    });

    test('a disconnected device connects again', async () => {
      const device = new Reconnecting(server, await app.register('kai'));
      const own = device.subscribe(userStatus, { ids: ['kai'] });
      assert.equal(await own.takeStatus(), 'kai ONLINE');
      await app.send('mutation { disconnectUser(input: {userId: "kai", allDevices: true}) { disconnectedCount } }');
      assert.equal(await own.takeStatus(), 'kai ONLINE');
      assert.deepEqual(device.links, [{ code: 4403, reason: 'Disconnected' }, {}]);
      await device.client.dispose();
    });

    test('the device of a token that expires stops', async () => {
      const { registerUser } = await app.send('mutation { registerUser(input: {id: "lu", name: "Lu", tokenTtlSeconds: 2}) { token } }');
      const device = new Reconnecting(server, registerUser.token);
      const own = device.subscribe(userStatus, { ids: ['lu'] });
      assert.equal(await own.takeStatus(), 'lu ONLINE');
      const { code, reason } = await within(own.ended, 'the client to stop');
      assert.deepEqual({ code, reason }, { code: 4401, reason: 'UNAUTHENTICATED' });
      assert.equal(device.links.length, 1);
      await until(async () => (await app.presences('lu'))[0] === 'OFFLINE', 'the device to be gone');
    });

    test('a connection without a good token is closed with 4401', async () => {
      const token = await app.register('ivy');
      for (const bad of [undefined, 'nonsense', `${token}x`, token.slice(0, -8)]) {
        await assert.rejects(Connection.open(server, bad), ({ code, reason }) => code === 4401 && /^UNAUTHENTICATED\b/.test(reason));
      }
      assert.deepEqual(await app.presences('ivy'), ['UNLOGINED']);
    });
  });
}

describe('the graphql-transport-ws protocol', () => {
  let server;
  let app;
  before(async () => {
    server = await Server.create();
    const created = await server.createApp();
    await server.start({ ROLLCALL_PING_INTERVAL: '1s' });
    app = await AppServer.login(server, created);
  });
  after(() => server?.remove());

  const init = () => ({ type: 'connection_init', payload: { Authorization: `Bearer ${app.token}` } });
  const subscribe = (id) => ({ id, type: 'subscribe', payload: { query: userStatus, variables: { ids: ['jan'] } } });

  async function acknowledged() {
    const raw = await RawSocket.open(server);
    raw.send(init());
    assert.equal((await raw.message()).type, 'connection_ack');
    return raw;
  }

  test('4400: an invalid message', async () => {
    for (const message of ['{', '[]', '{"type":"nothing"}', '{"type":"subscribe"}']) {
      const raw = await acknowledged();
      raw.send(message);
      assert.equal(await raw.closeCode(), 4400, message);
    }
  });

  test('4401: an operation before the acknowledgement', async () => {
    const raw = await RawSocket.open(server);
    raw.send(subscribe('1'));
    assert.equal(await raw.closeCode(), 4401);
  });

  test('4406: another subprotocol', async () => {
    const socket = new WebSocket(server.socket, 'graphql-ws');
    const ended = new Promise((resolve) => {
      socket.on('close', (code) => resolve(code));
      socket.on('error', () => resolve('refused')); // during the upgrade
    });
    assert.ok([4406, 'refused'].includes(await within(ended, 'the close')));
  });

  test('4409: an operation ID in use; 4429: a second connection_init', async () => {
    await app.register('jan');
    const taken = await acknowledged();
    taken.send(subscribe('1'));
    assert.equal((await taken.message()).type, 'next');
    taken.send(subscribe('1'));
    assert.equal(await taken.closeCode(), 4409);

    const twice = await acknowledged();
    twice.send(init());
    assert.equal(await twice.closeCode(), 4429);
  });

  test('an idle WebSocket is pinged, and an idle event stream gets comments', async () => {
    await app.register('mo');
    const raw = await acknowledged();
    const answer = await fetch(server.graphql, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Accept: 'text/event-stream', Authorization: `Bearer ${app.token}` },
      body: JSON.stringify({ query: 'subscription { userStatus(ids: ["mo"]) { presence } }' }),
    });
    const pings = on(raw.socket, 'ping');
    const chunks = answer.body[Symbol.asyncIterator]();
    for (let n = 0; n < 3; n++) await within(pings.next(), 'a ping', 10_000);
    let text = '';
    while (!/data: .*UNLOGINED.*\n\n:\n\n(.*\n)*:\n\n/.test(text)) text += Buffer.from((await within(chunks.next(), 'a comment', 10_000)).value);
    await chunks.return();
    raw.socket.close();
  });

  test('a ping is answered with a pong, and a completed ID is free again', async () => {
    await app.register('jan');
    const raw = await acknowledged();
    raw.send({ type: 'ping', payload: { at: 1 } });
    assert.equal((await raw.message()).type, 'pong');
    for (let round = 0; round < 2; round++) {
      raw.send(subscribe('1'));
      assert.deepEqual((await raw.message()).payload.data.userStatus.userId, 'jan');
      raw.send({ id: '1', type: 'complete' });
    }
    raw.socket.close();
  });

  test('1012: the server goes away, and its users are OFFLINE after the restart', async () => {
    const device = await Connection.open(server, await app.register('kim'));
    assert.equal(await server.stop(), 0);
    assert.equal((await within(device.closed, 'the close')).code, 1012);
    await server.start();
    assert.deepEqual(await app.presences('kim'), ['OFFLINE']);
  });
});
