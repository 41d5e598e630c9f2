import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

// The server that `withservers` started: mysql://root@unix(SOCKET)/
const mariadb = process.env.ROLLCALL_TEST_MYSQL;

/**
 * The kinds of database that the tests use. `create` makes an empty one and returns its
 * ROLLCALL_DATABASE_URL and a function that removes it.
 */
export const databases = [
  { name: 'SQLite', create: createSQLite },
  {
    name: 'MariaDB',
    create: createMariaDB,
    skip: mariadb ? false : 'ROLLCALL_TEST_MYSQL names no server; `make e2e-tests` through withservers does',
  },
];

export async function createSQLite() {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-e2e-'));
  return {
    url: `sqlite:${join(folder, 'rollcall.db')}`,
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/**
 * Such a database on the server of `withservers`, for the user whose rights end there; `sql` executes
 * statements in it as root.
 */
export async function createMariaDB() {
  const socket = mariadb.match(/unix\((.*)\)/)[1];
  const name = `t_${randomBytes(8).toString('hex')}`;
  const sql = (statement) =>
    run('mariadb', ['--no-defaults', `--socket=${socket}`, '--user=root', '--execute', statement]);
  await sql(`CREATE DATABASE ${name}`);
  return {
    url: `${mariadb.replace('root@', 'tests@')}${name}`,
    sql: (statements) => sql(`USE ${name}; ${statements}`),
    remove: () => sql(`DROP DATABASE ${name}`),
  };
}
