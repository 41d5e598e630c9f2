import { basename } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { minify } from 'terser';
import { defineConfig } from 'tsup';
import { withNames } from './scripts/names.mjs';

// Properties that only the library itself uses: none is in an option, a store's value, a GraphQL
// variable or the DOM. They get short names.
const internal = [
  'onOnline', 'online', 'fatal', 'stream', 'later', 'pause', 'report', 'reportOnline', 'state', 'times', 'run', 'mutate', 'errorListeners', // Connection
  'connect', 'opened', 'ended', // Line
  'crowded', 'start', 'retire', 'stop', 'sink', 'sent', 'end', 'next', 'done', 'expires', // Socket
  'publish', 'load', 'apply', 'assume', 'raw', // ListStore
  'seed', 'forget', 'info', 'freshUntil', 'version', 'loaded', // UserStore
  'chunks', 'members', 'paceMs', 'open', 'changed', 'dropped', 'follow', 'followed', 'failure', 'progress', 'restart', 'earliest', // Watcher
];

/** Writes the documents out, as they are written in src/documents.ts from parts that they share. */
const documents = {
  name: 'documents',
  setup({ onLoad }) {
    onLoad({ filter: /src\/documents\.ts$/ }, async ({ path }) => {
      const { outputFiles } = await build({ entryPoints: [path], bundle: true, format: 'esm', write: false });
      const written = Object.entries(await import(`data:text/javascript,${encodeURIComponent(outputFiles[0]!.text)}`));
      return { contents: written.map(([name, text]) => `export const ${name} = ${JSON.stringify(text)};\n`).join('') };
    });
  },
} satisfies Plugin;

export default defineConfig({
  entry: ['src/index.ts', 'src/react.ts'],
  format: ['esm', 'cjs'],
  target: 'es2022',
  dts: true,
  sourcemap: true,
  splitting: false, // a short name is the same within one file
  clean: true,
  silent: true,
  esbuildPlugins: [documents],
  plugins: [
    {
      // Instead of tsup's own use of terser, whose maps name the folder of the build.
      name: 'terser',
      async renderChunk(code, { path, map: given }) {
        if (!/\.c?js$/.test(path)) return;
        const nameCache: { props?: { props: Record<string, string> } } = {};
        // Declarations of one kind become one. The columns stay those of the map.
        const small = await minify(code.replace(/\bconst /g, 'let   '), {
          ecma: 2022,
          module: true,
          compress: { passes: 3, hoist_funs: true, directives: false, reduce_funcs: false }, // keeps 'use client'
          mangle: { properties: { builtins: true, regex: new RegExp(`^(${internal.join('|')})$`) } },
          sourceMap: { content: given as never },
          nameCache,
        });
        const map = JSON.parse(small.map as string);
        if (path.endsWith('.cjs')) return { code: small.code!, map };
        return withNames(basename(path), small.code!, map, new Set(Object.values(nameCache.props?.props ?? {})));
      },
    },
  ],
});
