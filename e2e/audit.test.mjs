import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { auditServer } from 'graphql-http';
import { Server } from './lib/server.mjs';

let server;
before(async () => {
  server = await Server.create();
  await server.start();
});
after(() => server.remove());

test('GraphQL over HTTP: all 61 audits of graphql-http', async () => {
  const results = await auditServer({ url: server.graphql });
  const bad = results.filter((result) => result.status !== 'ok');
  assert.deepEqual(
    bad.map(({ id, name, status, reason }) => `${id} ${status}: ${name}: ${reason}`),
    [],
  );
  assert.equal(results.length, 61);
});
