import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { AppServer } from './lib/api.mjs';
import { launch, Operator } from './lib/browser.mjs';
import { Server } from './lib/server.mjs';
import { Connection } from './lib/socket.mjs';
import { until } from './lib/wait.mjs';

const says = {
  en: {
    online: 'Online now', registered: 'Registered', banned: 'Banned', table: 'Show as a table', health: 'Health of the service',
    hour: 'Last hour', days: 'Last 30 days', lost: 'The server cannot be reached', ended: 'Your session has ended', login: 'Log in again',
    noDevice: 'No device is connected', subscriptions: 'Status subscriptions', all: 'All subscriptions', counts: (n) => `${n} online now`,
  },
  'zh-CN': {
    online: '当前在线', registered: '已注册', banned: '已封禁', table: '以表格显示', health: '服务运行状况',
    hour: '最近一小时', days: '最近 30 天', lost: '无法连接服务器', ended: '会话已结束', login: '重新登录',
    noDevice: '没有已连接的设备', subscriptions: '状态订阅', all: '全部订阅', counts: (n) => `${n} 人在线`,
  },
};

describe('pages that update themselves', () => {
  let server;
  let browser;
  let development;
  let app; // the back end of `development`
  before(async () => {
    server = await Server.create();
    development = await server.createApp({ name: 'Live chat', statusQueryEnabled: true });
    await server.start();
    app = await AppServer.login(server, development);
    for (let n = 1; n <= 12; n++) await app.register(`member-${n}`, `Member number ${n}`);
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await server?.remove();
  });

  const overview = () => `/console/apps/${development.key}`;

  /** A logged-in operator who uses the language. */
  async function arrive(language, options) {
    const operator = await Operator.arrive(browser, server, options);
    await operator.page.clock.install();
    await operator.login();
    await operator.context.addCookies([{ name: 'rollcall_language', value: language, url: `${server.url}/console/` }]);
    return operator;
  }

  /** Advances the page's clock until the check succeeds. */
  const soon = (page, check, what) => until(async () => {
    await page.clock.runFor(5_000);
    return check();
  }, what);
  const shown = (page, locator) => soon(page, () => locator.isVisible(), `${locator}`);

  test('statistics are drawn beside the range before', async () => {
    const hour = 3_600_000;
    const now = Math.floor(Date.now() / hour) * hour;
    const { key } = await server.createApp({ name: 'Charted' });
    const app = `(SELECT id FROM apps WHERE key = '${key}')`;
    execFileSync('sqlite3', ['-cmd', '.timeout 5000', server.database.url.slice('sqlite:'.length), `
      UPDATE apps SET created_at = ${now - 72 * hour} WHERE id = ${app};
      INSERT INTO app_figures (app_id, span, begins_at, registrations, peak_online)
        VALUES (${app}, ${hour}, ${now - 30 * hour}, 57, 0), (${app}, ${hour}, ${now - 6 * hour}, 1200, 0)`]);
    const operator = await arrive('en', { timezoneId: 'Asia/Shanghai' });
    const { page } = operator;
    await operator.open(`/console/apps/${key}/statistics?range=day`);
    const card = page.getByRole('region', { name: 'Registrations' });
    await page.locator('#registrations-rows[data-zone="Asia/Shanghai"]').waitFor({ state: 'attached' });
    assert.equal(await page.locator('.plot canvas').count(), 7);
    await card.getByText('57 before').waitFor();
    // The point of six hours ago, with the one of the day before.
    const box = await card.locator('.u-over').boundingBox();
    await page.mouse.move(box.x + (box.width * 17.5) / 24, box.y + 20);
    await card.getByText(': 1,200 (57)').waitFor();
    const [file] = await Promise.all([page.waitForEvent('download'), card.getByRole('link', { name: 'CSV' }).click()]);
    assert.match(file.suggestedFilename(), /^statistics-Charted-.*\.csv$/);
    await operator.leave();
  });

  for (const language of ['en', 'zh-CN']) {
    const text = says[language];
    const tile = (page, name) => page.getByRole('link', { name: new RegExp(`^${name}`) }).locator('strong');

    test(`the overview follows connections and disconnections, ${language}`, async () => {
      const operator = await arrive(language);
      const { page } = operator;
      await operator.open(overview());
      await page.getByRole('heading', { name: 'Live chat' }).waitFor();
      assert.equal(await tile(page, text.online).innerText(), '0');
      await page.getByRole('heading', { name: text.health }).waitFor();
      const device = await Connection.open(server, await app.register('member-1'), 'IOS');
      await shown(page, tile(page, text.online).filter({ hasText: '1' }));
      // The charts follow at once, so that their peak is never below the current number.
      for (const series of ['days', 'hour']) await page.locator(`#${series}-online`).filter({ hasText: '1' }).waitFor();
      await device.close();
      await shown(page, tile(page, text.online).filter({ hasText: '0' }));
      await operator.leave();
    });

    test(`charts are drawn, and are available as tables, ${language}`, async () => {
      const operator = await arrive(language, { timezoneId: 'Asia/Shanghai' });
      const { page } = operator;
      // Registrations are recorded within seconds.
      await until(async () => {
        await operator.open(overview());
        return !(await page.locator('#hour-registrations').innerText()).startsWith('0');
      }, 'the registrations in the figures');
      assert.equal(await page.locator('.plot canvas').count(), 4);
      await page.locator('#days-rows[data-zone="Asia/Shanghai"]').waitFor({ state: 'attached' });
      await operator.open('/console/audit');
      await page.getByText('Asia/Shanghai').waitFor(); // for the days of the filter
      await operator.open(overview());
      for (const series of ['hour', 'days']) {
        const section = page.getByRole('region', { name: text[series] });
        await section.getByText(text.table).press('Enter');
        assert.equal(await section.getByRole('row').count(), series === 'hour' ? 61 : 31);
        const total = (await section.getByRole('cell').allInnerTexts()).filter((_, i) => i % 2 === 0).reduce((sum, n) => sum + Number(n), 0);
        assert.ok(total >= 12, `${total} registrations`);
      }
      const today = new Intl.DateTimeFormat(language, { month: 'short', day: 'numeric', timeZone: 'Asia/Shanghai' }).format(new Date());
      assert.equal(await page.locator('#days-rows time').first().innerText(), today);
      // Times are in the reader's zone, and in UTC on hover.
      const since = page.locator('#node time').first();
      const began = new Date(await since.getAttribute('datetime'));
      assert.equal(await since.getAttribute('title'), `${began.toISOString().slice(0, 19).replace('T', ' ')} UTC`);
      assert.equal((await since.innerText()).replace('\u00a0', ' '), began.toLocaleString(language, { dateStyle: 'medium', timeStyle: 'short', timeZone: 'Asia/Shanghai' }));
      await operator.leave();
    });

    test(`without JavaScript the overview is complete, ${language}`, async () => {
      const operator = await arrive(language, { javaScriptEnabled: false });
      const { page } = operator;
      await operator.open(overview());
      assert.ok(Number(await tile(page, text.registered).innerText()) >= 12);
      await page.getByRole('region', { name: text.hour }).getByText(text.table).click();
      assert.equal(await page.getByRole('region', { name: text.hour }).getByRole('row').count(), 61);
      await tile(page, text.banned).click();
      assert.ok(page.url().endsWith('/banned'));
      await operator.leave();
    });

    test(`users and a user are live, ${language}`, async () => {
      const operator = await arrive(language);
      const { page } = operator;
      await operator.open(`${overview()}/users`);
      const list = page.getByText(text.counts(1));
      const device = await Connection.open(server, await app.register('member-2'), 'ANDROID');
      await shown(page, list);
      await operator.open(`${overview()}/users/member-2/devices`);
      await page.getByRole('rowheader', { name: 'Android' }).waitFor();
      // The keyboard focus stays where it is.
      const end = page.getByRole('row').filter({ hasText: 'Android' }).getByRole('link');
      await end.focus();
      const second = await Connection.open(server, await app.register('member-2'), 'IOS');
      await shown(page, page.getByRole('rowheader', { name: 'iOS' }));
      // Read at one moment: another update may replace the link between finding it and asking it.
      assert.match(await page.evaluate(() => document.activeElement.closest('tr')?.textContent ?? ''), /Android/);
      await device.close();
      await second.close();
      await shown(page, page.getByText(text.noDevice));
      await operator.leave();
    });

    test(`a user's subscriptions are listed, ${language}`, async () => {
      const device = await Connection.open(server, await app.register('member-3'), 'WEB');
      const ids = Array.from({ length: 8 }, (_, i) => `member-${i + 5}`);
      const { errors } = await device.request('mutation ($ids: [ID!]!) { subscribeStatus(input: {targetIds: $ids}) { evictedIds } }', { ids });
      assert.equal(errors, undefined);
      const operator = await arrive(language);
      const { page } = operator;
      await operator.open(`${overview()}/users/member-3/relationships`);
      const section = page.getByRole('region', { name: text.subscriptions });
      assert.equal(await section.getByRole('rowheader').count(), 5);
      await section.getByRole('link', { name: text.all }).click();
      await page.getByRole('link', { name: 'Member number 5', exact: true }).waitFor();
      assert.equal(await page.getByRole('rowheader').count(), 8);
      await device.close();
      await operator.leave();
    });

    test(`a page shows when it loses and regains its connection, ${language}`, async () => {
      const operator = await arrive(language);
      const { page } = operator;
      await operator.open(overview());
      const lost = page.getByText(text.lost);
      assert.equal(await lost.isVisible(), false);
      await server.kill();
      await shown(page, lost);
      await operator.check('an overview without contact');
      await operator.screenshot(`contact-lost-${language}`);
      await server.start();
      await soon(page, () => lost.isHidden(), 'the notice to go');
      operator.errors = []; // of the lost connection
      await operator.leave();
    });

    test(`a page shows when the session has ended, ${language}`, async () => {
      const operator = await arrive(language);
      const { page } = operator;
      await operator.open(`${overview()}/users/member-4`);
      await operator.post('/console/logout');
      await shown(page, page.getByText(text.ended));
      await operator.check('a user after the session');
      await page.getByRole('link', { name: text.login }).click();
      await page.waitForURL('**/console/login?next=*');
      assert.equal(new URL(page.url()).searchParams.get('next'), `${overview()}/users/member-4`);
      operator.errors = []; // the refusal
      await operator.leave();
    });
  }

  test('a hidden page does not poll', async () => {
    const operator = await arrive('en');
    const { page } = operator;
    await operator.open(overview());
    await page.locator('#days-rows:not([data-zone=""])').waitFor({ state: 'attached' });
    const asked = [];
    page.on('request', (request) => asked.push(request.url()));
    const show = (hidden) => page.evaluate((value) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
    await show(true);
    await page.clock.runFor(120_000);
    assert.deepEqual(asked, []);
    const answer = page.waitForResponse('**/now');
    await show(false); // polls at once
    await answer;
    await operator.leave();
  });
});
