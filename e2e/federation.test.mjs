// Federates a Rollcall server with a second subgraph that extends its users, by the module and with
// the schema of "Federation" in docs/api.md as they are written there.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { createSchema, createYoga } from 'graphql-yoga';
import { AppServer, send } from './lib/api.mjs';
import { Server } from './lib/server.mjs';

const page = await readFile(new URL('../docs/api.md', import.meta.url), 'utf8');
const block = (mark) => page.match(new RegExp(`<!-- test: ${mark} -->\n\`\`\`\\w+\n([^]*?)^\`\`\`$`, 'm'))[1];

/** The other subgraph. Beside what the page shows it has pages, as Rollcall has. */
const postsSDL = `${block('posts')}
  extend type Query { page: PageInfo! }
  type PageInfo @shareable { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
`;

/** The module of the page. */
function federation() {
  const code = block('gateway').replace(/from '(.*)'/g, (_, name) => `from '${import.meta.resolve(name)}'`);
  return import(`data:text/javascript,${encodeURIComponent(code)}`);
}

/** It knows only IDs: of ann and bob, of a user that was never registered, of another app's, and one that no user can have. */
const posts = [
  { id: '1', title: 'First', author: 'ann' },
  { id: '2', title: 'Second', author: 'bob' },
  { id: '3', title: 'Third', author: 'ann' },
  { id: '4', title: 'Fourth', author: 'nobody' },
  { id: '5', title: 'Fifth', author: 'eve' },
  { id: '6', title: 'Sixth', author: 'no user' },
];

function postsSubgraph() {
  const user = (id) => ({ __typename: 'User', id, posts: () => posts.filter(({ author }) => author === id).map(post) });
  const post = ({ author, ...rest }) => ({ __typename: 'Post', ...rest, author: () => user(author) });
  const schema = createSchema({
    typeDefs: `${postsSDL.replace(/extend schema.*|@key\(.*?\)|@shareable/g, '')}
      scalar _Any
      union _Entity = User | Post
      extend type Query { _entities(representations: [_Any!]!): [_Entity]! }`,
    resolvers: {
      Query: {
        posts: () => posts.map(post),
        page: () => ({ hasNextPage: false, hasPreviousPage: false }),
        _entities: (_, { representations }) =>
          representations.map(({ __typename, id }) => (__typename === 'User' ? user(id) : post(posts.find((p) => p.id === id)))),
      },
    },
  });
  return createYoga({ schema, logging: false });
}

async function listen(handler) {
  const server = createServer(handler);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${server.address().port}/graphql` };
}

describe('a federated graph', () => {
  let rollcall;
  let other;
  let gateway;
  let app;
  let ann;
  let eve; // of another app
  let requests = []; // to Rollcall
  before(async () => {
    rollcall = await Server.create();
    const [created, stranger] = [await rollcall.createApp({ statusQueryEnabled: true }), await rollcall.createApp({ name: 'other' })];
    await rollcall.start();
    app = await AppServer.login(rollcall, created);
    ann = await app.register('ann', 'Ann');
    await app.register('bob', 'Bob');
    eve = await (await AppServer.login(rollcall, stranger)).register('eve', 'Eve');
    other = await listen(postsSubgraph());

    const { _service } = await send(rollcall, null, '{ _service { sdl } }');
    const { federate } = await federation();
    const subgraphs = [
      { name: 'rollcall', url: rollcall.graphql, sdl: _service.sdl },
      { name: 'posts', url: other.url, sdl: postsSDL },
    ];
    gateway = federate(subgraphs, {
      fetchAPI: {
        fetch: (url, options, ...more) => {
          if (url === rollcall.graphql) requests.push(JSON.parse(options.body));
          return fetch(url, options, ...more);
        },
      },
      logging: false,
      maskedErrors: false,
    });
  });
  after(async () => {
    await gateway?.dispose();
    other?.server.closeAllConnections();
    other?.server.close();
    await rollcall?.remove();
  });

  /** Sends an operation to the gateway as a client does. */
  async function ask(token, query, variables) {
    requests = [];
    const answer = await gateway.fetch('http://gateway.test/graphql', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
      body: JSON.stringify({ query, variables }),
    });
    return answer.json();
  }

  const authors = '{ posts { title author { id name } } }';
  const names = ({ posts }) => posts.map(({ author }) => author && `${author.id} ${author.name}`);

  test('the authors of all posts are read by one request, unknown and invalid ones are null', async () => {
    for (const token of [app.token, ann]) {
      const { data, errors } = await ask(token, authors);
      assert.deepEqual(names(data), ['ann Ann', 'bob Bob', 'ann Ann', null, null, null]);
      assert.deepEqual(data.posts.map(({ title }) => title), posts.map(({ title }) => title));
      assert.deepEqual(requests.map(({ variables }) => variables.representations.map(({ id }) => id)), [['ann', 'bob', 'nobody', 'eve', 'no user']]);
      const refused = errors.filter(({ extensions }) => extensions?.code);
      assert.deepEqual(refused.map(({ extensions: { code, field, rule } }) => [code, field, rule]), [['INVALID_ARGUMENT', 'representations.4.id', 'userid']]);
    }
  });

  test('a query begins at Rollcall and goes on to the posts', async () => {
    const { data, errors } = await ask(ann, '{ me { name posts { title author { name } } } page { hasNextPage } }');
    const author = { name: 'Ann' };
    assert.deepEqual(errors, undefined);
    assert.deepEqual(data, { me: { name: 'Ann', posts: [{ title: 'First', author }, { title: 'Third', author }] }, page: { hasNextPage: false } });
  });

  test('a user sees of the authors what `user` shows it', async () => {
    const { data, errors } = await ask(ann, '{ posts { author { friendIds } } }');
    assert.deepEqual(data.posts.map(({ author }) => author?.friendIds ?? null), [[], null, [], null, null, null]);
    assert.ok(errors.some(({ extensions }) => extensions?.code === 'FORBIDDEN'), JSON.stringify(errors));
    await assert.rejects(send(rollcall, ann, '{ user(id: "bob") { friendIds } }'), { code: 'FORBIDDEN' });
    const whole = await ask(app.token, '{ posts { author { friendIds } } }');
    assert.deepEqual(whole.data.posts.map(({ author }) => author?.friendIds ?? null), [[], [], [], null, null, null]);
  });

  test('without a token no author is shown, and to the user of another app none but its own', async () => {
    const guest = await ask(null, authors);
    assert.deepEqual(names(guest.data), [null, null, null, null, null, null]);
    assert.ok(guest.errors.every(({ extensions }) => extensions?.code === 'UNAUTHENTICATED'), JSON.stringify(guest.errors));
    assert.deepEqual(names((await ask(eve, authors)).data), [null, null, null, null, 'eve Eve', null]);
    const wrong = await ask('x', authors);
    assert.deepEqual(names(wrong.data), [null, null, null, null, null, null]);
    assert.ok(wrong.errors.every(({ extensions }) => extensions?.code === 'UNAUTHENTICATED'), JSON.stringify(wrong.errors));
  });

  test('a malformed representation is an error at its place', async () => {
    const answer = await fetch(rollcall.graphql, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${app.token}` },
      body: JSON.stringify({
        query: 'query ($of: [_Any!]!) { _entities(representations: $of) { ... on User { name } } }',
        variables: { of: [{ __typename: 'Post', id: '1' }, { __typename: 'User' }, { __typename: 'User', id: 'ann' }, 'ann'] },
      }),
    });
    const { data, errors } = await answer.json();
    assert.deepEqual(data, { _entities: [null, null, { name: 'Ann' }, null] });
    assert.deepEqual(
      errors.map(({ path, extensions: { code, field, rule } }) => [path.join('.'), code, field, rule]),
      [
        ['_entities.0', 'INVALID_ARGUMENT', 'representations.0.__typename', 'type'],
        ['_entities.1', 'INVALID_ARGUMENT', 'representations.1.id', 'required'],
        ['_entities.3', 'INVALID_ARGUMENT', 'representations.3', 'type'],
      ],
    );
  });
});
