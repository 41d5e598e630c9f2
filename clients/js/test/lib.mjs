// What the tests share: a server, its app's back end, clients of it, and a network that can fail.
import { execFile } from 'node:child_process';
import net from 'node:net';
import { after, before } from 'node:test';
import WebSocket from 'ws';
import { AppServer } from '../../../e2e/lib/api.mjs';
import { Server } from '../../../e2e/lib/server.mjs';
import { until, within } from '../../../e2e/lib/wait.mjs';
import { createRollcall } from '../dist/index.js';

export { createRollcall, until, within };

/** Nothing may be thrown that no call returns. */
const unhandled = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));
process.on('uncaughtException', (error) => unhandled.push(error));
// Also if there was no test to fail, as after an import that failed.
process.on('exit', () => {
  if (!unhandled.length) return;
  console.error(...unhandled);
  process.exitCode ||= 1;
});

/** Times that suit tests: a real server, without the pauses for its limits where a test does not reach them. */
export const quick = {
  backoffMs: 20, backoffMaxMs: 200, debounceMs: 10, statusPaceMs: 250, profilePaceMs: 50, recoverMs: 300, bannedMs: 300,
  pingMs: 300, pongMs: 2_000, requestMs: 5_000,
};

/** The server of a test file and an app on it, with all switches on. */
export class World {
  clients = [];

  static use(settings = {}, environment = {}) {
    const world = new World();
    before(async () => {
      world.server = await Server.create();
      world.app = await world.server.createApp({ environment: 'production', statusQueryEnabled: true, friendStatusNotifyEnabled: true, ...settings });
      await world.server.start(environment);
      world.back = await AppServer.login(world.server, world.app);
    });
    after(async () => {
      for (const client of world.clients) client.close();
      await world.server?.remove();
      if (unhandled.length) throw new AggregateError(unhandled, `nothing may go unhandled: ${unhandled}`);
    });
    return world;
  }

  /** Registers users, in as few calls as possible. */
  async register(...ids) {
    for (let from = 0; from < ids.length; from += 100) {
      await this.back.send('mutation ($input: RegisterUsersInput!) { registerUsers(input: $input) { results { outcome: created } } }', {
        input: { users: ids.slice(from, from + 100).map((id) => ({ id, name: `User ${id}` })) },
      });
    }
  }

  /** Issues a token. */
  async token(id, ttlSeconds) {
    const { issueUserToken } = await this.back.send('mutation ($input: IssueUserTokenInput!) { issueUserToken(input: $input) { token expiresAt } }', {
      input: { userId: id, ttlSeconds },
    });
    return issueUserToken;
  }

  /** A client of the user that is online. `reported` are the errors that no call returned. */
  async online(id, options) {
    const client = this.client(id, options);
    await this.reaches(client, 'online');
    return client;
  }

  client(id, { timing, ...options } = {}) {
    const client = createRollcall({
      url: this.server.graphql,
      webSocketImpl: WebSocket,
      getToken: () => this.token(id),
      timing: { ...quick, ...timing },
      ...options,
    });
    client.reported = [];
    client.states = [];
    client.onError((error) => client.reported.push(error));
    client.failures = []; // why it reconnected; the state itself may be over before anything polls it
    client.connection.subscribe(() => {
      const { status, error } = client.connection.getSnapshot();
      client.states.push(status);
      if (status === 'reconnecting') client.failures.push(error);
    });
    this.clients.push(client);
    return client;
  }

  /** Waits until the client's connection has the status, and returns the state. */
  reaches(client, status) {
    return until(() => client.connection.getSnapshot().status === status && client.connection.getSnapshot(), `the connection to be ${status}`);
  }

  /** Makes users friends of the user, in as few calls as possible. */
  async befriend(userId, ...friendIds) {
    for (let from = 0; from < friendIds.length; from += 100) {
      await this.back.send(`mutation { ${friendIds.slice(from, from + 100).map((id, i) => `f${i}: addFriend(input: {userId: "${userId}", friendId: "${id}"}) { created }`).join(' ')} }`);
    }
  }

  rename(userId, name) {
    return this.back.send('mutation ($input: UpdateUserInput!) { updateUser(input: $input) { user { id } } }', { input: { userId, name } });
  }

  /** Sets switches of the app, as an operator does. */
  set(...changes) {
    return this.server.command('app', 'set', this.app.key, ...changes);
  }
}

/** A WebSocket class that counts the operations of a field, with their IDs. */
export function counting(field) {
  const sent = [];
  class Counting extends WebSocket {
    send(text) {
      const { type, payload, id } = JSON.parse(text);
      if (type === 'subscribe' && payload.query.includes(`{${field}(`)) sent.push({ id, ids: payload.variables.ids, at: Date.now() });
      if (type === 'complete') sent.push({ id });
      super.send(text);
    }
  }
  return { Counting, sent };
}

/** A network between clients and the server. */
export class Network {
  links = new Set();

  static async to(server) {
    const network = new Network();
    network.frozen = false;
    network.down = false;
    network.listener = net.createServer((near) => {
      if (network.down) return near.destroy();
      const far = net.connect(server.address.split(':')[1], '127.0.0.1');
      const link = { near, far, lost: network.frozen };
      network.links.add(link);
      for (const [from, to] of [[near, far], [far, near]]) {
        from.on('data', (bytes) => link.lost || to.write(bytes));
        from.on('close', () => {
          network.links.delete(link);
          if (!link.lost) to.destroy();
        });
        from.on('error', () => {});
      }
    });
    await new Promise((resolve) => network.listener.listen(0, '127.0.0.1', resolve));
    network.url = `http://127.0.0.1:${network.listener.address().port}/graphql`;
    return network;
  }

  /** Breaks all connections, and refuses others until `heal`. */
  cut() {
    this.down = true;
    for (const { near, far } of this.links) {
      near.destroy();
      far.destroy();
    }
  }

  /** Drops what is sent on the present connections and closes none. */
  freeze() {
    for (const link of this.links) link.lost = true;
  }

  heal() {
    this.down = false;
  }

  close() {
    this.listener.close();
    this.cut();
  }
}

/** Runs a program of the package and fails with its output. */
export function run(program, args, options) {
  return new Promise((resolve, reject) => {
    execFile(program, args, options, (failure, stdout, stderr) => {
      if (failure) reject(new Error(`${program} ${args.join(' ')}\n${stdout}${stderr}`));
      else resolve(stdout);
    });
  });
}
