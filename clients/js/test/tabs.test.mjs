// Tabs of one origin that share a connection, in a real browser.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { launch } from '../../../e2e/lib/browser.mjs';
import { quick, until, World } from './lib.mjs';

let script;
let tokenOf = (user) => world.token(user);
const site = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://site');
  if (pathname === '/token') return response.end(JSON.stringify(await tokenOf(searchParams.get('user'), searchParams.get('tab'), searchParams.get('why'))));
  if (pathname === '/index.js') return response.setHeader('Content-Type', 'text/javascript').end(await readFile(new URL('../dist/index.js', import.meta.url)));
  if (pathname === '/page.js') return response.setHeader('Content-Type', 'text/javascript').end(script);
  response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>Tabs</title><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>');
});
await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${site.address().port}`;
const world = World.use({}, { ROLLCALL_ALLOWED_ORIGINS: origin });

let browser;
before(async () => {
  const { outputFiles } = await build({ entryPoints: [fileURLToPath(new URL('tabs-page.jsx', import.meta.url))], bundle: true, write: false, format: 'esm', target: 'es2022' });
  script = outputFiles[0].text;
  browser = await launch();
});
after(async () => {
  await browser?.close();
  site.close();
});

/** Two tabs of a user that are online, the first of which was there first. */
async function twoTabs(t, user, options) {
  await world.register(user);
  const context = await browser.newContext();
  t.after(() => context.close());
  return [await open(context, user, 'one', options), await open(context, user, 'two', options)];
}

const address = (user, tab, options) => `${origin}/?${new URLSearchParams({ user, tab, url: world.server.graphql, timing: JSON.stringify(quick), ...options })}`;
async function open(context, user, tab, options) {
  const page = await context.newPage();
  await page.goto(address(user, tab, options));
  await reaches(page, 'online');
  return page;
}
const reaches = (page, status) => page.waitForFunction((wanted) => window.rollcall?.connection.getSnapshot().status === wanted, status);
const has = (page, id) => page.waitForFunction((wanted) => window.rollcall.friends.getSnapshot().items.some(({ userId }) => userId === wanted), id);
const sockets = (page) => page.evaluate(() => window.sockets);
const devices = async (id) => (await world.back.send('query ($id: ID!) { user(id: $id) { devices { platform } } }', { id })).user.devices.length;

test('two tabs are one device, both follow the server, and both can call it', async (t) => {
  const [one, two] = await twoTabs(t, 'tab');
  await world.register('pal', 'peer');
  assert.deepEqual([await sockets(one), await sockets(two)], [1, 0]);
  assert.equal(await devices('tab'), 1);
  await world.befriend('tab', 'pal');
  await Promise.all([has(one, 'pal'), has(two, 'pal')]);
  await two.evaluate(() => window.rollcall.friends.setRemark('pal', 'Buddy'));
  assert.equal((await world.back.send('{ user(id: "tab") { friends(first: 5) { nodes { remark } } } }')).user.friends.nodes[0].remark, 'Buddy');
  await one.evaluate(() => window.rollcall.presence.setCustomStatus('shared'));
  await two.evaluate(() => window.rollcall.presence.setCustomStatus('really'));
  // The second pings too, and the first answers.
  await one.waitForFunction(() => window.letters.filter(({ type }) => type === 'pong').length >= 3);
  assert.ok(!(await two.evaluate(() => window.states)).includes('reconnecting'));
  assert.equal(await devices('tab'), 1);
});

test('when the tab with the connection is closed, another takes over', async (t) => {
  const [one, two] = await twoTabs(t, 'heir');
  await world.register('later');
  await one.close();
  await until(() => sockets(two), 'the connection of the second tab');
  await reaches(two, 'online');
  await world.befriend('heir', 'later');
  await has(two, 'later');
  assert.equal(await devices('heir'), 1);
});

test('a tab that has gone takes its operations with it, and one with too many connects for itself', async (t) => {
  const [one, two] = await twoTabs(t, 'gone');
  /** Runs operations on a socket of its own, and returns how it was closed if it was. */
  const run = (count) => two.evaluate(async (wanted) => {
    const socket = await window.another();
    window.last = socket; // left open: a reload ends it
    return new Promise((resolve) => {
      let left = wanted;
      const sink = {
        next: () => --left || resolve('answered'),
        done: (errors) => resolve(socket.end ? `${socket.end.code} ${socket.end.reason}` : JSON.stringify(errors)),
      };
      for (let i = 0; i < wanted; i++) socket.start({ query: 'subscription { userStatus(ids: ["gone"]) { userId } }' }, sink);
    });
  }, count);
  for (let i = 0; i < 3; i++) {
    assert.equal(await run(20), 'answered');
    await two.evaluate(() => window.last.close());
    assert.equal(await run(20), 'answered');
    await two.reload();
    await reaches(two, 'online');
  }
  assert.equal(await sockets(two), 0);
  assert.equal(await run(95), '1012 another tab leads');
  assert.deepEqual([await sockets(one), await sockets(two)], [1, 0]);
  await one.evaluate(() => window.rollcall.presence.setCustomStatus('fits'));
});

test('a ban reaches both tabs, and both return after it', async (t) => {
  const tabs = await twoTabs(t, 'bad');
  await world.back.send('mutation { banUsers(input: {userIds: ["bad"], minutes: 5}) { results { outcome } } }');
  for (const tab of tabs) await reaches(tab, 'banned');
  await world.back.send('mutation { unbanUsers(input: {userIds: ["bad"]}) { results { outcome } } }');
  for (const tab of tabs) await reaches(tab, 'online');
});

test('a token of one tab that is refused leaves the connection to the other', async (t) => {
  tokenOf = async (user, tab, why) => (tab === 'one' && why !== 'start' ? { token: 'refused' } : world.token(user));
  t.after(() => { tokenOf = (user) => world.token(user); });
  const [one, two] = await twoTabs(t, 'ref');
  await world.back.send('mutation ($at: DateTime!) { expireTokens(input: {userIds: ["ref"], issuedBefore: $at}) { results { outcome } } }', { at: new Date().toISOString() });
  await one.evaluate(() => window.rollcall.presence.setCustomStatus('x').catch(() => {}));
  await until(() => sockets(two), 'the connection of the second tab');
  await reaches(two, 'online');
  await two.evaluate(() => window.rollcall.presence.setCustomStatus('y'));
});

test('tabs of two users share nothing', async (t) => {
  const [one] = await twoTabs(t, 'usa');
  await world.register('usb');
  const other = await open(one.context(), 'usb', 'three');
  assert.equal(await sockets(other), 1);
  assert.deepEqual([await devices('usa'), await devices('usb')], [1, 1]);
});

test('with tabs: false each tab has a connection of its own', async (t) => {
  const [one, two] = await twoTabs(t, 'own', { tabs: false });
  assert.deepEqual([await sockets(one), await sockets(two)], [1, 1]);
  assert.equal(await devices('own'), 2);
});

test('a renewed token of the tab with the connection ends no call of the other', async (t) => {
  tokenOf = (user, tab) => world.token(user, tab === 'one' ? 2 : 600);
  t.after(() => { tokenOf = (user) => world.token(user); });
  const [one, two] = await twoTabs(t, 'ren');
  await world.register('renpal');
  await two.evaluate(async () => {
    window.failures = [];
    window.calls = 0;
    const call = async () => {
      for (;;) {
        await window.rollcall.presence.setCustomStatus(`text ${window.calls % 10}`).catch(({ code, message }) => window.failures.push(`${code} ${message}`));
        await window.rollcall.refreshUserInfo('ren').catch(({ code, message }) => window.failures.push(`${code} ${message}`));
        window.calls++;
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
    };
    call();
  });
  await until(async () => (await sockets(one)) >= 3, 'two renewals');
  const calls = await two.evaluate(() => window.calls);
  await two.waitForFunction((before) => window.calls > before + 1, calls);
  assert.deepEqual(await two.evaluate(() => window.failures), []);
  assert.equal(await sockets(two), 0);
  assert.deepEqual(await two.evaluate(() => window.states.filter((state) => state !== 'online' && state !== 'connecting')), []);
  await world.befriend('ren', 'renpal'); // its subscriptions have moved
  await has(two, 'renpal');
});

test('the end of a connection that a renewal has replaced leaves the next one to all tabs', async (t) => {
  let calls = 0;
  tokenOf = (user) => world.token(user, calls++ ? 600 : 2);
  t.after(() => { tokenOf = (user) => world.token(user); });
  await world.register('old');
  const context = await browser.newContext();
  t.after(() => context.close());
  const one = await open(context, 'old', 'one');
  await one.evaluate(() => {
    window.held = /users\(/;
    window.rollcall.getUserInfo('old').catch(() => {}); // keeps the first connection open
  });
  await one.waitForFunction(() => window.states.filter((state) => state === 'online').length === 2); // renewed
  await one.evaluate(() => {
    window.held = /connection_init/;
    window.opened[1].close();
  });
  await one.waitForFunction(() => window.swallowed === 2); // the next connection has begun
  assert.equal(await one.evaluate(() => window.opened[0].readyState), 1);
  await one.evaluate(() => new Promise((resolve) => {
    window.opened[0].addEventListener('close', resolve);
    window.opened[0].close();
  }));
  await one.evaluate(() => window.sendHeld());
  await reaches(one, 'online');
  const two = await open(context, 'old', 'two');
  assert.deepEqual([await sockets(one), await sockets(two)], [3, 0]);
});

test('when the tab with the connection is closed during calls, queries are sent again and changes are lost', async (t) => {
  const [one, two] = await twoTabs(t, 'run');
  await world.register('runpal');
  await one.evaluate(() => { window.held = /users\(|setStatus/; });
  await two.evaluate(() => {
    window.query = window.rollcall.getUserInfo('runpal').then(({ name }) => name, ({ code }) => code);
    window.change = window.rollcall.presence.setCustomStatus('perhaps').then(() => 'done', ({ code }) => code);
  });
  await one.waitForFunction(() => window.swallowed === 2);
  await one.close();
  assert.equal(await two.evaluate(() => window.change), 'CONNECTION_LOST');
  // A call that begins without a connection waits for the next one.
  assert.equal(await two.evaluate(() => window.rollcall.presence.setCustomStatus('surely').then(() => 'done', ({ code }) => code)), 'done');
  assert.equal(await two.evaluate(() => window.query), 'User runpal');
  assert.equal(await sockets(two), 1);
});

test('a tab with the connection that the browser freezes: another takes over, and it follows when it is back', async (t) => {
  const [one, two] = await twoTabs(t, 'ice');
  const three = await open(one.context(), 'ice', 'three');
  await world.register('icepal');
  // Chromium freezes no page that it shows, as headless it shows all. To a paused page the same happens:
  // no timer and no event runs, while its locks are held and its socket is open.
  const page = await one.context().newCDPSession(one);
  await page.send('Debugger.enable');
  await page.send('Debugger.pause');
  await until(async () => (await sockets(two)) + (await sockets(three)) > 0, 'another connection');
  await world.befriend('ice', 'icepal');
  await Promise.all([two, three].map((tab) => has(tab, 'icepal')));
  await until(async () => (await devices('ice')) === 2, 'one device beside the frozen one');
  await page.send('Debugger.disable');
  await has(one, 'icepal');
  await until(async () => (await devices('ice')) === 1, 'one device');
  for (const tab of [one, two, three]) await tab.evaluate(() => window.rollcall.presence.setCustomStatus('thawed'));
  assert.equal(await sockets(one), 1);
});

test('a tab that cannot connect loses the lead to another, and follows it', async (t) => {
  await world.register('dud');
  const context = await browser.newContext();
  t.after(() => context.close());
  const one = await context.newPage();
  await one.addInitScript(() => { window.held = /connection_init/; });
  await one.goto(address('dud', 'one'));
  await one.waitForFunction(() => window.swallowed === 1);
  const two = await open(context, 'dud', 'two');
  await reaches(one, 'online');
  assert.deepEqual([await sockets(one), await sockets(two)], [1, 1]);
  assert.equal(await devices('dud'), 1);
});

test('a page that is not bundled shares too, and each tab connects if it may not use locks', async (t) => {
  await world.register('raw');
  const context = await browser.newContext();
  t.after(() => context.close());
  for (const [setting, wanted] of [['', [1, 0]], ["LockManager.prototype.request = () => Promise.reject(new DOMException('refused', 'SecurityError'));", [1, 1]]]) {
    const tabs = [];
    for (const name of ['one', 'two']) {
      const page = await context.newPage();
      await page.route('**/page.js', (route) => route.fulfill({ contentType: 'text/javascript', body: `
        import { createRollcall } from '/index.js';
        ${setting}
        window.sockets = 0;
        class Counted extends WebSocket {
          constructor(...args) {
            super(...args);
            window.sockets++;
          }
        }
        const getToken = async (why) => (await fetch(\`/token?user=raw&tab=${name}&why=\${why}\`)).json();
        window.rollcall = createRollcall({ url: '${world.server.graphql}', getToken, webSocketImpl: Counted });` }));
      await page.goto(origin);
      await reaches(page, 'online');
      tabs.push(page);
    }
    assert.deepEqual(await Promise.all(tabs.map(sockets)), wanted, setting);
    await Promise.all(tabs.map((tab) => tab.close()));
  }
});
