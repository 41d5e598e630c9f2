import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { ApolloClient, ApolloLink, gql as apolloGql, HttpLink, InMemoryCache } from '@apollo/client';
import { createPersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';
import { AppServer } from './lib/api.mjs';
import { Server } from './lib/server.mjs';
import { Connection } from './lib/socket.mjs';
import { within } from './lib/wait.mjs';

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** A fetch that records its requests: `POST hash`, `GET query+hash`, `POST query`. */
function notingFetch(notes) {
  return (url, options) => {
    const parameters = options.body ? JSON.parse(options.body) : Object.fromEntries(new URL(url).searchParams);
    const extensions = typeof parameters.extensions === 'string' ? JSON.parse(parameters.extensions) : parameters.extensions;
    const parts = [parameters.query && 'query', extensions?.persistedQuery && 'hash'].filter(Boolean);
    notes.push(`${options.method} ${parts.join('+')}`);
    return fetch(url, options);
  };
}

const headers = (token) => ({ Authorization: `Bearer ${token}` });

/** Apollo Client; `run` returns the data of a query, a mutation or a subscription's first event. */
function apollo(server, token, { get = false, connection } = {}) {
  const notes = [];
  const http = new HttpLink({ uri: server.graphql, headers: headers(token), fetch: notingFetch(notes) });
  const last = connection ? new GraphQLWsLink(connection.client) : http;
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.from([createPersistedQueryLink({ sha256, useGETForHashedQueries: get }), last]),
    defaultOptions: { query: { fetchPolicy: 'no-cache' }, mutate: { fetchPolicy: 'no-cache' } },
  });
  const run = async (text) => {
    const document = apolloGql(text);
    if (text.startsWith('mutation')) return (await client.mutate({ mutation: document })).data;
    if (!text.startsWith('subscription')) return (await client.query({ query: document })).data;
    return within(
      new Promise((resolve, reject) => {
        const running = client.subscribe({ query: document }).subscribe({
          next({ data, error }) {
            running.unsubscribe();
            if (error) reject(error);
            else resolve(data);
          },
          error: reject,
        });
      }),
      'an event',
    );
  };
  return { notes, run };
}

/** urql, the same. */
function urql(server, token, { get = false, connection } = {}) {
  const notes = [];
  const forwardSubscription = ({ query, variables, extensions }) => ({
    subscribe(sink) {
      notes.push(`subscribe ${[query && 'query', extensions?.persistedQuery && 'hash'].filter(Boolean).join('+')}`);
      return { unsubscribe: connection.client.subscribe({ query: query ?? '', variables, extensions }, sink) };
    },
  });
  const client = new Client({
    url: server.graphql,
    fetchOptions: { headers: headers(token) },
    fetch: notingFetch(notes),
    requestPolicy: 'network-only',
    preferGetMethod: false,
    exchanges: [
      persistedExchange({
        preferGetForPersistedQueries: get,
        enableForMutation: true,
        enableForSubscriptions: true,
        generateHash: async (text) => sha256(text),
      }),
      ...(connection ? [subscriptionExchange({ forwardSubscription })] : []),
      fetchExchange,
    ],
  });
  const run = async (text) => {
    const kind = ['mutation', 'subscription'].find((word) => text.startsWith(word)) ?? 'query';
    let running;
    const first = new Promise((resolve) => (running = client[kind](text, {}).subscribe(resolve)));
    const { data, error } = await within(first, 'a result');
    running.unsubscribe();
    if (error) throw error;
    return data;
  };
  return { notes, run };
}

const makers = { 'Apollo Client': apollo, urql };

describe('automatic persisted queries', () => {
  let server;
  let one;
  let two;
  before(async () => {
    server = await Server.create();
    const apps = [await server.createApp({ name: 'one', statusQueryEnabled: true }), await server.createApp({ name: 'two' })];
    await server.start();
    [one, two] = [await AppServer.login(server, apps[0]), await AppServer.login(server, apps[1])];
  });
  after(() => server?.remove());

  for (const [name, make] of Object.entries(makers)) {
    test(`${name} registers a document once, by POST`, async () => {
      const document = `query ${make.name}Post { app { name } }`;
      const first = make(server, one.token);
      assert.equal((await first.run(document)).app.name, 'one');
      assert.equal((await first.run(document)).app.name, 'one');
      assert.deepEqual(first.notes, ['POST hash', 'POST query+hash', 'POST hash']);
      const later = make(server, await one.register(`${make.name}-user`));
      await assert.rejects(later.run(document), /App Server/); // the document is known, but this caller may not run it
      assert.deepEqual(later.notes, ['POST hash']);
      const other = make(server, two.token);
      assert.equal((await other.run(document)).app.name, 'two');
      assert.deepEqual(other.notes, ['POST hash', 'POST query+hash']);
    });

    test(`${name} asks by GET`, async () => {
      const document = `query ${make.name}Get { app { name } }`;
      const client = make(server, one.token, { get: true });
      assert.equal((await client.run(document)).app.name, 'one');
      assert.equal((await client.run(document)).app.name, 'one');
      assert.deepEqual([client.notes[0], client.notes[2]], ['GET hash', 'GET hash']);
      assert.match(client.notes[1], /^(GET|POST) query\+hash$/);
    });

    test(`${name} runs a mutation`, async () => {
      const document = `mutation ${make.name}Mutation { registerUser(input: {id: "${make.name}", name: "N"}) { user { name } } }`;
      const client = make(server, one.token);
      for (let i = 0; i < 2; i++) assert.equal((await client.run(document)).registerUser.user.name, 'N');
      assert.deepEqual(client.notes, ['POST hash', 'POST query+hash', 'POST hash']);
    });

    test(`${name} subscribes over a WebSocket, which stays open`, async () => {
      const connection = await Connection.open(server, await one.register(`${make.name}-device`));
      const client = make(server, one.token, { connection });
      const document = `subscription ${make.name}Events { userStatus(ids: ["${make.name}-device"]) { userId presence } }`;
      for (let i = 0; i < 2; i++) {
        assert.equal((await client.run(document)).userStatus.presence, 'ONLINE');
      }
      // Apollo Client sends the document over a WebSocket each time.
      assert.deepEqual(client.notes, make === urql ? ['subscribe hash', 'subscribe query+hash', 'subscribe hash'] : []);
      assert.equal((await connection.request('{ __typename }')).data.__typename, 'Query');
      await connection.close();
    });
  }

  describe('switched off', () => {
    before(async () => {
      await server.stop();
      await server.start({ ROLLCALL_PERSISTED_QUERIES: 'off' });
    });

    for (const [name, make] of Object.entries(makers)) {
      test(`${name} sends the whole document from then on`, async () => {
        const client = make(server, one.token);
        for (let i = 0; i < 2; i++) assert.equal((await client.run('query Off { app { name } }')).app.name, 'one');
        assert.deepEqual(client.notes, ['POST hash', 'POST query', 'POST query']);
      });
    }
  });
});
