import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { Server } from './lib/server.mjs';

/** An empty page of an origin of its own. */
async function serveEmptyPage() {
  const server = createServer((_, response) => response.end('<!doctype html>'));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

let server;
let browser;
let [allowed, other] = [];
before(async () => {
  [server, browser, allowed, other] = await Promise.all([Server.create(), launch(), serveEmptyPage(), serveEmptyPage()]);
  await server.start({ ROLLCALL_ALLOWED_ORIGINS: allowed.origin });
});
after(async () => {
  allowed?.server.close();
  other?.server.close();
  await browser?.close();
  await server?.remove();
});

/** Sends a query with each header from a page of the origin; returns what the page can read. */
async function ask(origin, ...headers) {
  const page = await browser.newPage();
  await page.goto(origin);
  return page.evaluate(
    async ([url, headers]) => {
      const answers = {};
      for (const header of headers) {
        const request = {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', [header]: 'x' },
          body: '{"query":"{__typename}"}',
        };
        answers[header] = await fetch(url, request).then((response) => response.text(), () => 'refused');
      }
      return answers;
    },
    [server.graphql, headers],
  );
}

test("a browser lets a page of an allowed origin send the headers of Apollo's clients and of traces", async () => {
  const headers = [
    'X-Platform',
    'apollographql-client-name',
    'apollographql-client-version',
    'apollo-require-preflight',
    'x-apollo-operation-name',
    'traceparent',
    'tracestate',
    'baggage',
  ];
  const answers = await ask(allowed.origin, ...headers);
  for (const header of headers) assert.equal(answers[header], '{"data":{"__typename":"Query"}}', header);
});

test('a browser refuses other headers, and pages of other origins', async () => {
  assert.deepEqual(await ask(allowed.origin, 'x-unknown'), { 'x-unknown': 'refused' });
  assert.deepEqual(await ask(other.origin, 'traceparent'), { traceparent: 'refused' });
});
