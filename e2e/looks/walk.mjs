import { createHmac } from 'node:crypto';
import { until } from '../lib/wait.mjs';

const patience = 8_000;

/** One operator's browser, on the page of a state. Steps are functions of it. */
export class Visitor {
  constructor(operator, world, password) {
    Object.assign(this, { operator, world, password, page: operator.page, errors: [] });
    this.page.setDefaultTimeout(patience);
  }

  open(path) {
    return this.page.goto(path.startsWith('http') ? path : `${this.operator.server.url}${path}`, { waitUntil: 'load' });
  }

  /** Waits until the page has drawn what its scripts draw. */
  async settle() {
    await until(() => this.page.evaluate(() => {
      const count = (selector) => document.querySelectorAll(selector).length;
      return count('.plot') === count('.plot canvas') && (!count('#explorer') || count('.graphiql-container') > 0);
    }), 'the page to be drawn', patience).catch(() => {});
  }
}

/** Submits a form, the last in the page's own part unless its action ends as given, with these fields. */
export const submit = (fields = {}, ending = '') => async ({ page }) => {
  const form = page.locator(`main form[method="post"]${ending && `[action$="${ending}"]`}`).last();
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), form.evaluate((node, values) => {
    node.noValidate = true;
    for (const [name, value] of Object.entries(values)) {
      const controls = [...node.elements].filter((control) => control.name === name);
      for (const control of controls) {
        if (['radio', 'checkbox'].includes(control.type)) control.checked = [value].flat().includes(control.value);
        else control.value = value;
      }
    }
    node.requestSubmit([...node.elements].find(({ type }) => type === 'submit'));
  }, fields)]);
};

/** The same, and enters the password if the console asks for it. */
export const agree = (fields, ending) => async (visitor) => {
  await submit(fields, ending)(visitor);
  if (await visitor.page.locator('[name="present-password"][type="password"]').count()) {
    await submit({ 'present-password': visitor.password })(visitor);
  }
};

/** Clicks a button that sends a form or a link. */
export const go = (selector) => async ({ page }) => {
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.locator(selector).first().click()]);
};

/** Opens the page of the first link that matches, also if it is in a menu. */
export const follow = (selector) => async (visitor) => {
  await visitor.open(await visitor.page.locator(selector).first().getAttribute('href'));
};

/** Opens a page below the present one. */
export const below = (path) => async (visitor) => visitor.open(new URL(visitor.page.url()).pathname + path);

export const open = (path) => (visitor) => visitor.open(typeof path === 'function' ? path(visitor) : path);
export const click = (selector) => ({ page }) => page.locator(selector).first().click();
export const fill = (selector, text) => ({ page }) => page.locator(selector).first().fill(text);
export const tick = (selector) => ({ page }) => page.locator(selector).first().check();
export const choose = (selector, value) => ({ page }) => page.locator(selector).first().selectOption(value);
export const press = (key) => ({ page }) => page.keyboard.press(key);
export const see = (selector) => ({ page }) => page.locator(selector).first().waitFor();
/** Opens all menus and folded parts that match. */
export const unfold = (selector = 'main details') => ({ page }) =>
  page.locator(selector).evaluateAll((all) => { for (const details of all) details.open = true; });
/** Repeats a step until the page has what matches. */
export const again = (step, selector) => async (visitor) => {
  for (let tries = 0; tries < 30 && !(await visitor.page.locator(selector).count()); tries++) await step(visitor);
};

/** The present code of an authenticator app with the secret that the page shows (RFC 6238). */
export function codeOf(secret) {
  const bits = [...secret.replaceAll(' ', '')].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const hash = createHmac('sha1', key).update(counter).digest();
  return String((hash.readUInt32BE(hash.at(-1) & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}
