import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { leash } from './server.mjs';
import { within } from './wait.mjs';

/**
 * The OpenID Provider of ../provider, for the console of a server. It knows mona, who is in the group
 * support, olga in platform, and stan in neither.
 */
export class Provider {
  static async start(server) {
    const provider = new Provider();
    provider.server = server;
    provider.folder = await mkdtemp(join(tmpdir(), 'rollcall-e2e-'));
    const program = join(provider.folder, 'provider');
    await promisify(execFile)('go', ['build', '-o', program, '.'], { cwd: join(import.meta.dirname, '../provider') });
    const [command, ...args] = [...leash, program, `${server.url}/console/login/sso/callback`];
    provider.process = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await within(once(provider.process.stdout, 'data'), 'the provider');
    provider.issuer = `${line}`.trim();
    return provider;
  }

  /** The settings of the server, which give olga the role of an owner, and mona that of a moderator of the app. */
  settings(app) {
    return {
      ROLLCALL_CONSOLE_URL: this.server.url,
      ROLLCALL_SSO_ISSUER: this.issuer,
      ROLLCALL_SSO_CLIENT_ID: 'console',
      ROLLCALL_SSO_CLIENT_SECRET: "the client's secret",
      ROLLCALL_SSO_NAME: 'Acme',
      ROLLCALL_SSO_ROLES: `owner=platform; moderator@${app.key}=support`,
      ROLLCALL_SSO_ALLOWED_DOMAINS: 'acme.example',
    };
  }

  /** Logs in on the provider's page. */
  async login(page, name) {
    await page.waitForURL(`${this.issuer}/**`);
    await page.getByLabel('Username').fill(name);
    await page.getByLabel('Password').fill('verysecure');
    await page.getByRole('button', { name: 'Login' }).click();
    await page.waitForURL(`${this.server.url}/console/**`);
  }

  async stop() {
    this.process.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}
