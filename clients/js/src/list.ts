import type { Connection } from './connection';
import type { Doc } from './documents';
import { incomplete, toError, type RollcallError } from './errors';
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

/** The data of a document with a page of a list. */
interface PageData<Node> {
  readonly me: { readonly page: { readonly nodes: readonly Node[]; readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null } } | null } | null;
}
export type PageDoc<Node> = Doc<PageData<Node>, { readonly after?: string | null }>;

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
  raw(key: string): R | undefined;
}

/** Returns a list of what `rawOf` returns for the nodes of a document. `breach` returns why it does not follow the server. */
export function createList<Node, R extends Raw>(
  connection: Connection,
  users: UserStore,
  breach: () => RollcallError | null,
  document: PageDoc<Node>,
  rawOf: (node: Node) => R,
): ListStore<R> {
  type Item = Omit<R, 'user'> & { readonly user: UserInfo };
  const store = createStore<ListState<Item>>({ items: [], status: 'idle', error: null });
  const assumed = new Set<Change<R>>();
  const followed = new Map<string, () => void>(); // ends to follow a user, by ID
  let confirmed = new Map<string, R>();
  let buffer: Change<R>[] | undefined; // what has come since the load that is running began
  let used = false;
  let failure: RollcallError | null = null;

  function publish(): void {
    if (!used) return;
    const error = failure ?? breach();
    for (const [key, raw] of confirmed) {
      const user = users.peek(raw.userId) ?? raw.user;
      if (user != raw.user) confirmed.set(key, { ...raw, user });
    }
    const items = new Map(confirmed);
    for (const change of assumed) change(items);
    const now = new Date().toISOString();
    store.set({
      items: [...items.values()]
        .filter(({ expiresAt }) => !expiresAt || expiresAt > now)
        .sort((a, b) => +(a.createdAt < b.createdAt) - +(a.createdAt > b.createdAt)),
      status: error ? 'failed' : buffer ? 'loading' : 'ready',
      error,
    });
  }

  // A thousand users may change at once.
  const queue = batched(publish);

  function changed(): void {
    const ids = new Set([...confirmed.values()].map(({ userId }) => userId));
    for (const id of ids) if (!followed.has(id)) followed.set(id, users.subscribe(id, queue));
    for (const [id, end] of followed) if (!ids.has(id) && followed.delete(id)) end();
    publish();
  }

  async function load(): Promise<void> {
    if (!used) return;
    const mine: Change<R>[] = (buffer = []);
    publish();
    if (!connection.online()) return;
    try {
      const fresh = new Map<string, R>();
      let after: string | null = null;
      do {
        const data: PageData<Node> = await connection.run(document, { after });
        if (mine != buffer) return;
        const page = data.me?.page;
        if (!page) throw incomplete();
        for (const node of page.nodes) {
          const raw = rawOf(node);
          fresh.set(raw.id ?? raw.userId, raw);
          users.seed(raw.user);
        }
        after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
      } while (after);
      for (const change of mine) change(fresh);
      confirmed = fresh;
      failure = null;
    } catch (error) {
      if (mine != buffer) return;
      failure = toError(error);
      // Without a connection the next one loads it.
      connection.later(connection.pause(failure), load);
    }
    buffer = undefined;
    changed();
  }

  // What expires must go; to the minute is soon enough for what lasts a week.
  const tick = () => {
    if ([...confirmed.values()].some(({ expiresAt }) => expiresAt)) publish();
    connection.later(60_000, tick);
  };
  connection.onOnline(tick);

  const use = () => {
    if (used) return;
    used = true;
    load();
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
      use();
      return store.subscribe(listener);
    },
    ready() {
      use();
      return settled();
    },
    reload() {
      used = true;
      failure = null;
      load();
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
    raw: (key) => confirmed.get(key),
  };
}
