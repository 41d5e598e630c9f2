import type { Connection } from './connection';
import { toError, type RollcallError } from './errors';
import { batched, createStore, when } from './store';
import type { ListState, LiveList, UserInfo } from './types';
import type { Profile, UserStore } from './users';

/** An item as the server holds it: with the profile in place of the user as shown. */
export interface Raw {
  /** The key of a request; the others' key is the user ID. */
  readonly id?: string;
  readonly userId: string;
  readonly user: Profile;
  readonly createdAt: string;
  readonly expiresAt?: string;
}

/** A change of the items by their keys. It must be idempotent. */
export type Change<R> = (items: Map<string, R>) => void;

/** One page of a list, and the cursor of the next one if there is one. */
export interface Page<R> {
  readonly items: readonly R[];
  readonly after: string | null;
}

/** A list that the relations write to. */
export interface ListStore<R extends Raw> extends LiveList<Omit<R, 'user'> & { readonly user: UserInfo }> {
  /** Loads the list if it has been used. */
  load(): void;
  /** Shows a change of `breach`. */
  publish(): void;
  /** Applies what the server has told. */
  apply(change: Change<R>): void;
  /** Shows a change that the server has not confirmed, until the returned function is called. */
  assume(change: Change<R>): () => void;
  /** Returns an item as the server holds it. */
  find(key: string): R | undefined;
}

/** Returns a list. `page` loads a page of it, and `breach` returns why it does not follow the server. */
export function createList<R extends Raw>(
  connection: Connection,
  users: UserStore,
  breach: () => RollcallError | null,
  page: (after: string | null) => Promise<Page<R>>,
): ListStore<R> {
  type Item = Omit<R, 'user'> & { readonly user: UserInfo };
  const store = createStore<ListState<Item>>({ items: [], status: 'idle', error: null });
  const assumed = new Set<Change<R>>();
  const shown = new WeakMap<R, Item>();
  let confirmed = new Map<string, R>();
  let held = new Set<string>();
  let buffer: Change<R>[] | undefined; // what came while the list is being loaded
  let loads = 0;
  let used = false;
  let loaded = false;
  let failure: RollcallError | null = null;

  function publish(): void {
    if (!used) return;
    const error = failure ?? breach();
    const items = new Map(confirmed);
    for (const change of assumed) change(items);
    const now = new Date().toISOString();
    store.set({
      items: [...items.values()]
        .filter(({ expiresAt }) => !expiresAt || expiresAt > now)
        .sort((a, b) => +(a.createdAt < b.createdAt) - +(a.createdAt > b.createdAt))
        .map((raw) => {
          const user = users.peek(raw.userId) ?? raw.user;
          let item = shown.get(raw);
          if (item?.user != user) shown.set(raw, (item = { ...raw, user }));
          return item!;
        }),
      status: error ? 'failed' : loaded ? 'ready' : 'loading',
      error,
    });
  }

  // A thousand users may change at once.
  const queue = batched(publish);

  function changed(): void {
    const before = held;
    held = new Set([...confirmed.values()].map(({ userId }) => userId));
    users.hold([...held].filter((id) => !before.has(id)));
    users.release([...before].filter((id) => !held.has(id)));
    publish();
  }

  async function load(): Promise<void> {
    if (!used) return;
    const mine = ++loads;
    const later: Change<R>[] = (buffer = []);
    loaded = false;
    queue();
    try {
      const fresh = new Map<string, R>();
      let after: string | null = null;
      do {
        const next: Page<R> = await page(after);
        if (mine != loads) return;
        for (const raw of next.items) {
          fresh.set(raw.id ?? raw.userId, raw);
          users.seed(raw.user);
        }
        after = next.after;
      } while (after);
      for (const change of later) change(fresh);
      confirmed = fresh;
      loaded = true;
      failure = null;
    } catch (error) {
      if (mine != loads) return;
      failure = toError(error);
      // Without a connection the next one loads it.
      connection.later(connection.pause(failure), load);
    }
    buffer = undefined;
    changed();
  }

  users.onChange((id) => held.has(id) && queue());
  // What expires must go; to the minute is soon enough for what lasts a week.
  const tick = () => {
    if ([...confirmed.values()].some(({ expiresAt }) => expiresAt)) publish();
    connection.later(60_000, tick);
  };
  connection.onOnline(tick);

  const use = () => {
    if (used) return;
    used = true;
    publish();
    if (connection.online()) load();
  };

  const settled = () =>
    when<readonly Item[]>(
      (resolve, reject) => {
        const { status, items, error } = store.getSnapshot();
        const fatal = error ?? connection.fatal();
        if (status == 'ready') resolve(items);
        else if (fatal) reject(fatal);
      },
      store,
      connection.state,
    );

  return {
    getSnapshot: store.getSnapshot,
    subscribe(listener) {
      const stop = store.subscribe(listener);
      use();
      return stop;
    },
    ready() {
      use();
      return settled();
    },
    reload() {
      use();
      failure = null;
      if (connection.online()) load();
      publish();
      return settled();
    },
    publish,
    load,
    apply(change) {
      buffer?.push(change);
      change(confirmed);
      if (used) changed();
    },
    assume(change) {
      assumed.add(change);
      publish();
      return () => {
        assumed.delete(change);
        publish();
      };
    },
    find: (key) => confirmed.get(key),
  };
}
