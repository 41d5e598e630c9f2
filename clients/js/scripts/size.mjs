// Prints the size of the published code, hooks included and React not, and fails beyond the limit. A
// bundler may minify it again, which no longer makes it smaller: esbuild's result is printed to compare.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const limit = 8_192;
const tabsLimit = 2_000; // is loaded beside the page, where tabs can share a connection
const dist = fileURLToPath(new URL('../dist', import.meta.url));
const gzip = (text) => gzipSync(text, { level: 9 }).length;
const size = gzip(readFileSync(`${dist}/index.js`, 'utf8') + readFileSync(`${dist}/react.js`, 'utf8'));
const { outputFiles } = await build({
  stdin: { contents: "export * from './index.js'; export * from './react.js';", resolveDir: dist },
  bundle: true,
  external: ['react', './tabs.js'],
  minify: true,
  format: 'esm',
  target: 'es2020',
  write: false,
});
const tabs = gzip(readFileSync(`${dist}/tabs.js`, 'utf8'));
console.log(`${size} of ${limit} bytes (gzip), the file for tabs ${tabs} of ${tabsLimit}; ${gzip(outputFiles[0].contents)} in a bundle that esbuild minifies again`);
if (size > limit || tabs > tabsLimit) process.exitCode = 1;
