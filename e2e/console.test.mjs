import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { AppServer, send } from './lib/api.mjs';
import { launch, Operator } from './lib/browser.mjs';
import { Server } from './lib/server.mjs';
import { Connection } from './lib/socket.mjs';
import { within } from './lib/wait.mjs';

describe('the console in Chromium', () => {
  let server;
  let browser;
  let development;
  let production;
  let app; // the back end of `development`
  before(async () => {
    server = await Server.create();
    development = await server.createApp({ name: 'Chat in development' });
    production = await server.createApp({ name: 'Chat in production', environment: 'production' });
    await server.start();
    app = await AppServer.login(server, development);
    for (let n = 1; n <= 45; n++) await app.register(`member-${n}`, `Member number ${n}`);
    const productive = await AppServer.login(server, production);
    await productive.register('real', 'A real user');
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await server?.remove();
  });

  for (const javaScriptEnabled of [true, false]) {
    test(`an operator deletes a test user, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
      const id = javaScriptEnabled ? 'leaver.with-js' : 'leaver.without-js';
      const token = await app.register(id, 'Lea Leaver');
      const device = await Connection.open(server, token, 'IOS');
      const operator = await Operator.arrive(browser, server, { javaScriptEnabled });
      const { page } = operator;

      await operator.login();
      await page.getByRole('link', { name: 'Chat in development' }).click();
      await page.getByRole('link', { name: 'Users', exact: true }).click();
      await page.getByText('of 100 users registered').waitFor();
      const search = page.getByRole('search').getByLabel('Part of an ID or a name');
      await search.fill('ea Leav'); // part of the name
      await page.getByRole('button', { name: 'Search' }).click();
      await page.getByRole('cell', { name: id, exact: true }).waitFor();
      await page.getByRole('link', { name: 'Member number', exact: false }).first().waitFor({ state: 'detached' });
      await search.fill(id.slice(2, -2).toUpperCase()); // a part of the ID
      await page.getByRole('button', { name: 'Search' }).click();
      const row = page.getByRole('row').filter({ has: page.getByRole('cell', { name: id, exact: true }) });
      await row.getByText('Online').waitFor();

      await row.getByRole('link', { name: 'Lea Leaver' }).click();
      await page.getByRole('heading', { name: 'Lea Leaver' }).waitFor();
      await page.getByText('More actions').click();
      await page.getByRole('link', { name: 'Delete this user' }).click();

      // The page asks first, and going back changes nothing.
      await page.getByRole('heading', { name: `Delete ${id}?` }).waitFor();
      await page.getByRole('link', { name: 'Go back' }).click();
      assert.equal((await send(server, token, '{ me { id } }')).me.id, id);
      await page.getByText('More actions').click();
      await page.getByRole('link', { name: 'Delete this user' }).click();
      await page.getByRole('button', { name: 'Delete permanently' }).click();
      await operator.confirm();

      await page.getByRole('status').filter({ hasText: `${id} was deleted.` }).waitFor();
      assert.equal(await page.getByRole('cell', { name: id, exact: true }).count(), 0);
      assert.equal((await within(device.closed, 'the close of the device')).code, 4401);
      await assert.rejects(send(server, token, '{ me { id } }'), { status: 401, code: 'UNAUTHENTICATED' });
      await assert.rejects(Connection.open(server, token), { code: 4401 });
      assert.equal((await app.send('query ($id: ID!) { user(id: $id) { id } }', { id })).user, null);

      // Its ID is free, and a new user with it is another user.
      const successor = await app.register(id, 'Somebody else');
      assert.equal((await send(server, successor, '{ me { name } }')).me.name, 'Somebody else');
      await assert.rejects(send(server, token, '{ me { id } }'), { status: 401 });

      await page.getByRole('button', { name: 'Log out' }).click();
      await page.getByLabel('Password').waitFor();
      await operator.open(`/console/apps/${development.key}/users`);
      await page.getByLabel('Password').waitFor();
      await operator.leave();
    });

    test(`an operator bans a user for a day, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
      const id = javaScriptEnabled ? 'loud.with-js' : 'loud.without-js';
      const token = await app.register(id, 'Lou Loud');
      const device = await Connection.open(server, token, 'ANDROID');
      const operator = await Operator.arrive(browser, server, { javaScriptEnabled });
      const { page } = operator;
      await operator.login();
      await operator.open(`/console/apps/${development.key}/users/${id}`);
      await page.getByRole('link', { name: 'Ban this user' }).click();
      await page.getByRole('heading', { name: `Ban ${id}?` }).waitFor();

      // A mistake is shown next to its field, and the page keeps what was typed. Filling in a
      // length chooses it. Without a script, a ban never gets another length than the one entered.
      const own = page.getByRole('radio', { name: 'Custom length' });
      await page.getByLabel('Number').fill('31');
      if (javaScriptEnabled) {
        assert.ok(await own.isChecked());
        await page.getByRole('radio', { name: '7 days' }).check();
        assert.equal(await page.getByLabel('Number').inputValue(), '');
        await page.getByLabel('Unit').selectOption('hours');
        assert.ok(await own.isChecked());
        await page.getByLabel('Unit').selectOption('days');
        await page.getByLabel('Number').fill('31');
      } else {
        await page.getByRole('button', { name: 'Ban the user' }).click();
        await page.getByRole('alert').filter({ hasText: 'Another length is chosen' }).waitFor();
        assert.equal((await send(server, token, '{ me { id } }')).me.id, id);
        await own.check();
      }
      await page.getByLabel('Reason').fill('Advertising in every room');
      await page.getByRole('button', { name: 'Ban the user' }).click();
      await page.getByRole('alert').filter({ hasText: '1 minute to 30 days' }).waitFor();
      assert.equal(await page.getByLabel('Number').inputValue(), '31');
      assert.equal((await send(server, token, '{ me { id } }')).me.id, id);

      await page.getByRole('radio', { name: '1 day', exact: true }).check();
      if (!javaScriptEnabled) await page.getByLabel('Number').fill('');
      await page.getByRole('button', { name: 'Ban the user' }).click();
      await page.getByRole('status').filter({ hasText: `${id} is banned.` }).waitFor();
      await page.getByText('Advertising in every room').first().waitFor();
      const banned = await within(device.closed, 'the close of the device');
      assert.equal(banned.code, 4401);
      assert.match(banned.reason, /^USER_BANNED until 2/);
      await assert.rejects(send(server, token, '{ me { id } }'), { status: 403, code: 'USER_BANNED' });

      await page.getByRole('link', { name: 'Lift the ban' }).click();
      await page.getByRole('button', { name: 'Lift the ban' }).click();
      await page.getByRole('status').filter({ hasText: `The ban of ${id} was lifted.` }).waitFor();
      assert.equal((await send(server, token, '{ me { id } }')).me.id, id);

      // One device of two, and then all that the user has.
      const devices = [await Connection.open(server, token, 'IOS'), await Connection.open(server, token, 'WEB')];
      await page.getByRole('link', { name: 'Devices', exact: true }).click();
      const row = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: 'iOS' }) });
      await row.getByRole('link', { name: 'Disconnect' }).click();
      await page.getByRole('button', { name: 'Disconnect' }).click();
      await page.getByRole('status').filter({ hasText: `A device of ${id} was disconnected.` }).waitFor();
      assert.equal((await within(devices[0].closed, 'the close of the device')).code, 4403);
      await page.getByRole('rowheader', { name: /^Web / }).waitFor();
      await page.getByRole('button', { name: 'Sign out everywhere' }).click();
      await page.getByRole('status').filter({ hasText: `${id} was signed out everywhere.` }).waitFor();
      await assert.rejects(send(server, token, '{ me { id } }'), { status: 401, code: 'UNAUTHENTICATED' });
      assert.equal((await within(devices[1].closed, 'the close of the other device')).code, 4403);
      operator.errors = operator.errors.filter((error) => !error.includes('422')); // the mistake above
      await operator.leave();
    });

    test(`an operator finds out why one cannot message another, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
      const [a, b] = javaScriptEnabled ? ['asker', 'shy'] : ['asker.plain', 'shy.plain'];
      await app.register(a);
      await app.register(b);
      const operator = await Operator.arrive(browser, server, { javaScriptEnabled });
      const { page } = operator;
      await operator.login();
      await operator.open(`/console/apps/${development.key}/users/${b}/whitelist-on`);
      await page.getByRole('button', { name: 'Turn it on' }).click();
      await page.getByRole('status').filter({ hasText: `The whitelist of ${b} is on.` }).waitFor();

      await page.getByRole('link', { name: 'Chat in development' }).click();
      await page.getByRole('link', { name: 'Message permission' }).click();
      await page.getByLabel('Sender (ID or name)').fill(a);
      await page.getByLabel('Recipient (ID or name)').fill(b);
      await page.getByRole('button', { name: 'Check' }).click();
      await page.getByRole('heading', { name: `${a} may not message ${b}` }).waitFor();
      await page.getByText(`The whitelist of ${b} is on, and ${a} is not on it.`).waitFor();
      await page.getByRole('button', { name: `Add ${a} to the whitelist of ${b}` }).click();
      await page.getByRole('status').filter({ hasText: `${a} was added to the whitelist.` }).waitFor();
      await page.getByRole('heading', { name: `${a} may message ${b}` }).waitFor();

      // The next day, the audit shows who did it.
      await page.getByRole('link', { name: 'Audit' }).click();
      await page.getByLabel('Target').fill(b);
      await page.getByRole('button', { name: 'Filter' }).click();
      const row = page.getByRole('row').filter({ hasText: 'Turned a whitelist on' });
      await row.getByRole('cell', { name: 'admin' }).waitFor();
      await row.getByRole('cell', { name: '127.0.0.1' }).waitFor();
      await operator.leave();
    });

    test(`pages of users, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
      const operator = await Operator.arrive(browser, server, { javaScriptEnabled });
      const { page } = operator;
      await operator.login();
      await operator.open(`/console/apps/${development.key}/users?q=member-`);
      const seen = [];
      for (;;) {
        const cells = page.getByRole('cell', { name: /^member-\d+$/ });
        await cells.first().waitFor();
        seen.push(...(await cells.allTextContents()));
        const next = page.getByRole('link', { name: 'Next' });
        if (!(await next.count())) break;
        await next.click();
        await page.getByText(seen.at(-1), { exact: true }).waitFor({ state: 'detached' });
      }
      await page.getByRole('link', { name: 'Previous' }).click();
      await page.getByRole('cell', { name: 'member-25', exact: true }).waitFor();
      assert.deepEqual(seen, Array.from({ length: 45 }, (_, n) => `member-${45 - n}`)); // newest first
      await operator.leave();
    });
  }

  for (const javaScriptEnabled of [true, false]) {
    test(`an operator clears a development app, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
      const name = `Trial ${javaScriptEnabled ? 'with' : 'without'} script`;
      const trial = await server.createApp({ name });
      const backend = await AppServer.login(server, trial);
      for (let n = 1; n <= 7; n++) await backend.register(`tester-${n}`);
      const operator = await Operator.arrive(browser, server, { javaScriptEnabled });
      const { page } = operator;
      await operator.login();
      await page.getByRole('link', { name }).click();
      await page.getByRole('link', { name: 'Users', exact: true }).click();

      // Some of them first.
      await page.getByRole('checkbox', { name: 'Choose tester-2' }).check();
      await page.getByRole('checkbox', { name: 'Choose tester-5' }).check();
      await page.getByRole('button', { name: 'Delete', exact: true }).click();
      await page.getByRole('heading', { name: 'Delete 2 users?' }).waitFor();
      await page.getByRole('button', { name: 'Delete permanently' }).click();
      await operator.confirm();
      await operator.finished('Users deleted: 2.');
      await page.getByRole('link', { name: 'Back to the users' }).click();
      await page.getByRole('checkbox', { name: 'Choose tester-1' }).check();
      await page.getByRole('button', { name: 'Ban', exact: true }).click();
      await page.getByRole('heading', { name: 'Ban 1 user?' }).waitFor();
      await page.getByRole('button', { name: 'Ban them' }).click();
      await operator.finished('Users banned: 1.');
      await page.getByRole('link', { name: 'Back to the users' }).click();
      await page.getByRole('link', { name: 'Banned', exact: true }).click();
      await page.getByRole('cell', { name: 'tester-1', exact: true }).waitFor();
      // The ban is lifted in the list of banned users, and set again.
      if (javaScriptEnabled) await page.getByRole('checkbox', { name: 'This page' }).check();
      else await page.getByRole('checkbox', { name: 'Choose tester-1' }).check();
      await page.getByRole('button', { name: 'Lift bans' }).click();
      await page.getByRole('heading', { name: 'Lift the ban of 1 user?' }).waitFor();
      await page.getByRole('button', { name: 'Lift the bans' }).click();
      await operator.finished('Bans lifted: 1.');
      await operator.open(page.url().replace(server.url, '').replace(/jobs\/\d+$/, 'users/tester-1'));
      await page.getByRole('link', { name: 'Ban this user' }).click();
      await page.getByRole('button', { name: 'Ban the user' }).click();
      await page.getByRole('status').filter({ hasText: 'tester-1 is banned.' }).waitFor();
      await page.getByRole('link', { name: 'Change the ban' }).click();
      await page.getByLabel('Reason').fill('Still testing');
      await page.getByRole('button', { name: 'Change the ban' }).click();
      await page.getByRole('status').filter({ hasText: 'The ban of tester-1 was changed.' }).waitFor();
      await page.getByText('Still testing').first().waitFor();
      await page.getByRole('link', { name: 'Check whether a user may message this one' }).click();
      assert.equal(await page.getByLabel('Recipient (ID or name)').inputValue(), 'tester-1');
      await page.getByRole('link', { name: 'Users', exact: true }).click();
      await page.getByLabel('Which users').selectOption('Banned');
      await page.getByRole('button', { name: 'Search' }).click();
      await page.getByRole('cell', { name: 'tester-3', exact: true }).waitFor({ state: 'detached' });
      const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export CSV' }).click()]);
      assert.match(await readFile(await file.path(), 'utf8'), /^\uFEFFid,name,.*\r\ntester-1,.*Still testing.*\r\n$/);
      if (javaScriptEnabled) {
        await page.getByRole('checkbox', { name: 'This page' }).check();
        assert.ok(await page.getByRole('checkbox', { name: 'Choose tester-1' }).isChecked());
        await page.getByText('1 chosen').waitFor();
      }

      // All that match, on all pages, and then all users of the app.
      await page.getByLabel('Which users').selectOption('All users');
      await page.getByRole('searchbox').fill('tester-');
      await page.getByRole('button', { name: 'Search' }).click();
      await page.getByRole('checkbox', { name: 'All 5 that match' }).check();
      await page.getByRole('button', { name: 'Sign out everywhere' }).click();
      await page.getByRole('heading', { name: 'Sign out 5 users everywhere?' }).waitFor();
      await page.getByRole('button', { name: 'Sign them out' }).click();
      await operator.finished('Users signed out: 5.');
      await page.getByRole('link', { name: 'Back to the users' }).click();
      await page.getByText('More', { exact: true }).click();
      await page.getByRole('link', { name: 'Delete all test users' }).click();
      await page.getByLabel('Type 5 to confirm').fill('7');
      await page.getByRole('button', { name: 'Delete all permanently' }).click();
      await page.getByRole('alert').filter({ hasText: 'The number is not 5' }).waitFor();
      assert.notEqual((await backend.send('{ user(id: "tester-3") { id } }')).user, null);
      await page.getByLabel('Type 5 to confirm').fill('5');
      await page.getByRole('button', { name: 'Delete all permanently' }).click();
      await operator.finished('Users deleted: 5.');
      await page.getByRole('link', { name: 'Jobs' }).first().click();
      await page.getByRole('row').filter({ hasText: 'Deleting all test users' }).getByText('Done').waitFor();
      await page.getByRole('link', { name: 'Users', exact: true }).click();
      await page.getByRole('heading', { name: 'No users yet' }).waitFor();
      assert.equal((await backend.send('{ user(id: "tester-3") { id } }')).user, null);
      operator.errors = operator.errors.filter((error) => !error.includes('422')); // the wrong number above
      await operator.leave();
    });
  }

  for (const javaScriptEnabled of [true, false]) {
    test(`an operator changes an app's settings and its secret, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
      const name = `Settled ${javaScriptEnabled ? 'with' : 'without'} script`;
      const settled = await server.createApp({ name, environment: 'production', edition: 'standard' });
      const operator = await Operator.arrive(browser, server, { javaScriptEnabled });
      const { page } = operator;
      await operator.login();
      await page.getByRole('link', { name }).click();
      await page.getByRole('link', { name: 'Settings', exact: true }).click();
      const query = page.getByRole('checkbox', { name: 'Users may query others’ status' });
      await query.check();
      await page.getByRole('button', { name: 'Save the settings' }).click();
      await page.getByRole('alert').filter({ hasText: 'Edition Standard does not have this setting' }).waitFor();
      assert.ok(await query.isChecked());
      await page.getByLabel('Edition').selectOption('Flagship');
      await page.getByLabel('Friends per user').fill('12');
      await page.getByRole('button', { name: 'Save the settings' }).click();
      await page.getByRole('status').filter({ hasText: 'were saved and are in effect' }).waitFor();
      const [saved] = JSON.parse(await server.command('app', 'list', '--json')).filter((a) => a.key === settled.key);
      assert.equal(saved.edition, 'FLAGSHIP');
      assert.equal(saved.settings.friendLimit, 12);
      assert.equal(saved.settings.statusQueryEnabled, true);

      // Another tab changes something else, and neither change undoes the other.
      const other = await operator.context.newPage();
      await other.goto(page.url());
      await other.getByLabel('Friends per user').fill('777');
      await other.getByRole('button', { name: 'Save the settings' }).click();
      await other.getByRole('status').filter({ hasText: 'were saved and are in effect' }).waitFor();
      await other.close();
      await page.getByLabel('Blocklist entries per user').fill('55');
      await page.getByRole('button', { name: 'Save the settings' }).click();
      await page.getByRole('status').filter({ hasText: 'were saved and are in effect' }).waitFor();
      assert.equal(await page.getByLabel('Friends per user').inputValue(), '777');
      assert.equal(await page.getByLabel('Blocklist entries per user').inputValue(), '55');
      await page.getByRole('button', { name: 'Save the settings' }).click();
      await page.getByRole('status').filter({ hasText: 'You changed nothing' }).waitFor();

      await page.getByRole('link', { name: 'Rotate the secret' }).click();
      await page.getByRole('button', { name: 'Make a new secret' }).click();
      await operator.confirm();
      await page.getByText('shown here for 5 minutes').waitFor();
      const secret = await page.locator('[data-copy]').innerText();
      await assert.rejects(AppServer.login(server, settled), { code: 'UNAUTHENTICATED' });
      await AppServer.login(server, { ...settled, secret });
      assert.ok(!server.output.includes(secret), 'the secret is in the log');
      await page.getByRole('link', { name: 'Audit' }).click();
      await page.getByRole('cell', { name: 'Rotated the secret' }).first().waitFor();
      assert.ok(!(await page.content()).includes(secret), 'the secret is in the audit');
      operator.errors = operator.errors.filter((error) => !error.includes('422')); // the switch above
      await operator.leave();
    });
  }

  test('the list follows the search field while it is typed in', async () => {
    const operator = await Operator.arrive(browser, server);
    const { page } = operator;
    await operator.login();
    await page.getByRole('link', { name: 'Chat in development' }).click();
    await page.getByRole('link', { name: 'Users', exact: true }).click();
    await page.getByRole('search').getByRole('searchbox').pressSequentially('member-17');
    await page.getByRole('cell', { name: 'member-18', exact: true }).waitFor({ state: 'detached' });
    await page.getByRole('cell', { name: 'member-17', exact: true }).waitFor();
    await page.getByLabel('Which users').selectOption('Banned');
    await page.getByRole('heading', { name: 'No user matches' }).waitFor();
    assert.match(page.url(), /\?(?=.*q=member-17)(?=.*show=banned)/);
    await page.getByLabel('Which users').selectOption('All users');
    await page.getByRole('cell', { name: 'member-17', exact: true }).waitFor();

    // Shift ticks a range. Another search and another order drop the ticks, and say so.
    const lost = page.getByText('The users that were ticked are no longer chosen.');
    const ban = page.getByRole('button', { name: 'Ban', exact: true });
    const tick = (n) => page.getByRole('checkbox', { name: `Choose member-${n}`, exact: true });
    await page.getByRole('searchbox').fill('member-');
    await tick(40).check();
    await tick(36).click({ modifiers: ['Shift'] });
    await page.getByText('5 chosen').waitFor();
    assert.deepEqual([await tick(38).isChecked(), await tick(41).isChecked(), await ban.isEnabled()], [true, false, true]);
    await page.getByRole('searchbox').fill('member-3');
    await lost.waitFor();
    assert.deepEqual([await tick(38).isChecked(), await ban.isDisabled()], [false, true]);
    await tick(38).check();
    await page.getByText('1 chosen').waitFor();
    await page.getByRole('link', { name: 'Registered' }).click();
    await lost.waitFor();
    await page.reload();
    await page.getByText('Tick users to act on them.').waitFor();
    await operator.leave();
  });

  test('pages and users are reached with the keyboard, and users are picked by name', async () => {
    const operator = await Operator.arrive(browser, server);
    const { page } = operator;
    await operator.login();
    await operator.open(`/console/apps/${development.key}/users`);
    await page.keyboard.press('/');
    assert.ok(await page.getByRole('searchbox').evaluate((field) => field === document.activeElement));
    await page.getByRole('heading', { name: 'Users' }).click();
    await page.keyboard.press('?');
    const shortcuts = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
    await shortcuts.waitFor();
    await operator.hasNoBarrier('the shortcuts');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+k');
    const field = page.getByRole('combobox', { name: 'Go to a page, an app or a user' });
    await field.fill('number 31');
    await page.getByRole('option', { name: 'Member number 31 member-31' }).waitFor();
    await operator.hasNoBarrier('the palette');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Member number 31' }).waitFor();
    await page.keyboard.press('Control+k');
    await field.fill('zzz');
    await page.locator('.unfound').filter({ hasText: 'No page, app or user matches.' }).waitFor();
    await field.fill('message');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Message permission' }).waitFor();
    // Enter sends what is typed, and picks only what was chosen with the arrow keys.
    const sender = page.getByLabel('Sender (ID or name)');
    await sender.fill('number 17');
    await page.getByRole('option', { name: 'Member number 17 member-17' }).waitFor();
    await operator.hasNoBarrier('what was found for a field');
    await sender.fill('zzz');
    await page.locator('.unfound').filter({ hasText: /^No match$/ }).waitFor();
    await operator.hasNoBarrier('nothing was found for a field');
    await sender.fill('number 17');
    await page.getByRole('option', { name: 'Member number 17 member-17' }).waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    assert.equal(await sender.inputValue(), 'member-17');
    await page.getByRole('option').waitFor({ state: 'detached' });
    await operator.open('/console/audit');
    const target = page.getByLabel('Target');
    await target.fill('number 18');
    await page.locator('.unfound').filter({ hasText: 'No match. Users are found after an app is chosen.' }).waitFor();
    await page.keyboard.press('Control+k');
    await field.fill('number 18');
    await page.locator('.unfound').filter({ hasText: 'found after you open the app' }).waitFor();
    await page.keyboard.press('Escape'); // closes it although the field is filled
    await page.getByLabel('App', { exact: true }).selectOption('Chat in development');
    await target.fill('number 18');
    await page.getByRole('option', { name: 'Member number 18 member-18' }).click();
    assert.equal(await target.inputValue(), 'member-18');
    await page.getByLabel('Actor').fill('adm');
    await page.getByRole('option', { name: 'admin' }).click();
    await page.keyboard.press('Enter');
    await page.waitForURL(/\?actor=admin&target=member-18&action=&/);
    await operator.leave();
  });

  test('a menu stays in the window, the current tabs in sight, and a printed list on the paper', async () => {
    const id = 'w'.repeat(64);
    await app.register(id, 'Wide');
    await app.send('mutation ($input: BanUsersInput!) { banUsers(input: $input) { results { outcome } } }', { input: { userIds: [id], minutes: 60, reason: 'Advertising' } });
    const operator = await Operator.arrive(browser, server, { viewport: { width: 810, height: 900 } });
    const { page } = operator;
    await operator.login();
    const root = `/console/apps/${development.key}`;
    await operator.open(`${root}/users/member-2/activity`);
    await page.getByText('More actions').click();
    const menu = await page.locator('.acts .choices').boundingBox();
    assert.ok(menu.x >= 0 && menu.x + menu.width <= 810, JSON.stringify(menu));
    await page.setViewportSize({ width: 320, height: 844 });
    await page.waitForFunction(() => [...document.querySelectorAll('.tabs [aria-current]')].every((tab) => {
      const { left, right } = tab.getBoundingClientRect();
      return left >= 0 && right <= innerWidth;
    }));
    await page.setViewportSize({ width: 794, height: 1123 }); // A4
    await operator.open(`${root}/banned`);
    await page.emulateMedia({ media: 'print' });
    await operator.fits('the printed list');
    await operator.leave();
  });

  test('a user of a PRODUCTION app cannot be deleted', async () => {
    const operator = await Operator.arrive(browser, server);
    const { page } = operator;
    await operator.login();
    await page.getByRole('link', { name: 'Chat in production' }).click();
    await page.getByRole('link', { name: 'Users', exact: true }).click();
    await page.getByRole('link', { name: 'A real user' }).click();
    await page.getByText('More actions').click();
    await page.getByText('Users of a production app cannot be deleted.').waitFor();
    assert.equal(await page.getByRole('link', { name: 'Delete this user' }).count(), 0);

    // The page has no button, and the service refuses the form if it is sent nevertheless.
    const forged = await operator.post(`/console/apps/${production.key}/users/real/delete`);
    assert.equal(forged.status(), 403);
    const productive = await AppServer.login(server, production);
    assert.equal((await productive.send('{ user(id: "real") { id } }')).user.id, 'real');
    await operator.leave();
  });

  test('a form from another site, and one without a login, change nothing', async () => {
    await app.register('target');
    const path = `/console/apps/${development.key}/users/target/delete`;
    const operator = await Operator.arrive(browser, server);
    const stranger = await operator.post(path);
    assert.ok([302, 303].includes(stranger.status()), 'led to the login');
    await operator.login();
    for (const headers of [{ Origin: 'https://evil.example' }, { 'Sec-Fetch-Site': 'cross-site' }]) {
      assert.equal((await operator.post(path, headers)).status(), 403);
    }
    assert.equal((await app.send('{ user(id: "target") { id } }')).user.id, 'target');
    await operator.leave();
  });

  test('a viewer sees the users and deletes none', async () => {
    const password = 'only looking around';
    await server.commandWith(password, 'operator', 'create', 'vera', '--role', 'viewer');
    await app.register('watched', 'Watched');
    const operator = await Operator.arrive(browser, server);
    const { page } = operator;
    await operator.login('vera', password);
    await operator.open(`/console/apps/${development.key}/users/watched`);
    await page.getByRole('heading', { name: 'Watched' }).waitFor();
    assert.equal(await page.getByRole('link', { name: 'Delete this user' }).count(), 0);
    assert.equal((await operator.post(`/console/apps/${development.key}/users/watched/delete`)).status(), 403);
    assert.equal((await app.send('{ user(id: "watched") { id } }')).user.id, 'watched');
    await operator.leave();
  });

  test('the cookie and the headers keep others out', async () => {
    const operator = await Operator.arrive(browser, server);
    const answer = await operator.open('/console/');
    const headers = answer.headers();
    assert.match(headers['content-security-policy'], /default-src 'none'/);
    assert.doesNotMatch(headers['content-security-policy'], /unsafe|https?:|\*/);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    await operator.login();
    const cookie = (await operator.context.cookies()).find(({ name }) => name === 'rollcall_session');
    assert.equal(cookie.httpOnly, true);
    assert.match(cookie.sameSite, /^(Lax|Strict)$/);
    await operator.leave();
  });

  test('the explorer contacts this server only', async () => {
    const operator = await Operator.arrive(browser, server);
    const { page } = operator;
    await operator.login();
    await operator.open('/console/explorer');
    await page.getByRole('heading', { name: 'GraphQL explorer' }).waitFor();
    await page.getByRole('button', { name: /execute/i }).click();
    await page.getByText('"Query"').waitFor(); // the response to { __typename }
    await operator.screenshot('explorer');
    await operator.leave();
  });
});
