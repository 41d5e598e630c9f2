// The hooks, and the library in a real browser.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { launch } from '../../../e2e/lib/browser.mjs';
import { createRollcall, Network, quick, until, World } from './lib.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const bundle = async (entry, options) => {
  const { outputFiles } = await build({
    entryPoints: [here(entry)], bundle: true, write: false, format: 'esm', target: 'es2022', jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"development"' }, ...options, // StrictMode runs effects twice
  });
  return outputFiles[0].text;
};

/** Serves the page at /, with React 18 at /18/, rendered by the server at /rendered, and the tokens of users. */
const site = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://site');
  try {
    if (pathname === '/token') {
      asked.push(`${searchParams.get('user')} ${searchParams.get('why')}`);
      return response.end(JSON.stringify(await tokenOf(searchParams.get('user'))));
    }
    if (pathname === '/page.js' || pathname === '/18/page.js') return response.setHeader('Content-Type', 'text/javascript').end(scripts[pathname]);
    const body = pathname === '/rendered' ? rendered : '';
    response.setHeader('Content-Type', 'text/html').end(
      `<!doctype html><title>Hooks</title><link rel="icon" href="data:,"><div id="root">${body}</div><script>window.timing = ${JSON.stringify(timing)}</script><script type="module" src="page.js"></script>`);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});
await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${site.address().port}`;
const environment = { ROLLCALL_ALLOWED_ORIGINS: origin };
const world = World.use({}, environment);

const timing = { ...quick, debounceMs: 30, pingMs: 500, profilePaceMs: 1_500 }; // with room for 1000 friends in the server's rate
const asked = []; // the tokens that the pages asked for
let tokenOf = (user) => world.token(user);
let scripts;
let rendered;
let browser;
before(async () => {
  const react18 = { react: 'react-18', 'react-dom': 'react-dom-18' };
  const [script, script18, inNode] = await Promise.all([
    bundle('browser.jsx'),
    bundle('browser.jsx', { alias: react18 }),
    bundle('rendered.jsx', { platform: 'node', format: 'cjs' }),
  ]);
  scripts = { '/page.js': script, '/18/page.js': script18 };
  const module = { exports: {} };
  new Function('module', 'exports', 'require', inNode)(module, module.exports, (await import('node:module')).createRequire(import.meta.url));
  const client = createRollcall({ url: 'ws://127.0.0.1:1/', getToken: () => ({ token: '' }), webSocketImpl: class {} });
  rendered = module.exports.render(client);
  client.close();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  site.close();
  site.closeAllConnections();
});

/** A browser of one user, with one page or several. It fails if the browser has reported an error. */
class Visit {
  constructor(context, user, url) {
    Object.assign(this, { context, user, url, errors: [] });
  }

  /** `beforePage` is waited for before each page of a list but the first. */
  static async of(t, user, { url = world.server.graphql, path = '/', beforePage } = {}) {
    const context = await browser.newContext();
    if (beforePage) await context.exposeFunction('beforePage', beforePage);
    const visit = new Visit(context, user, url);
    visit.page = await visit.open(path);
    t.after(async () => {
      await context.close();
      assert.deepEqual(visit.errors, [], 'errors that the browser reported');
    });
    await visit.reaches('online');
    return visit;
  }

  async open(path = '/', hydrate = path === '/rendered') {
    const page = await this.context.newPage();
    page.on('pageerror', (error) => this.errors.push(String(error)));
    page.on('console', (message) => {
      // A connection that is refused is what some of the tests are about.
      if (['error', 'warning'].includes(message.type()) && !message.text().includes('WebSocket connection')) this.errors.push(message.text());
    });
    await page.goto(`${origin}${path}?user=${this.user}&url=${encodeURIComponent(this.url)}${hydrate ? '&hydrate=' : ''}`);
    await page.waitForFunction('window.page?.act.rollcall');
    return page;
  }

  /** Waits until a list shows these texts, in any order. */
  async shows(list, ...texts) {
    let shown;
    const wanted = texts.toSorted().join('\n');
    await until(async () => {
      shown = await this.page.evaluate((id) => [...document.querySelectorAll(`#${id} li`)].map((item) => item.textContent).sort().join('\n'), list);
      return shown === wanted;
    }, `${list} to show ${wanted}`).catch((error) => assert.fail(`${error.message}; it shows ${shown}`));
  }

  reaches(status) {
    return this.page.locator('#connection', { hasText: status }).waitFor();
  }

  watch(...ids) {
    return this.page.evaluate((ids) => page.act.watch(ids), ids);
  }

  /** The operations of userStatus that were started and have not ended. */
  watches() {
    return this.page.evaluate(() => page.sent.filter(({ id, query }) => query?.includes('userStatus(') && !page.sent.some((other) => other.id === id && !other.query)).map(({ ids }) => ids));
  }
}

const mutate = (name, input) => world.back.send(`mutation { ${name}(input: ${input}) { __typename } }`);
const lists = { friends: [], incoming: [], outgoing: [], blocklist: [] };
const everything = async (visit, wanted) => {
  for (const [list, texts] of Object.entries({ ...lists, ...wanted })) await visit.shows(list, ...texts);
};

for (const [name, path] of [['React 19', '/'], ['React 18', '/18/']]) {
  const n = path.length;
  const [me, bob, cleo, dan, eve] = ['me', 'bob', 'cleo', 'dan', 'eve'].map((id) => `${id}${n}`);
  const shown = (id) => `User ${id}`;

  test(`${name}: the hooks show every store and follow it`, async (t) => {
    await world.register(me, bob, cleo, dan, eve);
    await world.befriend(me, bob);
    await mutate('sendFriendRequest', `{userId: "${cleo}", targetId: "${me}"}`);
    await mutate('sendFriendRequest', `{userId: "${me}", targetId: "${dan}"}`);
    await mutate('addToBlocklist', `{userId: "${me}", targetIds: ["${eve}"]}`);
    const visit = await Visit.of(t, me, { path });
    await everything(visit, { friends: [shown(bob)], incoming: [shown(cleo)], outgoing: [shown(dan)], blocklist: [shown(eve)] });
    await visit.watch(bob, cleo, me);
    await visit.shows('statuses', `${bob} UNLOGINED`, `${cleo} UNLOGINED`, `${me} ONLINE`);

    const friend = await world.online(bob);
    await friend.presence.setCustomStatus('at lunch');
    await visit.shows('statuses', `${bob} ONLINE at lunch`, `${cleo} UNLOGINED`, `${me} ONLINE`);
    friend.close();
    await visit.page.evaluate(async (id) => {
      const { requests, blocklist, friends } = page.act.rollcall;
      await requests.accept(requests.incoming.getSnapshot().items[0].id);
      await requests.cancel(requests.outgoing.getSnapshot().items[0].id);
      await blocklist.remove(blocklist.getSnapshot().items[0].userId);
      await friends.setRemark(id, 'Bobby');
      await blocklist.add(id);
    }, bob);
    await everything(visit, { friends: ['Bobby blocked', shown(cleo)], blocklist: [shown(bob)] });
    await world.rename(cleo, 'Cleopatra');
    await everything(visit, { friends: ['Bobby blocked', 'Cleopatra'], blocklist: [shown(bob)] });
    await mutate('removeFriend', `{userId: "${cleo}", friendId: "${me}"}`);
    await everything(visit, { friends: ['Bobby blocked'], blocklist: [shown(bob)] });
  });

  test(`${name}: a user is loaded, follows its changes, and is released`, async (t) => {
    await world.register(me, dan);
    const visit = await Visit.of(t, me, { path });
    const name = (text) => visit.page.locator('#name', { hasText: text }).waitFor();
    const show = (id) => visit.page.evaluate((id) => page.act.name(id), id);
    await show(dan);
    await name(shown(dan));
    await world.rename(dan, 'Daniel');
    await name('Daniel');
    await show('nobody');
    await name('unknown');
    await show(null);
    // Only the friends and the blocked users are followed: the last operation names no other.
    const followed = () => visit.page.evaluate(() => page.sent.filter(({ query }) => query?.includes('userChanged(')).at(-1).ids);
    await until(async () => !(await followed()).includes(dan), 'the end of the watch');
  });

  test(`${name}: watches begin once, are not begun again by a render, and end with the component`, async (t) => {
    await world.register(me, bob, dan, eve);
    const visit = await Visit.of(t, me, { path });
    const { page } = visit;
    await visit.watch(bob, dan);
    await until(() => page.evaluate(() => document.querySelectorAll('#statuses li').length === 2), 'the statuses');
    await until(() => page.evaluate(() => document.querySelector('#statuses').dataset.status === 'ready'), 'the statuses to be ready');
    // 20 renders with other arrays of the same IDs
    const renders = () => page.evaluate(() => page.renders.statuses);
    const before = await renders();
    const watched = await page.evaluate(async () => {
      const { watch } = page.client.presence;
      let calls = 0;
      page.client.presence.watch = (ids) => ++calls && watch(ids);
      for (let i = 0; i < 20; i++) {
        page.act.watch((ids) => [...ids]);
        await new Promise(requestAnimationFrame);
      }
      page.client.presence.watch = watch;
      return calls;
    });
    assert.ok((await renders()) >= before + 20);
    assert.equal(watched, 0, 'no watch for another array');
    assert.deepEqual((await visit.watches()).map((ids) => ids.toSorted()), [[bob, dan]]);
    // The status of a user that only others watch renders nothing.
    await page.evaluate((id) => void (window.stop = page.client.presence.watch([id])), eve);
    await until(() => page.evaluate((id) => page.client.presence.get(id) && page.client.presence.getSnapshot().status === 'ready', eve), 'the statuses to be ready');
    const quiet = await renders();
    const other = await world.online(eve);
    await other.presence.setCustomStatus('unseen');
    await until(() => page.evaluate((id) => page.client.presence.get(id).customStatus, eve), 'the status');
    assert.equal(await renders(), quiet);
    other.close();
    await page.evaluate(() => window.stop());
    await until(async () => (await visit.watches()).flat().sort().join() === [bob, dan].join(), 'the other watch to end');

    // A component that takes the place of another with the same users keeps their statuses.
    const gap = await page.evaluate(async () => {
      page.act.again();
      let seen = 0;
      for (let i = 0; i < 20; i++) {
        await new Promise(requestAnimationFrame);
        if (document.querySelectorAll('#statuses li').length !== 2) seen++;
      }
      return seen;
    });
    assert.equal(gap, 0, 'no frame without the statuses');
    assert.deepEqual((await visit.watches()).map((ids) => ids.toSorted()), [[bob, dan]]);
    const started = await page.evaluate(() => page.sent.filter(({ query }) => query?.includes('userStatus(')).length);
    assert.equal(started, 3, 'one at first, one with a user more and one with it less');

    await visit.watch();
    await until(async () => (await visit.watches()).length === 0, 'the watch to end with its component');
    await page.evaluate(() => page.root.unmount());
    assert.equal(await page.locator('main').count(), 0);
    assert.equal(await page.evaluate(() => page.client.connection.getSnapshot().status), 'online'); // the client is the app's
  });
}

test('a page that a server has rendered is taken over, though more is known by then', async (t) => {
  assert.match(rendered, /<output id="connection">connecting<\/output>.*id="friends" data-status="idle"/);
  await world.register('hy', 'hz');
  await world.befriend('hy', 'hz');
  const visit = await Visit.of(t, 'hy', { path: '/rendered' });
  await visit.shows('friends', 'User hz');
});

test('a server that is killed and started again', async (t) => {
  await world.register('ra', 'rb', 'rc');
  await world.befriend('ra', 'rb');
  const visit = await Visit.of(t, 'ra');
  await visit.watch('rb');
  await visit.shows('statuses', 'rb UNLOGINED');
  await world.server.kill();
  await visit.reaches('reconnecting');
  await visit.shows('friends', 'User rb'); // what was known stays
  await world.server.start(environment);
  await world.befriend('ra', 'rc');
  await visit.reaches('online');
  await visit.shows('friends', 'User rb', 'User rc');
  const friend = await world.online('rb');
  await visit.shows('statuses', 'rb ONLINE');
  friend.close();
});

test('a network that is cut, and a browser that knows it', async (t) => {
  await world.register('na', 'nb', 'nc');
  await world.befriend('na', 'nb');
  const network = await Network.to(world.server);
  t.after(() => network.close());
  const visit = await Visit.of(t, 'na', { url: network.url });
  await visit.shows('friends', 'User nb');
  network.cut();
  await visit.reaches('reconnecting');
  await visit.context.setOffline(true);
  await visit.reaches('offline');
  await world.befriend('na', 'nc');
  network.heal();
  await visit.context.setOffline(false);
  await visit.reaches('online');
  await visit.shows('friends', 'User nb', 'User nc');
});

test('a frozen network: a ping without a pong, and what was assumed is taken back', async (t) => {
  await world.register('fa', 'fb');
  await world.befriend('fa', 'fb');
  const network = await Network.to(world.server);
  t.after(() => network.close());
  const visit = await Visit.of(t, 'fa', { url: network.url });
  await visit.shows('friends', 'User fb');
  network.freeze();
  await visit.page.evaluate(() => {
    window.lost = page.client.friends.setRemark('fb', 'Fabian').then(() => 'done', ({ code }) => code);
  });
  await visit.shows('friends', 'Fabian');
  await until(() => visit.page.evaluate(() => page.states.includes('reconnecting')), 'the missing pong');
  assert.equal(await visit.page.evaluate(() => window.lost), 'CONNECTION_LOST');
  await visit.reaches('online');
  await visit.shows('friends', 'User fb');
});

test('tokens: renewed before they expire, and another one for one that was ended', async (t) => {
  await world.register('ta');
  t.after(() => (tokenOf = world.token.bind(world)));
  const expired = () => `{userIds: ["ta"], issuedBefore: "${new Date().toISOString()}"}`;
  tokenOf = (user) => world.token(user, 2);
  const visit = await Visit.of(t, 'ta');
  await until(() => asked.filter((ask) => ask === 'ta expired').length >= 2, 'two renewals');
  assert.equal(await visit.page.evaluate(() => page.states.some((state) => state === 'reconnecting')), false);
  tokenOf = (user) => world.token(user);
  await visit.page.reload(); // with a token that lives for long
  await visit.page.waitForFunction('window.page?.act.rollcall');
  await visit.reaches('online');
  await mutate('expireTokens', expired());
  await mutate('disconnectUser', '{userId: "ta", allDevices: true}');
  await until(() => asked.includes('ta refused'), 'the refusal');
  await visit.reaches('online');
  assert.deepEqual(await visit.page.evaluate(() => page.errors), []);

  // A back end that has no better token
  const { token } = await world.token('ta');
  tokenOf = () => ({ token: `${token}x` });
  await mutate('expireTokens', expired());
  await mutate('disconnectUser', '{userId: "ta", allDevices: true}');
  await visit.reaches('unauthenticated');
  tokenOf = (user) => world.token(user);
  await visit.page.evaluate(() => page.act.rollcall.reconnect());
  await visit.reaches('online');
});

test('banned, and no longer; disconnected; deactivated', async (t) => {
  await world.register('ba');
  const visit = await Visit.of(t, 'ba');
  await mutate('banUsers', '{userIds: ["ba"], minutes: 5}');
  await visit.reaches('banned');
  const { user } = await world.back.send('{ user(id: "ba") { ban { until } } }');
  assert.equal(await visit.page.evaluate(() => page.client.connection.getSnapshot().until.toISOString()), user.ban.until);
  await mutate('unbanUsers', '{userIds: ["ba"]}');
  await visit.reaches('online');
  await visit.page.evaluate(() => void (page.states.length = 0));
  await mutate('disconnectUser', '{userId: "ba", allDevices: true}');
  await until(() => visit.page.evaluate(() => page.states.includes('reconnecting') && page.states.at(-1) === 'online'), 'the device to return');
  await mutate('deactivateUsers', '{userIds: ["ba"]}');
  await visit.reaches('closed');
  assert.equal(await visit.page.evaluate(() => page.client.connection.getSnapshot().error.code), 'USER_DEACTIVATED');
});

test('two tabs show the same, and the user is online until both are closed', async (t) => {
  await world.register('wa', 'wb', 'wc');
  await world.befriend('wa', 'wb');
  const one = await Visit.of(t, 'wa');
  const two = Object.assign(new Visit(one.context, 'wa', one.url), { errors: one.errors });
  two.page = await two.open();
  await two.reaches('online');
  await two.shows('friends', 'User wb');
  await one.page.evaluate(() => page.client.friends.setRemark('wb', 'Wilma'));
  await two.shows('friends', 'Wilma');
  await two.page.evaluate(() => page.client.blocklist.add('wb'));
  await one.shows('friends', 'Wilma blocked');
  await mutate('sendFriendRequest', '{userId: "wc", targetId: "wa"}');
  await Promise.all([one.shows('incoming', 'User wc'), two.shows('incoming', 'User wc')]);
  await one.page.evaluate(() => page.client.requests.accept(page.client.requests.incoming.getSnapshot().items[0].id));
  await Promise.all([one, two].map((tab) => everything(tab, { friends: ['Wilma blocked', 'User wc'], blocklist: ['User wb'] })));
  await two.page.close();
  await one.page.evaluate(() => page.client.presence.setCustomStatus('still here'));
  assert.deepEqual(await world.back.presences('wa'), ['ONLINE']);
  await one.page.close();
  await until(async () => (await world.back.presences('wa'))[0] === 'OFFLINE', 'the user to be offline');
});

test('1000 friends, with changes while they are loaded', async (t) => {
  const crowd = Array.from({ length: 1000 }, (_, i) => `k-${i}`);
  await world.register('ka', ...crowd);
  const late = crowd.splice(990); // become friends while the others are loaded
  await world.befriend('ka', ...crowd);
  const gone = [...crowd.splice(0, 5), ...crowd.splice(-5)]; // most of them from the first and the last page
  let changes;
  const visit = await Visit.of(t, 'ka', {
    beforePage: () => (changes ??= Promise.all([
      world.befriend('ka', ...late),
      ...gone.map((id) => mutate('removeFriend', `{userId: "ka", friendId: "${id}"}`)),
      ...['k-10', 'k-500', 'k-980'].map((id) => mutate('setFriendRemark', `{userId: "ka", friendId: "${id}", remark: "Remark ${id}"}`)),
    ])),
  });
  const friends = [...crowd, ...late];
  await visit.shows('friends', ...friends.map((id) => (/^k-(10|500|980)$/.test(id) ? `Remark ${id}` : `User ${id}`)));
  assert.ok(changes);
  // The newest are first, and all of their statuses are known.
  const first = await visit.page.locator('#friends li').first().textContent();
  assert.ok(late.some((id) => `User ${id}` === first), first);
  await visit.page.evaluate(() => {
    window.published = 0;
    page.client.presence.subscribe(() => window.published++);
  });
  await visit.watch(...friends);
  await until(() => visit.page.evaluate(() => document.querySelectorAll('#statuses li').length === 990), 'all statuses');
  assert.ok((await visit.watches()).every((ids) => ids.length <= 200));
  const published = await visit.page.evaluate(() => window.published);
  assert.ok(published < 500, `the page would have rendered ${published} times for 990 statuses`);
  await world.rename('k-20', 'Kim');
  await until(() => visit.page.evaluate(() => [...document.querySelectorAll('#friends li')].some(({ textContent }) => textContent === 'Kim')), 'the new name of one in a thousand');
});

test("the app's switches, off and on", async (t) => {
  await world.register('sa', 'sb');
  await world.befriend('sa', 'sb');
  const visit = await Visit.of(t, 'sa');
  const status = (name) => visit.page.locator(`#statuses[data-status=${name}]`).waitFor({ state: 'attached' });
  await visit.watch('sb');
  await visit.shows('statuses', 'sb UNLOGINED');
  await world.set('statusQueryEnabled=false');
  await status('disabled');
  await visit.shows('statuses');
  await visit.shows('friends', 'User sb'); // the rest goes on
  await world.set('statusQueryEnabled=true');
  await status('ready');
  await visit.shows('statuses', 'sb UNLOGINED');
  const friend = await world.online('sb');
  await visit.shows('statuses', 'sb ONLINE');
  friend.close();
});
