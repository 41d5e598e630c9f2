// The example in examples/chat: its back end, and browsers of its users.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Operator } from '../../../e2e/lib/browser.mjs';
import { until } from '../../../e2e/lib/wait.mjs';
import { run } from './lib.mjs';

export const folder = fileURLToPath(new URL('../../../examples/chat/', import.meta.url));

/** A running back end of the example. */
export class ChatServer {
  static async start(server, app) {
    await run('npm', ['run', '--silent', 'build'], { cwd: folder });
    const chat = new ChatServer();
    chat.process = spawn(process.execPath, ['server.mjs'], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ROLLCALL_URL: server.graphql, APP_KEY: app.key, APP_SECRET: app.secret, LISTEN: '127.0.0.1:0' },
    });
    chat.exited = once(chat.process, 'exit');
    let output = '';
    chat.process.stdout.setEncoding('utf8').on('data', (text) => (output += text));
    chat.url = await until(() => {
      if (chat.process.exitCode !== null) throw new Error(`the example ended at its start: ${output}`);
      return output.match(/http:\/\/127\.0\.0\.1:\d+/)?.[0];
    }, 'the example to listen');
    return chat;
  }

  async stop() {
    this.process.kill();
    await this.exited;
  }
}

/** A person at the chat. `leave` fails as an Operator's does. */
export class Person extends Operator {
  static async arrive(browser, chat, path, options = {}) {
    const context = await browser.newContext({ locale: 'en', viewport: { width: 1060, height: 640 }, ...options });
    const person = new Person({ url: chat.url, address: new URL(chat.url).host }, context, await context.newPage());
    await person.open(path);
    return person;
  }

  async login(id, name) {
    const { page } = this;
    await this.field('Your user ID').fill(id);
    await this.field('Your name').fill(name);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('status').filter({ hasText: 'Connected' }).waitFor();
    return this;
  }

  field(label) {
    return this.page.getByRole('textbox', { name: label, exact: true });
  }

  /** Fills in a field and submits its form by the Enter key. */
  async enter(label, text) {
    await this.field(label).fill(text);
    await this.field(label).press('Enter');
  }

  press(name) {
    return this.page.getByRole('button', { name, exact: true }).click();
  }

  /** The entry of a section's list. */
  entry(section, text) {
    return this.page.getByRole('region', { name: section }).getByRole('listitem').filter({ hasText: text });
  }

  /** Waits until a section's list shows one entry with this text. */
  shows(section, text) {
    return this.entry(section, text).waitFor();
  }

  /** Waits until a section's list has so many entries. */
  has(section, count) {
    return until(async () => (await this.page.getByRole('region', { name: section }).getByRole('listitem').count()) === count, `${count} in ${section}`);
  }
}
