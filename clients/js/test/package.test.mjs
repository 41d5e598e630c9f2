// The package as an app gets it: packed, installed into an empty project, and imported in all ways.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { transform } from 'esbuild';
import { run } from './lib.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));
const tool = (name) => join(here, 'node_modules/.bin', name);
const strict = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2020', '--lib', 'es2020,dom'];
let project;
let tarball;
before(async () => {
  project = await mkdtemp(join(tmpdir(), 'rollcall-client-'));
  const [{ filename }] = JSON.parse(await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', project], { cwd: here }));
  tarball = join(project, filename);
  await writeFile(join(project, 'package.json'), '{"private": true}');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: project });
  // React is that of the client's own tests.
  await mkdir(join(project, 'node_modules/@types'));
  for (const name of ['react', 'react-dom', '@types/react']) await symlink(join(here, 'node_modules', name), join(project, 'node_modules', name));
});
after(() => rm(project, { recursive: true, force: true }));

const use = `
class WebSocket {}
const rollcall = createRollcall({ url: 'ws://127.0.0.1:1/', getToken: () => ({ token: 'x' }), webSocketImpl: WebSocket });
for (const name of ['setUserInfoProvider', 'getUserInfo', 'refreshUserInfo']) if (typeof rollcall[name] !== 'function') throw new Error(name);
if (!(new RollcallError('X', 'x') instanceof Error)) throw new Error('no error');
rollcall.close();
`;

const types = `import { createRollcall, RollcallError, type Friend, type RollcallErrorCode } from '@rollcall/client';
const rollcall = createRollcall({ url: 'ws://x/', platform: 'WEB', getToken: async (why: 'start' | 'expired' | 'refused') => ({ token: why, expiresAt: null }) });
rollcall.setUserInfoProvider((ids) => new Map(ids.map((id) => [id, { name: id, title: 'Dr.' }])));
export const names: Promise<(string | undefined)[]> = rollcall.getUserInfo(['a', 'b']).then((users) => users.map((user) => user?.name));
export const friends: readonly Friend[] = rollcall.friends.getSnapshot().items;
export const code: RollcallErrorCode = new RollcallError('NOT_FRIENDS', '').code;
const state = rollcall.connection.getSnapshot();
export const until: Date | null = state.status === 'banned' ? state.until : null;
// @ts-expect-error a platform that there is none
createRollcall({ url: '', getToken: () => ({ token: '' }), platform: 'TOASTER' });
// @ts-expect-error snapshots are immutable
rollcall.friends.getSnapshot().items.push();
`;

const hooks = `
import { createRollcall } from '@rollcall/client';
import { RollcallProvider, useBlocklist, useConnection, useFriends, usePresence, useRequests, useRollcall, useUser } from '@rollcall/client/react';
function useAll() {
  const { items, status } = useFriends();
  const { statuses } = usePresence(items.map(({ userId }) => userId));
  const presences = items.map(({ userId }) => statuses.get(userId)?.presence);
  const { friends } = useRollcall();
  const all = [useConnection().status, status, useRequests('OUTGOING').status, useBlocklist().status, useUser('ann')?.name];
  return { all, presences, reload: friends.reload };
}
`;
const component = `${hooks}
function Friends() {
  const { all, presences, reload } = useAll();
  return <p onClick={reload}>{[...all, ...presences].join()}</p>;
}
`;
const render = `import { renderToString } from 'react-dom/server';
${component}
class Socket {}
const client = createRollcall({ url: 'ws://127.0.0.1:1/', getToken: () => ({ token: 'x' }), webSocketImpl: Socket });
console.log(renderToString(<RollcallProvider client={client}><Friends /></RollcallProvider>));
client.close();
`;
const rendered = '<p>connecting,idle,idle,idle,</p>\n';

const hookTypes = `${hooks}
export const reload = (): Promise<readonly { userId: string }[]> => useAll().reload();
export const presences = (): readonly ('ONLINE' | 'OFFLINE' | 'UNLOGINED' | undefined)[] => useAll().presences;
export const provider = (): { type: unknown } => RollcallProvider({ client: createRollcall({ url: '', getToken: () => ({ token: '' }) }) });
// @ts-expect-error a direction that there is none
export const wrong = () => useRequests('BOTH');
// @ts-expect-error a provider needs a client
RollcallProvider({});
`;

// Each runs programs of its own, most of which use one processor.
describe('the package', { concurrency: 2 }, () => {
  test('Vite builds a page with the hooks, and one that a server renders', async () => {
    await writeFile(join(project, 'vite.config.mjs'), "export default { esbuild: { jsx: 'automatic' }, build: { minify: false }, ssr: { noExternal: ['@rollcall/client'] }, logLevel: 'warn' };");
    await writeFile(join(project, 'index.html'), '<!doctype html><div id="root"></div><script type="module" src="/page.jsx"></script>');
    await writeFile(join(project, 'page.jsx'), `import { createRoot } from 'react-dom/client';${component}
const client = createRollcall({ url: '/graphql', getToken: () => ({ token: '' }) });
createRoot(document.getElementById('root')).render(<RollcallProvider client={client}><Friends /></RollcallProvider>);`);
    await writeFile(join(project, 'render.jsx'), render);
    await Promise.all([
      run(tool('vite'), ['build'], { cwd: project }),
      run(tool('vite'), ['build', '--ssr', 'render.jsx', '--outDir', 'server'], { cwd: project }),
    ]);
    assert.deepEqual((await readdir(join(project, 'dist'))).sort(), ['assets', 'index.html']);
    assert.equal(await run(process.execPath, ['server/render.mjs'], { cwd: project }), rendered);
  });

  test('it and its hooks have strict types, however TypeScript resolves modules', async () => {
    await mkdir(join(project, 'types'));
    for (const file of ['use.mts', 'use.cts', 'use.ts']) await writeFile(join(project, 'types', file), types);
    for (const file of ['hooks.mts', 'hooks.cts']) await writeFile(join(project, 'types', file), hookTypes);
    await Promise.all([
      run(tool('tsc'), [...strict, '--module', 'nodenext', ...['use.mts', 'use.cts', 'hooks.mts', 'hooks.cts'].map((file) => `types/${file}`)], { cwd: project }),
      run(tool('tsc'), [...strict, '--module', 'esnext', '--moduleResolution', 'bundler', 'types/use.ts'], { cwd: project }),
    ]);
  });

  test('publint and attw find nothing', async () => {
    await Promise.all([
      run(tool('publint'), ['--strict', tarball], { cwd: project }),
      run(tool('attw'), [tarball, '--no-definitely-typed', '--profile', 'node16', '--format', 'ascii'], { cwd: project }),
    ]);
  });

  test('the package has its files and no others', async () => {
    const files = (await run('tar', ['-tzf', tarball])).trim().split('\n').map((name) => name.replace('package/', '').replace(/types-\w+/, 'types-HASH')).sort();
    assert.deepEqual(files, ['CHANGELOG.md', 'README.md', 'dist/index.cjs', 'dist/index.cjs.map', 'dist/index.d.cts', 'dist/index.d.ts', 'dist/index.js', 'dist/index.js.map', 'dist/react.cjs', 'dist/react.cjs.map', 'dist/react.d.cts', 'dist/react.d.ts', 'dist/react.js', 'dist/react.js.map', 'dist/types-HASH.d.cts', 'dist/types-HASH.d.ts', 'package.json']);
  });

  test('it is imported as ES module and as CommonJS', async () => {
    await writeFile(join(project, 'use.mjs'), `import { createRollcall, RollcallError } from '@rollcall/client';${use}`);
    await writeFile(join(project, 'use.cjs'), `const { createRollcall, RollcallError } = require('@rollcall/client');${use}`);
    for (const file of ['use.mjs', 'use.cjs']) await run(process.execPath, [file], { cwd: project });
  });

  test('the hooks are imported as ES module and as CommonJS', async () => {
    for (const [format, file] of [['esm', 'hooks.mjs'], ['cjs', 'hooks.cjs']]) {
      const { code } = await transform(render, { loader: 'jsx', jsx: 'automatic', format });
      await writeFile(join(project, file), code);
      assert.equal(await run(process.execPath, [file], { cwd: project }), rendered);
    }
  });

  test('its maps lead to the sources, and name nothing of the machine that built it', async () => {
    for (const file of ['index.js', 'index.cjs', 'react.js', 'react.cjs']) {
      const { sources, sourcesContent } = JSON.parse(await readFile(join(here, 'dist', `${file}.map`), 'utf8'));
      assert.ok(sources.length > 0);
      assert.equal(sourcesContent.length, sources.length);
      for (const source of sources) assert.match(source, /^\.\.\/src\/\w+\.ts$/);
      assert.match(await readFile(join(here, 'dist', file), 'utf8'), new RegExp(`^.*//# sourceMappingURL=${file}.map$`, 's'));
    }
    for (const file of ['react.js', 'react.cjs']) assert.match(await readFile(join(here, 'dist', file), 'utf8'), /^("use strict";)?"use client";/);
  });

  test('it is small for a page, compressed', () => run(process.execPath, [join(here, 'scripts/size.mjs')]));
});
