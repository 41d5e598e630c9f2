import { minify } from 'terser';
import { defineConfig } from 'tsup';

// Properties that only the library itself uses: none is in an option, a store's value, a GraphQL
// variable or the DOM. They get short names.
const internal = [
  'onOnline', 'online', 'fatal', 'stream', 'later', 'pause', 'report', 'reportOnline', 'state', 'run', // Connection
  'opened', 'start', 'sink', 'end', 'next', 'done', 'expires', // Socket
  'publish', 'load', 'apply', 'assume', // ListStore
  'seed', 'hold', 'release', 'onChange', 'forget', 'info', 'version', 'loaded', // UserStore
  'chunks', 'paceMs', 'open', 'changed', 'dropped', 'restart', 'earliest', // Watcher
];

export default defineConfig({
  entry: ['src/index.ts', 'src/react.ts', 'src/tabs.ts'],
  external: ['./tabs.js'], // is loaded when it is needed
  format: ['esm', 'cjs'],
  target: 'es2021',
  dts: true,
  sourcemap: true,
  splitting: false, // a short name is the same within one file
  clean: true,
  silent: true,
  plugins: [
    {
      // Instead of tsup's own use of terser, whose maps name the folder of the build.
      name: 'terser',
      async renderChunk(code, { path, map }) {
        if (!/\.c?js$/.test(path)) return;
        const small = await minify(code, {
          ecma: 2020,
          module: true,
          compress: { passes: 3, hoist_funs: true, directives: false }, // keeps 'use client'
          mangle: { properties: { builtins: true, regex: new RegExp(`^(${internal.join('|')})$`) } },
          sourceMap: { content: map as never },
        });
        return { code: small.code!, map: small.map as never };
      },
    },
  ],
});
