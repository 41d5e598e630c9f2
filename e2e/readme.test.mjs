// Runs the README's tour and the examples in docs/ as they are written, except for the addresses
// and what only the first start prints. A comment before a block says how it is used: the reader
// fills in `given`, restarts the server with `server`, opens the example with `page` and reads the
// code in `js`; `sqlite` runs on SQLite only, and `skip` needs what the tests do not have.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { after, before, describe, test } from 'node:test';
import { buildSchema, parse, validate } from 'graphql';
import { launch, Operator } from './lib/browser.mjs';
import { databases } from './lib/databases.mjs';
import { binary, Server } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const README = new URL('../README.md', import.meta.url);
const EXAMPLE = new URL('../examples/online/', import.meta.url);
const MODULES = new URL('./node_modules/', import.meta.url);
const ADDRESS = '127.0.0.1:8080'; // of the server in the README
const ORIGIN = 'http://127.0.0.1:8000'; // of the example there

const DOCS = new URL('../docs/', import.meta.url);

/** The pages in docs: first those with examples, in README's order, because later ones see the users of earlier ones. */
const FIRST = ['api', 'users', 'relationships', 'status', 'console', 'operations'];
const written = (await readdir(DOCS)).filter((name) => name.endsWith('.md')).map((name) => name.replace('.md', ''));
const PAGES = [...FIRST, ...written.filter((name) => !FIRST.includes(name))];

/** The fenced blocks of a page or of a part of one: the comment before each, its language, its text. */
function blocksOf(markdown) {
  const fenced = /(?:<!-- test: (\w+) -->\n)?^```(\w+)\n([^]*?)^```$/gm;
  return [...markdown.matchAll(fenced)].map(([, mark, language, text]) => ({ mark, language, text }));
}

const page = (name) => readFile(new URL(`${name}.md`, DOCS), 'utf8');

/** The blocks of the tour: those without a mark in `shell`, the others by their marks. */
async function readTour() {
  const [, tour] = (await readFile(README, 'utf8')).match(/^## A five-minute tour\n([^]*?)^## /m);
  const found = { shell: [] };
  for (const { mark, language, text } of blocksOf(tour)) {
    if (mark) found[mark] = text;
    else if (language === 'sh') found.shell.push(text);
    else throw new Error(`a block in ${language} without a mark`);
  }
  return found;
}

/** Runs a script as a reader's shell does and returns what it prints. */
async function run(script, folder, environment = {}) {
  const env = { ...process.env, ...environment };
  const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder, env, timeout: 60_000 });
  return stdout;
}

/** The same, and returns the JSON lines. */
async function paste(...script) {
  return jsonLines(await run(...script));
}

function jsonLines(text) {
  return text.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
}

/**
 * Writes the times in what a server responded as 2026-…, and as … each value that `shown` has as …,
 * so that a page can leave out what differs each time.
 */
function masked(value, shown) {
  if (shown === '…' && value !== undefined) return '…';
  if (typeof value === 'string') return value.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '2026-…');
  if (Array.isArray(value)) return value.map((item, i) => masked(item, shown?.[i]));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, masked(item, shown?.[key])]));
}

/** Serves the example with the packages that its `npm install` would fetch. */
async function serveExample() {
  const types = { html: 'text/html', js: 'text/javascript' };
  const server = createServer(async (request, response) => {
    const path = request.url === '/' ? '/index.html' : request.url;
    const modules = path.match(/^\/node_modules\/(.*)/);
    const file = modules ? new URL(modules[1], MODULES) : new URL(`.${path}`, EXAMPLE);
    const content = await readFile(file).catch(() => null);
    response.writeHead(content ? 200 : 404, { 'Content-Type': types[path.split('.').at(-1)] ?? 'text/plain' });
    response.end(content ?? '');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

async function versionIn(folder) {
  const { dependencies, devDependencies } = JSON.parse(await readFile(new URL('package.json', folder), 'utf8'));
  return (dependencies ?? devDependencies)['graphql-ws'];
}

test('every link in README and docs leads to a file and a heading', async () => {
  const root = new URL('../', import.meta.url);
  const anchors = async (file) =>
    [...(await readFile(file, 'utf8')).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-'),
    );
  const wrong = [];
  for (const path of ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'bench/README.md', ...PAGES.map((name) => `docs/${name}.md`)]) {
    const from = new URL(path, root);
    for (const [, link] of (await readFile(from, 'utf8')).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link)) continue;
      const to = new URL(link, from);
      const anchor = decodeURIComponent(to.hash.slice(1));
      to.hash = '';
      const there = await access(to).then(() => true, () => false);
      if (!there || (anchor && !(await anchors(to)).includes(anchor))) wrong.push(`${path}: ${link}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('docs/operations.md has every setting, and docs/api.md every error code', async () => {
  const { stdout } = await promisify(execFile)(binary(), ['serve', '--help']);
  const table = (await page('operations')).replace(/`(ROLLCALL_\w+)_CA`, `…_CERT`, `…_KEY`/g, '`$1_CA` `$1_CERT` `$1_KEY`');
  const settings = [...new Set(stdout.match(/ROLLCALL_\w+/g))].filter((name) => !name.endsWith('_FILE'));
  assert.ok(settings.length > 20);
  assert.deepEqual(settings.filter((name) => !table.includes(`\`${name}\``)), []);

  const faults = await readFile(new URL('../internal/fault/fault.go', import.meta.url), 'utf8');
  const codes = [...faults.matchAll(/ Code = "(\w+)"/g)].map(([, code]) => code);
  assert.ok(codes.length > 20);
  const api = await page('api');
  assert.deepEqual(codes.filter((code) => !api.includes(`\`${code}\``)), []);
});

test('the example is where the tour says, with the package that is tested here', async () => {
  assert.match((await readTour()).page, /^npm install --prefix examples\/online\n.* --directory examples\/online\n$/);
  assert.equal(await versionIn(EXAMPLE), await versionIn(new URL('.', import.meta.url)));
});

for (const { name, create, skip } of databases) {
  describe(`the README's tour on ${name}`, { skip }, () => {
    let server;
    let browser;
    let example;
    let tour;
    before(async () => {
      tour = await readTour();
      server = await Server.create(create);
      await server.start({ ROLLCALL_DEMO: 'on' });
      example = await serveExample();
      browser = await launch();
    });
    after(async () => {
      await browser?.close();
      example?.server.close();
      await server?.remove();
    });

    const here = (text) => text.replaceAll(ADDRESS, server.address).replaceAll(ORIGIN, example.origin);
    const tokenOf = async (user) =>
      JSON.parse(await readFile(`${server.folder}/${user}.json`, 'utf8')).data.registerUser.token;

    test('the curl that the first start prints registers a user', async () => {
      const [curl] = server.output.match(/^curl (?:.*\\\n)*.*$/m);
      const [{ data }] = await paste(curl, server.folder);
      assert.equal(data.registerUser.created, true);
      assert.equal(data.registerUser.user.id, 'ann');
    });

    test('the shell commands', async () => {
      const [, key, secret] = server.output.match(/^App +demo \(.*\n.*key +(\S+)\n.*secret +(\S+)/m);
      assert.match(tour.given, /^export APP_KEY=\S+\nexport APP_SECRET=\S+\n$/);
      const given = `export APP_KEY=${key} APP_SECRET=${secret}\n`;
      const [token, ann, bob, app, users, refused, me, forbidden, ...more] = await paste(
        given + here(tour.shell.join('\n')),
        server.folder,
      );
      assert.ok(token.data.issueAppToken.token);
      assert.deepEqual(ann.data.registerUser.user, { id: 'ann', name: 'Ann' });
      assert.deepEqual(bob.data.registerUser.user, { id: 'bob', name: 'Bob' });
      assert.deepEqual(app.data.app, {
        name: 'demo',
        registeredUserCount: 2,
        registeredUserLimit: 100,
        onlineUserCount: 0,
      });
      assert.deepEqual(
        users.data.users.map((user) => user?.status.presence),
        ['UNLOGINED', 'UNLOGINED', undefined],
      );
      assert.equal(refused.errors[0].extensions.code, 'INVALID_ARGUMENT');
      assert.equal(refused.errors[0].extensions.field, 'input.id');
      assert.equal(me.data.me.id, 'ann');
      assert.equal(me.data.user.status.presence, 'UNLOGINED'); // demo has both switches on
      assert.equal(forbidden.errors[0].extensions.code, 'FORBIDDEN');
      assert.deepEqual(more, []);
    });

    test('the example page sees a user come online and go', async () => {
      const [, settings] = here(tour.server).match(/^(\S+) go run \.\n$/);
      await server.stop();
      await server.start(Object.fromEntries([settings.split('=')]));

      const open = async (user) => {
        const page = await browser.newPage();
        await page.goto(example.origin);
        await page.getByLabel('Server').fill(server.socket);
        await page.getByLabel('Your user token').fill(await tokenOf(user));
        await page.getByRole('button', { name: 'Connect' }).click();
        await page.getByText(`${user}: ONLINE`).waitFor();
        return page;
      };
      const ann = await open('ann');
      await ann.getByText('bob: UNLOGINED').waitFor();
      const bob = await open('bob');
      await ann.getByText('bob: ONLINE').waitFor();
      await bob.close();
      await ann.getByText('bob: OFFLINE').waitFor();

      // The core of the page, as shown in the README.
      await ann.evaluate((token) => Object.assign(window, { token, shown: [], show: (s) => shown.push(s) }), await tokenOf('bob'));
      await ann.addScriptTag({ type: 'module', content: here(tour.js) });
      await ann.getByText('bob: ONLINE').waitFor();
      await until(() => ann.evaluate('shown.some(({ userId, presence }) => userId === "bob" && presence === "ONLINE")'), 'bob');
      await ann.close();
    });

    test('the friend list follows friends, their statuses and new friends', async () => {
      const open = async (user) => {
        const page = await browser.newPage();
        await page.goto(`${example.origin}/friends.html`);
        await page.getByLabel('Server').fill(server.socket);
        await page.getByLabel('Your user token').fill(await tokenOf(user));
        await page.getByRole('button', { name: 'Connect' }).click();
        await page.getByText('Connected as').waitFor();
        return page;
      };
      const appToken = JSON.parse(await readFile(`${server.folder}/app-token.json`, 'utf8')).data.issueAppToken.token;
      const friends = async (field) => {
        const response = await fetch(server.graphql, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${appToken}` },
          body: JSON.stringify({ query: `mutation { ${field}(input: {userId: "ann", friendId: "bob"}) { __typename } }` }),
        });
        assert.equal((await response.json()).errors, undefined);
      };
      const ann = await open('ann');
      await friends('addFriend');
      await ann.getByText('Bob: OFFLINE').waitFor();
      const bob = await open('bob');
      await bob.getByText('Ann: ONLINE').waitFor();
      await ann.getByText('Bob: ONLINE').waitFor();
      await bob.getByLabel('Your status').fill('at lunch');
      await bob.getByRole('button', { name: 'Set' }).click();
      await ann.getByText('Bob: ONLINE (at lunch)').waitFor();

      // After a lost connection, the page reads what has changed meanwhile.
      await server.stop();
      await ann.getByText('Closed: 1006').waitFor(); // an attempt has found no server
      await server.start(Object.fromEntries([here(tour.server).match(/^(\S+) go run \.\n$/)[1].split('=')]));
      await ann.getByText('Bob: ONLINE', { exact: true }).waitFor({ timeout: 60_000 });
      await bob.close();
      await ann.getByText('Bob: OFFLINE').waitFor();
      await friends('removeFriend');
      await ann.getByText('Bob').waitFor({ state: 'detached' });
      await ann.close();
    });

    for (const name of PAGES) {
      test(`the examples of docs/${name}.md`, async () => {
        const [gql] = tour.shell;
        const commands = join(server.folder, 'bin');
        await mkdir(commands, { recursive: true });
        await symlink(binary(), join(commands, 'rollcall')).catch((error) => assert.equal(error.code, 'EEXIST'));
        const environment = { PATH: `${commands}:${process.env.PATH}`, ROLLCALL_DATABASE_URL: server.database.url };
        const schema = buildSchema(
          name === 'management'
            ? await readFile(new URL('../management/schema.graphqls', import.meta.url), 'utf8')
            : await (await fetch(`${server.graphql}/schema.graphql`)).text(),
        );

        const prelude = gql.match(/^gql\(\) .*$/m)[0];
        const script = [prelude];
        const expected = [];
        for (const { mark, language, text } of blocksOf(await page(name))) {
          if (mark === 'skip' || (mark === 'sqlite' && !server.database.url.startsWith('sqlite:'))) continue;
          if (language === 'sh') script.push(text);
          if (language === 'json') expected.push(...jsonLines(text));
          if (language === 'graphql') assert.deepEqual(validate(schema, parse(text)), []);
        }
        const printed = jsonLines(await run(here(script.join('\n')), server.folder, environment));
        if (!expected.length) return assert.deepEqual(printed.filter(({ errors }) => errors), []);
        assert.deepEqual(
          printed.map((line, i) => masked(line, expected[i])),
          expected.map((line) => masked(line)),
        );
      });
    }

    test('the operator logs in with what the tour names', async () => {
      const operator = await Operator.arrive(browser, server);
      await operator.login();
      await operator.page.getByRole('link', { name: 'demo', exact: true }).click();
      await operator.page.getByRole('link', { name: 'Users', exact: true }).click();
      await operator.page.getByRole('cell', { name: 'bob', exact: true }).waitFor();
      await operator.leave();
    });
  });
}
