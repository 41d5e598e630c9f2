import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { AppServer } from './lib/api.mjs';
import { launch, Operator } from './lib/browser.mjs';
import { Server } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

let server;
let browser;
let app;
let made;
/** An App Server: what it has received, the status with which it responds, and what it waits for. */
const received = [];
let status = 200;
let held = Promise.resolve();
const receiver = createServer(async (request, response) => {
  let body = '';
  for await (const part of request) body += part;
  received.push({ headers: request.headers, body, event: JSON.parse(body) });
  await held;
  response.writeHead(status).end(status === 200 ? '' : 'the <b>shop</b> is closed');
});

before(async () => {
  receiver.listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  server = await Server.create();
  made = await server.createApp({ name: 'Chat' });
  await server.start({ ROLLCALL_WEBHOOK_ALLOW_PRIVATE: 'true' });
  app = await AppServer.login(server, made);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.remove();
  receiver.close();
  receiver.closeAllConnections();
});

/** Fails unless the secret has signed the request. */
function verify({ headers, body }, secret) {
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const signature = `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
  assert.ok(headers['webhook-signature'].split(' ').includes(signature), headers['webhook-signature']);
}

test('an operator creates a webhook endpoint, tests it, and sends a failed delivery again', async () => {
  const hook = `http://127.0.0.1:${receiver.address().port}/hooks`;
  const operator = await Operator.arrive(browser, server);
  const { page } = operator;
  await operator.login();
  await operator.open(`/console/apps/${made.key}`);
  await page.getByRole('link', { name: 'Webhooks' }).click();
  await operator.check('the empty list');
  await page.getByRole('link', { name: 'New endpoint' }).click();
  await operator.check('the form');

  // A wrong URL is shown at its field, with what was entered.
  await page.getByLabel('URL').fill('ftp://chat.example');
  await page.getByLabel('Description').fill('Orders');
  await page.getByLabel('user.registered').check(); // which chooses "Only these"
  assert.ok(await page.getByRole('radio', { name: 'Only these' }).isChecked());
  await page.getByRole('button', { name: 'Create the endpoint' }).click();
  await page.getByRole('alert').filter({ hasText: 'Enter a URL such as' }).waitFor();
  assert.equal(await page.getByLabel('URL').inputValue(), 'ftp://chat.example');
  assert.ok(await page.getByLabel('user.registered').isChecked());
  await operator.check('the refused form');
  operator.errors = operator.errors.filter((error) => !error.includes('422'));
  await page.getByLabel('URL').fill(hook);
  await page.getByRole('button', { name: 'Create the endpoint' }).click();
  await operator.confirm();
  await page.getByRole('heading', { name: 'The endpoint was created' }).waitFor();
  await operator.check('the secret');
  const secret = (await page.getByText(/^whsec_/).innerText()).trim();

  // The page of the test event follows its progress.
  await page.getByRole('link', { name: 'To the endpoint' }).click();
  await operator.check('an endpoint without deliveries');
  assert.ok(!(await page.content()).includes('whsec_'));
  const polls = [];
  page.on('response', (response) => /deliveries\/.*\/now$/.test(response.url()) && polls.push(response.status()));
  let respond;
  held = new Promise((resolve) => { respond = resolve; });
  await page.getByRole('button', { name: 'Send a test event' }).click();
  await page.getByRole('heading', { name: 'Delivery of endpoint.test' }).waitFor();
  await page.locator('#delivery-now').getByText('Waiting').waitFor();
  respond();
  await page.locator('#delivery-now').getByText('Delivered').waitFor();
  assert.equal(polls.at(-1), 286); // which ends the polling
  await operator.check('a delivery');
  assert.equal(received[0].event.type, 'endpoint.test');
  verify(received[0], secret);

  // The receiver fails, works again, and gets the event with the same ID.
  status = 500;
  await app.register('ann', 'Ann');
  await until(() => received.length > 1, 'the event');
  await page.getByRole('link', { name: 'Orders' }).click();
  const row = page.getByRole('row').filter({ hasText: 'user.registered' });
  await until(async () => {
    await page.reload();
    return (await row.filter({ hasText: '500' }).count()) > 0;
  }, 'the failure');
  await page.getByText('All attempts have failed since').waitFor();
  await operator.check('a failing endpoint');
  await row.getByRole('link', { name: 'user.registered' }).click();
  await page.getByText('the <b>shop</b> is closed').waitFor();
  assert.ok((await page.locator('pre').innerText()).includes('"name":"Ann"'));
  status = 200;
  await page.getByRole('button', { name: 'Send again' }).click();
  await page.locator('#delivery-now').getByText('Delivered').waitFor();
  const again = received.at(-1);
  verify(again, secret);
  assert.equal(again.headers['webhook-id'], received[1].headers['webhook-id']);
  assert.ok(received.length > 2);

  // In Chinese, dark and on a phone.
  const storageState = await operator.context.storageState(); // instead of another login
  const reader = await Operator.arrive(browser, server, { storageState, locale: 'zh-CN', colorScheme: 'dark', viewport: { width: 360, height: 800 } });
  const delivery = new URL(page.url()).pathname;
  const endpoint = delivery.replace(/\/deliveries.*/, '');
  for (const path of [endpoint.replace(/\/\d+$/, ''), endpoint, `${endpoint}/edit`, `${endpoint}/rotate-secret`, `${endpoint}/replay`, delivery]) {
    await reader.open(path);
    await reader.check(`${path} in Chinese`, ['Orders', hook]);
  }
  await reader.leave();

  await page.getByRole('link', { name: 'Orders' }).click();
  await page.getByRole('link', { name: 'Delete' }).click();
  await page.getByRole('button', { name: 'Delete permanently' }).click();
  await page.getByRole('status').filter({ hasText: 'The endpoint was deleted.' }).waitFor();
  await page.getByText('No endpoints yet').waitFor();
  await operator.leave();
});
