import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, Operator } from './lib/browser.mjs';
import { Provider } from './lib/provider.mjs';
import { Server } from './lib/server.mjs';

describe('SSO at the provider of github.com/zitadel/oidc', () => {
  let server;
  let app;
  let browser;
  let provider;
  let settings; // of a server that uses it
  before(async () => {
    server = await Server.create();
    app = await server.createApp({ name: 'Chat' });
    await server.start(); // for its address
    provider = await Provider.start(server);
    settings = provider.settings(app);
    await server.stop();
    await server.start(settings);
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    provider?.stop();
    await server?.remove();
  });

  const atProvider = (page, name) => provider.login(page, name);

  /** Leaves the console, and allows that its links led to the provider. */
  async function leave(operator) {
    operator.strangers = operator.strangers.filter((url) => !url.startsWith(settings.ROLLCALL_SSO_ISSUER));
    await operator.leave();
  }

  test('groups give a role, and a confirmation leads through the provider', async () => {
    const operator = await Operator.arrive(browser, server);
    const { page } = operator;
    await operator.open('/console/login');
    await operator.check('the login with SSO', ['Acme']);
    await page.getByRole('link', { name: 'Log in with Acme' }).click();
    await atProvider(page, 'mona');
    await page.getByText('moderator', { exact: true }).waitFor();
    await operator.open('/console/account');
    await page.getByRole('heading', { name: 'Single sign-on' }).waitFor();
    assert.equal(await page.locator('input[type=password]').count(), 0);
    await operator.check('the account of an operator that logs in by SSO', ['Chat', 'mona', 'Chrome', 'Linux']);
    await page.getByRole('button', { name: 'Log out' }).click();

    await page.getByRole('link', { name: 'Log in with Acme' }).click();
    await atProvider(page, 'olga');
    await operator.open(`/console/apps/${app.key}/rotate-secret`);
    await page.locator('button.danger').click();
    await page.getByRole('heading', { name: 'Confirm that it is you' }).waitFor();
    await operator.check('the question for a confirmation by SSO', ['Acme']);
    await page.getByRole('link', { name: 'Confirm with Acme' }).click();
    await atProvider(page, 'mona'); // another person
    await page.getByRole('status').filter({ hasText: 'has not confirmed that it is you' }).waitFor();
    await page.getByRole('link', { name: 'Confirm with Acme' }).click();
    await atProvider(page, 'olga');
    await page.getByRole('status').filter({ hasText: 'has confirmed that it is you' }).waitFor();
    await operator.check('the form after a confirmation by SSO');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('shown here for 5 minutes').waitFor();

    const list = await server.command('operator', 'list');
    assert.match(list, /mona +moderator +Chat +sso/);
    assert.match(list, /olga +owner +all apps +sso/);
    assert.match(list, /admin +owner +all apps +local/);
    await leave(operator);
  });

  test('without a group that has a role there is no access, and passwords can be switched off', async () => {
    await server.stop();
    await server.start({ ...settings, ROLLCALL_CONSOLE_LOCAL_LOGIN: 'off' });
    const operator = await Operator.arrive(browser, server, { javaScriptEnabled: false });
    const { page } = operator;
    await operator.open('/console/audit');
    assert.equal(await page.locator('#password').count(), 0);
    await operator.reads('the login by SSO only', ['Acme']);
    await page.getByRole('link', { name: 'Log in with Acme' }).click();
    await atProvider(page, 'stan');
    await page.getByText('none of your groups').waitFor();
    await page.getByRole('link', { name: 'Log in with Acme' }).click();
    await atProvider(page, 'olga');
    await page.waitForURL('**/console/audit');
    await page.getByText('SSO: no group with a role').waitFor();
    await operator.open('/console/operators');
    await page.getByText('They appear here at their first login.').waitFor();
    await leave(operator);
  });
});
