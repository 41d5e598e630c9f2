import type { Connection } from './connection';
import { RollcallError, toError } from './errors';
import { createStore } from './store';
import type { ListState, LiveList, UserInfo } from './types';
import type { Profile, UserStore } from './users';

/** What the server holds of an item: everything but the user as shown. */
export interface Raw {
  readonly userId: string;
  readonly createdAt: string;
  readonly expiresAt?: string;
  readonly profile: Profile;
}

/** A change of the items by their keys. It must be idempotent. */
export type Change<R> = (items: Map<string, R>) => void;

/** One page of a list. */
export interface Page<R> {
  readonly items: readonly R[];
  readonly after: string | null;
}

/** A list that the relations write to. */
export interface ListStore<T, R> extends LiveList<T> {
  /** Whether the list has been used, and so must be loaded. */
  used(): boolean;
  load(): void;
  /** Applies what the server has told. */
  apply(change: Change<R>): void;
  /** Shows a change that the server has not confirmed, until the returned function is called. */
  assume(change: Change<R>): () => void;
  /** The items as the server holds them. */
  confirmed: ReadonlyMap<string, R>;
  /** Sets why the list does not follow the server. */
  broken(error: RollcallError | null): void;
}

/** Returns a list of which `page` loads the pages, and `key` names the items. */
export function createList<T, R extends Raw>(
  connection: Connection,
  users: UserStore,
  first: () => void,
  page: (after: string | null) => Promise<Page<R>>,
  key: (raw: R) => string,
  show: (raw: R, user: UserInfo) => T,
): ListStore<T, R> {
  const store = createStore<ListState<T>>({ items: [], status: 'idle', error: null });
  const assumed = new Set<Change<R>>();
  const shown = new WeakMap<R, { user: UserInfo; item: T }>();
  let confirmed = new Map<string, R>();
  let held = new Set<string>();
  let buffer: Change<R>[] | undefined;
  let loads = 0;
  let loaded = false;
  let failure: RollcallError | null = null;
  let break_: RollcallError | null = null;
  let expiry: ReturnType<typeof setTimeout> | undefined;
  let queued = false;

  function publish(): void {
    const error = failure ?? break_;
    const items = new Map(confirmed);
    for (const change of assumed) change(items);
    const now = new Date().toISOString();
    const rows = [...items.values()]
      .filter(({ expiresAt }) => !expiresAt || expiresAt > now)
      .sort((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0));
    store.set({
      items: rows.map((raw) => {
        const user = users.peek(raw.userId) ?? raw.profile;
        const last = shown.get(raw);
        if (last?.user == user) return last.item;
        const item = show(raw, user);
        shown.set(raw, { user, item });
        return item;
      }),
      status: error ? 'failed' : loaded ? 'ready' : 'loading',
      error,
    });
  }

  /** Publishes after what runs now: a thousand users may change at once. */
  function queue(): void {
    if (queued) return;
    queued = true;
    Promise.resolve().then(() => {
      queued = false;
      publish();
    });
  }

  function changed(): void {
    const ids = new Set([...confirmed.values()].map(({ userId }) => userId));
    const before = held;
    held = ids;
    users.hold([...ids].filter((id) => !before.has(id)));
    users.release([...before].filter((id) => !ids.has(id)));
    clearTimeout(expiry);
    const ends = [...confirmed.values()].flatMap(({ expiresAt }) => expiresAt ?? []).sort();
    if (ends[0] && connection.online()) expiry = setTimeout(expire, Math.min(2 ** 31 - 1, Math.max(0, Date.parse(ends[0]) - Date.now()) + 1));
    publish();
  }

  function expire(): void {
    const now = new Date().toISOString();
    for (const [id, { expiresAt }] of confirmed) if (expiresAt && expiresAt <= now) confirmed.delete(id);
    changed();
  }

  async function load(): Promise<void> {
    const mine = ++loads;
    buffer = [];
    loaded = false;
    queue();
    try {
      const fresh = new Map<string, R>();
      for (let after: string | null = null; ;) {
        const next: Page<R> = await page(after);
        if (mine != loads) return;
        for (const raw of next.items) {
          fresh.set(key(raw), raw);
          users.seed(raw.profile);
        }
        after = next.after;
        if (!after) break;
      }
      confirmed = fresh;
      for (const change of buffer) change(confirmed);
      buffer = undefined;
      loaded = true;
      failure = null;
      changed();
    } catch (thrown) {
      if (mine != loads) return;
      buffer = undefined;
      failure = toError(thrown);
      publish();
      // Without a connection the next one loads it.
      if (connection.online()) connection.later(connection.pause(failure), () => mine == loads && load());
    }
  }

  users.onChange((id) => held.has(id) && queue());

  const use = () => {
    if (store.getSnapshot().status != 'idle') return;
    store.set({ items: [], status: 'loading', error: null });
    first();
  };

  const settled = () =>
    new Promise<readonly T[]>((resolve, reject) => {
      const look = () => {
        const { status, items, error } = store.getSnapshot();
        if (status == 'loading' || status == 'idle') {
          const state = connection.state.getSnapshot();
          if (!/closed|unauth/.test(state.status)) return;
          reject(('error' in state && state.error) || new RollcallError('CLOSED', 'close was called'));
        } else if (error) reject(error);
        else resolve(items);
        stop.forEach((end) => end());
      };
      const stop = [store.subscribe(look), connection.state.subscribe(look)];
      look();
    });

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
      if (connection.online()) {
        load();
        publish();
      }
      return settled();
    },
    used: () => store.getSnapshot().status != 'idle',
    load,
    apply(change) {
      buffer?.push(change);
      change(confirmed);
      if (loaded || held.size) changed();
    },
    assume(change) {
      assumed.add(change);
      if (store.getSnapshot().status != 'idle') publish();
      return () => {
        assumed.delete(change);
        if (store.getSnapshot().status != 'idle') publish();
      };
    },
    get confirmed() {
      return confirmed;
    },
    broken(error) {
      break_ = error;
      if (store.getSnapshot().status != 'idle') publish();
    },
  };
}
