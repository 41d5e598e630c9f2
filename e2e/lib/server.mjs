import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { createSQLite } from './databases.mjs';
import { until, within } from './wait.mjs';

const root = resolve(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../..');

/** Begins the command of a program that must not outlive a killed test process. */
export const leash = existsSync('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig', 'KILL', '--'] : [];

/** The password of the operator `admin` on every server started here. */
export const adminPassword = 'correct horse battery staple';

let built;
/** The path of the server under test; builds it unless ROLLCALL_BIN names one. */
export function binary() {
  if (process.env.ROLLCALL_BIN) return process.env.ROLLCALL_BIN;
  if (!built) {
    built = join(root, '.build/rollcall');
    execFileSync('go', ['build', '-o', built, '.'], { cwd: root, stdio: 'inherit' });
  }
  return built;
}

/** The environment without settings of Rollcall. */
function settings(own) {
  const outside = Object.entries(process.env).filter(([name]) => !name.startsWith('ROLLCALL_'));
  return { ...Object.fromEntries(outside), ...own };
}

/**
 * A server on a database of its own, SQLite unless another is given. It is not started yet, so that
 * apps can be created first.
 */
export class Server {
  static async create(createDatabase = createSQLite) {
    return new Server(await createDatabase(), await mkdtemp(join(tmpdir(), 'rollcall-e2e-')));
  }

  /** Another node on the same database; it must be removed before this one. */
  async beside() {
    const database = { url: this.database.url, remove: async () => {} };
    return new Server(database, await mkdtemp(join(tmpdir(), 'rollcall-e2e-')));
  }

  constructor(database, folder) {
    this.database = database;
    this.folder = folder;
    this.output = '';
    this.address = '127.0.0.1:0';
    /** Another binary to run instead of the one under test. */
    this.program = undefined;
  }

  get url() {
    return `http://${this.address}`;
  }

  get graphql() {
    return `${this.url}/graphql`;
  }

  get socket() {
    return `ws://${this.address}/graphql`;
  }

  /** Runs one command on the server's database and returns its output. */
  command(...args) {
    return this.commandWith('', ...args);
  }

  /** The same, with something on standard input. */
  async commandWith(input, ...args) {
    const running = promisify(execFile)(binary(), args, {
      cwd: this.folder,
      env: settings({ ROLLCALL_DATABASE_URL: this.database.url }),
    });
    running.child.stdin.on('error', () => {}); // a command may end without reading it
    running.child.stdin.end(input);
    return (await running).stdout;
  }

  /** Creates an app: {key, secret, name, environment, edition}. */
  async createApp({ name = 'e2e', environment = 'development', edition = 'flagship', ...more } = {}) {
    const args = ['--name', name, '--environment', environment, '--edition', edition, '--json'];
    const app = JSON.parse(await this.command('app', 'create', ...args));
    const changes = Object.entries(more).map(([setting, value]) => `${setting}=${value}`);
    if (changes.length) await this.command('app', 'set', app.key, ...changes);
    return app;
  }

  /** Starts it and waits until it is ready. If it ran before, it uses the same address. */
  async start(environment = {}) {
    const [program, ...args] = [...leash, this.program ?? binary(), 'serve'];
    this.process = spawn(program, args, {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: settings({
        ROLLCALL_DATABASE_URL: this.database.url,
        ROLLCALL_LISTEN: this.address,
        ROLLCALL_OPS_LISTEN: '',
        ROLLCALL_ADMIN_PASSWORD: adminPassword,
        ROLLCALL_LOG_FORMAT: 'json',
        ...environment,
      }),
    });
    this.exited = once(this.process, 'exit');
    let started = '';
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        started += text;
        this.output += text;
      });
    }
    await until(async () => {
      if (this.process.exitCode !== null) throw new Error(`the server ended at its start:\n${started}`);
      const address = started.match(/127\.0\.0\.1:\d+/);
      if (!address) return false;
      this.address = address[0];
      return fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false);
    }, 'the server to be ready');
    return this;
  }

  /** Stops it as an operator would and returns its exit status. */
  async stop() {
    this.process.kill('SIGTERM');
    const [status] = await within(this.exited, 'the server to stop');
    return status;
  }

  /** Kills it, as a crash would. */
  async kill() {
    this.process.kill('SIGKILL');
    await this.exited;
  }

  /**
   * Stops it and removes its files. Fails if the server reported a data race
   * or a panic at any time.
   */
  async remove() {
    if (this.process && this.process.exitCode === null && this.process.signalCode === null) await this.kill();
    await this.database.remove();
    await rm(this.folder, { recursive: true, force: true });
    if (/DATA RACE|panic:/.test(this.output)) throw new Error(`the server reported:\n${this.output}`);
  }
}
