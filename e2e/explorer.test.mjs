import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { AppServer } from './lib/api.mjs';
import { launch, Operator } from './lib/browser.mjs';
import { Server } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

describe('the explorer in Chromium', () => {
  let server;
  let browser;
  let production;
  before(async () => {
    server = await Server.create();
    const development = await server.createApp({ name: 'Chat in development' });
    production = await server.createApp({ name: 'Quiet', environment: 'production' });
    await server.start();
    await (await AppServer.login(server, development)).register('exa', 'Exa Mined');
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await server?.remove();
  });

  /** An operator at the explorer, ready to type. */
  async function arrive(options) {
    const operator = await Operator.arrive(browser, server, options);
    await operator.login();
    await operator.open('/console/explorer');
    await ready(operator.page);
    return operator;
  }

  async function ready(page) {
    for (const name of ['Query Editor', 'Variables', 'Headers', 'Result Window']) {
      await editor(page, name).waitFor({ state: 'attached' });
    }
  }

  /** The element that receives the keys of one of GraphiQL's editors. */
  function editor(page, name) {
    return page.locator(`.CodeMirror textarea[aria-label="${name}"]`);
  }

  /** Its whole text, including what is not rendered. */
  function text(page, name) {
    return editor(page, name).evaluate((area) => area.closest('.CodeMirror').CodeMirror.getValue());
  }

  /** The names of the elements that the key moves the focus to, starting at the element. */
  async function stops(page, from, key, count) {
    await from.focus();
    const names = [];
    while (names.length < count) {
      await page.keyboard.press(key);
      names.push(await page.evaluate(() => {
        const at = document.activeElement;
        return (at.getAttribute('aria-label') ?? at.textContent).replace(/ \(.*\)$/, ''); // without its shortcut
      }));
    }
    return names;
  }

  const inOrder = [
    'Add tab', 'GraphiQL', 'Query Editor', 'Execute query', 'Prettify query', 'Merge fragments into query', 'Copy query',
    'Variables', 'Headers', 'Hide editor tools', 'Headers', 'Result Window', 'English',
  ];

  for (const colorScheme of ['light', 'dark']) {
    test(`Tab leaves every editor, and one sees where it is, ${colorScheme}`, async () => {
      const operator = await arrive({ colorScheme });
      const { page } = operator;
      const before = await text(page, 'Query Editor');
      const start = page.getByRole('button', { name: 'Open settings dialog' });
      assert.deepEqual(await stops(page, start, 'Tab', inOrder.length), inOrder);
      const back = inOrder.toReversed().slice(1);
      assert.deepEqual(await stops(page, page.getByRole('button', { name: 'English' }), 'Shift+Tab', back.length), back);

      await page.getByRole('button', { name: 'Variables' }).click();
      assert.deepEqual(await stops(page, editor(page, 'Variables'), 'Tab', 1), ['Result Window']);
      assert.deepEqual(await stops(page, editor(page, 'Variables'), 'Shift+Tab', 1), ['Hide editor tools']);
      assert.equal(await text(page, 'Query Editor'), before); // no key was typed
      assert.equal(await text(page, 'Variables'), '');

      const ring = (element) => element.evaluate((at) => {
        const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(at.closest('.CodeMirror') ?? at);
        return `${outlineStyle} ${outlineWidth} ${outlineColor}`;
      });
      const accent = colorScheme === 'dark' ? 'rgb(169, 166, 255)' : 'rgb(69, 64, 214)';
      const execute = page.getByRole('button', { name: /execute query/i });
      for (const element of [...['Query Editor', 'Variables', 'Result Window'].map((name) => editor(page, name)), execute]) {
        assert.doesNotMatch(await ring(element), /^solid/);
        await element.focus();
        await until(async () => (await ring(element)) === `solid 2px ${accent}`, 'a ring around what has the focus');
      }
      await page.getByLabel('User (ID or name').focus(); // away from the button, whose tooltip is outside all landmarks
      await page.getByRole('tooltip').waitFor({ state: 'detached' });
      await operator.hasNoBarrier('the explorer');
      await operator.leave();
    });
  }

  test('on a phone the response scrolls into view, and nothing scrolls sideways', async () => {
    const operator = await arrive({ viewport: { width: 390, height: 844 } });
    const { page } = operator;
    for (const name of [/execute query/i, 'Variables', 'Headers', 'Show Documentation Explorer']) {
      const { x, width } = await page.getByRole('button', { name }).boundingBox();
      assert.ok(x >= 0 && x + width <= 390, `${name} is from ${x} to ${x + width}`);
    }
    await page.getByRole('button', { name: /execute query/i }).click();
    const answer = page.getByText('"Query"'); // to { __typename }
    await answer.waitFor();
    const box = await answer.boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= 390 && box.y >= 0 && box.y + box.height <= 844, JSON.stringify(box));
    await operator.fits('the explorer');
    const wider = await page.evaluate(() => [...document.querySelectorAll('#explorer, #explorer *:not(.CodeMirror, .CodeMirror *)')]
      .filter((at) => at.scrollWidth > at.clientWidth && getComputedStyle(at).overflowX === 'auto').map((at) => at.className));
    assert.deepEqual(wider, []);
    await operator.screenshot('explorer-phone');

    await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
    await page.getByRole('link', { name: 'Query', exact: true }).click();
    await operator.fits('the explorer with its documentation');
    await operator.leave();
  });

  test('a response pane that was dragged shut in a wide window is shown in a narrow one', async () => {
    const operator = await arrive();
    const { page } = operator;
    const bar = await page.locator('.graphiql-horizontal-drag-bar').boundingBox();
    await page.mouse.move(bar.x + bar.width / 2, bar.y + 100);
    await page.mouse.down();
    await page.mouse.move(1275, bar.y + 100, { steps: 4 });
    await page.mouse.up();
    const pane = page.locator('.graphiql-response');
    await until(async () => (await pane.boundingBox()).x < 0, 'the pane to be gone');
    await page.setViewportSize({ width: 390, height: 844 });
    const { x, width, height } = await pane.boundingBox();
    assert.ok(x >= 0 && width > 300 && height > 200, JSON.stringify({ x, width, height }));
    await operator.leave();
  });

  test('an app that has no users yet is chosen in the explorer', async () => {
    const operator = await arrive();
    const { page } = operator;
    const chosen = () => page.getByLabel('App', { exact: true }).evaluate((at) => at.selectedOptions[0].textContent);
    assert.equal(await chosen(), 'Chat in development · Development');
    await operator.open(`/console/apps/${production.key}/users`);
    await page.getByRole('link', { name: 'Open the explorer' }).click();
    await page.getByRole('heading', { name: 'GraphQL explorer' }).waitFor();
    assert.equal(await chosen(), 'Quiet · Production');
    await operator.leave();
  });

  test('a refusal of a token leaves the headers as they are', async () => {
    const operator = await arrive();
    const { page } = operator;
    const fill = async (user) => {
      await page.getByLabel('User (ID or name').fill(user);
      await page.getByRole('button', { name: 'Fill in a token' }).click();
    };
    await fill('exa');
    await operator.confirm();
    await page.getByRole('status').filter({ hasText: 'A token of the user exa' }).waitFor();
    await ready(page);
    const filled = await text(page, 'Headers');
    assert.match(filled, /^\{"Authorization":"Bearer [^"]+"\}$/);

    // The same for headers that were typed, on more than one line.
    const own = filled.replace('}', ',\n  "X-Own": "<&>"}');
    await editor(page, 'Headers').focus();
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.insertText(own);
    for (const user of ['nobody', 'nobody.else']) {
      await fill(user);
      await page.getByRole('alert').filter({ hasText: `No user with the ID or name ${user} was found.` }).waitFor();
      await ready(page);
      assert.equal(await text(page, 'Headers'), own);
    }
    await fill('exa');
    await page.getByRole('status').filter({ hasText: 'A token of the user exa' }).waitFor();
    await ready(page);
    assert.doesNotMatch(await text(page, 'Headers'), /X-Own/);
    operator.errors = operator.errors.filter((error) => !error.includes('422')); // the unknown users above
    await operator.leave();
  });
});
