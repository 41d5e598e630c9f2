import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { AppServer } from './lib/api.mjs';
import { databases } from './lib/databases.mjs';
import { Server } from './lib/server.mjs';
import { Connection } from './lib/socket.mjs';

const ROUNDS = 3;
const REGISTRARS = 12;
const BATCH = 500;

for (const { name, create, skip } of databases) {
  describe(`kill -9 under load on ${name}`, { skip }, () => {
    let server;
    let app;
    const sent = new Set(); // every ID whose registration was requested
    const answered = new Map(); // ID to token, if the registration was acknowledged
    const connected = new Set(); // IDs whose connection was acknowledged
    const leaving = new Set(); // those of them whose logout was requested
    const loggedOut = new Set(); // those of them whose logout was acknowledged
    before(async () => {
      server = await Server.create(create);
      // PRODUCTION, so that no limit of users interferes with the load.
      const created = await server.createApp({ environment: 'production' });
      await server.start();
      app = await AppServer.login(server, created);
    });
    after(() => server?.remove());

    async function connect(id, leaves) {
      const device = await Connection.open(server, answered.get(id));
      connected.add(id);
      if (!leaves) return;
      leaving.add(id);
      const { data } = await device.request('mutation { logout(input: {}) { loggedOutCount } }');
      if (data?.logout) loggedOut.add(id);
    }

    /** Registers and connects users without a pause until the server is killed. */
    async function load(round, onRegistered) {
      let dead = false;
      const register = async (registrar) => {
        for (let n = 0; !dead; n++) {
          const id = `r${round}-${registrar}-${n}`;
          sent.add(id);
          try {
            answered.set(id, await app.register(id));
          } catch (error) {
            if (error.code) throw error; // a response, and not the server's death
            dead = true;
            return;
          }
          onRegistered();
          if (n % 2) continue;
          connect(id, n % 4 === 0).catch(() => {}); // killed meanwhile
        }
      };
      await Promise.all(Array.from({ length: REGISTRARS }, (_, registrar) => register(registrar)));
    }

    for (let round = 0; round < ROUNDS; round++) {
      const registrations = 20 + Math.floor(Math.random() * 180);
      test(`round ${round + 1}: after ${registrations} registrations`, async () => {
        let left = registrations;
        let killed;
        await load(round, () => {
          if (--left === 0) killed = server.kill();
        });
        await killed;
        await server.start();

        const presences = new Map(); // of all users
        const ids = [...sent];
        for (let from = 0; from < ids.length; from += BATCH) {
          const { users } = await app.send('query ($ids: [ID!]!) { users(ids: $ids) { id name status { presence } } }', {
            ids: ids.slice(from, from + BATCH),
          });
          for (const user of users) {
            if (!user) continue;
            assert.equal(user.name, `User ${user.id}`);
            presences.set(user.id, user.status.presence);
          }
        }
        const lost = [...answered.keys()].filter((id) => !presences.has(id));
        assert.deepEqual(lost, [], 'registrations that were answered and are gone');

        const { app: counts } = await app.send('{ app { registeredUserCount onlineUserCount } }');
        assert.deepEqual(counts, { registeredUserCount: presences.size, onlineUserCount: 0 });

        const online = [...presences].filter(([, presence]) => presence === 'ONLINE');
        assert.deepEqual(online, []);
        const forgotten = [...connected].filter((id) => !leaving.has(id) && presences.get(id) !== 'OFFLINE');
        assert.deepEqual(forgotten, [], 'users who had connected and are not OFFLINE');
        const returned = [...loggedOut].filter((id) => presences.get(id) !== 'UNLOGINED');
        assert.deepEqual(returned, [], 'users who had logged out and are not UNLOGINED');
        assert.ok(connected.size > 0, 'the load connected nobody');

        const [id, token] = [...answered].at(-1);
        const { me } = await new AppServer(server, token).send('{ me { id } }');
        assert.equal(me.id, id, "the last token answered is its user's");
      });
    }
  });
}
