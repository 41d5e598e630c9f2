import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-sse';
import { AppServer } from './lib/api.mjs';
import { databases } from './lib/databases.mjs';
import { Events, statusChanged, userStatus } from './lib/events.mjs';
import { Server } from './lib/server.mjs';
import { until, within } from './lib/wait.mjs';

/** npm graphql-sse in distinct-connections mode: each operation is a request of its own. */
function connect(server, token) {
  const client = createClient({
    url: server.graphql,
    headers: token ? { Authorization: `Bearer ${token}`, 'X-Platform': 'WEB' } : {},
    retryAttempts: 0,
  });
  return {
    subscribe(query, variables) {
      const events = new Events();
      events.cancel = client.subscribe({ query, variables }, events);
      return events;
    },
    close: () => client.dispose(),
  };
}

for (const { name, create, skip } of databases) {
  describe(`npm graphql-sse on ${name}`, { skip }, () => {
    let server;
    let app;
    before(async () => {
      server = await Server.create(create);
      const open = await server.createApp({ statusQueryEnabled: true });
      await server.start();
      app = await AppServer.login(server, open);
    });
    after(() => server?.remove());

    test('a query and a mutation are answered and end', async () => {
      const back = connect(server, app.token);
      const registered = back.subscribe(
        'mutation { registerUser(input: {id: "over-sse", name: "Over SSE"}) { created user { id } } }',
      );
      assert.deepEqual(await registered.take(), { created: true, user: { id: 'over-sse' } });
      assert.equal(await within(registered.ended, 'the end'), undefined);
      const asked = back.subscribe('{ app { environment } }');
      assert.deepEqual(await asked.take(), { environment: 'DEVELOPMENT' });
      assert.equal(await within(asked.ended, 'the end'), undefined);
      back.close();
    });

    test("a user's stream is a device: ONLINE while it is open, OFFLINE when it breaks, closed by logout", async () => {
      const [annToken, benToken] = [await app.register('ann'), await app.register('ben')];
      const ann = connect(server, annToken);
      const seen = ann.subscribe(userStatus, { ids: ['ben'] });
      assert.equal(await seen.takeStatus(), 'ben UNLOGINED');
      assert.deepEqual(await app.presences('ann'), ['ONLINE']);

      const first = connect(server, benToken).subscribe(statusChanged);
      assert.equal(await seen.takeStatus(), 'ben ONLINE');
      first.cancel();
      assert.equal(await seen.takeStatus(), 'ben OFFLINE');

      const second = connect(server, benToken).subscribe(statusChanged);
      assert.equal(await seen.takeStatus(), 'ben ONLINE');
      await new AppServer(server, benToken).send('mutation { logout(input: {}) { loggedOutCount } }');
      assert.equal(await seen.takeStatus(), 'ben UNLOGINED');
      await within(second.ended, "the stream's end");

      ann.close();
      await until(async () => (await app.presences('ann'))[0] === 'OFFLINE', 'ann to be OFFLINE');
    });

    test('a stream without a good token is refused with 401', async () => {
      const token = await app.register('cal');
      for (const bad of ['nonsense', `${token}x`]) {
        const refused = await within(connect(server, bad).subscribe(statusChanged).ended, 'the refusal');
        assert.equal(refused.response?.status, 401);
      }
      assert.deepEqual(await app.presences('cal'), ['UNLOGINED']);
    });

    test('a refused operation says why', async () => {
      const refused = connect(server, app.token).subscribe(userStatus, { ids: ['nobody'] });
      const { errors } = await refused.takeResult();
      assert.equal(errors[0].extensions.code, 'USER_NOT_FOUND');
      assert.equal(await within(refused.ended, 'the end'), undefined);
    });

    test('the server goes away: the stream ends', async () => {
      const stream = connect(server, await app.register('dot')).subscribe(userStatus, { ids: ['dot'] });
      assert.equal(await stream.takeStatus(), 'dot ONLINE');
      assert.equal(await server.stop(), 0);
      await within(stream.ended, "the stream's end");
      await server.start();
      assert.deepEqual(await app.presences('dot'), ['OFFLINE']);
    });
  });
}
