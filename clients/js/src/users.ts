import type { Connection } from './connection';
import { UserChanged, UsersByID } from './documents';
import { inTime, RollcallError, toError } from './errors';
import type { UsersByIDData } from './generated';
import { listen, notify } from './store';
import type { CacheOptions, InfoStorage, ProvidedUser, ProvidedUsers, UserInfo, UserInfoProvider, Users } from './types';
import { createWatcher } from './watch';

/** A profile as Rollcall sends it. */
export type Profile = NonNullable<UsersByIDData['users'] extends readonly (infer U)[] | null ? U : never>;

/** A cached user; `info` is null if the user is unknown. */
interface Entry {
  readonly info: UserInfo | null;
  /** Until when it counts as fresh, in ms since 1970. */
  readonly until: number;
  /** The profile's updatedAt, if it is Rollcall's. */
  readonly version: string;
}

/** The users, with what the other stores need. */
export interface UserStore extends Users {
  /** Takes in a profile that came with something else, unless the provider knows the user. */
  seed(profile: Profile): void;
  /** Keeps users fresh that a list shows. */
  hold(ids: readonly string[]): void;
  release(ids: readonly string[]): void;
  /** Calls the listener with each user that changes. */
  onChange(listener: (id: string) => void): void;
  /** Empties the storage. */
  forget(): void;
}

/** The server's limit of IDs in `users`, and ours for a provider. */
const BATCH = 500;
/** How long calls for users are gathered into one, in ms. */
const GATHER = 10;
/** How long writes to the storage are gathered, in ms. */
const SAVE = 1_000;

/** Returns the users: a cache before the provider, and Rollcall behind that. */
export function createUsers(connection: Connection, first: UserInfoProvider | undefined, options: CacheOptions = {}): UserStore {
  const { ttlMs = 300_000, max = 5_000, storage, storageKey = 'rollcall:users' } = options;
  const { timing } = connection;
  const cache = new Map<string, Entry>(); // the least recently used first
  const flying = new Map<string, Promise<UserInfo | null>>();
  const listeners = new Map<string, Set<() => void>>();
  const lists = new Set<(id: string) => void>();
  let provider = first;
  let gathering: { ids: string[]; loaded: Promise<unknown> } | undefined;
  let saving = false;

  /** Uses the storage, which may be full, closed, or hold another text: the cache in memory goes on. */
  function stored(use: (storage: InfoStorage) => void): void {
    try {
      if (storage) use(storage);
    } catch {
      // not stored
    }
  }

  stored((from) => {
    for (const info of JSON.parse(from.getItem(storageKey) ?? '[]') as UserInfo[]) {
      if (typeof info.name == 'string') cache.set(info.id, { info, until: 0, version: '' });
    }
  });

  function save(): void {
    if (!storage || saving) return;
    saving = true;
    setTimeout(() => {
      saving = false;
      stored((to) => to.setItem(storageKey, JSON.stringify([...cache.values()].flatMap(({ info }) => info ?? []))));
    }, SAVE);
  }

  /** Caches a user for `ttl` ms, and tells the listeners if that is a change. */
  function put(id: string, info: UserInfo | null, ttl: number, version = ''): void {
    const old = cache.get(id);
    const same = old && JSON.stringify(old.info) == JSON.stringify(info);
    cache.delete(id);
    cache.set(id, { info: same ? old.info : info, until: Date.now() + ttl, version });
    for (const key of cache.keys()) {
      if (cache.size <= max) break;
      if (key != id && !watcher.has(key)) cache.delete(key);
    }
    if (same) return;
    save();
    notify(listeners.get(id) ?? []);
    notify(lists, id);
  }

  function putProfile({ id, name, avatarUrl, updatedAt }: Profile, ttl = ttlMs): void {
    if (cache.get(id)?.version! > updatedAt) return;
    put(id, { id, name, avatarUrl }, ttl, updatedAt);
  }

  async function fromRollcall(ids: readonly string[], ttl?: number): Promise<void> {
    const { users } = await connection.run(UsersByID, { ids });
    ids.forEach((id, i) => {
      const user = users?.[i];
      if (user) putProfile(user, ttl);
      else put(id, null, timing.recoverMs);
    });
  }

  async function fromProvider(ids: readonly string[], ask: UserInfoProvider): Promise<void> {
    const missing = new Set(ids);
    let ttl = ttlMs;
    const fail = (message: string, cause?: unknown) => {
      connection.report(new RollcallError('PROVIDER_FAILED', `userInfoProvider: ${message}`, { cause }));
      ttl = timing.recoverMs;
    };
    try {
      const given = await inTime<ProvidedUsers>((resolve) => resolve(ask(ids)), timing.requestMs);
      const entries = given instanceof Map ? given : Object.entries(given as Record<string, ProvidedUser>);
      for (const [id, user] of entries) {
        if (!user) continue;
        if (!missing.has(id) || typeof user.name != 'string' || (user.id ?? id) != id) {
          fail(`invalid user ${id}`);
          continue;
        }
        missing.delete(id);
        if (provider == ask) put(id, { ...user, id, avatarUrl: user.avatarUrl ?? null }, ttlMs);
      }
    } catch (cause) {
      fail(toError(cause).message, cause);
    }
    // What the provider returned before is better than what Rollcall has, if the provider has only failed.
    const rest = [...missing].filter((id) => {
      const { info, version } = (ttl != ttlMs && cache.get(id)) || {};
      if (info) put(id, info, ttl, version);
      return !info;
    });
    if (rest.length && provider == ask) await fromRollcall(rest, ttl);
  }

  /** Loads a user. Calls within a moment become one, and there is one at a time for each user. */
  function load(id: string): Promise<UserInfo | null> {
    const running = flying.get(id);
    if (running) return running;
    const ask = provider;
    if (!gathering || gathering.ids.length == BATCH) {
      const ids: string[] = [];
      const loaded = new Promise((resolve) => setTimeout(resolve, GATHER)).then(() => {
        if (gathering?.ids == ids) gathering = undefined;
        return ask ? fromProvider(ids, ask) : fromRollcall(ids);
      });
      gathering = { ids, loaded };
    }
    gathering.ids.push(id);
    const result: Promise<UserInfo | null> = gathering.loaded
      .finally(() => flying.get(id) == result && flying.delete(id))
      .then(() => (ask == provider ? (cache.get(id)?.info ?? null) : load(id)));
    flying.set(id, result);
    return result;
  }

  // Without a connection it is loaded after the next connect, if it is still in use.
  const background = (id: string) => void load(id).catch(connection.reportOnline);

  function peek(id: string): UserInfo | null | undefined {
    const entry = cache.get(id);
    return entry && (entry.info || entry.until > Date.now()) ? entry.info : undefined;
  }

  async function get(id: string): Promise<UserInfo | null> {
    const info = peek(id);
    if (info === undefined) return load(id);
    const entry = cache.get(id)!;
    cache.delete(id);
    cache.set(id, entry);
    renew([id]);
    return info;
  }

  function renew(ids: readonly string[]): void {
    for (const id of ids) if ((cache.get(id)?.until ?? 0) <= Date.now()) background(id);
  }

  // Without a provider, the users in use are followed. userChanged sends nothing at the start, so the
  // users are loaded when it has begun: a socket's operations are read in order.
  const watcher = createWatcher(connection, {
    chunks: 10,
    paceMs: timing.profilePaceMs,
    open(ids, answered, failed) {
      if (provider) {
        renew(ids);
        answered();
        return () => {};
      }
      const fail = (error: RollcallError) => {
        failed(error);
        if (watcher.error() == error) connection.report(error);
      };
      const stop = connection.stream(UserChanged, { ids }, (data) => putProfile(data.userChanged), fail);
      // The server counts the IDs of both: what other chunks follow comes first.
      connection.later((timing.profilePaceMs * ids.length) / 200, () =>
        fromRollcall(ids).then(answered, (error) => connection.online() && fail(error)),
      );
      return stop;
    },
    changed() {},
    dropped() {},
  });
  connection.onOnline(() => watcher.restart());

  const users: UserStore = {
    get,
    getMany: (ids) => Promise.all(ids.map(get)),
    peek,
    async refresh(id, partial) {
      if (!partial) return load(id);
      if (!cache.has(id)) await load(id).catch(() => {});
      const old = cache.get(id);
      const info = { name: '', avatarUrl: null, ...old?.info, ...partial, id } as UserInfo;
      put(id, info, ttlMs, old?.version);
      return info;
    },
    setProvider(next) {
      provider = next;
      flying.clear();
      gathering = undefined;
      for (const [id, { info }] of cache) {
        if (info) cache.set(id, { info, until: 0, version: '' });
        else cache.delete(id);
      }
      watcher.restart();
      for (const id of [...cache.keys(), ...listeners.keys()]) if (watcher.has(id)) background(id);
    },
    subscribe(id, listener) {
      const all = listeners.get(id) ?? new Set();
      listeners.set(id, all);
      const stop = listen(all, listener);
      users.hold([id]);
      return () => {
        if (!stop()) return;
        if (!all.size) listeners.delete(id);
        watcher.remove([id]);
      };
    },
    seed(profile) {
      if (!provider) putProfile(profile);
      else if (!cache.has(profile.id)) putProfile({ ...profile, updatedAt: '' }, 0);
    },
    hold(ids) {
      watcher.add(ids);
      renew(ids);
    },
    release: watcher.remove,
    onChange: (listener) => void lists.add(listener),
    forget() {
      cache.clear();
      stored((from) => from.removeItem(storageKey));
    },
  };
  return users;
}
