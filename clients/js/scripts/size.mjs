// Prints the size of all code that an application loads from the package, which does not include React, and
// fails beyond the limit. A bundler that chooses other names makes it larger: esbuild's result is printed too.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const limit = 8_192;
const dist = fileURLToPath(new URL('../dist', import.meta.url));
const gzip = (text) => gzipSync(text, { level: 9 }).length;
const size = gzip(readFileSync(`${dist}/index.js`, 'utf8') + readFileSync(`${dist}/react.js`, 'utf8'));
const { outputFiles } = await build({
  stdin: { contents: "export * from './index.js'; export * from './react.js';", resolveDir: dist },
  bundle: true,
  external: ['react'],
  minify: true,
  format: 'esm',
  target: 'es2022',
  write: false,
});
console.log(`${size} of ${limit} bytes (gzip); ${gzip(outputFiles[0].contents)} in a bundle that esbuild minifies again`);
if (size > limit) {
  console.error('after a change of the sources, search for short names: npm run names');
  process.exitCode = 1;
}
