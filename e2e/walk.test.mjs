import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { AppServer, eventStream } from './lib/api.mjs';
import { launch, Operator } from './lib/browser.mjs';
import { adminPassword, Server } from './lib/server.mjs';
import { Connection } from './lib/socket.mjs';
import { until } from './lib/wait.mjs';

/** Names in the messages of pages that are not elsewhere on the page. */
const names = ['member', 'Member number', 'busy', 'sam', 'new', 'admin', 'nobody', 'Shown', 'Chat in development', 'json'];

/** The ID of a trusted document. */
const documentID = '5d0a1c'.repeat(10);

/**
 * A walk through all pages and all responses, by one operator in one language and theme. The
 * screenshots alternate between two widths, by page and by language; every page must fit these and
 * some others, a phone also with large text, and axe examines it.
 */
class Walk {
  #shown = 0;

  constructor(server, operator, { language, colorScheme }) {
    Object.assign(this, { server, operator, language, colorScheme, page: operator.page });
  }

  async show(name) {
    const widths = [1280, 390];
    if ((this.#shown++ % 2 === 0) === (this.language === 'en')) widths.reverse();
    for (const width of [320, this.language === 'en' ? 1920 : 810, ...widths]) {
      await this.page.setViewportSize({ width, height: 844 });
      await this.operator.fits(`${name} at ${width} px`);
    }
    await this.page.setViewportSize({ width: 320, height: 844 });
    await this.operator.enlargeText(2);
    await this.operator.fits(`${name} at 320 px with text of twice the size`);
    await this.operator.enlargeText(1);
    await this.page.setViewportSize({ width: widths.at(-1), height: 844 });
    const seen = `${name}-${widths.at(-1)}-${this.colorScheme}-${this.language}`;
    assert.equal(await this.page.locator('html').getAttribute('lang'), this.language, seen);
    await this.operator.reads(seen, names);
    await this.operator.hasNoBarrier(seen);
    await this.operator.screenshot(seen);
  }

  /** Opens each of [name, path] and checks it. A third element is the status, if not 200. */
  async visit(pages) {
    for (const [name, path, status = 200] of pages) {
      const answer = await this.operator.open(path);
      assert.equal(answer.status(), status, path);
      await this.show(name);
    }
  }

  /** Submits the page's form of that action with some fields filled in; returns the status of the resulting page. */
  async submit(action, fields = {}) {
    const form = this.page.locator(`form[action="${action}"]`);
    await form.evaluate((node) => { node.noValidate = true; });
    for (const [field, value] of Object.entries(fields)) {
      const input = form.locator(`[name="${field}"]`).first();
      const kind = await input.evaluate((node) => node.type);
      if (kind === 'select-one') await input.selectOption(value);
      else if (kind === 'radio') await form.locator(`[name="${field}"][value="${value}"]`).check();
      else await input.fill(value);
    }
    const [answer] = await Promise.all([
      this.page.waitForResponse((response) => response.request().isNavigationRequest() && response.status() !== 303),
      this.page.waitForEvent('load'),
      form.locator('button').last().click(),
    ]);
    return answer.status();
  }

  /** Moves over a page with Tab: every control gets the focus, is then visible, and shows the focus. */
  async tabThrough(path) {
    const { page } = this;
    await this.operator.open(path);
    const controls = await page.evaluate(() => {
      // A hidden page does not poll, and so does not change.
      Object.defineProperty(document, 'hidden', { value: true });
      const all = [...document.querySelectorAll('a[href], button, input:not([type="hidden"]), select, textarea, summary')];
      const visible = all.filter((control) => !control.disabled && control.checkVisibility());
      visible.forEach((control, at) => { control.dataset.stop = at; });
      return visible.map((control) => control.outerHTML);
    });
    assert.ok(controls.length > 10, path);
    const left = new Set(controls.keys());
    for (let presses = controls.length + 3; presses > 0 && left.size > 0; presses--) {
      await page.keyboard.press('Tab');
      const stop = await page.evaluate(() => {
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
        const { top, bottom, left, right } = document.activeElement.getBoundingClientRect();
        return {
          at: Number(document.activeElement.dataset.stop ?? -1),
          marked: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2,
          inSight: bottom > 0 && right > 0 && top < innerHeight && left < innerWidth,
        };
      });
      if (stop.at < 0) continue; // the browser's own tab stops, such as a pane that scrolls
      assert.deepEqual([stop.marked, stop.inSight], [true, true], `the focus on ${controls[stop.at]} of ${path} can be seen`);
      left.delete(stop.at);
    }
    assert.deepEqual([...left].map((at) => controls[at]), [], `Tab does not reach them on ${path}`);
  }

  /** Like submit, and checks the resulting page. */
  async answer(name, status, action, fields) {
    assert.equal(await this.submit(action, fields), status, name);
    await this.show(name);
  }
}

describe('every page and every answer, as people see it', { concurrency: 2 }, () => {
  let browser;
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());

  // Neither the words nor the layout depend on the theme, so two of the four combinations show all.
  for (const [language, colorScheme] of [['en', 'light'], ['zh-CN', 'dark']]) {
    test(`${language}, ${colorScheme}`, async (t) => {
      const server = await Server.create();
      t.after(() => server.remove());
      const trusted = join(server.folder, 'trusted');
      await mkdir(trusted);
      await writeFile(join(trusted, 'other.json'), '{}');
      await server.start({ ROLLCALL_TRUSTED_DOCUMENTS: trusted });
      const operator = await Operator.arrive(browser, server, { colorScheme, locale: language });
      const walk = new Walk(server, operator, { language, colorScheme });
      await operator.context.addCookies([{ name: 'rollcall_language', value: 'en', url: `${server.url}/console/` }]);
      await beforeLogin(walk);
      await emptyConsole(walk);
      const world = await populate(server);
      await writeFile(join(trusted, `${world.production.key}.json`), JSON.stringify({ [documentID]: 'query Me { me { id name } }' }));
      await appPages(walk, world);
      await userPages(walk, world);
      await connections(walk, world);
      for (const path of ['', '/users', '/users/member-1', '/connections']) await walk.tabThrough(`${world.root}${path}`);
      await settingsAndPermission(walk, world);
      await longWork(walk, world);
      await operatorsAndAccount(walk, world);
      await explorer(walk, world);
      await refusals(walk, world);
      await world.device.close();
      // The browser logs the failed requests that the test makes on purpose.
      operator.errors = operator.errors.filter((error) => !/status of 4(00|01|03|04|09|10|22|29)/.test(error));
      await operator.leave();
    });
  }

  async function beforeLogin(walk) {
    const { operator, page, language } = walk;
    await operator.open('/console/login');
    await page.locator(`button[value="${language}"]`).click();
    await page.locator(`html[lang="${language}"]`).waitFor();
    await walk.show('login');
    const login = (password) => walk.submit('/console/login', { name: 'nobody', password });
    assert.equal(await login('wrong'), 401);
    await walk.show('login-wrong');
    while ((await login('wrong')) !== 429);
    await walk.show('login-throttled');
    await walk.operator.login();
  }

  /** An app without users, whose lists explain what to do next. */
  async function emptyConsole(walk) {
    const { key } = await walk.server.createApp({ name: 'Nobody here' });
    const empty = `/console/apps/${key}`;
    await walk.visit([
      ['empty-apps', '/console/'],
      ['empty-overview', empty],
      ['empty-statistics', `${empty}/statistics`],
      ['empty-users', `${empty}/users`],
      ['empty-users-online', `${empty}/users?show=online`],
      ['empty-banned', `${empty}/banned`],
      ['empty-deactivated', `${empty}/deactivated`],
      ['empty-jobs', `${empty}/jobs`],
      ['empty-connections', `${empty}/connections`],
      ['empty-connections-close-all', `${empty}/connections/close-all`],
      ['empty-clear', `${empty}/clear`],
      ['empty-bulk', `${empty}/bulk/ban?id=gone`],
      ['empty-bulk-unban', `${empty}/bulk/unban?id=gone`],
      ['empty-audit', '/console/audit?actor=nobody'],
      ['audit-wrong', '/console/audit?from=soon', 422],
      ['audit-order', '/console/audit?from=2026-11-21&until=2026-11-20', 422],
    ]);
  }

  async function populate(server) {
    const development = await server.createApp({ name: 'Chat in development', statusQueryEnabled: true });
    const production = await server.createApp({ name: 'Chat in production', environment: 'production' });
    const app = await AppServer.login(server, development);
    const users = Array.from({ length: 34 }, (_, i) => ({ id: `member-${i + 1}`, name: `Member number ${i + 1}` }));
    users.push(
      { id: 'x'.repeat(64), name: 'A name that nobody can read aloud without breath, '.repeat(2).slice(0, 64) },
      { id: '20260101_王', name: '王小明 🎈 مرحبا' }, { id: 'no-name', name: '' },
    );
    const { registerUsers } = await app.send('mutation ($input: RegisterUsersInput!) { registerUsers(input: $input) { results { userId error { message } } } }', { input: { users } });
    const ids = registerUsers.results.filter(({ error }) => !error).map(({ userId }) => userId);
    const productive = await AppServer.login(server, production);
    await productive.register('member-1', 'A real user');
    await productive.register('member-2', 'A user who left');
    await productive.send('mutation { deactivateUsers(input: {userIds: ["member-2"]}) { results { outcome } } }');
    const device = await Connection.open(server, await app.register('member-1', 'Member number 1'), 'ANDROID');
    for (const friendId of ['member-2', 'member-3', ids.at(-1)]) {
      await app.send('mutation ($input: AddFriendInput!) { addFriend(input: $input) { created } }', { input: { userId: 'member-1', friendId, remark: `${friendId} from school` } });
    }
    await device.request('mutation { setStatus(input: {customStatus: "Out for lunch"}) { status { presence } } }');
    await device.request('mutation { sendFriendRequest(input: { targetId: "member-4", message: "It is me" }) { __typename } }');
    await device.request('mutation { addToBlocklist(input: { targetIds: ["member-6"] }) { results { outcome } } }');
    await device.request('mutation { subscribeStatus(input: {targetIds: ["member-2", "member-3"]}) { evictedIds } }');
    await app.send('mutation { addToWhitelist(input: { userId: "member-1", targetIds: ["member-2"] }) { results { outcome } } }');
    await app.send('mutation { banUsers(input: { userIds: ["member-5", "member-7"], minutes: 60, reason: "Advertising in every room" }) { results { outcome } } }');
    await app.send('mutation { deactivateUsers(input: {userIds: ["member-8"]}) { results { outcome } } }');
    return { development, production, app, device, root: `/console/apps/${development.key}` };
  }

  async function appPages(walk, { root, production }) {
    await walk.visit([
      ['apps', '/console/'],
      ['app-new', '/console/apps/new'],
    ]);
    await walk.answer('app-new-wrong', 422, '/console/apps/new', { name: 'Chat in development' });
    await walk.answer('app-secret', 200, '/console/apps/new', { name: 'Shown once' });
    await walk.operator.open(root);
    await walk.page.locator('.plot canvas').first().waitFor();
    await walk.show('overview');
    for (const summary of await walk.page.locator('summary').all()) await summary.click();
    await walk.show('overview-tables');
    await walk.operator.open(`${root}/statistics?range=day`);
    await walk.page.locator('.plot canvas').first().waitFor();
    for (const summary of await walk.page.locator('.statistics summary').all()) await summary.click();
    await walk.show('statistics');
    await walk.visit([
      ['statistics-wrong', `${root}/statistics?range=custom&from=2026-02-02&to=2026-02-01`],
      ['users', `${root}/users`],
      ['users-none', `${root}/users?q=somebody-else`],
      ['users-production', `/console/apps/${production.key}/users`],
      ['banned', `${root}/banned`],
      ['deactivated', `${root}/deactivated`],
    ]);
  }

  async function userPages(walk, { root, production }) {
    const user = `${root}/users/member-1`;
    await walk.visit([
      ['user', user],
      ['user-relationships', `${user}/relationships`],
      ['user-devices', `${user}/devices`],
      ['user-activity', `${user}/activity`],
      ['user-alone-relationships', `${root}/users/member-30/relationships`],
      ['user-alone-activity', `${root}/users/member-30/activity`],
      ['user-alone', `${root}/users/member-30`],
      ['user-banned', `${root}/users/member-5`],
      ['user-deactivated', `${root}/users/member-8`],
      ['user-production', `/console/apps/${production.key}/users/member-1`],
      ['user-production-deactivated', `/console/apps/${production.key}/users/member-2`],
      ...['friends', 'incoming', 'outgoing', 'blocklist', 'whitelist', 'subscriptions'].flatMap((list) => [
        [`user-${list}`, `${user}/${list}`],
        [`user-${list}-empty`, `${root}/users/member-30/${list}`],
      ]),
      ['user-ban', `${user}/ban`],
      ['user-ban-deactivated', `${root}/users/member-8/ban`],
      ...['disconnect', 'expire-tokens', 'deactivate', 'whitelist-on', 'delete'].map((action) => [`user-${action}`, `${user}/${action}`]),
      ['user-unban', `${root}/users/member-5/unban`],
      ['user-unban-nothing', `${user}/unban`],
      ['user-change-ban', `${root}/users/member-5/ban`],
      ['user-reactivate', `${root}/users/member-8/reactivate`],
    ]);
    const other = `${root}/users/member-9`;
    await walk.operator.open(`${other}/ban`);
    await walk.answer('user-ban-wrong', 422, `${other}/ban`, { length: 'own', amount: '31' });
    await walk.answer('user-ban-done', 200, `${other}/ban`, { length: '1440', reason: 'Advertising' });
    await walk.operator.open(other);
    await walk.answer('user-note-done', 200, `${other}/notes`, { text: 'busy' });
    await walk.visit([['user-note-delete', await walk.page.locator('.notes a').getAttribute('href')]]);
    for (const action of ['unban', 'expire-tokens', 'whitelist-on', 'whitelist-off', 'deactivate', 'reactivate']) {
      await walk.operator.open(`${other}/${action}`);
      let password = {};
      if (action === 'deactivate') {
        await walk.answer('confirm', 403, `${other}/${action}`);
        await walk.answer('confirm-wrong', 422, `${other}/${action}`, { 'present-password': 'a guess' });
        password = { 'present-password': adminPassword };
      }
      await walk.answer(`user-${action}-done`, 200, `${other}/${action}`, password);
    }
    // A second action on the same subject gets a message.
    await walk.operator.open(`${other}/deactivate`);
    await walk.operator.post(`${other}/deactivate`);
    await walk.answer('user-deactivate-late', 200, `${other}/deactivate`);
    await walk.operator.open(`${root}/users/member-10/delete`);
    await walk.answer('user-delete-done', 200, `${root}/users/member-10/delete`);
  }

  async function connections(walk, { root, app }) {
    const { operator, page } = walk;
    const path = `${root}/connections`;
    const links = [await Connection.open(walk.server, app.token), await Connection.open(walk.server, app.token)];
    const stream = await eventStream(walk.server, app.token, 'subscription { appStatusChanged { presence } }');
    const closing = page.locator('a[href*="close?connection="]');
    await until(async () => (await operator.open(path)) && (await closing.count()) === 3, 'three connections');
    await walk.show('connections');
    const one = await closing.last().getAttribute('href');
    await walk.visit([
      ['connection-close', one],
      ['connection-close-nothing', `${path}/close?connection=1`],
      ['connections-close-all', `${path}/close-all`],
    ]);
    await operator.open(one);
    await walk.answer('connection-close-done', 200, `${path}/close`);
    await until(async () => (await operator.open(path)) && (await closing.count()) === 2, 'two connections');
    await operator.open(`${path}/close-all`);
    await walk.answer('connections-close-all-done', 200, `${path}/close-all`);
    for (const link of links) assert.deepEqual(await link.closed, { code: 4401, reason: 'UNAUTHENTICATED (closed by an operator)' });
    assert.match(await stream.text, /an operator has closed the connection/);
  }

  async function settingsAndPermission(walk, { root, app, production }) {
    // One obstacle behind another, in an app in which only friends may message each other.
    await app.send('mutation { setWhitelistEnabled(input: { userIds: ["member-2"], enabled: true }) { results { outcome } } addToBlocklist(input: { userId: "member-2", targetIds: ["member-3"] }) { results { outcome } } }');
    const trusted = `/console/apps/${production.key}/settings/trusted-documents`;
    await walk.visit([
      ['settings', `${root}/settings`],
      ['trusted-none', `${root}/settings/trusted-documents`],
      ['trusted', trusted],
      ['trusted-not-found', `${trusted}?q=member`],
      ['trusted-document', `${trusted}/document?id=${documentID}`],
      ['rotate-secret', `${root}/rotate-secret`],
      ['permission', `${root}/permission`],
      ['permission-allowed', `${root}/permission?from=member-2&to=member-1`],
      ['permission-denied', `${root}/permission?from=member-6&to=member-1`],
      ['permission-behind', `${root}/permission?from=member-3&to=member-2`],
      ['permission-oneself', `${root}/permission?from=member-1&to=member-1`],
      ['permission-name', `${root}/permission?from=nobody&to=member-1`], // a part of a long name
      ['permission-unknown', `${root}/permission?from=stranger&to=member-1`],
    ]);
    await walk.operator.open(`${root}/settings`);
    await walk.answer('settings-wrong', 422, `${root}/settings`, { friendLimit: '-1' });
    await walk.answer('settings-lower', 409, `${root}/settings`, { friendLimit: '12', deviceLimit: '3' });
    await walk.answer('settings-values', 200, `${root}/settings`); // the last button goes back to them
    await walk.answer('settings-done', 200, `${root}/settings`, { deviceLimit: '20' });
    await walk.answer('settings-same', 200, `${root}/settings`);
    await walk.operator.open(`${root}/rotate-secret`);
    await walk.answer('rotate-secret-done', 200, `${root}/rotate-secret`);
  }

  async function longWork(walk, { root }) {
    const busy = await walk.server.createApp({ name: 'Busy' });
    const backend = await AppServer.login(walk.server, busy);
    for (let n = 0; n < 9; n++) await backend.register(`busy-${n}`);
    const app = `/console/apps/${busy.key}`;
    const chosen = 'id=busy-1&id=busy-2';
    await walk.visit([
      ['bulk-ban', `${app}/bulk/ban?${chosen}`],
      ['bulk-unban', `${app}/bulk/unban?${chosen}`],
      ['bulk-delete', `${app}/bulk/delete?${chosen}`],
      ...['sign-out', 'disconnect', 'expire-tokens', 'deactivate'].map((action) => [`bulk-${action}`, `${app}/bulk/${action}?all=1&show=active`]),
    ]);
    await walk.operator.open(`${app}/bulk/ban?${chosen}`);
    await walk.answer('bulk-ban-wrong', 422, `${app}/bulk/ban`, { length: 'own', amount: '99999' });
    await walk.submit(`${app}/bulk/ban`, { length: '60' });
    await walk.operator.finished('2');
    await walk.show('job-ban');
    await walk.operator.open(`${app}/bulk/unban?${chosen}`);
    await walk.submit(`${app}/bulk/unban`);
    await walk.operator.finished('2');
    await walk.show('job-unban');
    await walk.operator.open(`${app}/clear`);
    await walk.show('clear');
    await walk.answer('clear-wrong', 422, `${app}/clear`, { count: '7' });
    await walk.submit(`${app}/clear`, { count: '9' });
    await walk.operator.finished('9');
    await walk.show('job-clear');
    await walk.visit([['jobs', `${app}/jobs`], ['jobs-empty', `${root}/jobs`]]);
  }

  async function operatorsAndAccount(walk) {
    const { operator, page } = walk;
    await walk.server.commandWith('only looking around', 'operator', 'create', 'sam', '--role', 'viewer');
    const sam = await Operator.arrive(page.context().browser(), walk.server);
    await sam.login('sam', 'only looking around');
    await walk.visit([['operators', '/console/operators']]);
    const invite = '/console/operators/invitations';
    await walk.answer('operators-wrong', 422, invite, { name: 'admin' });
    await walk.answer('operator-invited', 200, invite, { name: 'new' });
    const link = new URL(await page.locator('[data-copy]').innerText()).pathname;
    await walk.visit([
      ['operators-invitation', '/console/operators'],
      ['invitation', link],
      ['invitation-unknown', `${link}x`, 404],
    ]);
    await operator.open(link);
    await walk.answer('invitation-wrong', 422, link, { password: 'short', again: 'short' });
    await operator.open('/console/operators');
    const revoke = await page.locator(`form[action^="${invite}/"]`).getAttribute('action');
    await walk.answer('operators-revoked', 200, revoke);
    await walk.visit([['invitation-revoked', link, 410]]);
    await operator.open('/console/operators');
    const path = await page.getByRole('link', { name: 'sam', exact: true }).getAttribute('href');
    await walk.visit([['operator', path], ['operator-own', '/console/operators/1']]);
    await operator.open(path);
    const session = await page.locator('a[href*="session="]').first().getAttribute('href');
    await walk.visit([
      ['operator-end-session', session],
      ['operator-end-session-nothing', `${path}/end-session?session=0`],
      ['operator-end-sessions', `${path}/end-sessions`],
      ['operator-role', `${path}/role`],
      ['operator-role-own', '/console/operators/1/role'],
      ['operator-password', `${path}/password`],
      ['operator-delete', `${path}/delete`],
      ['operator-delete-own', '/console/operators/1/delete'],
      ['operator-password-own', '/console/operators/1/password'],
    ]);
    await operator.open(session);
    await walk.answer('operator-end-session-done', 200, `${path}/end-session`);
    await operator.open(`${path}/role`);
    await walk.answer('operator-role-wrong', 422, `${path}/role`, { scope: 'named' });
    await operator.open(`${path}/role`);
    await walk.answer('operator-role-done', 200, `${path}/role`, { role: 'moderator' });
    for (const action of ['password']) {
      await operator.open(`${path}/${action}`);
      await walk.answer(`operator-${action}-done`, 200, `${path}/${action}`);
    }
    await operator.open(`${path}/delete`);
    await walk.answer('operator-delete-done', 200, `${path}/delete`);
    await sam.leave();

    const again = await Operator.arrive(page.context().browser(), walk.server);
    await again.login();
    await walk.visit([['account', '/console/account']]);
    const own = await page.locator('a[href*="session="]').first().getAttribute('href');
    await walk.visit([['account-end-session', own], ['account-end-sessions', '/console/account/end-sessions']]);
    await walk.answer('account-end-sessions-done', 200, '/console/account/end-sessions');
    const newKey = '/console/account/api-keys/new';
    await walk.visit([['account-api-key', newKey]]);
    await walk.answer('account-api-key-wrong', 422, newKey, { name: 'deploy', expiry: 'own' });
    await walk.answer('account-api-key-made', 200, newKey, { expiry: '30', scope: 'all' });
    await walk.visit([['account-api-keys', '/console/account']]);
    const revokeKey = await page.locator('a[href*="api-key="]').first().getAttribute('href');
    await walk.visit([['account-api-key-revoke', revokeKey]]);
    await walk.answer('account-api-key-revoked', 200, revokeKey.split('?')[0]);
    await walk.answer('account-wrong', 422, '/console/account/password', { current: 'a', password: 'b', again: 'c' });
    const guess = { current: 'a guess', password: 'another good one', again: 'another good one' };
    while ((await walk.submit('/console/account/password', guess)) !== 429);
    await walk.show('account-throttled');
    await again.leave();
    await walk.visit([
      ['audit', '/console/audit'],
      ['audit-filtered', '/console/audit?actor=admin&action=user.ban&from=2026-01-01'],
    ]);
    // Most entries take at most four lines on a phone.
    await page.setViewportSize({ width: 390, height: 844 });
    await operator.open('/console/audit');
    const heights = await page.locator('.audit tbody tr').evaluateAll((rows) => rows.map((row) => row.offsetHeight).sort((a, b) => a - b));
    assert.ok(heights[Math.floor(heights.length / 2)] < 100, `rows of the audit on a phone: ${heights} px`);
  }

  async function explorer(walk, { development }) {
    const ready = () => walk.page.locator('.graphiql-container').waitFor();
    // The console cannot change GraphiQL's own markup; it can change what is above it.
    walk.operator.beyond = '#explorer';
    await walk.operator.open('/console/explorer');
    await ready();
    await walk.show('explorer');
    assert.equal(await walk.submit('/console/explorer', { app: development.key, user: 'stranger' }), 422);
    await ready();
    await walk.show('explorer-wrong');
    assert.equal(await walk.submit('/console/explorer', { app: development.key, user: 'member-1' }), 200);
    await ready();
    await walk.show('explorer-filled');
    walk.operator.beyond = undefined;
  }

  async function refusals(walk, { root, production }) {
    const { operator, page } = walk;
    await walk.visit([
      ['error-404', '/console/nowhere', 404],
      ['error-404-user', `${root}/users/nobody`, 404],
      ['error-403-production', `/console/apps/${production.key}/users/member-1/delete`, 403],
      ['error-400', `${root}/bulk/ban?${'id=a&'.repeat(101)}`, 400],
    ]);
    await walk.server.commandWith('only looking around', 'operator', 'create', 'sam', '--role', 'viewer');
    await operator.post('/console/logout');
    await operator.login('sam', 'only looking around');
    await walk.visit([
      ['viewer-apps', '/console/'],
      ['viewer-users', `${root}/users`],
      ['viewer-banned', `${root}/banned`],
      ['viewer-user', `${root}/users/member-1`],
      ['viewer-connections', `${root}/connections`],
      ['viewer-settings', `${root}/settings`],
      ['viewer-operators', '/console/operators'],
      ['viewer-error-403', `${root}/users/member-1/ban`, 403],
    ]);
    walk.operator.beyond = '#explorer';
    await operator.open('/console/explorer');
    await page.locator('.graphiql-container').waitFor();
    await walk.show('viewer-explorer');
    walk.operator.beyond = undefined;
  }
});
