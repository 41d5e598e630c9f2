import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { adminPassword } from './server.mjs';
import { until } from './wait.mjs';
import { foreignWords } from './words.mjs';

const axeSource = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The folder for screenshots. */
const screenshots = fileURLToPath(new URL('../screenshots/', import.meta.url));

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', // root, in a container or on a build machine, has no sandbox
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/**
 * Whether the browser or htmx reports that a poll was refused because the session has ended. Whether an
 * open page polls once more before it is left depends on the moment.
 */
function learnsOfEnd(message) {
  const [, polled] = message.text().match(/^Response Status Error Code 401 from ([^ ,]+)/) ?? [];
  const path = polled ?? (/status of 401/.test(message.text()) && new URL(message.location().url).pathname);
  return path && /\/(now|counts|charts|jobs\/\w+)(\?|$)/.test(path);
}

/**
 * An operator at the console. `leave` fails if the pages have sent a request to another host, or if
 * the browser has reported an error: of a script, of the content security policy, or of a missing
 * file.
 */
export class Operator {
  static async arrive(browser, server, options = {}) {
    const context = await browser.newContext({ locale: 'en', viewport: { width: 1280, height: 900 }, ...options });
    const operator = new Operator(server, context, await context.newPage());
    operator.scripted = options.javaScriptEnabled !== false;
    return operator;
  }

  constructor(server, context, page) {
    this.server = server;
    this.context = context;
    this.page = page;
    this.strangers = [];
    this.errors = [];
    page.on('request', (request) => {
      const { protocol, host } = new URL(request.url());
      if (protocol !== 'data:' && host !== server.address) this.strangers.push(request.url());
    });
    page.on('pageerror', (error) => this.errors.push(String(error)));
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type()) && !learnsOfEnd(message)) this.errors.push(message.text());
    });
  }

  open(path) {
    return this.page.goto(`${this.server.url}${path}`);
  }

  async login(name = 'admin', password = adminPassword) {
    await this.open('/console/');
    await this.page.locator('#name').fill(name);
    await this.page.locator('#password').fill(password);
    await this.page.locator('form[action="/console/login"] button').click();
    await this.page.waitForURL('**/console/');
  }

  /** Confirms the password on the page that asks for it. */
  async confirm(password = adminPassword) {
    await this.page.getByRole('heading', { name: 'Confirm your password' }).waitFor();
    await this.page.getByLabel('Password').fill(password);
    await this.page.getByRole('button', { name: 'Confirm' }).click();
    this.errors = this.errors.filter((error) => !error.includes('403')); // the page with the question
  }

  /** Sends a form as a program with the operator's cookie would; returns the response. */
  post(path, headers = {}) {
    return this.context.request.post(`${this.server.url}${path}`, { headers, maxRedirects: 0 });
  }

  /** Waits on the page of a job until it shows that the job is done. */
  async finished(words) {
    await until(async () => {
      const refresh = this.page.getByRole('link', { name: 'Refresh' });
      // Without a script the reader reloads; with one the page polls.
      if (!this.scripted && (await refresh.count())) await refresh.click();
      return this.page.getByRole('status').filter({ hasText: words }).count();
    }, words);
  }

  screenshot(name) {
    return this.page.screenshot({ path: `${screenshots}${name}.png`, fullPage: true });
  }

  /** Fails if the page has accessibility problems, is too wide, or has text that readers cannot understand. */
  async check(what, names = []) {
    await this.reads(what, names);
    await this.hasNoBarrier(what);
    await this.fits(what);
  }

  /**
   * Fails if the page shows an internal path or the key of a missing text, or has words of another
   * language. `names` are data of the test in its messages.
   */
  async reads(what, names = []) {
    const text = await this.page.locator('body').innerText();
    assert.doesNotMatch(text, /\b0x[0-9a-f]{6,}|%!|<no value>|<nil>|\bNaN\b|\{(n|id|count|limit|search|subject)\}/, what);
    assert.deepEqual(await foreignWords(this.page, names), [], `words of another language on ${what}`);
  }

  /** Fails if axe finds an accessibility problem on the page. */
  async hasNoBarrier(what) {
    const violations = await this.page.evaluate(`${await axeSource};
      axe.run({ exclude: ${JSON.stringify(this.beyond ? [this.beyond] : [])} }, { resultTypes: ['violations'], preload: false }).then(({ violations }) => violations.map(({ id, nodes }) =>
        id + ': ' + nodes.map((node) => node.html + ' ' + node.failureSummary).join('; ')))`);
    assert.deepEqual(violations, [], `barriers on ${what}`);
  }

  /** Fails if the page must be scrolled sideways. */
  async fits(what) {
    const fits = () => this.page.evaluate('document.documentElement.scrollWidth === document.documentElement.clientWidth');
    await until(fits, `${what} to fit the window`); // charts follow its size a little later
  }

  /** Sets the size of text that a reader chooses in the browser, 1 being the usual one. */
  async enlargeText(times) {
    this.protocol ??= await this.context.newCDPSession(this.page);
    await this.protocol.send('Page.setFontSizes', { fontSizes: { standard: 16 * times, fixed: 13 * times } });
  }

  async leave() {
    await this.context.close();
    assert.deepEqual(this.strangers, [], 'requests to other hosts');
    assert.deepEqual(this.errors, [], 'errors that the browser reported');
  }
}
