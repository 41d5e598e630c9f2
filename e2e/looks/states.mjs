// All states of the console. A state has a name, the path of its page, or '' for the page that the state
// before has left, and steps that lead to it. Sections are in order, because acts change the world.
import { adminPassword } from '../lib/server.mjs';
import { Operator } from '../lib/browser.mjs';
import { until } from '../lib/wait.mjs';
import {
  again, agree, below, choose, click, codeOf, fill, follow, go, open, press, see, submit, tick, unfold, Visitor,
} from './walk.mjs';
import { long, password } from './world.mjs';

/** Who looks at a page: an operator by name on a server, or a guest, with options of the browser. */
const visitors = {
  owner: { name: 'admin', password: adminPassword },
  guest: {}, guesser: {}, invited: {}, invited2: {}, sso: {}, ssoGuest: {},
  second: { name: 'admin', password: adminPassword }, // another browser of the same operator
  ada: {}, mo: {}, max: {}, vic: {}, val: {}, nan: {}, nadia: {}, olive: {}, otto: {}, peggy: { localhost: true }, teo: {}, sven: {}, vera: {},
  plain: { name: 'admin', password: adminPassword, javaScriptEnabled: false },
  fresh: { name: 'admin', password: adminPassword, server: 'fresh' },
  freshGuest: { server: 'fresh', password: adminPassword },
};

/** A browser with a visitor, which is logged in if it has an account. */
export async function arrive(who, { browser, world, language }) {
  const { localhost, server: serverName = 'server', ...account } = visitors[who];
  const server = world[serverName];
  const address = () => (localhost ? server.address.replace('127.0.0.1', 'localhost') : server.address);
  const place = { get address() { return address(); }, get url() { return `http://${address()}`; } };
  const { javaScriptEnabled } = account;
  const operator = await Operator.arrive(browser, place, { locale: language, javaScriptEnabled });
  await operator.context.addCookies([{ name: 'rollcall_language', value: language, url: `${place.url}/console/` }]);
  const known = !/guest|guesser|invited|sso|vera/i.test(who);
  const secret = account.password ?? password;
  if (known) await operator.login(account.name ?? who, secret);
  const visitor = new Visitor(operator, world, secret);
  if (localhost) {
    visitor.keys = await operator.context.newCDPSession(operator.page);
    await visitor.keys.send('WebAuthn.enable');
    const options = { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true };
    visitor.key = (await visitor.keys.send('WebAuthn.addVirtualAuthenticator', { options })).authenticatorId;
  }
  return visitor;
}

const section = (title, as, states) => ({
  title,
  states: (world) => states(world).map(([name, path, ...steps]) => ({ name, as, path, steps })),
});

const login = (name, secret) => submit({ name, password: secret }, '/login');
/** Steps of other visitors, or of the world. */
const meanwhile = (who, ...steps) => async (_, visitor) => { for (const step of steps) await step(await visitor(who)); };
const world = (change) => ({ world }) => change(world);
const firstWebhook = (text) => follow(`table.endpoints a:has-text("${text}")`);
/** A delivery in this state, whose page is opened. */
const delivery = (root, text, state) => [
  open(`${root}/webhooks`), firstWebhook(text),
  again(async (visitor) => { await visitor.page.waitForTimeout(300); await below(`?state=${state}`)(visitor); }, 'table.deliveries a'),
  follow('table.deliveries a'),
];
/** How long to wait, which pages say after too many attempts. */
const waits = ':is(.notice.bad, .wrong, #login-error):text-matches("\\\\d")';
const done = see('#job-outcome .notice');
const poll = '#away .notice';

const beforeTheLogin = section('Before the login', 'guest', ({ chat }) => [
  ['login', '/console/login'],
  ['login-next', `${chat.root}/users`],
  ['login-wrong', '/console/login', login('nobody', 'wrong')],
  ['login-404', '/console/nowhere'],
  ['login-invitation-unknown', '/console/invitation/abc'],
  ['login-code-without-password', '/console/login/code'],
]);
const guessing = section('Guessing', 'guesser', () => [
  ['login-throttled', '/console/login', again(login('somebody', 'wrong'), waits)],
]);

const emptyService = section('A service without apps', 'fresh', () => [
  ['no-apps', '/console/'],
  ['no-apps-operators', '/console/operators'],
  ['no-apps-audit', '/console/audit'],
  ['no-apps-explorer', '/console/explorer'],
  ['no-apps-account', '/console/account'],
  ['no-apps-invite', '/console/operators', agree({ name: 'new', scope: 'named' }, '/invitations')],
  ['app-new', '/console/apps/new'],
  ['app-new-wrong', '', submit({ name: '', environment: 'x', edition: 'x' })],
  ['app-new-made', '', submit({ name: 'The first', environment: 'DEVELOPMENT', edition: 'STANDARD' })],
  ['app-new-taken', '/console/apps/new', submit({ name: 'The first' })],
  ['secret-no-longer-shown', '/console/shown/abcdef'],
]);

const apps = section('Apps', 'owner', ({ chat, empty, production, closed }) => [
  ['apps', '/console/'],
  ['overview', chat.root],
  ['overview-tables', chat.root, unfold()],
  ['overview-production', production.root, see('.plot canvas')],
  ['overview-empty', empty.root],
  ['overview-disabled', closed.root],
  ['statistics', `${production.root}/statistics`],
  ['statistics-hour', `${production.root}/statistics?range=hour`],
  ['statistics-day-tables', `${production.root}/statistics?range=day`, unfold()],
  ['statistics-week', `${production.root}/statistics?range=week`],
  ['statistics-year', `${production.root}/statistics?range=year`],
  ['statistics-custom', `${production.root}/statistics?range=custom&from=2026-11-02&to=2026-11-20`],
  ['statistics-order', `${production.root}/statistics?range=custom&from=2026-02-02&to=2026-02-01`],
  ['statistics-no-date', `${production.root}/statistics?range=custom&from=soon&to=later`],
  ['statistics-long', `${production.root}/statistics?range=custom&from=2020-02-02&to=2026-02-01`],
  ['statistics-future', `${production.root}/statistics?range=custom&from=2099-02-02&to=2099-02-03`],
  ['statistics-before', `${production.root}/statistics?range=custom&from=2001-02-02&to=2001-02-03`],
  ['statistics-empty', `${empty.root}/statistics`],
  ['statistics-chat', `${chat.root}/statistics?range=hour`],
]);

const users = section('Lists of users', 'owner', ({ chat, empty, production, small, closed }) => [
  ['users', `${chat.root}/users`],
  ['users-100', `${chat.root}/users?size=100`],
  ['users-second-page', `${chat.root}/users`, follow('a[rel="next"]')],
  ['users-ordered-by-name', `${chat.root}/users?order=-name`],
  ['users-seen', `${chat.root}/users?order=seen`],
  ['users-unsorted', `${chat.root}/users?q=member&order=name`],
  ['users-search-none', `${chat.root}/users?q=somebody+else`],
  ['users-search-long', `${chat.root}/users?q=${long}`],
  ['users-online', `${chat.root}/users?show=online`],
  ['users-active', `${chat.root}/users?show=active`],
  ['users-banned', `${chat.root}/users?show=banned`],
  ['users-deactivated', `${chat.root}/users?show=deactivated`],
  ['users-row-menu', `${chat.root}/users`, click('td.row-menu summary')],
  ['users-row-menu-banned', `${chat.root}/users?show=banned`, click('td.row-menu summary')],
  ['users-row-menu-deactivated', `${chat.root}/users?show=deactivated`, click('td.row-menu summary')],
  ['users-more', `${chat.root}/users`, click('.bulk details.menu summary')],
  ['users-ticked', `${chat.root}/users`, tick('td.pick input'), tick('tr:nth-child(3) td.pick input')],
  ['users-ticked-all', `${chat.root}/users`, tick('input[name="all"]')],
  ['users-ticks-lost', `${chat.root}/users`, tick('td.pick input'), go('th a[href*="order"]')],
  ['users-shortcuts', `${chat.root}/users`, press('?'), see('#shortcuts[open]')],
  ['users-palette', `${chat.root}/users`, press('Control+k'), see('#palette[open]')],
  ['users-palette-user', '', fill('#palette input', 'number 3'), see('#palette-found code')],
  ['users-palette-none', '', fill('#palette input', 'zzz'), see('#palette .unfound:not(:empty)')],
  ['apps-palette-none', '/console/', press('Control+k'), fill('#palette input', 'zzz'), see('#palette .unfound:not(:empty)')],
  ['users-empty', `${empty.root}/users`],
  ['users-empty-online', `${empty.root}/users?show=online`],
  ['users-empty-active', `${empty.root}/users?show=active`],
  ['users-empty-banned', `${empty.root}/users?show=banned`],
  ['users-empty-deactivated', `${empty.root}/users?show=deactivated`],
  ['users-production', `${production.root}/users`],
  ['users-full', `${small.root}/users`],
  ['users-disabled', `${closed.root}/users`],
  ['banned', `${chat.root}/banned`],
  ['banned-empty', `${empty.root}/banned`],
  ['deactivated', `${chat.root}/deactivated`],
  ['deactivated-empty', `${empty.root}/deactivated`],
  ['deactivated-production', `${production.root}/deactivated`],
]);

const user = section('A user', 'owner', ({ chat, production }) => {
  const lena = (page) => chat.user('lena.fischer', page);
  const lists = ['friends', 'incoming', 'outgoing', 'blocklist', 'whitelist', 'subscriptions'];
  return [
    ['user', lena()],
    ['user-more-actions', lena(), click('.acts summary')],
    ['user-relationships', lena('/relationships')],
    ['user-devices', lena('/devices')],
    ['user-activity', lena('/activity')],
    ['user-bans', lena('/bans')],
    ['user-bans-second-page', lena('/bans'), follow('a[rel="next"]')],
    ['user-notes-empty', lena('/notes')],
    ['user-note-wrong', lena(), submit({ text: '' }, '/notes')],
    ['user-note-too-long', lena(), submit({ text: 'x'.repeat(2100) }, '/notes')],
    ['user-note-added', lena(), submit({ text: 'Was told on the phone that the room is for rowers only.\nUnderstood, and apologized.' }, '/notes')],
    ['user-notes', lena('/notes'), ...Array.from({ length: 6 }, (_, n) => submit({ text: `Note ${n}, with a word that is long: ${'x'.repeat(60)}` }, '/notes')), open(lena('/notes'))],
    ['user-notes-many', lena()],
    ['user-note-delete', '', follow('.notes a')],
    ['user-note-deleted', '', submit()],
    ...lists.map((list) => [`user-list-${list}`, lena(`/${list}`)]),
    ['user-list-friends-second-page', lena('/friends'), follow('a[rel="next"]')],
    ...lists.map((list) => [`user-list-${list}-empty`, chat.user('member-40', `/${list}`)]),
    ['user-alone', chat.user('member-40')],
    ['user-alone-relationships', chat.user('member-40', '/relationships')],
    ['user-alone-devices', chat.user('member-40', '/devices')],
    ['user-alone-activity', chat.user('member-40', '/activity')],
    ['user-alone-bans', chat.user('member-40', '/bans')],
    ['user-banned', chat.user('member-5')],
    ['user-banned-more-actions', chat.user('member-5'), click('.acts summary')],
    ['user-banned-for-ever', chat.user('member-9')],
    ['user-banned-activity', chat.user('member-9', '/activity')],
    ['user-deactivated', chat.user('member-8')],
    ['user-deactivated-more-actions', chat.user('member-8'), click('.acts summary')],
    ['user-deactivated-activity', chat.user('member-8', '/activity')],
    ['user-deactivated-relationships', chat.user('member-8', '/relationships')],
    ['user-deactivated-bans', chat.user('member-8', '/bans')],
    ['user-deactivated-notes', chat.user('member-8', '/notes')],
    ['user-long', chat.user(long)],
    ['user-long-devices', chat.user(long, '/devices')],
    ['user-long-activity', chat.user(long, '/activity')],
    ['user-scripts', chat.user('20260101_wang')],
    ['user-nameless', chat.user('nameless')],
    ['user-production', production.user('real')],
    ['user-production-more-actions', production.user('real'), click('.acts summary')],
    ['user-production-deactivated-more-actions', production.user('left'), click('.acts summary')],
    ['user-404', chat.user('nobody')],
  ];
});

const acts = section('Acts on a user', 'owner', ({ chat, production, small }) => {
  const it = (page) => chat.user('member-20', page);
  return [
    ['ban', it('/ban')],
    ['ban-long-id', chat.user(long, '/ban')],
    ['ban-wrong-length', it('/ban'), submit({ length: 'own', amount: '31' })],
    ['ban-no-length', it('/ban'), submit({ length: 'x' })],
    ['ban-unchosen', it('/ban'), submit({ length: '60', amount: '3' })],
    ['ban-wrong-reason', it('/ban'), submit({ length: '60', reason: 'x'.repeat(300) })],
    ['ban-done', it('/ban'), submit({ length: '60', reason: 'Advertising' })],
    ['ban-change', it('/ban')],
    ['ban-changed', '', submit({ length: 'permanent', reason: 'Still advertising' })],
    ['ban-stale', it('/ban'), meanwhile('second', open(it('/ban')), submit({ length: '60', reason: 'By a colleague' })), submit({ length: '180' })],
    ['ban-stale-lifted', it('/ban'), meanwhile('second', open(it('/unban')), submit()), submit({ length: '180' })],
    ['ban-deactivated', chat.user('member-8', '/ban')],
    ['ban-deactivated-late', chat.user('member-21', '/ban'), world(({ backend }) => backend.send('mutation { deactivateUsers(input: {userIds: ["member-21"]}) { results { outcome } } }')), submit({ length: '60' })],
    ['ban-gone', chat.user('member-22', '/ban'), meanwhile('second', open(chat.user('member-22', '/delete')), agree()), submit({ length: '60' })],
    ['unban', it('/unban'), meanwhile('second', open(it('/ban')), submit({ length: '60' })), open(it('/unban'))],
    ['unban-done', '', submit()],
    ['unban-nothing', it('/unban')],
    ['unban-late', chat.user('member-5', '/unban'), meanwhile('second', open(chat.user('member-5', '/unban')), submit()), submit()],
    ['whitelist-on', it('/whitelist-on')],
    ['whitelist-on-done', '', submit()],
    ['whitelist-on-nothing', it('/whitelist-on')],
    ['whitelist-off', it('/whitelist-off')],
    ['whitelist-off-done', '', submit()],
    ['whitelist-off-nothing', it('/whitelist-off')],
    ['whitelist-late', it('/whitelist-on'), meanwhile('second', open(it('/whitelist-on')), submit()), submit()],
    ['whitelist-off-late', it('/whitelist-off'), meanwhile('second', open(it('/whitelist-off')), submit()), submit()],
    ['expire-tokens', it('/expire-tokens')],
    ['expire-tokens-done', '', submit()],
    ['expire-tokens-again', it('/expire-tokens'), submit()],
    ['disconnect', chat.user('omar.haddad', '/disconnect')],
    ['disconnect-one', chat.user('omar.haddad', '/devices'), follow('a[href*="device="]')],
    ['disconnect-one-gone', chat.user('omar.haddad', '/disconnect?device=gone')],
    ['disconnect-one-done', chat.user('omar.haddad', '/devices'), follow('a[href*="device="]'), submit()],
    ['disconnect-nothing', it('/disconnect')],
    ['sign-out-done', chat.user('member-2'), submit({}, '/sign-out')],
    ['deactivate', it('/deactivate')],
    ['confirm', '', submit()],
    ['confirm-wrong', '', submit({ 'present-password': 'a guess' })],
    ['deactivate-done', '', submit({ 'present-password': adminPassword })],
    ['certificate', chat.user('member-23', '/deactivate'), agree()],
    ['certificate-production', production.user('erased', '/deactivate'), agree()],
    ['deactivate-nothing', it('/deactivate')],
    ['deactivate-late', chat.user('member-24', '/deactivate'), world(({ backend }) => backend.send('mutation { deactivateUsers(input: {userIds: ["member-24"]}) { results { outcome } } }')), agree()],
    ['reactivate', it('/reactivate')],
    ['reactivate-done', '', submit()],
    ['reactivate-nothing', it('/reactivate')],
    ['reactivate-full', small.user('user-3', '/reactivate'), submit()],
    ['reactivate-late', chat.user('member-24', '/reactivate'), meanwhile('second', open(chat.user('member-24', '/reactivate')), submit()), submit()],
    ['delete', chat.user('member-25', '/delete')],
    ['delete-done', '', agree()],
    ['delete-production', production.user('real', '/delete')],
    ['delete-late', chat.user('member-26', '/delete'), meanwhile('second', open(chat.user('member-26', '/delete')), agree()), agree()],
    ['page-of-a-deleted-user', chat.user('member-27'), meanwhile('second', open(chat.user('member-27', '/delete')), agree()), see('[data-contact="gone"]:not([hidden])')],
  ];
});

const many = section('Many users', 'owner', ({ chat, trial, empty, late, production, closed }) => {
  const kinds = ['ban', 'sign-out', 'disconnect', 'expire-tokens', 'deactivate', 'delete'];
  const bulk = (kind, query = 'id=tester-1&id=tester-2') => `${trial.root}/bulk/${kind}?${query}`;
  return [
    ...kinds.flatMap((kind) => [
      [`bulk-${kind}`, bulk(kind)],
      [`bulk-${kind}-all`, bulk(kind, 'all=1')],
    ]),
    ['bulk-unban-nothing', bulk('unban')],
    ['bulk-unban-nothing-all', bulk('unban', 'all=1')],
    ['bulk-ban-one', bulk('ban', 'id=tester-1')],
    ['bulk-ban-search', bulk('ban', 'all=1&q=tester&show=active')],
    ['bulk-ban-online', `${chat.root}/bulk/ban?all=1&show=online`],
    ['bulk-sign-out-banned', `${chat.root}/bulk/sign-out?all=1&show=banned`],
    ['bulk-deactivate-long', `${chat.root}/bulk/deactivate?id=${long}&id=lena.fischer&id=nameless&id=20260101_wang`],
    ['bulk-nobody', bulk('ban', 'id=gone')],
    ['bulk-nobody-chosen', bulk('ban', '')],
    ['bulk-production', `${production.root}/bulk/delete?id=real`],
    ['bulk-ban-wrong', bulk('ban'), submit({ length: 'own', amount: '99999' })],
    ['bulk-count-wrong', bulk('deactivate', 'all=1'), submit({ count: '7' })],
    ['job-ban', bulk('ban'), submit({ length: '60' }), done],
    ['bulk-unban', bulk('unban')],
    ['bulk-unban-all', bulk('unban', 'all=1')],
    ['job-ban-partly', bulk('ban', 'id=tester-1&id=tester-2&id=tester-3'), meanwhile('second', open(trial.user('tester-3', '/deactivate')), agree()), submit({ length: '60' }), done],
    ['job-unban', bulk('unban', 'id=tester-1'), submit(), done],
    ['job-sign-out', bulk('sign-out'), submit(), done],
    ['job-disconnect', bulk('disconnect'), submit(), done],
    ['job-expire-tokens', bulk('expire-tokens'), submit(), done],
    ['job-deactivate', bulk('deactivate'), agree(), done],
    ['job-delete', bulk('delete'), agree(), done],
    ['clear', `${late.root}/clear`],
    ['clear-wrong', '', submit({ count: '7' })],
    ['clear-production', `${production.root}/clear`],
    ['clear-empty', `${empty.root}/clear`],
    ['job-clear', `${late.root}/clear`, async (visitor) => agree({ count: (await visitor.page.locator('label[for="count"]').innerText()).match(/\d+/)[0] })(visitor), done],
    ['job-running', '', world(({ database }) => database.sql('UPDATE jobs SET state = "RUNNING", handled = 7, changed = 7 WHERE kind = "clear"')), async ({ page }) => page.reload()],
    ['job-interrupted', '', world(({ database }) => database.sql('UPDATE jobs SET state = "INTERRUPTED" WHERE kind = "clear"')), async ({ page }) => page.reload()],
    ['job-failed', '', world(({ database }) => database.sql('UPDATE jobs SET state = "FAILED" WHERE kind = "clear"')), async ({ page }) => page.reload()],
    ['job-404', `${trial.root}/jobs/999`],
    ['jobs', `${trial.root}/jobs`],
    ['jobs-empty', `${empty.root}/jobs`],
    ['bulk-disabled', `${closed.root}/bulk/ban?id=tester-1`, submit({ length: '60' })],
    ['bulk-too-many', `${trial.root}/bulk/ban?${'id=a&'.repeat(101)}`],
  ];
});

const permission = section('Message permission', 'owner', ({ chat, empty }) => {
  const of = (from, to) => `${chat.root}/permission?from=${from}&to=${to}`;
  return [
    ['permission', `${chat.root}/permission`],
    ['permission-empty-app', `${empty.root}/permission`],
    ['permission-allowed', of('member-1', 'member-2')],
    ['permission-oneself', of('member-1', 'member-1')],
    ['permission-blocked', of('omar.haddad', 'lena.fischer')],
    ['permission-unblocked', '', submit({}, '/unblock')],
    ['permission-unblock-late', of('member-9', 'lena.fischer'), world(({ backend }) => backend.send('mutation { removeFromBlocklist(input: { userId: "lena.fischer", targetIds: ["member-9"] }) { results { outcome } } }')), submit({}, '/unblock')],
    ['permission-whitelist', of('member-13', 'member-12')],
    ['permission-allow-done', '', submit({}, '/allow')],
    ['permission-banned', of('member-7', 'member-1')],
    ['permission-deactivated', of('member-8', 'member-1')],
    ['permission-to-deactivated', of('member-1', 'member-8')],
    ['permission-unknown', of('stranger', 'member-1')],
    ['permission-unknown-both', of('stranger', 'other')],
    ['permission-name', of('Fischer', 'member-1')],
    ['permission-names', of('Member', 'Fischer')],
    ['permission-long', of(long, 'lena.fischer')],
    ['permission-friends-only', of('member-14', 'member-15'), world(({ server, chat }) => server.command('app', 'set', chat.key, 'onlyFriendsCanMessage=true')), open(of('member-14', 'member-15'))],
    ['permission-found', `${chat.root}/permission`, world(({ server, chat }) => server.command('app', 'set', chat.key, 'onlyFriendsCanMessage=false')), fill('#from', 'number 1'), see('#from-found li')],
    ['permission-found-none', '', fill('#from', 'zzz'), see('#from-found + .unfound:not(:empty)')],
  ];
});

const connections = section('Connections', 'owner', ({ chat, empty }) => [
  ['connections', `${chat.root}/connections`, again(async ({ page }) => { await page.waitForTimeout(300); await page.reload(); }, 'a[href*="connection="]')],
  ['connections-empty', `${empty.root}/connections`],
  ['connection-close', `${chat.root}/connections`, follow('a[href*="connection="]')],
  ['connection-close-done', '', submit()],
  ['connection-gone', `${chat.root}/connections/close?connection=1`],
  ['connections-close-all', `${chat.root}/connections/close-all`],
  ['connections-close-all-done', '', submit()],
  ['connections-close-all-nothing', `${empty.root}/connections/close-all`],
]);

const webhooks = section('Webhooks', 'owner', ({ chat, empty, database }) => {
  const list = `${chat.root}/webhooks`;
  const at = (text, path) => [open(list), firstWebhook(text), ...(path ? [below(path)] : [])];
  return [
    ['webhooks', list],
    ['webhooks-empty', `${empty.root}/webhooks`],
    ['webhook-new', `${chat.root}/webhooks/new`],
    ['webhook-new-no-url', '', submit({ url: '' })],
    ['webhook-new-wrong', '', submit({ url: 'ftp://chat.example', description: 'x'.repeat(200), events: 'some' })],
    ['webhook-new-both', '', submit({ url: 'https://chat.example', description: '', events: 'all', type: ['user.registered'] })],
    ['webhook-made', `${chat.root}/webhooks/new`, agree({ url: 'https://chat.example/hooks', description: 'New one', events: 'all' })],
    ['webhook', '', ...at('Orders')],
    ['webhook-failing', '', ...at('Search index')],
    ['webhook-no-deliveries', '', ...at('New one')],
    ['webhook-pending', '', ...at('Slow'), below('?state=PENDING')],
    ['webhook-no-dead-letters', '', ...at('Orders'), below('?state=FAILED')],
    ['webhook-long-query', '', ...at('With a secret')],
    ['webhook-test-done', '', ...at('Orders'), submit({}, '/test')],
    ['webhook-edit', '', ...at('Search index', '/edit')],
    ['webhook-edit-stale', '', meanwhile('second', ...at('Search index', '/edit'), agree({ description: 'Search index, nightly' })), submit({ description: 'Mine' })],
    ['webhook-edit-done', '', ...at('Search index', '/edit'), agree({ description: 'Search index' })],
    ['webhook-rotate', '', ...at('Orders', '/rotate-secret')],
    ['webhook-rotate-wrong', '', submit({ overlap: 'own', amount: '9999' })],
    ['webhook-rotate-done', '', agree({ overlap: '60', amount: '' })],
    ['webhook-rotate-again', '', ...at('Orders', '/rotate-secret')],
    ['webhook-previous-secret', '', ...at('Orders')],
    ['delivery', '', ...delivery(chat.root, 'Orders', 'DELIVERED')],
    ['delivery-pending', '', ...delivery(chat.root, 'Search index', 'PENDING')],
    ['delivery-silent', '', ...delivery(chat.root, 'Slow', 'PENDING')],
    ['delivery-dead', '', world(() => database.sql('UPDATE deliveries SET state = "FAILED", expires_at = next_attempt_at + 2592000000 WHERE state = "PENDING"')), ...delivery(chat.root, 'Search index', 'FAILED')],
    ['webhook-dead-letters', '', ...at('Search index')],
    ['delivery-replayed', '', ...delivery(chat.root, 'Search index', 'FAILED'), submit({}, '/replay')],
    ['webhook-replay', '', ...at('Search index', '/replay')],
    ['webhook-replay-wrong', '', submit({ since: 'own', amount: '9999' })],
    ['webhook-replay-done', '', submit({ since: '60', amount: '' })],
    ['webhook-replay-nothing', '', ...at('Orders', '/replay'), submit({ since: '60' })],
    ['webhook-disable', '', ...at('Slow', '/disable')],
    ['webhook-disable-done', '', submit()],
    ['webhook-disable-late', '', ...at('With a secret', '/disable'), meanwhile('second', ...at('With a secret', '/disable'), submit()), submit()],
    ['webhook-disabled-replay', '', below('/replay')],
    ['webhook-disabled-delivery', '', ...delivery(chat.root, 'Slow', 'FAILED')],
    ['webhook-enable', '', ...at('Slow', '/enable')],
    ['webhook-enable-done', '', submit()],
    ['webhook-enable-late', '', ...at('With a secret', '/enable'), meanwhile('second', ...at('With a secret', '/enable'), submit()), submit()],
    ['webhook-disabled-by-failures', '', world(() => database.sql('UPDATE webhook_endpoints SET state = "DISABLED", state_reason = "failing" WHERE description = "Slow"')), ...at('Slow')],
    ['webhook-disabled-gone', '', world(() => database.sql('UPDATE webhook_endpoints SET state = "DISABLED", state_reason = "gone" WHERE description = "Slow"')), ...at('Slow')],
    ['webhooks-disabled', list],
    ['overview-webhooks', chat.root],
    ['webhook-delete', '', ...at('New one', '/delete')],
    ['webhook-deleted', '', submit()],
    ['webhook-404', `${chat.root}/webhooks/999`],
    ['webhooks-full', list, world(async ({ server }) => { for (let n = 0; n < 20; n++) await server.command('webhook', 'create', chat.key, `https://example.com/${n}`).catch(() => {}); }), open(list)],
    ['webhook-new-full', `${chat.root}/webhooks/new`],
  ];
});

/** Lets no deletion of an app come to its end. */
const keepDeleting = "CREATE TRIGGER keep_apps BEFORE DELETE ON apps FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kept to be looked at'";

const settings = section('Settings', 'owner', ({ chat, production, small, closed, trial, doomed, emptyProduction, database, server }) => {
  const own = `${trial.root}/settings`;
  const documents = (made) => `${made.root}/settings/trusted-documents`;
  const deleting = (at) => database.sql(`UPDATE apps SET deleting_at = ${at} WHERE \`key\` = '${emptyProduction.key}'`);
  return [
    ['settings', `${chat.root}/settings`],
    ['settings-production', `${production.root}/settings`],
    ['settings-standard', `${small.root}/settings`],
    ['settings-disabled', `${closed.root}/settings`],
    ['settings-wrong', own, submit({ name: '', friendLimit: '-1', deviceLimit: 'x', banPresets: '3h Advertising\nfor ever', statusQueryEnabled: ['true'], edition: 'STANDARD' })],
    ['settings-wrong-one', own, submit({ name: 'Small' })],
    ['settings-presets-wrong', own, submit({ banPresets: Array.from({ length: 11 }, (_, n) => `${n + 1}h Reason`).join('\n') })],
    ['settings-lower', `${chat.root}/settings`, submit({ friendLimit: '12', deviceLimit: '3', blocklistLimit: '1', friendRequestDailyLimit: '1', whitelistLimit: '1', statusSubscriptionLimit: '1' })],
    ['settings-lower-values', '', async ({ page }) => { await Promise.all([page.waitForNavigation(), page.locator('button[name="change-values"]').click()]); }],
    ['settings-lower-users', `${small.root}/settings`, submit({ registeredUserLimit: '2' })],
    ['settings-done', own, submit({ deviceLimit: '21' })],
    ['settings-same', own, submit()],
    ['settings-stale', own, meanwhile('second', open(own), submit({ friendLimit: '1999' })), submit({ friendLimit: '1998' })],
    ['settings-too-long', own, async ({ page }) => page.locator('#banPresets').evaluate((area) => { area.maxLength = 999999; }), submit({ banPresets: 'x'.repeat(70000) })],
    ['trusted-none', documents(chat)],
    ['trusted', documents(production)],
    ['trusted-search', `${documents(production)}?q=ask`],
    ['trusted-search-none', `${documents(production)}?q=nothing`],
    ['trusted-document', `${documents(production)}`, follow('table.trusted a')],
    ['trusted-document-named', `${documents(production)}?q=ask`, follow('table.trusted a')],
    ['trusted-document-404', `${documents(production)}/document?id=no`],
    ['trusted-no-documents', documents(small)],
    ['trusted-broken', documents(production), world((there) => there.trust(production, '{"a": "query {"}')), again(async ({ page }) => { await page.waitForTimeout(1000); await page.reload(); }, '.notice.bad code')],
    ['rotate-secret', `${chat.root}/rotate-secret`, world((there) => there.trust(production))],
    ['rotate-secret-wrong', '', submit({ overlap: 'own', amount: '9999' })],
    ['rotate-secret-none', '', submit({ overlap: 'x', amount: '' })],
    ['rotate-secret-done', '', agree({ overlap: '60' })],
    ['rotate-secret-again', `${chat.root}/rotate-secret`],
    ['settings-previous-secret', `${chat.root}/settings`],
    ['app-disable', `${chat.root}/disable`],
    ['app-disable-wrong', '', submit({ name: 'other' })],
    ['app-disable-done', `${emptyProduction.root}/disable`, agree({ name: emptyProduction.name })],
    ['app-disable-nothing', `${closed.root}/disable`],
    ['app-disable-late', `${trial.root}/disable`, meanwhile('second', open(`${trial.root}/disable`), agree({ name: trial.name })), agree({ name: trial.name })],
    ['app-enable', `${trial.root}/enable`],
    ['app-enable-done', '', agree()],
    ['app-enable-nothing', `${trial.root}/enable`],
    ['app-delete-enabled', `${trial.root}/delete`],
    ['app-delete', `${closed.root}/delete`],
    ['app-delete-wrong', '', submit({ name: 'other' })],
    ['app-delete-stale', '', submit({ name: closed.name, users: '1' })],
    ['app-delete-empty', `${emptyProduction.root}/delete`],
    ['app-delete-users', `${small.root}/delete`, world(() => server.command('app', 'disable', small.key)), open(`${small.root}/delete`)],
    ['app-delete-done', `${doomed.root}/delete`, agree({ name: doomed.name })],
    ['app-deleting-list', '/console/', world(() => database.sql(keepDeleting)), world(() => deleting(1795000000000)), open('/console/')],
    ['app-deleting-page', emptyProduction.root],
    ['app-deleting-form', '', world(() => deleting(0)), open(`${emptyProduction.root}/settings`), world(() => deleting(1795000000000)), submit({ deviceLimit: '21' })],
  ];
});

const operators = section('Operators', 'owner', () => {
  const list = '/console/operators';
  const at = (name, path = '') => [open(list), follow(`tbody th a:has(bdi:text-is("${name}"))`), ...(path ? [below(path)] : [])];
  const invite = (fields) => [open(list), agree(fields, '/invitations')];
  return [
    ['operators', list],
    ['invite-wrong', '', submit({ name: '', role: 'x' }, '/invitations')],
    ['invite-taken', list, submit({ name: 'admin' }, '/invitations')],
    ['invite-no-apps', list, submit({ name: 'carol', scope: 'named' }, '/invitations')],
    ['invite-owner-named', list, submit({ name: 'carol', role: 'owner', scope: 'named' }, '/invitations')],
    ['invited', '', ...invite({ name: 'carol' })],
    ['invitation', '', async ({ page, world: there }) => { there.invitation = new URL(await page.locator('[data-copy]').innerText()).pathname; }, meanwhile('invited', open(({ world: there }) => there.invitation)), open(list)],
    ['invitation-as-operator', '', open(({ world: there }) => there.invitation)],
    ['operators-invited', list],
    ['invitation-revoked-list', '', submit({}, '/revoke')],
    ['invited-long', '', ...invite({ name: 'd'.repeat(64), role: 'moderator' })],
    ['operator', '', ...at('vic')],
    ['operator-own', '', ...at('admin')],
    ['operator-named', '', ...at('nan')],
    ['operator-long', '', ...at(long)],
    ['operator-never', '', ...at('vera')],
    ['operator-role', '', ...at('vera', '/role')],
    ['operator-role-wrong', '', submit({ scope: 'named' })],
    ['operator-role-own', '/console/operators/1/role'],
    ['operator-role-done', '', ...at('vera', '/role'), agree({ role: 'moderator' })],
    ['operator-role-already', '', ...at('vera', '/role'), agree()],
    ['operator-role-stale', '', ...at('vera', '/role'), meanwhile('second', ...at('vera', '/role'), agree({ role: 'admin' })), agree({ role: 'viewer' })],
    ['operator-end-session', '', meanwhile('vic', open('/console/')), ...at('vic'), follow('a[href*="session="]')],
    ['operator-end-session-done', '', submit()],
    ['operator-end-session-nothing', '', below('/end-session?session=0')],
    ['operator-end-sessions', '', meanwhile('mo', open('/console/')), ...at('mo', '/end-sessions')],
    ['operator-end-sessions-done', '', submit()],
    ['operator-end-sessions-nothing', '', ...at('vera', '/end-sessions')],
    ['operator-end-sessions-late', '', meanwhile('mo', (v) => v.operator.login('mo', password)), ...at('mo', '/end-sessions'), meanwhile('second', ...at('mo', '/end-sessions'), submit()), submit()],
    ['operator-password', '', ...at('vera', '/password')],
    ['operator-password-done', '', agree()],
    ['operator-password-own', '/console/operators/1/password'],
    ['operator-reset-factor-nothing', '', ...at('vera', '/reset-second-factor')],
    ['operator-delete', '', ...at('otto', '/delete')],
    ['operator-delete-done', '', agree()],
    ['operator-delete-own', '/console/operators/1/delete'],
    ['operator-404', '/console/operators/9999'],
    ['operator-key-revoke-nothing', '', ...at('vera', '/revoke-key?api-key=0')],
  ];
});
const invitations = section('An invitation', 'invited', () => [
  ['invitation-open', '', open('/console/login'), meanwhile('owner', open('/console/operators'), agree({ name: 'dan', role: 'moderator' }, '/invitations'),
    async ({ page, world: there }) => { there.invitation = new URL(await page.locator('[data-copy]').innerText()).pathname; }), open(({ world: there }) => there.invitation)],
  ['invitation-wrong', '', submit({ password: 'short', again: 'other' })],
  ['invitation-common', '', submit({ password: 'password1234', again: 'password1234' })],
  ['invitation-accepted', '', submit({ password, again: password })],
  ['invitation-accepted-before', '', open(({ world: there }) => there.invitation)],
]);
const invitations2 = section('An invitation that no longer works', 'invited2', () => {
  const invite = (name) => meanwhile('owner', open('/console/operators'), agree({ name }, '/invitations'),
    async ({ page, world: there }) => { there.invitation = new URL(await page.locator('[data-copy]').innerText()).pathname; });
  const it = open(({ world: there }) => there.invitation);
  const taken = (name) => world(({ server }) => server.commandWith(password, 'operator', 'create', name, '--role', 'viewer'));
  return [
    ['invitation-revoked', '', invite('erin'), meanwhile('owner', open('/console/operators'), go('form:has(button:has-text("erin")) button')), it],
    ['invitation-expired', '', invite('finn'), world(({ database }) => database.sql('UPDATE operator_invitations SET created_at = 1000 WHERE name = "finn"')), it],
    ['invitation-name-taken', '', invite('gus'), taken('gus'), it],
    ['invitation-name-taken-late', '', invite('hal'), it, taken('hal'), submit({ password, again: password })],
  ];
});

const account = section('The own account', 'olive', () => {
  const keys = '/console/account/api-keys';
  return [
    ['account', '/console/account'],
    ['account-password-wrong', '', submit({ current: 'a', password: 'b', again: 'c' }, '/password')],
    ['account-password-common', '/console/account', submit({ current: password, password: 'password1234', again: 'password1234' }, '/password')],
    ['account-password-same', '/console/account', submit({ current: password, password, again: password }, '/password')],
    ['account-password-done', '/console/account', submit({ current: password, password: 'another good one', again: 'another good one' }, '/password')],
    ['account-key-new', `${keys}/new`],
    ['account-key-wrong', '', submit({ name: '', expiry: 'own', days: '999', scope: 'named' })],
    ['account-key-confirm', '', submit({ name: 'deploy', expiry: '30', days: '', role: 'owner', scope: 'all' })],
    ['account-key-made', '', submit({ 'present-password': 'another good one' })],
    ['account-key-made-named', `${keys}/new`, submit({ name: 'k'.repeat(64), expiry: '365', days: '', role: 'viewer', scope: 'all' })],
    ['account-keys', '/console/account'],
    ['account-key-revoke', '', follow('a[href*="api-key="]')],
    ['account-key-revoked', '', submit()],
    ['account-key-revoke-nothing', `${keys}/revoke?api-key=0`],
    ['operator-with-keys', '/console/operators', follow('tbody th a:has(bdi:text-is("olive"))')],
    ['account-sessions', '/console/account', meanwhile('vic', open('/console/account'))],
    ['account-end-session-nothing', '/console/account/end-session?session=0'],
    ['account-end-sessions-nothing', '/console/account/end-sessions'],
  ];
});
const factorOfAnother = section("Another's second factor", 'owner', () => [
  ['operator-with-factor', '/console/operators', follow('tbody th a:has(bdi:text-is("teo"))')],
  ['operator-reset-factor', '', below('/reset-second-factor')],
  ['operator-reset-factor-done', '', agree()],
]);
const ownSessions = section('The own sessions', 'owner', () => [
  ['account-of-admin', '/console/account', meanwhile('second', open('/console/'))],
  ['account-end-session', '', follow('a[href*="session="]')],
  ['account-end-session-done', '', submit()],
  ['account-end-sessions', '/console/account/end-sessions'],
  ['account-end-sessions-done', '', submit()],
]);
const throttled = section('Wrong passwords of an operator', 'sven', () => [
  ['account-throttled', '/console/account', again(submit({ current: 'a guess', password: 'another good one', again: 'another good one' }, '/password'), waits)],
]);
const temporary = section('A generated password', 'guest', () => [
  ['new-password', '/console/login', async (visitor) => login('tess', visitor.world.temporary)(visitor)],
  ['new-password-wrong', '', submit({ current: 'x', password: 'y', again: 'z' })],
  ['new-password-done', '', async (visitor) => submit({ current: visitor.world.temporary, password, again: password })(visitor)],
  ['logged-out', '', go('form[action="/console/logout"] button')],
]);

const factors = section('An authenticator app', 'teo', () => {
  const remember = async ({ page, world: there }) => { there.secret = await page.locator('[data-copy]').first().innerText(); };
  const code = (ending) => async (visitor) => submit({ code: codeOf(visitor.world.secret) }, ending)(visitor);
  /** The code of the next half minute: each is accepted once. */
  const nextCode = (field, ending) => async (visitor) => {
    const used = visitor.used;
    await until(() => codeOf(visitor.world.secret) !== used, 'the next code', 35_000);
    await submit({ [field]: codeOf(visitor.world.secret) }, ending)(visitor);
  };
  const used = (visitor) => { visitor.used = codeOf(visitor.world.secret); };
  return [
    ['totp', '/console/account/totp'],
    ['totp-started', '', agree(), remember],
    ['totp-wrong', '', submit({ code: '000000' }, '/confirm')],
    ['totp-expired', '', world(({ database }) => database.sql('UPDATE operator_totps SET created_at = 1000')), submit({ code: '000000' }, '/confirm')],
    ['totp-again', '/console/account/totp', agree(), remember],
    ['recovery-codes', '', used, code('/confirm'), used],
    ['account-totp', '/console/account'],
    ['totp-replace', '/console/account/totp'],
    ['recovery-renew', '/console/account/recovery-codes', world(({ database }) => database.sql('UPDATE operator_sessions SET confirmed_at = 1000')), open('/console/account/recovery-codes')],
    ['recovery-renew-confirm', '', submit()],
    ['recovery-renewed', '', async (visitor) => { if (await visitor.page.locator('[name="present-password"]').count()) await nextCode('present-password')(visitor); }],
    ['totp-remove', '/console/account/totp/remove'],
    ['login-code', '', open('/console/'), go('form[action="/console/logout"] button'), login('teo', password)],
    ['login-code-wrong', '', submit({ code: '000000' })],
    ['login-code-throttled', '', again(submit({ code: '000000' }), waits)],
  ];
});
const passkeys = section('Passkeys', 'peggy', () => [
  ['passkey-account', '/console/account'],
  ['passkey-new', '', agree({}, '/passkeys')],
  ['passkey-failed', '', (visitor) => visitor.keys.send('WebAuthn.setUserVerified', { authenticatorId: visitor.key, isUserVerified: false }),
    fill('#name', 'Work laptop'), click('[data-passkey] button'), see('[data-passkey] .wrong:not([hidden])')],
  ['passkey-done', '', (visitor) => visitor.keys.send('WebAuthn.setUserVerified', { authenticatorId: visitor.key, isUserVerified: true }), go('[data-passkey] button')],
  ['account-passkey', '/console/account'],
  ['passkey-remove', '', follow('a[href*="passkeys/remove"]')],
  ['passkey-login', '', open('/console/'), go('form[action="/console/logout"] button')],
  ['passkey-login-code', '', login('peggy', password)],
  ['passkey-login-done', '', go('[data-passkey] button')],
  ['passkey-confirm', '/console/account', follow('a[href*="passkeys/remove"]'), submit()],
  ['passkey-removed', '', async (visitor) => { if (await visitor.page.locator('[data-passkey]').count()) await go('[data-passkey] button')(visitor); }],
]);

const audit = section('The audit', 'owner', ({ chat, trial }) => [
  ['audit', '/console/audit'],
  ['audit-second-page', '', follow('a[rel="next"]')],
  ['audit-head', '/console/audit', unfold()],
  ['audit-actor', '/console/audit?actor=olive'],
  ['audit-command-line', '/console/audit?actor=command+line'],
  ['audit-target', `/console/audit?target=lena.fischer&app=${chat.key}`],
  ['audit-action', '/console/audit?action=user.ban'],
  ['audit-settings', '/console/audit?action=app.set'],
  ['audit-exports', '/console/audit?action=app.export_users',
    ({ operator, world: { server } }) => operator.context.request.post(`${server.url}${trial.root}/users.csv`, { headers: { Origin: server.url }, form: { q: 'tester', show: 'active' } }).then(() => {}), open('/console/audit?action=app.export_users')],
  ['audit-webhooks', '/console/audit?action=webhook.create'],
  ['audit-failed-logins', '/console/audit?action=operator.login_failed'],
  ['audit-logins', '/console/audit?action=operator.login'],
  ['audit-roles', '/console/audit?action=operator.set_role'],
  ['audit-invites', '/console/audit?action=operator.invite'],
  ['audit-keys', '/console/audit?action=operator.create_api_key'],
  ['audit-erasures', '/console/audit?action=user.deactivate'],
  ['audit-deletes', '/console/audit?action=user.delete'],
  ['certificate-deleted', '', follow('a[href*="/erasures/"]')],
  ['audit-apps', '/console/audit?action=app.delete'],
  ['audit-secrets', '/console/audit?action=app.rotate_secret'],
  ['audit-text', '/console/audit?text=Advertising'],
  ['audit-days', '/console/audit?from=2026-01-01&until=2099-01-01'],
  ['audit-none', '/console/audit?target=nothing-like-this'],
  ['audit-no-actor', '/console/audit?actor=nobody&action=operator.login_failed'],
  ['audit-wrong-days', '/console/audit?from=soon&until=later'],
  ['audit-wrong-order', '/console/audit?from=2026-11-21&until=2026-11-20'],
  ['audit-found', '/console/audit', fill('#actor', 'o'), see('#actor-found li')],
  ['audit-found-none', '/console/audit', fill('#target', 'zzz'), see('#target-found + .unfound:not(:empty)')],
  ['certificate-404', `${chat.root}/erasures/1`],
]);

const explorer = section('The explorer', 'owner', ({ chat }) => [
  ['explorer', '/console/explorer'],
  ['explorer-app', `/console/explorer?app=${chat.key}`, agree({ app: chat.key, user: '' })],
  ['explorer-user', '/console/explorer', agree({ app: chat.key, user: 'member-1' })],
  ['explorer-unknown', '/console/explorer', agree({ app: chat.key, user: 'stranger' })],
  ['explorer-banned', '/console/explorer', agree({ app: chat.key, user: 'member-7' })],
  ['explorer-deactivated', '/console/explorer', agree({ app: chat.key, user: 'member-8' })],
  ['explorer-names', '/console/explorer', agree({ app: chat.key, user: 'Member' })],
  ['explorer-long', '/console/explorer', agree({ app: chat.key, user: long })],
]);

const withoutScript = section('Without JavaScript', 'plain', ({ chat, production, trial }) => [
  ['plain-apps', '/console/'],
  ['plain-overview', chat.root],
  ['plain-statistics', `${production.root}/statistics`],
  ['plain-users', `${chat.root}/users`],
  ['plain-user', chat.user('lena.fischer')],
  ['plain-ban', chat.user('member-1', '/ban')],
  ['plain-bulk', `${trial.root}/bulk/sign-out?all=1`],
  ['plain-explorer', '/console/explorer'],
  ['plain-audit', '/console/audit'],
]);

/** What operators see of the same pages that may not do everything. */
const pagesFor = (who, { chat, production, trial, closed, empty }) => [
  [`${who}-apps`, '/console/'],
  [`${who}-overview`, chat.root],
  [`${who}-users`, `${chat.root}/users`],
  [`${who}-users-empty`, `${empty.root}/users`],
  [`${who}-banned`, `${chat.root}/banned`],
  [`${who}-banned-empty`, `${empty.root}/banned`],
  [`${who}-deactivated-empty`, `${empty.root}/deactivated`],
  [`${who}-user`, chat.user('lena.fischer')],
  [`${who}-user-devices`, chat.user('lena.fischer', '/devices')],
  [`${who}-user-notes-empty`, chat.user('member-40')],
  [`${who}-permission`, `${chat.root}/permission?from=member-7&to=member-12`],
  [`${who}-connections`, `${chat.root}/connections`],
  [`${who}-webhooks-empty`, `${empty.root}/webhooks`],
  [`${who}-webhook`, `${chat.root}/webhooks`, firstWebhook('Search index')],
  [`${who}-delivery`, '', follow('table.deliveries a')],
  [`${who}-jobs-empty`, `${empty.root}/jobs`],
  [`${who}-job`, `${trial.root}/jobs`, follow('tbody a')],
  [`${who}-settings`, `${chat.root}/settings`],
  [`${who}-disabled`, `${closed.root}/settings`],
  [`${who}-statistics`, `${production.root}/statistics`],
  [`${who}-account`, '/console/account'],
  [`${who}-audit`, '/console/audit'],
  [`${who}-explorer`, '/console/explorer'],
  [`${who}-operators`, '/console/operators'],
  [`${who}-403`, chat.user('member-1', '/deactivate')],
];
const moderator = section('A moderator', 'max', (there) => pagesFor('moderator', there));
const viewer = section('A viewer', 'val', (there) => [
  ...pagesFor('viewer', there),
  ['viewer-operator', '/console/operators', follow('tbody th a:has(bdi:text-is("ada"))')],
  ['viewer-403-ban', there.chat.user('member-1', '/ban')],
]);
const admin = section('An admin', 'ada', ({ chat, production }) => [
  ['admin-operators', '/console/operators'],
  ['admin-operator', '', follow('tbody th a:has(bdi:text-is("vic"))')],
  ['admin-403-role', '', below('/role')],
  ['admin-users', `${production.root}/users`],
  ['admin-settings', `${chat.root}/settings`],
]);
const named = section('An operator of named apps', 'nan', ({ chat, named: app, production }) => [
  ['named-apps', '/console/'],
  ['named-overview', chat.root],
  ['named-long-app', app.root],
  ['named-long-app-settings', `${app.root}/settings`],
  ['named-long-app-delete', `${app.root}/delete`],
  ['named-other-app', production.root],
  ['named-operators', '/console/operators'],
  ['named-new-app', '/console/apps/new'],
  ['named-audit', '/console/audit'],
  ['named-explorer', '/console/explorer'],
  ['named-account', '/console/account'],
]);

const ends = section('Sessions that end', 'vera', ({ chat }) => [
  ['ended-notice', '', open('/console/login'), world(({ server }) => server.commandWith(password, 'operator', 'set-password', 'vera')), login('vera', password),
    open(`${chat.root}/users`), world(({ server }) => server.commandWith(password, 'operator', 'set-password', 'vera')), see('[data-contact="ended"]:not([hidden])')],
  ['ended-login', '', go('[data-contact="ended"] a')],
  ['ended-form', '', login('vera', password), open(chat.user('member-30', '/ban')),
    async ({ page }) => page.locator('#reason').fill('Typed before the session ended'),
    world(({ server }) => server.commandWith(password, 'operator', 'set-password', 'vera')), submit({ length: '180' })],
  ['ended-draft', '', login('vera', password)],
  ['ended-idle', chat.root, world(({ database }) => database.sql('UPDATE operator_sessions SET last_seen_at = 1000')), open(chat.root)],
]);

const refused = section('Errors', 'owner', ({ chat, database, emptyProduction }) => [
  ['error-404', '', open('/console/login'), async (v) => { if (await v.page.locator('#password').count()) await v.operator.login('admin', adminPassword); }, open('/console/nowhere')],
  ['error-404-app', '/console/apps/nothing'],
  ['error-404-post', '', async (v) => v.page.setContent(`<form method="post" action="${v.operator.server.url}${chat.root}"><button>send</button></form>`), go('button')],
  ['error-400', `${chat.root}/users?after=rubbish`],
  ['error-403-cross-site', '', async (v) => { await v.page.goto('data:text/html,'); await v.page.setContent(`<form method="post" action="${v.operator.server.url}${chat.user('member-31', '/ban')}"><button>send</button></form>`); }, go('button')],
  ['error-410-deleting', `${emptyProduction.root}/users`],
  ['error-500', `${chat.root}/connections`, world(() => database.sql('RENAME TABLE user_notes TO user_notes_away')), open(chat.user('lena.fischer'))],
  ['error-form-gone', '', world(() => database.sql('RENAME TABLE user_notes_away TO user_notes')), open('/console/confirm/gone')],
  ['error-shown', '/console/shown/gone'],
]);

const freshGuest = section('Duties and logins that are switched off', 'freshGuest', () => [
  ['second-factor-required', '', world((there) => there.refresh({ ROLLCALL_CONSOLE_SECOND_FACTOR: 'all' })), open('/console/login'), login('admin', adminPassword)],
  ['second-factor-begun', '', agree()],
]);

const sso = section('Single sign-on', 'sso', ({ chat }) => {
  const at = (name) => async (visitor) => { await visitor.world.provider.login(visitor.page, name); };
  const leave = (visitor) => visitor.page.locator('a.button.primary').first().click();
  return [
    ['sso-login', '', world(async (there) => there.restart(await there.provide())), open('/console/login')],
    ['sso-no-role', '', leave, at('stan')],
    ['sso-landed', '', open('/console/login'), leave, at('mona')],
    ['sso-account', '/console/account'],
    ['sso-password-403', '/console/account/totp'],
    ['sso-owner', '', open('/console/'), go('form[action="/console/logout"] button'), leave, at('olga')],
    ['sso-operators', '/console/operators'],
    ['sso-operator', '', follow('tbody th a:has(bdi:text-is("mona"))')],
    ['sso-operator-role', '', below('/role')],
    ['sso-operator-own', '/console/operators', follow('tbody th a:has(bdi:text-is("olga"))')],
    ['sso-confirm', `${chat.root}/rotate-secret`, submit({ overlap: '60' })],
    ['sso-confirm-wrong', '', leave, at('mona')],
    ['sso-confirm-ready', '', leave, at('olga')],
    ['sso-confirm-done', '', submit()],
    ['sso-callback-expired', '/console/login/sso/callback?state=x&code=y'],
    ['sso-audit', '/console/audit'],
    ['sso-only', '', world(async (there) => there.restart({ ...await there.provide(), ROLLCALL_CONSOLE_LOCAL_LOGIN: 'off' })), open('/console/login'), async ({ page }) => { await page.context().clearCookies({ name: /session/ }); }, open('/console/login')],
    ['sso-only-operators', '', leave, at('olga'), open('/console/operators')],
    ['sso-only-invitation', '/console/invitation/abc'],
    ['sso-away', '', world((there) => there.provider.process.kill()), async ({ page }) => { await page.context().clearCookies({ name: /session/ }); }, world(async (there) => there.restart(await there.provide())), open('/console/login')],
    ['sso-away-login', '', leave],
  ];
});

const outages = section('Outages', 'ada', ({ chat }) => [
  ['away-before', '', world((there) => there.restart()), open('/console/'), async (v) => { if (await v.page.locator('#password').count()) await v.operator.login('ada', password); }, open(chat.root)],
  ['away-node', '', world((there) => there.node.kill()), again(async ({ page }) => { await page.waitForTimeout(1000); await page.reload(); }, poll)],
  ['away-redis', chat.root, world((there) => there.redis.stop()), see(`${poll}[data-away="redis"]`)],
  ['away-redis-reloaded', chat.root],
  ['away-redis-users', `${chat.root}/users`],
  ['away-redis-online', `${chat.root}/users?show=online`],
  ['away-redis-user', chat.user('lena.fischer')],
  ['away-redis-devices', chat.user('lena.fischer', '/devices')],
  ['away-redis-connections', `${chat.root}/connections`],
  ['away-redis-apps', '/console/'],
  ['away-redis-disable', `${chat.root}/disable`],
  ['away-redis-sign-out', chat.user('member-32'), submit({}, '/sign-out')],
  ['away-redis-ban', chat.user('member-32', '/ban'), submit({ length: '60' })],
  ['away-database', chat.root, world((there) => there.redis.run()), async ({ page }) => { await page.locator('[data-away="redis"]').waitFor({ state: 'detached' }); },
    world((there) => there.gate.close()), see(`${poll}[data-away="database"]`)],
  ['away-database-reloaded', chat.root],
  ['away-database-users', `${chat.root}/users`],
  ['away-database-login', '/console/login'],
  ['away-database-form', '', world((there) => there.gate.reopen()), again(async (v) => { await v.page.waitForTimeout(300); await v.open(chat.user('member-33', '/ban')); }, '#reason'), world((there) => there.gate.close()), submit({ length: '60' })],
  ['late-page', '', world((there) => there.gate.reopen()), again(async (v) => { await v.page.waitForTimeout(300); await v.open(chat.user('member-33', '/ban')); }, '#reason'),
    world(({ database }) => { database.sql('LOCK TABLES users WRITE; SELECT SLEEP(6)').catch(() => {}); }), async ({ page }) => page.waitForTimeout(500), open(`${chat.root}/users`)],
  ['late-form', '', again(async (v) => { await v.page.waitForTimeout(300); await v.open(chat.user('member-33', '/ban')); }, '#reason'),
    world(({ database }) => { database.sql('LOCK TABLES users WRITE; SELECT SLEEP(6)').catch(() => {}); }), async ({ page }) => page.waitForTimeout(500), submit({ length: '60' })],
  ['late-form-effects', '', again(async (v) => { await v.page.waitForTimeout(300); await v.open(chat.user('member-1', '/ban')); }, '#reason'),
    world((there) => there.redis.process.kill('SIGSTOP')), submit({ length: '60' })],
  ['contact-lost', '', world((there) => there.redis.process.kill('SIGCONT')), again(async (v) => { await v.page.waitForTimeout(300); await v.open(`${chat.root}/users`); }, '#results'),
    world((there) => there.server.kill()), see('[data-contact="lost"]:not([hidden])')],
]);

export const sections = [
  beforeTheLogin, guessing, emptyService, apps, users, user, acts, many, permission, connections, webhooks, settings,
  operators, invitations, invitations2, account, temporary, throttled, factors, passkeys, audit, explorer, withoutScript,
  viewer, moderator, admin, named, factorOfAnother, ownSessions, ends, refused, freshGuest, sso, outages,
];
