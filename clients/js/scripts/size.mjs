// Prints the size of what a bundler makes of the package, hooks included and React not, and fails beyond the limit.
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const limit = 9_250;
const { outputFiles } = await build({
  stdin: { contents: "export * from './dist/index.js'; export * from './dist/react.js';", resolveDir: fileURLToPath(new URL('..', import.meta.url)) },
  bundle: true,
  external: ['react'],
  minify: true,
  format: 'esm',
  target: 'es2020',
  write: false,
});
const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
console.log(`${size} of ${limit} bytes (minified, gzip)`);
if (size > limit) process.exitCode = 1;
