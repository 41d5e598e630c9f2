import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
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
import { classify, deprecationFaults, report } from './lib/contract.mjs';
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

// The served schema with graphql-js's own directives of the specification, like those read from files.
const served = () => buildSchema(printSchema(buildClientSchema(introspection)));
const stored = async (name) => buildSchema(await readFile(new URL(`../docs/${name}`, import.meta.url), 'utf8'));

test('the schema is that of docs/schema.graphql', async () => {
  const docs = await stored('schema.graphql');
  const live = served();
  const print = (schema) => printSchema(lexicographicSortSchema(schema));
  assert.ok(print(live) === print(docs), `run: make generate\n${report(classify(docs, live))}`);
});

test('the schema breaks no client of the latest release', async (t) => {
  const changes = classify(await stored('schema.released.graphql'), served());
  if (report(changes)) t.diagnostic(`since the release:\n${report(changes)}`);
  assert.deepEqual(changes.breaking, [], 'see "Releases" in CONTRIBUTING.md');
});

test('deprecations name their replacement', () => {
  assert.deepEqual(deprecationFaults(buildClientSchema(introspection)), []);
});

const base = `
  type Query { user(id: ID!, size: Int = 20): User }
  "A user." type User { id: ID!, name: String, state: State }
  enum State { ACTIVE }
  union Item = User
  input Filter { search: String }
`;

for (const [what, from, to, want] of [
  ['nothing', '', '', {}],
  ['a removed field', 'name: String, ', '', { breaking: ['User.name was removed.'] }],
  ['a removed enum value', 'ACTIVE', 'BANNED', { breaking: ['ACTIVE was removed from enum type State.'], dangerous: ['BANNED was added to enum type State.'] }],
  ['a nullable field that was not', '{ id: ID!,', '{ id: ID,', { breaking: ['User.id changed type from ID! to ID.'] }],
  ['another type', 'name: String', 'name: Int', { breaking: ['User.name changed type from String to Int.'] }],
  ['a required argument', 'size: Int = 20', 'size: Int!', { breaking: ['Query.user arg size has changed type from Int to Int!.'] }],
  ['a new required argument', 'size: Int = 20', 'size: Int = 20, in: ID!', { breaking: ['A required arg in on Query.user was added.'] }],
  ['another default', '= 20', '= 10', { breaking: ['Query.user arg size has changed defaultValue from 20 to 10.'] }],
  ['a new required input field', 'search: String', 'search: String, of: ID!', { breaking: ['A required field of on input type Filter was added.'] }],
  ['a new enum value', 'ACTIVE', 'ACTIVE BANNED', { dangerous: ['BANNED was added to enum type State.'] }],
  ['a new union member', 'Item = User', 'Item = User | Query', { dangerous: ['Query was added to union type Item.'] }],
  ['a new optional argument', '= 20', '= 20, after: ID', { dangerous: ['An optional arg after on Query.user was added.'] }],
  ['a new optional input field', 'search: String', 'search: String, of: ID', { dangerous: ['An optional field of on input type Filter was added.'] }],
  ['a new field', 'name: String', 'name: String, age: Int', { safe: ['User.age was added.'] }],
  ['a new type', 'union Item', 'type Device { id: ID! } union Item', { safe: ['Device was added.'] }],
  ['a field that is never null now', 'name: String', 'name: String!', { safe: ['User.name changed type from String to String!.'] }],
  ['another description', 'A user.', 'One user.', { safe: ['User is described differently.'] }],
  ['a deprecation', 'name: String', 'name: String @deprecated(reason: "Use `id`.")', { safe: ['User.name is deprecated.'] }],
]) {
  test(`${what} is classified`, () => {
    assert.ok(base.includes(from));
    const changes = classify(buildSchema(base), buildSchema(base.replace(from, to)));
    assert.deepEqual(changes, { breaking: [], dangerous: [], safe: [], ...want });
  });
}

test('a deprecation without a replacement is found', () => {
  const deprecated = (reason) =>
    deprecationFaults(buildSchema(base.replace('name: String', `name: String, old: String @deprecated(reason: ${JSON.stringify(reason)})`)));
  for (const reason of ['Use `name`.', 'Use `User.name`.', 'Use `Query.user` instead.']) assert.deepEqual(deprecated(reason), [], reason);
  for (const reason of ['No longer supported', 'Use name.', 'Use `nick`.', 'Use `old`.', 'Use `Other.name`.']) {
    assert.deepEqual(deprecated(reason), [`User.old: ${reason}`]);
  }
});
