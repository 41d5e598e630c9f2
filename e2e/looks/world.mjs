import { once } from 'node:events';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppServer, eventStream } from '../lib/api.mjs';
import { createMariaDB } from '../lib/databases.mjs';
import { Gate } from '../lib/gate.mjs';
import { writePast } from '../lib/past.mjs';
import { Provider } from '../lib/provider.mjs';
import { Redis } from '../lib/redis.mjs';
import { adminPassword, Server } from '../lib/server.mjs';
import { Connection } from '../lib/socket.mjs';

/** The password of all operators but the first. */
export const password = 'only looking around';

/** The longest ID and names, and some that are hard to show. */
export const long = 'w'.repeat(64);
const longName = 'A name that nobody can read aloud without a breath in between, no';
const strangers = [
  { id: long, name: longName.slice(0, 64), avatarUrl: `https://example.com/${'a'.repeat(200)}.png` },
  { id: '20260101_wang', name: '王小明 🎈 مرحبا' },
  { id: 'nameless', name: 'Left and returned' },
  { id: 'lena.fischer', name: 'Lena Fischer', avatarUrl: 'https://example.com/lena.png' },
  { id: 'omar.haddad', name: 'Omar Haddad' },
];

/** The document of an app with trusted ones. */
const trusted = {
  ['5d0a1c'.repeat(10)]: 'query Me { me { id name } }',
  'ask-a-friend': 'mutation Ask($input: SendFriendRequestInput!) {\n  sendFriendRequest(input: $input) {\n    __typename\n  }\n}',
  follow: 'subscription Follow { statusChanged { userId presence } }',
};

/** Servers with apps, users and operators of all kinds, and with a history. */
export class World {
  static async create() {
    const world = new World();
    await world.#start();
    await world.#populate();
    return world;
  }

  async #start() {
    this.database = await createMariaDB();
    const [, socket] = this.database.url.match(/unix\((.*)\)/);
    this.gate = await Gate.open(socket);
    this.redis = await Redis.start();
    this.server = new Server(
      { ...this.database, url: this.database.url.replace(socket, this.gate.path) },
      await mkdtemp(join(tmpdir(), 'rollcall-e2e-')),
    );
    // A second one without apps, whose settings the states change.
    this.fresh = await Server.create();
    await this.fresh.start({ ROLLCALL_DEMO: 'off' });

    this.trusted = join(this.server.folder, 'trusted');
    await mkdir(this.trusted);
    await writeFile(join(this.trusted, 'other.json'), '{}');
    this.settings = {
      ROLLCALL_REDIS_URL: this.redis.url, ROLLCALL_WEBHOOK_ALLOW_PRIVATE: 'true',
      ROLLCALL_TRUSTED_DOCUMENTS: this.trusted, ROLLCALL_DEMO: 'off',
    };
    // An App Server that works, one that fails, one that is gone, and one that does not respond.
    this.receiver = createServer(async (request, response) => {
      for await (const part of request) void part;
      const status = { '/fails': 500, '/gone': 410 }[request.url] ?? 200;
      if (request.url !== '/silent') response.writeHead(status).end(status === 200 ? '' : 'the <b>shop</b> is closed');
    });
    this.receiver.listen(0, '127.0.0.1');
    await once(this.receiver, 'listening');
  }

  app(made) {
    const root = `/console/apps/${made.key}`;
    return { ...made, root, user: (id, page = '') => `${root}/users/${encodeURIComponent(id)}${page}` };
  }

  async #populate() {
    const { server } = this;
    const create = async (name, more) => this.app(await server.createApp({ name, ...more }));
    this.chat = await create('Harbour Chat', { statusQueryEnabled: true, friendStatusNotifyEnabled: true, eventFeedEnabled: true, banPresets: '3h Advertising\n7d Harassment of other users in several rooms\npermanent Fraud' });
    this.production = await create('Harbour Chat (production)', { environment: 'production', edition: 'standard' });
    this.small = await create('Small', { environment: 'production', edition: 'standard', registeredUserLimit: 5 });
    this.closed = await create('Closed for now');
    this.empty = await create('Nothing here');
    this.emptyProduction = await create('Nothing here either', { environment: 'production' });
    this.trial = await create('Trial');
    this.late = await create('Late');
    this.doomed = await create('Doomed');
    this.named = await create(longName.replaceAll(' ', '_').slice(0, 64));
    const gone = await create('Gone long ago');
    await server.commandWith(adminPassword, 'operator', 'create', 'admin', '--role', 'owner');
    for (const [role, name] of [['admin', 'ada'], ['moderator', 'mo'], ['viewer', 'vic'], ['owner', 'olive'], ['viewer', 'vera'], ['viewer', 'otto'], ['viewer', 'peggy'], ['owner', 'teo'], ['viewer', 'sven'], ['viewer', 'val'], ['moderator', 'max'], ['viewer', long]]) {
      await server.commandWith(password, 'operator', 'create', name, '--role', role);
    }
    await server.commandWith(password, 'operator', 'create', 'nan', '--role', 'admin', '--app', this.chat.key, '--app', this.named.key);
    await server.commandWith(password, 'operator', 'create', 'nadia', '--role', 'viewer', '--app', this.trial.key);
    this.temporary = (await server.command('operator', 'create', 'tess', '--role', 'viewer')).match(/\S{12,}/g).at(-1);
    await server.command('app', 'disable', gone.key);
    await server.command('app', 'delete', gone.key, '--name', gone.name);
    await server.command('app', 'disable', this.doomed.key);
    await this.trust(this.production);
    await this.trust(this.small, '{}');
    await server.command('seed', '--app', this.production.key, '--users', '130', '--friends', '4');
    await server.start(this.settings);

    const app = await AppServer.login(server, this.chat);
    this.backend = app;
    const hook = (path) => `http://127.0.0.1:${this.receiver.address().port}/${path}`;
    for (const [path, description, ...eventTypes] of [
      ['works', 'Orders'], ['fails', 'Search index, which is rebuilt at night', 'user.registered', 'user.banned'],
      ['gone', ''], ['silent', 'Slow'], [`works?token=${'s'.repeat(120)}`, 'With a secret in its query'],
    ]) {
      const input = { url: hook(path), description, ...(eventTypes.length && { eventTypes }) };
      await app.send('mutation ($input: CreateWebhookEndpointInput!) { createWebhookEndpoint(input: $input) { secret } }', { input });
    }
    const users = [...Array.from({ length: 66 }, (_, i) => ({ id: `member-${i + 1}`, name: `Member number ${i + 1}` })), ...strangers];
    const act = (mutation, variables) => app.send(mutation, variables);
    await act('mutation ($input: RegisterUsersInput!) { registerUsers(input: $input) { results { userId } } }', { input: { users } });
    this.devices = [];
    const connect = async (id, platform) => this.devices.push(await Connection.open(server, await app.register(id, users.find((user) => user.id === id).name), platform));
    await connect('lena.fischer', 'IOS');
    const [lena] = this.devices;
    for (const [id, platform] of [['lena.fischer', 'WEB'], ['omar.haddad', 'ANDROID'], ['member-1', 'HARMONYOS'], ['member-2', 'WINDOWS'], [long, 'MACOS']]) await connect(id, platform);
    await lena.request('mutation { setStatus(input: {customStatus: "On the night train to Hamburg"}) { status { presence } } }');
    for (const [friendId, remark] of [['member-2', 'from the rowing club'], ['20260101_wang', '同事'], [long, 'a remark as long as a remark may be, '.repeat(3).slice(0, 100)], ...Array.from({ length: 50 }, (_, i) => [`member-${i < 24 ? i + 10 : i + 17}`, ''])]) {
      await act('mutation ($input: AddFriendInput!) { addFriend(input: $input) { created } }', { input: { userId: 'lena.fischer', friendId, remark } });
    }
    const request = 'mutation ($input: SendFriendRequestInput!) { sendFriendRequest(input: $input) { __typename } }';
    for (const [userId, targetId] of [['lena.fischer', 'member-4'], ['lena.fischer', 'member-6'], ['member-3', 'lena.fischer'], ['member-35', 'lena.fischer']]) {
      await act(request, { input: { userId, targetId, message: `It is me, ${userId}` } });
    }
    await act('mutation { addToBlocklist(input: { userId: "lena.fischer", targetIds: ["omar.haddad", "member-9"] }) { results { outcome } } }');
    await act('mutation { addToWhitelist(input: { userId: "lena.fischer", targetIds: ["member-2", "member-3"] }) { results { outcome } } }');
    await lena.request('mutation { subscribeStatus(input: {targetIds: ["member-2", "member-3"]}) { evictedIds } }');
    await act('mutation { setWhitelistEnabled(input: { userIds: ["member-12"], enabled: true }) { results { outcome } } addToBlocklist(input: { userId: "member-12", targetIds: ["member-13"] }) { results { outcome } } }');
    const ban = 'mutation ($input: BanUsersInput!) { banUsers(input: $input) { results { outcome } } }';
    await act(ban, { input: { userIds: ['member-5', 'member-6', 'member-7', long], minutes: 60, reason: 'Advertising in every room, after two warnings by a moderator' } });
    await act(ban, { input: { userIds: ['member-9'], permanent: true, reason: 'Fraud' } });
    for (let n = 1; n <= 52; n++) await act(ban, { input: { userIds: ['lena.fischer'], minutes: n * 60, reason: `Number ${n}` } });
    await act('mutation { unbanUsers(input: {userIds: ["lena.fischer"]}) { results { outcome } } }');
    await connect('lena.fischer', 'IOS');
    await act('mutation { deactivateUsers(input: {userIds: ["member-8", "member-11", "nameless"]}) { results { outcome } } }');
    await act('mutation { reactivateUsers(input: {userIds: ["nameless"]}) { results { outcome } } }');
    await act('query { messagePermissions(pairs: [{senderId: "member-1", recipientId: "member-2"}, {senderId: "omar.haddad", recipientId: "lena.fischer"}]) { allowed } }').catch(() => {});

    const productive = await AppServer.login(server, this.production);
    for (const id of ['real', 'left', 'erased', 'returning']) await productive.register(id, `The user ${id}`);
    await productive.send('mutation { deactivateUsers(input: {userIds: ["left", "returning"]}) { results { outcome } } }');
    await writePast(this.database, this.production.key);
    const limited = await AppServer.login(server, this.small);
    for (let n = 1; n <= 3; n++) await limited.register(`user-${n}`);
    await limited.send('mutation { deactivateUsers(input: {userIds: ["user-3"]}) { results { outcome } } }');
    for (let n = 4; n <= 6; n++) await limited.register(`user-${n}`);
    for (const [made, count] of [[this.trial, 9], [this.late, 30], [this.closed, 3]]) {
      const backend = await AppServer.login(server, made);
      for (let n = 1; n <= count; n++) await backend.register(`tester-${n}`);
    }
    await server.command('app', 'disable', this.closed.key);
    this.links = [await Connection.open(server, app.token), await Connection.open(server, app.token)];
    eventStream(server, app.token, 'subscription { appStatusChanged { presence } }').then(({ text }) => text).catch(() => {});
    this.node = await server.beside();
    await this.node.start(this.settings);
  }

  /** Writes the file of an app's trusted documents. */
  trust(made, text = JSON.stringify(trusted)) {
    return writeFile(join(this.trusted, `${made.key}.json`), text);
  }

  /** Restarts the first server with other settings. */
  async restart(settings) {
    await this.server.stop();
    await this.server.start({ ...this.settings, ...settings });
  }

  /** Restarts the server without apps with other settings. */
  async refresh(settings) {
    await this.fresh.stop();
    await this.fresh.start({ ROLLCALL_DEMO: 'off', ...settings });
  }

  async provide() {
    this.provider ??= await Provider.start(this.server);
    return this.provider.settings(this.chat);
  }

  async remove() {
    this.redis.process.kill('SIGCONT');
    if (!this.gate.server.listening) await this.gate.reopen();
    await Promise.allSettled([...this.devices, ...this.links].map((device) => device.close()));
    await this.provider?.stop();
    await this.node.remove();
    await this.fresh.remove();
    await this.server.remove();
    await this.redis.remove();
    await this.gate.remove();
    this.receiver.close();
    this.receiver.closeAllConnections();
  }
}
