import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
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
   * Replaces the query in GraphiQL, and runs it until the response arrives: GraphiQL processes what
   * was typed with a delay.
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
    await page.getByLabel('User (ID or name').fill('nobody');
    await page.getByRole('button', { name: 'Fill in a token' }).click();
    await page.getByRole('alert').filter({ hasText: 'No user with the ID or name nobody was found.' }).waitFor();
    await page.getByLabel('User (ID or name').fill('exa');
    await page.getByRole('button', { name: 'Fill in a token' }).click();
    await operator.confirm();
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
    // The unknown user above, and what GraphiQL sent before it noticed.
    operator.errors = operator.errors.filter((error) => !/status of 4(00|22)/.test(error));
    await operator.leave();
  });

  test('without JavaScript the explorer still makes tokens', async () => {
    await app.register('plain', 'Plain Reader');
    const operator = await Operator.arrive(browser, server, { javaScriptEnabled: false });
    const { page } = operator;
    await operator.login();
    await operator.open('/console/explorer');
    // Playwright's getByText does not search a noscript.
    await page.locator('noscript p', { hasText: 'The explorer needs JavaScript' }).waitFor();
    await page.getByLabel('User (ID or name').fill('plain');
    await page.getByRole('button', { name: 'Fill in a token' }).click();
    await operator.confirm('a wrong one');
    await page.getByRole('alert').filter({ hasText: 'That is not your current password.' }).waitFor();
    await operator.confirm(); // the form still has the user's ID
    const made = page.getByRole('status').filter({ hasText: 'A token of the user plain' });
    await made.locator('summary').click();
    const token = await made.locator('code').innerText();
    assert.equal((await send(server, token, '{ me { name } }')).me.name, 'Plain Reader');
    assert.ok(!server.output.includes(token), 'the token is in the log');
    operator.errors = operator.errors.filter((error) => !error.includes('422')); // the wrong password
    await operator.leave();
  });

  for (const javaScriptEnabled of [true, false]) {
    const mode = javaScriptEnabled ? 'with' : 'without';

    test(`an owner invites an operator, changes its role and deletes it, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
      const name = `olga.${mode}`;
      const operator = await Operator.arrive(browser, server, { javaScriptEnabled });
      const { page } = operator;
      await operator.login();
      await page.getByRole('link', { name: 'Operators' }).click();
      const form = page.getByRole('form', { name: 'Invite a colleague' });
      await form.getByLabel('Name', { exact: true }).fill('admin');
      await form.getByRole('button', { name: 'Invite' }).click();
      await page.getByRole('alert').filter({ hasText: 'Another operator has this name.' }).waitFor();
      await form.getByLabel('Name', { exact: true }).fill(name);
      await form.getByRole('button', { name: 'Invite' }).click();
      await operator.confirm();
      const link = await page.locator('[data-copy]').innerText();
      const password = 'chosen by the invited';
      const other = await Operator.arrive(browser, server, { javaScriptEnabled });
      await other.page.goto(link);
      await other.page.getByLabel('Password', { exact: true }).fill(password);
      await other.page.getByLabel('Repeat the password').fill(password);
      await other.page.getByRole('button', { name: 'Accept and log in' }).click();
      await other.page.getByRole('heading', { name: 'Apps' }).waitFor();
      assert.equal(await other.page.getByRole('link', { name: 'New app' }).count(), 0);

      await page.getByRole('link', { name: 'All operators' }).click();
      await page.getByRole('link', { name, exact: true }).click();
      await page.getByRole('link', { name: 'Change', exact: true }).click();
      await page.getByRole('heading', { name: `Change what ${name} may do?` }).waitFor();
      await page.getByRole('radio', { name: 'admin' }).check();
      await page.getByRole('button', { name: 'Change', exact: true }).click();
      await page.getByRole('status').filter({ hasText: `The role of ${name} was changed.` }).waitFor();
      await other.page.reload();
      await other.page.getByRole('link', { name: 'New app' }).waitFor();

      // Only the named app is left.
      await page.getByRole('link', { name: 'Change', exact: true }).click();
      await page.getByRole('radio', { name: 'Named apps' }).check();
      await page.getByRole('checkbox', { name: 'Chat in development' }).check();
      await page.getByRole('button', { name: 'Change', exact: true }).click();
      await page.getByRole('status').filter({ hasText: `The role of ${name} was changed.` }).waitFor();
      await other.page.reload();
      await other.page.getByRole('link', { name: 'Chat in development' }).waitFor();
      for (const gone of ['New app', 'Operators']) assert.equal(await other.page.getByRole('link', { name: gone }).count(), 0);

      // One session, and then the account with the next.
      await page.getByRole('link', { name: /^End 127/ }).click();
      await page.getByRole('heading', { name: `End this session of ${name}?` }).waitFor();
      await page.getByRole('button', { name: 'End the session' }).click();
      await page.getByRole('status').filter({ hasText: 'The session has ended.' }).waitFor();
      await other.page.reload();
      await other.login(name, password);
      await page.getByRole('link', { name: 'Delete this operator' }).click();
      await page.getByRole('heading', { name: `Delete the operator ${name}?` }).waitFor();
      await page.getByRole('button', { name: 'Delete permanently' }).click();
      await page.getByRole('status').filter({ hasText: `The operator ${name} was deleted.` }).waitFor();
      await other.page.reload();
      await other.page.getByLabel('Password').waitFor();

      // Not the own account.
      await page.getByRole('link', { name: 'admin', exact: true }).first().click();
      await operator.open('/console/operators/1');
      await page.getByText('This is your own account.').waitFor();
      assert.equal(await page.getByRole('link', { name: 'Delete this operator' }).count(), 0);
      assert.equal(await page.getByRole('link', { name: 'Set a new password' }).count(), 0);
      await operator.open('/console/operators/1/password');
      await page.getByRole('main').getByRole('link', { name: 'Your account' }).click();
      await page.getByLabel('Current password').waitFor();
      operator.errors = operator.errors.filter((error) => !error.includes('422')); // the taken name
      await operator.leave();
      await other.leave();
    });

    test(`an operator changes their password and ends their sessions, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
      const name = `vera.${mode}`;
      await server.commandWith('only looking around', 'operator', 'create', name, '--role', 'viewer');
      const operator = await Operator.arrive(browser, server, { javaScriptEnabled });
      const other = await Operator.arrive(browser, server, { javaScriptEnabled });
      const { page } = operator;
      await operator.login(name, 'only looking around');
      await other.login(name, 'only looking around');
      await page.getByRole('link', { name, exact: true }).click();
      await page.getByRole('link', { name: 'End all other sessions' }).click();
      await page.getByRole('button', { name: 'End them' }).click();
      await page.getByRole('status').filter({ hasText: 'The sessions have ended.' }).waitFor();
      await other.page.reload();
      await other.page.getByLabel('Password').waitFor();
      const [current, next, again] = ['Current password', 'New password', 'Repeat the new password'].map((label) =>
        page.getByLabel(label, { exact: true }));
      await current.fill('a wrong guess');
      await next.fill('another good one');
      await again.fill('another good one');
      await page.getByRole('button', { name: 'Change the password' }).click();
      await page.getByRole('alert').filter({ hasText: 'That is not your current password.' }).waitFor();
      assert.equal(await next.inputValue(), ''); // passwords are not filled in again
      await current.fill('only looking around');
      await next.fill('another good one');
      await again.fill('another good one');
      await page.getByRole('button', { name: 'Change the password' }).click();
      await page.getByRole('status').filter({ hasText: 'Your password was changed' }).waitFor();
      await other.login(name, 'another good one');
      operator.errors = operator.errors.filter((error) => !error.includes('422')); // the wrong password
      await operator.leave();
      await other.leave();
    });

    test(`an admin creates an app, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
      const operator = await Operator.arrive(browser, server, { javaScriptEnabled });
      const { page } = operator;
      await operator.login();
      await page.getByRole('link', { name: 'New app' }).click();
      await page.getByLabel('Name').fill('Chat in development');
      await page.getByRole('radio', { name: 'Production' }).check();
      await page.getByLabel('Edition').selectOption('Premium');
      await page.getByRole('button', { name: 'Create the app' }).click();
      await page.getByRole('alert').filter({ hasText: 'Another app has this name.' }).waitFor();
      assert.ok(await page.getByRole('radio', { name: 'Production' }).isChecked());
      await page.getByLabel('Name').fill(`Made ${mode} script`);
      await page.getByRole('button', { name: 'Create the app' }).click();
      await page.getByText('shown here for 5 minutes').waitFor();
      await page.getByRole('heading', { name: 'The app was created' }).waitFor();
      const [key, secret] = await page.locator('dd code').allInnerTexts();
      await AppServer.login(server, { key, secret });
      const [made] = JSON.parse(await server.command('app', 'list', '--json')).filter((a) => a.key === key);
      assert.deepEqual([made.environment, made.edition], ['PRODUCTION', 'PREMIUM']);
      assert.ok(!server.output.includes(secret), 'the secret is in the log');
      await page.getByRole('link', { name: 'To the app’s overview' }).click();
      await page.getByRole('heading', { name: `Made ${mode} script` }).waitFor();
      operator.errors = operator.errors.filter((error) => !error.includes('422')); // the taken name
      await operator.leave();
    });

    test(`an admin saves users as CSV, and the audit records it, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
      await app.register(`-dash.${mode}`, `=1+1, "${mode}"`);
      await app.register(`other.${mode}`);
      const operator = await Operator.arrive(browser, server, { javaScriptEnabled, acceptDownloads: true });
      const { page } = operator;
      await operator.login();
      await operator.open(`/console/apps/${development.key}/users?q=-dash.${mode}`);
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export CSV' }).click()]);
      assert.match(download.suggestedFilename(), /^users-Chat-in-development-\d{4}-\d\d-\d\d\.csv$/);
      const text = await readFile(await download.path(), 'utf8');
      const [head, row, end, ...rest] = text.split('\r\n');
      assert.equal(head, '\uFEFFid,name,avatarUrl,state,presence,registeredAt,bannedUntil,banReason,deactivatedAt');
      assert.ok(row.startsWith(`'-dash.${mode},"'=1+1, ""${mode}""",,ACTIVE,UNLOGINED,20`), row);
      assert.deepEqual([end, rest], ['', []]);

      await page.getByRole('link', { name: 'Audit' }).click();
      await page.getByLabel('Action').selectOption('Exported users');
      await page.getByLabel('From day').fill('2000-01-01');
      await page.getByRole('button', { name: 'Filter' }).click();
      await page.getByRole('row').filter({ hasText: 'Exported users' }).first().getByRole('cell', { name: 'admin' }).waitFor();
      await page.getByLabel('To day').fill('2000-01-02');
      await page.getByRole('button', { name: 'Filter' }).click();
      await page.getByRole('heading', { name: 'No entries' }).waitFor();
      await page.getByRole('link', { name: 'Show all entries' }).click();
      await page.getByRole('row').filter({ hasText: 'Exported users' }).first().waitFor();
      await operator.leave();
    });
  }

  test('a job that a crash interrupts is shown as interrupted, and the rest can be done', async () => {
    const crowded = await server.createApp({ name: 'Crowded' });
    const backend = await AppServer.login(server, crowded);
    const total = 3000;
    for (let n = 0; n < total; n += 100) {
      const ids = Array.from({ length: 100 }, (_, i) => `u${n + i}`);
      await backend.send('mutation ($in: RegisterUsersInput!) { registerUsers(input: $in) { results { created } } }', { in: { users: ids.map((id) => ({ id, name: id })) } });
      await backend.send('mutation ($ids: [ID!]!) { deactivateUsers(input: {userIds: $ids}) { results { outcome } } }', { ids });
    }
    const operator = await Operator.arrive(browser, server);
    const { page } = operator;
    await operator.login();
    await operator.open(`/console/apps/${crowded.key}/clear`);
    await page.getByLabel(`Type 3,000 to confirm`).fill(String(total));
    await page.getByRole('button', { name: 'Delete all permanently' }).click();
    await operator.confirm();
    await page.getByText('The job continues in the background').waitFor();
    await operator.screenshot('job-running');
    await server.kill();
    await page.getByText('The server cannot be reached.').waitFor();
    await server.start();
    // Its node sends no heartbeat for half a minute; the page notices by itself.
    await page.getByText('The server that ran the job has stopped').waitFor({ timeout: 60_000 });
    await operator.check('an interrupted job');
    await operator.screenshot('job-interrupted');
    const [, handled] = (await page.getByText(/of 3,000 users/).innerText()).match(/^([\d,]+) of/);
    const { deactivatedUsers } = await backend.send('{ deactivatedUsers { totalCount } }');
    const gone = total - deactivatedUsers.totalCount;
    // The last chunk may have been done but not recorded.
    assert.ok(gone >= Number(handled.replace(',', '')) && gone < total, `${gone} gone, ${handled} told`);
    await page.getByRole('link', { name: 'Delete the rest' }).click();
    await page.getByLabel(/^Type [\d,]+ to confirm/).fill(String(deactivatedUsers.totalCount));
    await page.getByRole('button', { name: 'Delete all permanently' }).click();
    await operator.finished(`Users deleted: ${deactivatedUsers.totalCount.toLocaleString('en')}.`);
    operator.errors = operator.errors.filter((error) => !/ERR_CONNECTION|htmx:/.test(error)); // while it was down
    await operator.leave();
  });
});
