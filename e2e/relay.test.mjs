import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import React, { Suspense, useEffect } from 'react';
import relayHooks from 'react-relay';
import { act, create } from 'react-test-renderer';
import relay from 'relay-runtime';
import { AppServer, send } from './lib/api.mjs';
import { Server } from './lib/server.mjs';
import { Connection } from './lib/socket.mjs';
import { until } from './lib/wait.mjs';

const { Environment, Network, Observable, RecordSource, Store, commitMutation, requestSubscription } = relay;
const { RelayEnvironmentProvider, useLazyLoadQuery, usePaginationFragment, useRefetchableFragment } = relayHooks;

globalThis.IS_REACT_ACT_ENVIRONMENT = true;

// Relay keeps the result of a query for five minutes after it was first shown. That timer must not
// keep the process of the tests.
const { setTimeout: start } = globalThis;
globalThis.setTimeout = (callback, ms, ...rest) => {
  const timer = start(callback, ms, ...rest);
  return ms > 60_000 ? timer.unref() : timer;
};

/** What an app's components would hold; relay-compiler turns it into modules. */
const source = `
import { graphql } from 'react-relay';
graphql\`query RelayScreenQuery { me { ...RelayFriends_user ...RelayProfile_user } }\`;
graphql\`fragment RelayProfile_user on User @refetchable(queryName: "RelayProfileRefetchQuery") { id name }\`;
graphql\`
  fragment RelayFriends_user on User
  @refetchable(queryName: "RelayFriendsPageQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 3 }, cursor: { type: "String" }) {
    friends(first: $count, after: $cursor) @connection(key: "RelayFriends_friends") {
      edges { node { id remark user { id name status { presence } } } }
    }
  }
\`;
graphql\`subscription RelayStatusSubscription { statusChanged { id presence } }\`;
graphql\`
  mutation RelayRemarkMutation($input: SetFriendRemarkInput!) { setFriendRemark(input: $input) { friendship { id remark } } }
\`;
`;

/** Compiles the documents against the schema that the server offers, and returns their modules. */
async function compile(server) {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-relay-'));
  await mkdir(join(folder, 'src'));
  const schema = await (await fetch(`${server.graphql}/schema.graphql`)).text();
  await writeFile(join(folder, 'schema.graphql'), schema);
  await writeFile(join(folder, 'src/screen.js'), source);
  const config = { src: './src', schema: './schema.graphql', language: 'javascript', eagerEsModules: false };
  await writeFile(join(folder, 'relay.config.json'), JSON.stringify(config));
  await symlink(resolve(import.meta.dirname, 'node_modules'), join(folder, 'node_modules'));
  await promisify(execFile)(process.execPath, [resolve(import.meta.dirname, 'node_modules/relay-compiler/cli.js')], { cwd: folder });
  const require = createRequire(join(folder, 'src/screen.js'));
  return { document: (name) => require(`./__generated__/${name}.graphql.js`), remove: () => rm(folder, { recursive: true }) };
}

function environmentOf(server, token, connection) {
  const fetchQuery = async ({ text }, variables) => ({ data: await send(server, token, text, variables) });
  const subscribe = ({ text }, variables) =>
    Observable.create((sink) => connection.client.subscribe({ query: text, variables }, sink));
  return new Environment({ network: Network.create(fetchQuery, subscribe), store: new Store(new RecordSource()) });
}

describe('Relay', () => {
  let server;
  let app;
  let ann;
  let compiled;
  let connection;
  let screen;
  let environment;
  /** What the components have rendered last. */
  const shown = {};

  before(async () => {
    server = await Server.create();
    const created = await server.createApp({ statusQueryEnabled: true, friendStatusNotifyEnabled: true });
    await server.start();
    app = await AppServer.login(server, created);
    ann = await app.register('ann', 'Ann');
    for (let i = 0; i < 7; i++) {
      await app.register(`friend-${i}`, `Friend ${i}`);
      await app.send('mutation ($input: AddFriendInput!) { addFriend(input: $input) { created } }', {
        input: { userId: 'ann', friendId: `friend-${i}` },
      });
    }
    compiled = await compile(server);
    connection = await Connection.open(server, ann);
    environment = environmentOf(server, ann, connection);

    const Friends = ({ user }) => {
      const page = usePaginationFragment(compiled.document('RelayFriends_user'), user);
      useEffect(() => {
        const { data, hasNext, loadNext } = page;
        Object.assign(shown, { friends: data.friends.edges.map(({ node }) => node), hasNext, loadNext });
      });
      return null;
    };
    const Profile = ({ user }) => {
      const [data, refetch] = useRefetchableFragment(compiled.document('RelayProfile_user'), user);
      useEffect(() => {
        Object.assign(shown, { name: data.name, refetch });
      });
      return null;
    };
    const Screen = () => {
      const { me } = useLazyLoadQuery(compiled.document('RelayScreenQuery'), {});
      return [React.createElement(Friends, { key: 1, user: me }), React.createElement(Profile, { key: 2, user: me })];
    };
    await act(async () => {
      screen = create(
        React.createElement(RelayEnvironmentProvider, { environment }, React.createElement(Suspense, null, React.createElement(Screen))),
      );
    });
    await settled(() => shown.friends);
  });
  after(async () => {
    if (screen) await act(async () => screen.unmount());
    await connection?.close();
    await compiled?.remove();
    await server?.remove();
  });

  /** Waits for a condition while React and Relay do their work. */
  const settled = (condition) =>
    until(async () => {
      await act(async () => {});
      return condition();
    }, `the screen: ${condition}`);
  const ids = () => shown.friends.map(({ user }) => user.id);

  test('usePaginationFragment loads the whole list page by page', async () => {
    assert.deepEqual(ids(), ['friend-6', 'friend-5', 'friend-4']);
    for (let n = 6; shown.hasNext; n += 3) {
      await act(async () => shown.loadNext(3));
      await settled(() => shown.friends.length === Math.min(n, 7));
    }
    assert.deepEqual(ids(), [6, 5, 4, 3, 2, 1, 0].map((i) => `friend-${i}`));
  });

  test('@refetchable on a user reads it again by node(id)', async () => {
    assert.equal(shown.name, 'Ann');
    await app.register('ann', 'Ann the Second');
    await act(async () => shown.refetch({}, { fetchPolicy: 'network-only' }));
    await settled(() => shown.name === 'Ann the Second');
  });

  test('a status event changes the friend in the list', async () => {
    const events = requestSubscription(environment, { subscription: compiled.document('RelayStatusSubscription'), variables: {} });
    const presence = () => shown.friends.find(({ user }) => user.id === 'friend-5').user.status.presence;
    assert.equal(presence(), 'UNLOGINED');
    const device = await Connection.open(server, await app.register('friend-5'));
    await settled(() => presence() === 'ONLINE');
    await device.close();
    await settled(() => presence() === 'OFFLINE');
    events.dispose();
  });

  test('setFriendRemark changes the friend in the list', async () => {
    await act(
      () =>
        new Promise((resolve, reject) => {
          commitMutation(environment, {
            mutation: compiled.document('RelayRemarkMutation'),
            variables: { input: { friendId: 'friend-4', remark: 'Cousin' } },
            onCompleted: resolve,
            onError: reject,
          });
        }),
    );
    await settled(() => shown.friends.find(({ user }) => user.id === 'friend-4').remark === 'Cousin');
  });
});
