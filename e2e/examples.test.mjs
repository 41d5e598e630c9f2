// Builds the example App Servers as their READMEs do and uses them over HTTP against a real server.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { AppServer, send } from './lib/api.mjs';
import { Server } from './lib/server.mjs';
import { until, within } from './lib/wait.mjs';

const run = promisify(execFile);
const folderOf = (name) => resolve(import.meta.dirname, '../examples', name);

const examples = {
  'app-server-go': async (built) => {
    const program = join(built, 'app-server-go');
    await run('go', ['build', '-o', program, '.'], { cwd: folderOf('app-server-go') });
    return [program];
  },
  'app-server-ts': async () => {
    await run('npm', ['run', 'build'], { cwd: folderOf('app-server-ts') });
    return [process.execPath, join(folderOf('app-server-ts'), 'dist/server.js')];
  },
};

/** A running example, with the app of a running server. */
class Example {
  static async start([program, ...args], server, app) {
    const example = new Example();
    example.process = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ROLLCALL_URL: server.graphql, APP_KEY: app.key, APP_SECRET: app.secret, LISTEN: '127.0.0.1:0' },
    });
    example.exited = once(example.process, 'exit');
    let output = '';
    for (const stream of [example.process.stdout, example.process.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
    example.url = await until(() => {
      if (example.process.exitCode !== null) throw new Error(`the example ended at its start:\n${output}`);
      return output.match(/http:\/\/127\.0\.0\.1:\d+/)?.[0];
    }, 'the example to listen');
    return example;
  }

  async call(method, path, body) {
    const answer = await fetch(this.url + path, { method, body: body === undefined ? undefined : JSON.stringify(body) });
    return { status: answer.status, body: await answer.json() };
  }

  /** The same for a call that succeeds. */
  async ok(...call) {
    const { status, body } = await this.call(...call);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  }

  async stop() {
    this.process.kill();
    await within(this.exited, 'the example to stop');
  }
}

let built;
let documents;
const commands = {};
before(async () => {
  built = await mkdtemp(join(tmpdir(), 'rollcall-examples-'));
  documents = await mkdtemp(join(tmpdir(), 'rollcall-documents-'));
  await Promise.all(Object.entries(examples).map(async ([name, build]) => (commands[name] = await build(built))));
});
after(() => Promise.all([built, documents].map((folder) => rm(folder, { recursive: true }))));

for (const name of Object.keys(examples)) {
  describe(name, () => {
    let server;
    let app;
    let example;
    before(async () => {
      server = await Server.create();
      app = await server.createApp();
      await server.start();
      example = await Example.start(commands[name], server, app);
    });
    after(async () => {
      await example?.stop();
      await server?.remove();
    });

    test('its address in the README is none that a server with default settings listens on', async () => {
      const [, address] = (await readFile(join(folderOf(name), 'README.md'), 'utf8')).match(/curl -s (127\.0\.0\.1:\d+)/);
      const settings = await readFile(resolve(import.meta.dirname, '../docs/operations.md'), 'utf8');
      const taken = Array.from(settings.matchAll(/^\| `ROLLCALL_(?:LISTEN|OPS_LISTEN)` \| `([^`]+)`/gm), ([, given]) => given);
      assert.equal(taken.length, 2);
      assert.ok(!taken.includes(address), `${address} is one of ${taken}`);
    });

    const people = [
      { id: 'ann', name: 'Ann', avatarUrl: 'https://example.com/ann.png' },
      { id: 'bob', name: 'Bob' },
      { id: 'cid', name: 'Cid' },
    ];

    test('registers users, and says which it may not', async () => {
      const results = await example.ok('POST', '/users', [...people, { id: 'no spaces', name: 'X' }]);
      assert.deepEqual(
        results.map(({ userId, created, error }) => [userId, created, error?.code ?? null]),
        [['ann', true, null], ['bob', true, null], ['cid', true, null], ['no spaces', false, 'INVALID_ARGUMENT']],
      );
      const [again] = await example.ok('POST', '/users', [{ id: 'bob', name: 'Bob' }]);
      assert.equal(again.created, false);
    });

    test("issues a token for a user's device", async () => {
      const { token, expiresAt } = await example.ok('POST', '/users/ann/token');
      assert.equal((await send(server, token, '{ me { id } }')).me.id, 'ann');
      assert.ok(Date.parse(expiresAt) > Date.now());
    });

    test('changes what is given, and clears an avatar', async () => {
      const avatar = (user) => user.avatarUrl || null; // genqlient reads null as ""
      const named = await example.ok('PATCH', '/users/ann', { name: 'Anna' });
      assert.deepEqual([named.name, avatar(named)], ['Anna', 'https://example.com/ann.png']);
      const cleared = await example.ok('PATCH', '/users/ann', { removeAvatar: true });
      assert.deepEqual([cleared.name, avatar(cleared)], ['Anna', null]);
      const given = await example.ok('PATCH', '/users/ann', { avatarUrl: 'https://example.com/new.png' });
      assert.deepEqual([given.name, avatar(given)], ['Anna', 'https://example.com/new.png']);
    });

    test('lists users page by page', async () => {
      const ids = ({ users }) => users.map(({ id }) => id);
      assert.deepEqual(ids(await example.ok('GET', '/users')), ['cid', 'bob', 'ann']);
      const first = await example.ok('GET', '/users?first=2&orderBy=OLDEST_FIRST');
      assert.deepEqual(ids(first), ['ann', 'bob']);
      const rest = await example.ok('GET', `/users?first=2&orderBy=OLDEST_FIRST&after=${encodeURIComponent(first.next)}`);
      assert.deepEqual([ids(rest), rest.next], [['cid'], undefined]);
      assert.deepEqual(ids(await example.ok('GET', '/users?search=bob')), ['bob']);
    });

    test('reports errors by their codes', async () => {
      for (const [call, status, code, field] of [
        [['PATCH', '/users/nobody', { name: 'X' }], 404, 'USER_NOT_FOUND'],
        [['POST', '/users/nobody/token'], 404, 'USER_NOT_FOUND'],
        [['PATCH', '/users/ann', { avatarUrl: 'https://example.com/', removeAvatar: true }], 400, 'INVALID_ARGUMENT', 'input.avatarUrl'],
        [['GET', '/users?first=101'], 400, 'INVALID_ARGUMENT', 'first'],
        [['GET', '/users?first=many'], 400, 'INVALID_ARGUMENT', 'first'],
        [['GET', '/users?after=nothing'], 400, 'INVALID_ARGUMENT', 'after'],
        [['POST', '/users', []], 400, 'INVALID_ARGUMENT', 'input.users'],
      ]) {
        const answer = await example.call(...call);
        assert.deepEqual([answer.status, answer.body.code, answer.body.field], [status, code, field], `${call}`);
      }
      for (const call of [['POST', '/users', 'no list'], ['PATCH', '/users/%ff', { name: 'X' }]]) {
        const { status, body } = await example.call(...call);
        assert.equal(status, 400, `${call}: ${JSON.stringify(body)}`);
      }
    });

    test('gets a new app token when the old one has ended', async () => {
      await example.ok('GET', '/users');
      await server.stop();
      const { body } = await example.call('GET', '/users');
      assert.equal(body.code, 'UNAVAILABLE');
      await server.command('token-key', 'rotate', '--overlap', '0s');
      await server.start();
      assert.equal((await example.ok('GET', '/users')).users.length, 3);
    });

    if (name === 'app-server-ts') {
      test('its front end runs on the documents that graphql-codegen has persisted, and on no others', async () => {
        const persisted = join(folderOf(name), 'src/gql/front/persisted-documents.json');
        await copyFile(persisted, join(documents, `${app.key}.json`));
        await server.stop();
        await server.start({ ROLLCALL_TRUSTED_DOCUMENTS: documents });
        const { token } = await example.ok('POST', '/users/ann/token'); // an App Server's documents are its own
        const { Front } = await import(join(folderOf(name), 'dist/front.js'));
        const front = new Front(server.graphql, token);
        assert.equal((await front.me()).id, 'ann');
        assert.equal((await front.profile('bob')).name, 'Bob');
        assert.equal(await front.profile('nobody'), null);

        const ids = Object.keys(JSON.parse(await readFile(persisted, 'utf8')));
        assert.equal(ids.length, 2);
        const code = async (parameters) => {
          const answer = await fetch(server.graphql, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
            body: JSON.stringify(parameters),
          });
          return (await answer.json()).errors?.[0].extensions.code;
        };
        const hash = { persistedQuery: { version: 1, sha256Hash: ids[0] } };
        assert.equal(await code({ extensions: hash, variables: { id: 'bob' } }), undefined);
        assert.equal(await code({ query: '{ me { id } }' }), 'FORBIDDEN');
        assert.equal(await code({ documentId: '0'.repeat(64) }), 'PERSISTED_QUERY_NOT_FOUND');
        assert.equal((await (await AppServer.login(server, app)).send('{ app { key } }')).app.key, app.key);
      });
    }
  });
}
