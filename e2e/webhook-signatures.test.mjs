// A request of a webhook is verified by Standard Webhooks' library for npm, and by the functions of
// docs/webhooks.md in JavaScript, Python and PHP, as they are written. internal/webhooks does the same
// for Go.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import { after, before, describe, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { AppServer } from './lib/api.mjs';
import { Server } from './lib/server.mjs';
import { within } from './lib/wait.mjs';

const page = await readFile(new URL('../docs/webhooks.md', import.meta.url), 'utf8');

/** The block of the page in a language. */
const block = (language) => page.match(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'm'))[1];

/** Reads requests from standard input, as JSON, and writes the results of verify. */
const programs = {
  python: ['python3', ['-c', `${block('python')}
import json, sys
print(json.dumps([verify(c["secret"], c["headers"], c["body"].encode()) for c in json.load(sys.stdin)]))`]],
  php: ['php', ['-r', `${block('php')}
echo json_encode(array_map(fn($c) => verify($c['secret'], $c['headers'], $c['body']), json_decode(stream_get_contents(STDIN), true)));`]],
};

async function runs(language, cases) {
  const [program, args] = programs[language];
  const running = promisify(execFile)(program, args);
  running.child.stdin.end(JSON.stringify(cases));
  return JSON.parse((await running).stdout);
}

describe('signatures of webhooks', () => {
  let server;
  let receiver;
  let request;
  before(async () => {
    server = await Server.create();
    const app = await server.createApp();
    let arrived;
    const first = new Promise((resolve) => {
      arrived = resolve;
    });
    receiver = createServer(async (req, res) => {
      const body = (await req.toArray()).join('');
      res.end();
      arrived({ headers: req.headers, body });
    });
    await new Promise((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${receiver.address().port}/events`;
    await server.start({ ROLLCALL_WEBHOOK_ALLOW_PRIVATE: 'true' });
    const made = await server.command('webhook', 'create', app.key, url, '--json', '--webhook-allow-private');
    const api = await AppServer.login(server, app);
    await api.register('ann', 'Änn 🙂');
    request = { ...(await within(first, 'an event')), secret: JSON.parse(made).secret };
  });
  after(async () => {
    receiver?.close();
    await server?.remove();
  });

  test("Standard Webhooks' library verifies them", () => {
    const event = new Webhook(request.secret).verify(request.body, request.headers);
    assert.equal(event.type, 'user.registered');
    assert.throws(() => new Webhook(request.secret).verify(`${request.body} `, request.headers));
  });

  /** Requests, and whether each is valid. */
  function cases() {
    const { headers, body, secret } = request;
    const signed = (time) => {
      const id = headers['webhook-id'];
      const mac = createHmac('sha256', Buffer.from(secret.slice('whsec_'.length), 'base64'));
      const signature = `v1,${mac.update(`${id}.${time}.${body}`).digest('base64')}`;
      return { ...headers, 'webhook-timestamp': String(time), 'webhook-signature': signature };
    };
    const now = Math.floor(Date.now() / 1000);
    const other = `v1,${Buffer.alloc(32).toString('base64')}`;
    const without = (name) => Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));
    return [
      [true, { secret, headers, body }],
      [true, { secret, headers: signed(now - 200), body }],
      [true, { secret, headers: { ...headers, 'webhook-signature': `${other} ${headers['webhook-signature']}` }, body }],
      [false, { secret, headers: { ...headers, 'webhook-signature': other }, body }],
      [false, { secret, headers, body: body.replace('ann', 'bob') }],
      [false, { secret: `whsec_${Buffer.alloc(32).toString('base64')}`, headers, body }],
      [false, { secret, headers: signed(now - 400), body }],
      [false, { secret, headers: signed(now + 400), body }],
      [false, { secret, headers: signed('x'), body }],
      [false, { secret, headers: { ...headers, 'webhook-id': 'other' }, body }],
      [false, { secret, headers: without('webhook-signature'), body }],
      [false, { secret, headers: without('webhook-timestamp'), body }],
      [false, { secret, headers: { ...headers, 'webhook-signature': 'v1,é' }, body }],
    ];
  }

  test('the example in JavaScript verifies them', async () => {
    const { verify } = await import(`data:text/javascript,${encodeURIComponent(block('js'))}`);
    for (const [valid, { secret, headers, body }] of cases()) {
      assert.equal(verify(secret, headers, Buffer.from(body)), valid, JSON.stringify(headers));
    }
  });

  for (const language of Object.keys(programs)) {
    test(`the example in ${language} verifies them`, async () => {
      const list = cases();
      assert.deepEqual(await runs(language, list.map(([, input]) => input)), list.map(([valid]) => valid));
    });
  }
});
