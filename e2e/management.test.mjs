import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { auditServer } from 'graphql-http';
import { launch, Operator } from './lib/browser.mjs';
import { Server } from './lib/server.mjs';

describe('the management API', () => {
  let server;
  let browser;
  let key; // made by the first test
  before(async () => {
    server = await Server.create();
    await server.start();
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await server?.remove();
  });

  async function ask(query, variables) {
    const response = await fetch(`${server.url}/console/api`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` },
      body: JSON.stringify({ query, variables }),
    });
    return { status: response.status, ...(await response.json()) };
  }

  test('an operator makes a key without JavaScript', async () => {
    const operator = await Operator.arrive(browser, server, { javaScriptEnabled: false });
    const { page } = operator;
    await operator.login();
    await operator.open('/console/account');
    await page.getByRole('link', { name: 'Make an API key' }).click();
    await page.getByLabel('Name', { exact: true }).fill('deploy script');
    await page.getByLabel('30 days').check();
    await page.locator('[name=role][value=owner]').check();
    await page.locator('[name=scope][value=all]').check();
    await page.getByRole('button', { name: 'Make the key' }).click();
    await operator.confirm();
    await page.getByRole('heading', { name: 'The new API key' }).waitFor();
    key = await page.locator('code[data-copy]').first().innerText();
    assert.match(key, /^rck_[a-z2-7]{52}$/);
    await operator.leave();
  });

  test('a script creates an app, changes a setting and reads the audit', async () => {
    const made = await ask(
      'mutation($in: CreateAppInput!) { createApp(input: $in) { app { key } secret } }',
      { in: { name: 'Shop', environment: 'PRODUCTION', edition: 'FLAGSHIP' } },
    );
    const { app, secret } = made.data.createApp;
    const changed = await ask(
      'mutation($in: UpdateAppSettingsInput!) { updateAppSettings(input: $in) { app { settings { profileEditEnabled friendLimit } } } }',
      { in: { appKey: app.key, settings: { profileEditEnabled: true, friendLimit: 50 } } },
    );
    assert.deepEqual(changed.data.updateAppSettings.app.settings, { profileEditEnabled: true, friendLimit: 50 });
    const { data } = await ask('query($key: ID!) { audit(filter: { appKey: $key }) { nodes { actor apiKey action } } }', { key: app.key });
    assert.deepEqual(data.audit.nodes, [
      { actor: 'admin', apiKey: 'deploy script', action: 'app.set' },
      { actor: 'admin', apiKey: 'deploy script', action: 'app.create' },
    ]);
    // The new app works: its secret is exchanged for a token.
    const response = await fetch(server.graphql, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        query: 'mutation($in: IssueAppTokenInput!) { issueAppToken(input: $in) { token } }',
        variables: { in: { appKey: app.key, appSecret: secret } },
      }),
    });
    assert.ok((await response.json()).data.issueAppToken.token);
    // The key is for this API only.
    const other = await fetch(server.graphql, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` },
      body: JSON.stringify({ query: '{ app { key } }' }),
    });
    assert.equal(other.status, 401);
  });

  test('GraphQL over HTTP: the audits of graphql-http that apply to POST', async () => {
    const authorized = (url, init = {}) => fetch(url, { ...init, headers: { ...init.headers, Authorization: `Bearer ${key}` } });
    const results = await auditServer({ url: `${server.url}/console/api`, fetchFn: authorized });
    const bad = results.filter((result) => result.status !== 'ok' && !result.name.includes('GET'));
    assert.deepEqual(bad.map(({ id, name, status, reason }) => `${id} ${status}: ${name}: ${reason}`), []);
  });

  test('a revoked key ends at once', async () => {
    assert.match(await server.command('operator', 'keys', 'admin'), /deploy script +rck_[a-z2-7]{8}… +owner +all apps .* from 127\.0\.0\.1/);
    await server.command('operator', 'revoke-key', 'admin', 'deploy script');
    const { status, errors } = await ask('{ viewer { role } }');
    assert.equal(status, 401);
    assert.equal(errors[0].extensions.code, 'UNAUTHENTICATED');
    assert.ok(!server.output.includes(key), 'the log has the key');
  });
});
