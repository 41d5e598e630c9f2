import type { Connection } from './connection';
import * as D from './documents';
import { batched, createStore } from './store';
import type { PresenceState, PresenceStore, UserStatus } from './types';
import { createWatcher } from './watch';

/** Returns the statuses: the own one, those of watched users, and those of friends that are sent anyway. */
export function createPresence(connection: Connection): PresenceStore {
  const store = createStore<PresenceState>({ self: null, statuses: new Map(), status: 'idle', error: null });
  const statuses = new Map<string, UserStatus>();
  let assumed: { readonly customStatus: string } | undefined; // until the server has confirmed it
  let self: string | undefined;

  function show(): void {
    const error = watcher.failure();
    const present = new Map(statuses);
    let own = (self && statuses.get(self)) || null;
    if (own && assumed) present.set(own.userId, (own = { ...own, ...assumed }));
    store.set({
      self: own,
      statuses: present,
      status: error ? (error.code == 'FEATURE_DISABLED' ? 'disabled' : 'failed') : watcher.progress(),
      error,
    });
  }
  const publish = batched(show);

  /** Takes in a status unless a later one is known. */
  function put(status: UserStatus): void {
    if (statuses.get(status.userId)?.changedAt! > status.changedAt!) return;
    statuses.set(status.userId, status);
    publish();
  }

  function forget(id: string): void {
    if (id != self && statuses.delete(id)) publish();
  }

  const watcher = createWatcher(connection, {
    chunks: 40,
    paceMs: connection.times.statusPaceMs,
    open: (ids, answered, failed) =>
      connection.stream(
        D.StatusOf,
        { ids },
        ({ userStatus }) => {
          put(userStatus);
          answered();
        },
        (error) => {
          // What is no longer told is no longer known.
          if (error.code == 'FEATURE_DISABLED') ids.forEach(forget);
          failed(error);
        },
      ),
    changed: publish,
    dropped: forget,
  });

  function start(): void {
    connection.stream(D.StatusChanged, {}, ({ statusChanged }) => put(statusChanged), (error) => {
      connection.report(error);
      connection.later(connection.pause(error), start);
    });
    connection.run(D.Me, {}).then(
      ({ me }) => {
        self = me?.id;
        if (me?.status) put(me.status);
      },
      connection.reportOnline,
    );
  }

  connection.onOnline(() => {
    // Friends' statuses that came by themselves may have changed; the watched ones are sent again.
    for (const id of statuses.keys()) if (!watcher.followed().has(id)) forget(id);
    start();
  });

  return {
    getSnapshot: store.getSnapshot,
    subscribe: store.subscribe,
    watch: watcher.follow,
    get: (userId) => store.getSnapshot().statuses.get(userId),
    async setCustomStatus(customStatus) {
      const mine = (assumed = { customStatus });
      show();
      try {
        put((await connection.mutate(D.SetStatus, mine)).status);
      } finally {
        if (assumed == mine) assumed = undefined;
        show();
      }
    },
  };
}
