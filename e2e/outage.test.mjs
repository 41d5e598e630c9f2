import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createClient as createStreams } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { AppServer } from './lib/api.mjs';
import { launch, Operator } from './lib/browser.mjs';
import { databases } from './lib/databases.mjs';
import { Events, statusChanged } from './lib/events.mjs';
import { Gate } from './lib/gate.mjs';
import { Redis } from './lib/redis.mjs';
import { Server } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const mariadb = databases.find(({ name }) => name === 'MariaDB');

/** npm graphql-ws as an app would use it: it reconnects by itself until it is stopped. */
function persistent(server, token) {
  const closes = [];
  let fatal;
  let connected;
  const client = createClient({
    url: server.socket,
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: `Bearer ${token}`, platform: 'WEB' },
    lazy: false,
    retryAttempts: 10_000,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
    onNonLazyError: (error) => (fatal = error),
    on: { closed: ({ code }) => closes.push(code), connected: () => (connected = true) },
  });
  const check = () => {
    if (fatal) throw new Error(`graphql-ws has stopped for good: ${fatal.code ?? fatal}`);
  };
  return {
    closes,
    refused: () => until(() => (check(), closes.length), 'a refused connection'),
    connected: () => until(() => (check(), connected), 'graphql-ws to reconnect'),
    close: () => client.dispose(),
  };
}

/** npm graphql-sse in the same way, with a subscription that makes its user ONLINE. */
function persistentStream(server, token) {
  const client = createStreams({
    url: server.graphql,
    headers: { Authorization: `Bearer ${token}` },
    retryAttempts: 10_000,
    retry: () => new Promise((resolve) => setTimeout(resolve, 50)),
  });
  const events = new Events();
  client.subscribe({ query: statusChanged }, events);
  return { ended: events.ended, close: () => client.dispose() };
}

describe('clients during an outage of Redis or MariaDB', { skip: mariadb.skip }, () => {
  let gate;
  let redis;
  let server;
  let key;
  let app;
  let database;
  let number = 0;
  before(async () => {
    database = await mariadb.create();
    const [, socket] = database.url.match(/unix\((.*)\)/);
    gate = await Gate.open(socket);
    redis = await Redis.start();
    server = new Server(
      { ...database, url: database.url.replace(socket, gate.path) },
      await mkdtemp(join(tmpdir(), 'rollcall-e2e-')),
    );
    const created = await server.createApp({ statusQueryEnabled: true });
    key = created.key;
    await server.start({ ROLLCALL_REDIS_URL: redis.url });
    app = await AppServer.login(server, created);
  });
  after(async () => {
    await server?.remove();
    await redis?.remove();
    await gate?.remove();
  });

  /** Requests as a program does that checks status codes only. */
  async function wantTryAgain(token, query, accept) {
    const answer = await fetch(server.graphql, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Accept: accept, Authorization: `Bearer ${token}` },
      body: JSON.stringify({ query }),
    });
    const text = await answer.text();
    assert.equal(answer.status, 503, `${query}: ${text}`);
    assert.ok(Number(answer.headers.get('Retry-After')) > 0);
    assert.equal(JSON.parse(text).errors[0].extensions.code, 'UNAVAILABLE');
  }

  for (const { name, begin, end, query } of [
    { name: 'Redis is killed and comes back empty', begin: () => redis.stop(), end: () => redis.run() },
    { name: 'Redis is paused', begin: () => redis.process.kill('SIGSTOP'), end: () => redis.process.kill('SIGCONT') },
    {
      name: 'Redis is a replica, which cannot be written',
      begin: () => redis.command('REPLICAOF', '127.0.0.1', '1'),
      end: () => redis.command('REPLICAOF', 'NO', 'ONE'),
    },
    {
      name: 'Redis is out of memory',
      begin: () => redis.command('CONFIG', 'SET', 'maxmemory', '1'),
      end: () => redis.command('CONFIG', 'SET', 'maxmemory', '0'),
    },
    {
      name: 'MariaDB is restarted',
      begin: () => gate.close(),
      end: () => gate.reopen(),
      query: '{ me { id } }',
    },
    {
      name: 'MariaDB is read-only',
      begin: () => database.sql('SET GLOBAL read_only = 1'),
      end: () => database.sql('SET GLOBAL read_only = 0'),
    },
  ]) {
    test(`${name}: clients reconnect by themselves`, async () => {
      const [socketToken, streamToken] = [await app.register(`socket-${++number}`), await app.register(`stream-${number}`)];
      let socket;
      let stream;
      await begin();
      try {
        socket = persistent(server, socketToken);
        stream = persistentStream(server, streamToken);
        await Promise.all([
          socket.refused(),
          wantTryAgain(streamToken, statusChanged, 'text/event-stream'),
          query && wantTryAgain(streamToken, query, 'application/json'),
        ]);
        assert.deepEqual([...new Set(socket.closes)], [1013]);
      } finally {
        await end();
      }
      await socket.connected();
      await until(
        async () =>
          (await app.presences(`socket-${number}`, `stream-${number}`).catch(() => [])).join() === 'ONLINE,ONLINE',
        'both to be ONLINE',
      );
      assert.equal(await Promise.race([stream.ended, 'open']), 'open', 'the stream has ended for good');
      socket.close();
      stream.close();
    });
  }

  test('pages that are open name what is away, until it is back', async () => {
    const browser = await launch();
    try {
      const operator = await Operator.arrive(browser, server);
      await operator.login();
      const overview = `/console/apps/${key}`;
      const pages = await Promise.all(['/console/', overview, `${overview}/users`].map(async (path) => {
        const page = await operator.context.newPage();
        await page.goto(`${server.url}${path}`);
        return page;
      }));
      const all = (check) => Promise.all(pages.map(check));
      // A notice is read out once: a poll that finds the same as the page had at first does not replace it.
      const staysOn = async (page) => {
        await page.reload();
        await page.locator('#away p').evaluate((node) => { node.dataset.same = ''; });
        for (let polls = 0; polls < 2; polls++) await page.waitForResponse('**/console/now');
        assert.equal(await page.locator('#away [data-same]').count(), 1);
      };
      // The table of the health cannot be polled, and must not show the database as running.
      const hidesHealth = async (page) => {
        await page.getByText('Unknown until the database responds.').waitFor();
        await page.locator('#node').waitFor({ state: 'hidden' });
      };
      for (const { what, begin, end, then } of [
        { what: 'Redis', then: () => staysOn(pages[0]), begin: () => redis.stop(), end: () => redis.run() },
        { what: 'The database', then: () => hidesHealth(pages[1]), begin: () => gate.close(), end: () => gate.reopen() },
      ]) {
        const notice = (page) => page.getByRole('status').filter({ hasText: `${what} does not respond` });
        try {
          await begin();
          await all((page) => notice(page).waitFor({ timeout: 5_000 }));
          await all(async (page) => {
            // Other polls fail without the database, and the server can be reached.
            await page.locator('[data-contact="lost"]').waitFor({ state: 'hidden' });
            assert.match(await notice(page).locator('time').innerText(), /[AP]M$/, `the notice of ${page.url()}`);
          });
          await then?.();
        } finally {
          await end();
        }
        await all((page) => notice(page).waitFor({ state: 'detached', timeout: 10_000 }));
      }
      operator.errors = []; // of the polls without the database
      await operator.leave();
    } finally {
      await browser.close();
    }
  });

  test('the log repeats nothing that is tried again and again', () => {
    const last = new Map();
    const repeated = new Map();
    const lines = server.output.match(/^\{"time":.*\}$/gm).map((line) => JSON.parse(line));
    for (const { time, msg } of lines.filter(({ msg }) => /\bretry(ing)?$/.test(msg))) {
      if (Date.parse(time) - last.get(msg) < 5_000) repeated.set(msg, (repeated.get(msg) ?? 0) + 1);
      last.set(msg, Date.parse(time));
    }
    assert.ok(last.size > 3, `only ${last.size} such messages`);
    assert.deepEqual([...repeated], []);
  });
});
