// The README's tour, word for word but for the addresses and what only the first
// start can tell. A comment in front of a block says what the reader does with it:
// `given` fills it in, `server` restarts the server, `page` opens the example.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import { after, before, describe, test } from 'node:test';
import { launch, Operator } from './lib/browser.mjs';
import { databases } from './lib/databases.mjs';
import { Server } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const README = new URL('../README.md', import.meta.url);
const EXAMPLE = new URL('../examples/online/', import.meta.url);
const MODULES = new URL('./node_modules/', import.meta.url);
const ADDRESS = '127.0.0.1:8080'; // of the server in the README
const ORIGIN = 'http://127.0.0.1:8000'; // of the example there

/** The blocks of the tour: what is unmarked in `shell`, the others by their marks. */
async function readTour() {
  const text = await readFile(README, 'utf8');
  const [, tour] = text.match(/^## A five-minute tour\n([^]*?)^###? /m);
  const found = { shell: [] };
  for (const [, mark, language, block] of tour.matchAll(/(?:<!-- tour: (\w+) -->\n)?```(\w+)\n([^]*?)```/g)) {
    if (mark) found[mark] = block;
    else if (language === 'sh') found.shell.push(block);
    else found[language] = block;
  }
  return found;
}

/** Runs a script as a reader's shell does and answers the JSON lines that it prints. */
async function paste(script, folder) {
  const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder });
  return stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
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
      await server.start();
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

      // "The heart of it", as it stands in the README.
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

      // A lost connection: what has changed meanwhile is asked for.
      await server.stop();
      await ann.getByText('Closed').waitFor();
      await server.start(Object.fromEntries([here(tour.server).match(/^(\S+) go run \.\n$/)[1].split('=')]));
      await ann.getByText('Bob: ONLINE', { exact: true }).waitFor({ timeout: 60_000 });
      await bob.close();
      await ann.getByText('Bob: OFFLINE').waitFor();
      await friends('removeFriend');
      await ann.getByText('Bob').waitFor({ state: 'detached' });
      await ann.close();
    });

    test('the operator logs in with what the tour names', async () => {
      const operator = await Operator.arrive(browser, server);
      await operator.login();
      await operator.page.getByRole('link', { name: 'demo', exact: true }).click();
      await operator.page.getByRole('link', { name: 'Users', exact: true }).click();
      await operator.page.getByRole('link', { name: 'bob', exact: true }).waitFor();
      await operator.leave();
    });
  });
}
