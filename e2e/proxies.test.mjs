// Runs the proxies of deploy/ with their files as they are written there, except for addresses, the
// certificate's path and times, in front of two nodes.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { AppServer } from './lib/api.mjs';
import { createSQLite, databases } from './lib/databases.mjs';
import { Events, statusChanged } from './lib/events.mjs';
import { Gate } from './lib/gate.mjs';
import { Redis } from './lib/redis.mjs';
import { Server } from './lib/server.mjs';
import { Connection } from './lib/socket.mjs';
import { until, within } from './lib/wait.mjs';

const mariadb = databases.find(({ name }) => name === 'MariaDB');

const proxies = {
  HAProxy: {
    asksReadiness: true,
    refused: 0,
    file: 'haproxy/haproxy.cfg',
    changes: [
      ['bind :443', 'bind 127.0.0.1:{port}'],
      ['10.0.0.11:8080', '{first}'],
      ['10.0.0.12:8080', '{second}'],
      ['/etc/haproxy/chat.example.both.pem', '{folder}/both.pem'],
      ['maxconn 100000', 'maxconn 1000'],
      ['timeout client 60s', 'timeout client 2s'],
      ['timeout server 60s', 'timeout server 2s'],
      ['timeout tunnel 60s', 'timeout tunnel 2s'],
    ],
    whole: (text) => text,
    command: (file) => ['haproxy', '-db', '-f', file],
  },
  // Debian has no recent release, so `make test-deploy` builds one.
  Caddy: {
    skip: process.env.ROLLCALL_TEST_CADDY ? false : 'ROLLCALL_TEST_CADDY names no caddy; `make test-deploy` does',
    asksReadiness: true,
    refused: 0,
    file: 'caddy/Caddyfile',
    changes: [
      ['\nchat.example {', '\nhttps://chat.example:{port} {\n\tbind 127.0.0.1\n\ttls {folder}/chat.example.crt {folder}/chat.example.key'],
      ['10.0.0.11:8080', '{first}'],
      ['10.0.0.12:8080', '{second}'],
    ],
    whole: (text) => `{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n}\n${text}`,
    command: (file) => [process.env.ROLLCALL_TEST_CADDY, 'run', '--adapter', 'caddyfile', '--config', file],
  },
  // nginx learns of a node that stops from a request. One that arrives in the moment in which a node closes
  // its listener may be refused, because nginx does not know whether the node has received it.
  nginx: {
    refused: 2,
    file: 'nginx/rollcall.conf',
    changes: [
      ['listen 443', 'listen 127.0.0.1:{port}'],
      ['10.0.0.11:8080', '{first}'],
      ['10.0.0.12:8080', '{second}'],
      ['/etc/nginx/chat.example', '{folder}/chat.example'],
      ['proxy_read_timeout 60s', 'proxy_read_timeout 2s'],
      ['proxy_send_timeout 60s', 'proxy_send_timeout 2s'],
    ],
    whole: (text, folder) => `daemon off; master_process off; pid ${folder}/pid; error_log stderr; events {}
      http { access_log off;
        ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${folder}/${of};`).join(' ')}
        ${text} }`,
    command: (file) => ['nginx', '-c', file],
  },
};

describe('the proxies of deploy/', () => {
  let folder;
  let authority;
  let redis;
  /** Before MariaDB, if there is one. */
  let gate;
  const nodes = [];
  let app;
  const tested = Object.values(proxies).filter((proxy) => !proxy.skip);
  /** The settings of the nodes behind a proxy. If it asks whether they are ready, they stop after a delay. */
  const environment = (proxy) => ({
    ...(proxy?.asksReadiness && { ROLLCALL_DRAIN_DELAY: '3s' }),
    ROLLCALL_REDIS_URL: redis.url,
    ROLLCALL_TRUSTED_PROXIES: '127.0.0.1',
    ROLLCALL_PING_INTERVAL: '1s',
    ROLLCALL_LOG_LEVEL: 'debug', // logs operations
  });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-e2e-'));
    const [key, certificate] = [join(folder, 'chat.example.key'), join(folder, 'chat.example.crt')];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-subj', '/CN=chat.example', '-addext', 'subjectAltName=DNS:chat.example', '-keyout', key, '-out', certificate], { stdio: 'ignore' });
    authority = await readFile(certificate, 'utf8');
    await writeFile(join(folder, 'both.pem'), authority + (await readFile(key, 'utf8')));
    redis = await Redis.start();
    nodes.push(await Server.create(mariadb.skip ? createSQLite : async () => {
      const database = await mariadb.create();
      const [, socket] = database.url.match(/unix\((.*)\)/);
      gate = await Gate.open(socket);
      return { ...database, url: database.url.replace(socket, gate.path) };
    }));
    const created = await nodes[0].createApp({ friendStatusNotifyEnabled: true });
    nodes.push(await nodes[0].beside());
    await Promise.all(nodes.map((node) => node.start(environment(tested[0]))));
    app = await AppServer.login(nodes[0], created);
  });
  after(async () => {
    for (const node of nodes.toReversed()) await node.remove();
    await gate?.remove();
    await redis?.remove();
    await rm(folder, { recursive: true, force: true });
  });

  for (const [name, proxy] of Object.entries(proxies)) {
    describe(name, { skip: proxy.skip }, () => {
      let running;
      let port;
      let output = '';

      before(async () => {
        const probe = net.createServer().listen(0, '127.0.0.1');
        await once(probe, 'listening');
        ({ port } = probe.address());
        probe.close();
        let text = await readFile(new URL(`../deploy/${proxy.file}`, import.meta.url), 'utf8');
        for (const [written, used] of proxy.changes) {
          assert.ok(text.includes(written), `${proxy.file} has ${written}`);
          text = text.replaceAll(written, used);
        }
        const values = { port, folder, first: nodes[0].address, second: nodes[1].address };
        text = text.replace(/\{(port|folder|first|second)\}/g, (_, value) => values[value]);
        const file = join(folder, `${name}.conf`);
        await writeFile(file, proxy.whole(text, folder));
        const [program, ...args] = proxy.command(file);
        running = spawn('/usr/bin/setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], {
          stdio: ['ignore', 'pipe', 'pipe'],
          env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
        });
        for (const stream of [running.stdout, running.stderr]) stream.on('data', (some) => { output += some; });
        await until(async () => {
          assert.equal(running.exitCode, null, output);
          return request('/readyz').then(({ status }) => status === 200, () => false);
        }, `${name} to be ready`);
      });
      after(async () => {
        running?.kill('SIGTERM');
        if (running?.exitCode === null && running?.signalCode === null) await once(running, 'exit');
      });

      /** A request to chat.example by way of the proxy: {status, headers, body}, the body as it arrives. */
      async function request(path, { body, headers } = {}) {
        const options = {
          host: '127.0.0.1', port, path, servername: 'chat.example', ca: authority, agent: false,
          method: body ? 'POST' : 'GET',
          headers: { Host: 'chat.example', ...(body && { 'Content-Type': 'application/json' }), ...headers },
        };
        const sent = https.request(options).end(body && JSON.stringify(body));
        const [response] = await within(once(sent, 'response'), 'a response');
        response.setEncoding('utf8');
        return { status: response.statusCode, headers: response.headers, body: response };
      }

      /** Runs an operation and returns the response with its JSON. */
      async function send(query, token, headers) {
        const response = await request('/graphql', { body: { query }, headers: { ...(token && { Authorization: `Bearer ${token}` }), ...headers } });
        let text = '';
        for await (const some of response.body) text += some;
        return { ...response, json: response.status === 502 ? undefined : JSON.parse(text) };
      }

      /** A client of graphql-ws by way of the proxy; `closes` has the codes of its closed connections. */
      function connect(token) {
        const closes = [];
        const connected = [];
        class Socket extends WebSocket {
          constructor(url, protocols) {
            super(url, protocols, { ca: authority, servername: 'chat.example', headers: { Host: 'chat.example' } });
            this.on('ping', () => { client.pings++; });
          }
        }
        const client = createClient({
          url: `wss://127.0.0.1:${port}/graphql`,
          webSocketImpl: Socket,
          connectionParams: { Authorization: `Bearer ${token}` },
          lazy: false,
          retryAttempts: 10_000,
          retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
          onNonLazyError: () => {},
          on: { closed: ({ code }) => closes.push(code), connected: () => connected.push(true) },
        });
        client.pings = 0;
        return Object.assign(client, { closes, connected });
      }

      test('passes on who the client is, and what it may do', async () => {
        const { status, headers } = await send('{ __typename }', null, { Origin: 'https://chat.example' });
        assert.equal(status, 200);
        assert.match(headers['strict-transport-security'], /max-age/);
        assert.equal((await request('/console/')).status, 303);
        const large = await request('/graphql', { body: { query: `{ __typename } #${'x'.repeat(1 << 20)}` } });
        assert.equal(large.status, 413);
      });

      test('passes on the host with its port, with which the origin of pages is compared', async () => {
        const origin = `https://chat.example:${port}`;
        const socket = new WebSocket(`wss://127.0.0.1:${port}/graphql`, 'graphql-transport-ws',
          { ca: authority, servername: 'chat.example', headers: { Host: `chat.example:${port}`, Origin: origin } });
        await within(once(socket, 'open'), 'the WebSocket of a page');
        socket.close();
        const session = http2.connect(`https://127.0.0.1:${port}`, { ca: authority, servername: 'chat.example' });
        const form = session.request({ ':method': 'POST', ':path': '/console/language', ':authority': `chat.example:${port}`,
          origin, 'content-type': 'application/x-www-form-urlencoded' });
        form.end('language=en');
        const [headers] = await within(once(form, 'response'), 'a response to a form');
        assert.notEqual(headers[':status'], 403);
        session.destroy();
      });

      test('keeps WebSockets that are idle', async () => {
        const device = connect(await app.register(`${name}-idle`));
        // Longer than the proxy's time-outs, of 2 s.
        await until(() => device.pings >= 4, 'pings for 4 s');
        assert.deepEqual(device.closes, []);
        await device.dispose();
      });

      test('passes on events of a stream at once', async () => {
        const [watcher, friend] = [`${name}-watcher`, `${name}-friend`];
        const token = await app.register(watcher);
        await app.register(friend);
        await app.send(`mutation { addFriend(input: {userId: "${watcher}", friendId: "${friend}"}) { __typename } }`);
        const stream = await request('/graphql', {
          body: { query: statusChanged },
          headers: { Accept: 'text/event-stream', Authorization: `Bearer ${token}` },
        });
        let text = '';
        stream.body.on('data', (some) => { text += some; });
        // It is idle for longer than the proxy's time-outs first.
        await until(() => text.split('\n').filter((line) => line.startsWith(':')).length >= 4, 'comments for 4 s');
        const device = await Connection.open(nodes[1], await app.register(friend));
        await until(() => text.includes('"ONLINE"'), 'the event');
        assert.ok(!stream.body.complete);
        stream.body.destroy();
        await device.close();
      });

      test('serves requests while a node restarts', async () => {
        const device = connect(await app.register(`${name}-restart`));
        await until(() => device.connected.length === 1, 'the connection');
        const events = new Events();
        device.subscribe({ query: 'subscription { statusChanged { userId } }' }, events);
        let over = false;
        let sent = 0;
        const faults = [];
        const requests = (async () => {
          while (!over) {
            const response = await send('query ByProxy { __typename }').catch((error) => ({ status: error.message }));
            if (response.status !== 200) faults.push(response.status);
            sent++;
          }
        })();
        for (const node of nodes) {
          await node.stop();
          const before = sent;
          await until(() => sent > before + 20, 'requests that the other node serves');
          await node.start(environment(tested[tested.indexOf(proxy) + 1]));
          // The other node may stop only when the proxy uses this one again.
          const start = node.output.length;
          await until(() => node.output.includes('ByProxy', start), 'requests that this node serves again');
        }
        over = true;
        await requests;
        assert.ok(faults.length <= proxy.refused, `${faults}`);
        assert.deepEqual(faults.filter((status) => status !== 502), []);
        // The device was connected to one of them, or to both in turn.
        await until(() => device.connected.length >= 2, 'the connection to another node');
        assert.deepEqual([...new Set(device.closes)], [1012]);
        await device.dispose();
      });

      test('passes on the errors of nodes whose database is away', { skip: mariadb.skip }, async () => {
        const token = await app.register(`${name}-away`);
        await gate.close();
        const device = connect(token);
        try {
          await until(async () => {
            const ready = await Promise.all(nodes.map((node) => fetch(`${node.url}/readyz`)));
            return ready.every(({ status }) => status === 503);
          }, 'the nodes to be unready');
          // For longer than a proxy that asks /readyz takes to notice.
          const end = Date.now() + 4000;
          do {
            // A session each time: nginx ends one after 1000 requests.
            const session = http2.connect(`https://127.0.0.1:${port}`, { ca: authority, servername: 'chat.example' });
            const { json } = await send('query { me { id } }', token);
            assert.equal(json.errors[0].extensions.code, 'UNAVAILABLE');
            const asked = session.request({ ':method': 'POST', ':path': '/graphql', ':authority': 'chat.example',
              'content-type': 'application/json', authorization: `Bearer ${token}` });
            asked.setEncoding('utf8').end(JSON.stringify({ query: 'query { me { id } }' }));
            let text = '';
            for await (const some of asked) text += some;
            assert.equal(JSON.parse(text).errors[0].extensions.code, 'UNAVAILABLE');
            session.destroy();
          } while (Date.now() < end);
        } finally {
          await gate.reopen();
        }
        await until(() => device.connected.length > 0, 'the device to connect after the outage');
        await until(async () => {
          const consoles = await Promise.all(nodes.map((node) => fetch(`${node.url}/console/`, { redirect: 'manual' })));
          return consoles.every(({ status }) => status === 303);
        }, 'the nodes to notice its end');
        await device.dispose();
      });
    });
  }
});
