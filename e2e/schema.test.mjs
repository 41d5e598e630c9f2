import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  buildClientSchema,
  buildSchema,
  getIntrospectionQuery,
  lexicographicSortSchema,
  printSchema,
  specifiedDirectives,
  validateSchema,
} from 'graphql';
import { send } from './lib/api.mjs';
import { Server } from './lib/server.mjs';

let server;
let text;
let introspection;
before(async () => {
  server = await Server.create();
  await server.start();
  text = await fetch(`${server.graphql}/schema.graphql`).then((response) => response.text());
  introspection = await send(
    server,
    null,
    getIntrospectionQuery({
      specifiedByUrl: true,
      directiveIsRepeatable: true,
      schemaDescription: true,
      inputValueDeprecation: true,
      oneOf: true,
    }),
  );
});
after(() => server?.remove());

test('graphql-js reads the same schema, and no error in it, from the text and from introspection', () => {
  const fromText = buildSchema(text);
  const fromIntrospection = buildClientSchema(introspection);
  assert.deepEqual(validateSchema(fromText), []);
  assert.deepEqual(validateSchema(fromIntrospection), []);
  const print = (schema) => printSchema(lexicographicSortSchema(schema));
  assert.equal(print(fromIntrospection), print(fromText));
});

test('the schema offers the directives of the specification and no others', () => {
  assert.deepEqual(
    introspection.__schema.directives.map(({ name }) => name),
    specifiedDirectives.map(({ name }) => name).sort(),
  );
  assert.doesNotMatch(text, /^\s*directive /m);
  assert.match(text, /^scalar DateTime @specifiedBy\(url: "https:\/\/scalars\.graphql\.org\/andimarek\/date-time\.html"\)$/m);
});

test('every root type says what it is for', () => {
  for (const name of ['Query', 'Mutation', 'Subscription']) {
    assert.ok(introspection.__schema.types.find((type) => type.name === name).description, name);
  }
});
