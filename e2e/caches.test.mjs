import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { OperationTypeNode } from 'graphql';
import { AppServer } from './lib/api.mjs';
import { Server } from './lib/server.mjs';
import { Connection } from './lib/socket.mjs';
import { until } from './lib/wait.mjs';

/**
 * Normalising caches as they are out of the box: no type policies, no keys, no updaters. Each client
 * has `query` and `mutate`, which return data, `watch`, which returns an object whose `data` follows
 * the cache, and `listen`, which runs a subscription until the end of the test.
 */
const caches = {
  'Apollo Client': (server, token, connection) => {
    const http = new HttpLink({ uri: server.graphql, headers: { Authorization: `Bearer ${token}` } });
    const isSubscription = ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION;
    const client = new ApolloClient({
      cache: new InMemoryCache(),
      link: connection ? ApolloLink.split(isSubscription, new GraphQLWsLink(connection.client), http) : http,
    });
    return {
      query: async (query, variables) => (await client.query({ query: gql(query), variables })).data,
      mutate: async (mutation, variables) => (await client.mutate({ mutation: gql(mutation), variables })).data,
      watch(query) {
        const watched = {};
        client.watchQuery({ query: gql(query) }).subscribe(({ data }) => data && (watched.data = data));
        return watched;
      },
      listen: (query) => client.subscribe({ query: gql(query) }).subscribe({}),
    };
  },
  'urql with graphcache': (server, token, connection) => {
    const forwardSubscription = ({ query, variables }) => ({
      subscribe: (sink) => ({ unsubscribe: connection.client.subscribe({ query, variables }, sink) }),
    });
    const client = new Client({
      url: server.graphql,
      fetchOptions: { headers: { Authorization: `Bearer ${token}` } },
      preferGetMethod: false,
      exchanges: [
        cacheExchange({ logger() {} }), // it warns of each object without an `id`
        fetchExchange,
        ...(connection ? [subscriptionExchange({ forwardSubscription })] : []),
      ],
    });
    const data = ({ data, error }) => {
      if (error) throw error;
      return data;
    };
    return {
      query: async (query, variables) => data(await client.query(query, variables)),
      mutate: async (mutation, variables) => data(await client.mutation(mutation, variables)),
      watch(query) {
        const watched = {};
        client.query(query, {}).subscribe(({ data }) => (watched.data = data));
        return watched;
      },
      listen: (query) => client.subscription(query, {}).subscribe(() => {}),
    };
  },
};

const friendsQuery = `{ me { id friends(first: 10) { nodes { id remark user { id name status { id presence customStatus } } } } } }`;

for (const [name, make] of Object.entries(caches)) {
  describe(`the cache of ${name}`, () => {
    let server;
    let app;
    let ann;
    let connection;
    before(async () => {
      server = await Server.create();
      const created = await server.createApp({ statusQueryEnabled: true, friendStatusNotifyEnabled: true });
      await server.start();
      app = await AppServer.login(server, created);
      ann = await app.register('ann', 'Ann');
      for (const id of ['bob', 'cid']) {
        await app.register(id);
        await app.send('mutation ($input: AddFriendInput!) { addFriend(input: $input) { created } }', {
          input: { userId: 'ann', friendId: id, remark: `remark of ${id}` },
        });
      }
    });
    after(() => server?.remove());
    beforeEach(async (t) => {
      connection = await Connection.open(server, ann);
      t.after?.(() => connection.close());
    });

    test('keeps the results of a batch that names an ID twice apart', async () => {
      const client = make(server, app.token);
      const { registerUsers } = await client.mutate(
        `mutation ($input: RegisterUsersInput!) { registerUsers(input: $input) { results { userId token created user { id name } } } }`,
        { input: { users: [{ id: 'dan', name: 'Dan' }, { id: 'dan', name: 'Daniel' }, { id: 'eve', name: 'Eve' }] } },
      );
      const { results } = registerUsers;
      assert.deepEqual(
        results.map(({ userId, created }) => [userId, created]),
        [['dan', true], ['dan', false], ['eve', true]],
      );
      assert.equal(new Set(results.map(({ token }) => token)).size, 3, 'each result has its own token');
      const found = await client.query('{ user(id: "dan") { id name } }');
      assert.equal(found.user.name, 'Daniel');
    });

    test('shows a status event at a friend that is on the screen', async () => {
      const client = make(server, ann, connection);
      const list = client.watch(friendsQuery);
      await until(() => list.data, 'the list');
      const bob = () => list.data.me.friends.nodes.find(({ user }) => user.id === 'bob').user;
      client.listen('subscription { statusChanged { id presence customStatus } }');
      const device = await Connection.open(server, await app.register('bob'));
      await until(() => bob().status.presence === 'ONLINE', 'bob ONLINE');
      assert.equal(list.data.me.friends.nodes.find(({ user }) => user.id === 'cid').user.status.presence, 'UNLOGINED');
      await device.close();
      await until(() => bob().status.presence === 'OFFLINE', 'bob OFFLINE');
    });

    test('shows a new remark in the list', async () => {
      const client = make(server, ann, connection);
      const list = client.watch(friendsQuery);
      await until(() => list.data, 'the list');
      const remarks = () => Object.fromEntries(list.data.me.friends.nodes.map(({ user, remark }) => [user.id, remark]));
      assert.deepEqual(remarks(), { bob: 'remark of bob', cid: 'remark of cid' });
      await client.mutate(
        'mutation ($input: SetFriendRemarkInput!) { setFriendRemark(input: $input) { friendship { id remark } } }',
        { input: { friendId: 'cid', remark: 'Cousin' } },
      );
      await until(() => remarks().cid === 'Cousin', 'the new remark');
      assert.deepEqual(remarks(), { bob: 'remark of bob', cid: 'Cousin' });
      await client.mutate(
        'mutation ($input: SetFriendRemarkInput!) { setFriendRemark(input: $input) { friendship { id remark } } }',
        { input: { friendId: 'cid', remark: 'remark of cid' } },
      );
    });

    test('shows a user, its status and its friendship as three objects', async () => {
      const client = make(server, ann);
      const { nodes } = await client.query(
        `{ nodes(ids: ["bob", "status:bob", "friendship:ann:bob"]) { __typename id
          ... on User { name } ... on UserStatus { presence } ... on Friendship { remark } } }`,
      );
      assert.deepEqual(nodes.map(({ __typename, id }) => [__typename, id]), [
        ['User', 'bob'], ['UserStatus', 'status:bob'], ['Friendship', 'friendship:ann:bob'],
      ]);
      assert.equal(nodes[2].remark, 'remark of bob');
    });
  });
}
