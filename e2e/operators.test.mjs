import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { AppServer, send } from './lib/api.mjs';
import { launch, Operator } from './lib/browser.mjs';
import { Server } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

describe('operators, apps and tokens in Chromium', () => {
  let server;
  let browser;
  let development;
  let app; // its back end
  before(async () => {
    server = await Server.create();
    development = await server.createApp({ name: 'Chat in development' });
    await server.start();
    app = await AppServer.login(server, development);
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await server?.remove();
  });

  /**
   * Puts a query in the place of the one in GraphiQL, and runs it until the answer
   * comes: GraphiQL takes notice of what was typed a moment later.
   */
  async function run(page, query, answer) {
    await page.getByRole('region', { name: 'Query Editor' }).locator('.CodeMirror').first().click();
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.insertText(query);
    await until(async () => {
      await page.getByRole('button', { name: /execute query/i }).click();
      return page.getByText(answer).waitFor({ timeout: 1000 }).then(() => true, () => false);
    }, `the answer ${answer} to ${query}`);
  }

  test('the explorer gets tokens, for HTTP and for subscriptions', async () => {
    await app.register('exa', 'Exa Mined');
    const operator = await Operator.arrive(browser, server);
    const { page } = operator;
    await operator.login();
    await page.getByRole('link', { name: 'Explorer' }).click();
    await page.getByLabel('User ID').fill('nobody');
    await page.getByRole('button', { name: 'Fill in a token' }).click();
    await page.getByRole('alert').filter({ hasText: 'The app has no user nobody.' }).waitFor();
    await page.getByLabel('User ID').fill('exa');
    await page.getByRole('button', { name: 'Fill in a token' }).click();
    await page.getByRole('status').filter({ hasText: 'A token of the user exa' }).waitFor();
    await operator.screenshot('explorer-token');
    await run(page, '{ me { name } }', '"Exa Mined"');
    assert.deepEqual(await app.presences('exa'), ['UNLOGINED']);
    await run(page, 'subscription { userStatus(ids: ["exa"]) { presence } }', '"ONLINE"');
    assert.deepEqual(await app.presences('exa'), ['ONLINE']); // a subscription is a device
    await page.getByRole('button', { name: /stop query/i }).click();

    await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
    await page.getByRole('link', { name: 'Query', exact: true }).click();
    await page.getByText('Whether from may message to', { exact: false }).first().waitFor();
    // The unknown user above, and what GraphiQL sent before it had taken notice.
    operator.errors = operator.errors.filter((error) => !/status of 4(00|22)/.test(error));
    await operator.leave();
  });
});
