import type { Connection } from './connection';
import { UserChanged, UsersByID } from './documents';
import { failedIn, inTime, invalid, type RollcallError } from './errors';
import type { UsersByIDData } from './generated';
import { batched, listen, notify } from './store';
import type { CacheOptions, InfoStorage, ProvidedUser, ProvidedUsers, UserInfo, UserInfoProvider, Users } from './types';
import { createWatcher } from './watch';

/** A profile as Rollcall sends it. */
export type Profile = NonNullable<UsersByIDData['users'] extends readonly (infer U)[] | null ? U : never>;

/** A cached user; `info` is null if the user is unknown. */
interface Entry {
  readonly info: UserInfo | null;
  /** Until when it counts as fresh, in ms since 1970. */
  readonly freshUntil: number;
  /** The profile's updatedAt, if it is Rollcall's. */
  readonly version: string;
}

/** The users, with what the other stores need. */
export interface UserStore extends Users {
  /** Takes in a profile that came with something else, unless the provider knows the user. */
  seed(profile: Profile): void;
  /** Empties the storage. */
  forget(): void;
}

/** The server's limit of IDs in `users`, and ours for a provider. */
const BATCH = 500;
/** How long calls for users are gathered into one, in ms. */
const GATHER = 10;
/** The least time between two writes to the storage, in ms. */
const SAVE = 1_000;

/** Returns the users: a cache before the provider, and Rollcall behind that. */
export function createUsers(connection: Connection, first: UserInfoProvider | undefined, options: CacheOptions = {}): UserStore {
  const { ttlMs = 300_000, max = 5_000, storage, storageKey = 'rollcall:users' } = options;
  const { times: timing } = connection;
  const cache = new Map<string, Entry>(); // the least recently used first
  const flying = new Map<string, Promise<UserInfo | null>>();
  const listeners = new Map<string, Set<() => void>>();
  let provider = first;
  let gathering: { members: string[]; loaded: Promise<unknown> } | undefined;

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
      if (typeof info.name == 'string') cache.set(info.id, { info, freshUntil: 0, version: '' });
    }
  });

  const save = batched(() => stored((to) => to.setItem(storageKey, JSON.stringify([...cache.values()].flatMap(({ info }) => info ?? [])))), SAVE);

  /** Caches a user for `ttl` ms, and tells the listeners if that is a change. */
  function put(id: string, info: UserInfo | null, ttl: number, version = ''): void {
    const old = cache.get(id);
    const same = JSON.stringify(old?.info) == JSON.stringify(info);
    cache.delete(id);
    cache.set(id, { info: same ? old!.info : info, freshUntil: Date.now() + ttl, version });
    for (const key of cache.keys()) {
      if (cache.size <= max) break;
      if (key != id && !watcher.followed().has(key)) cache.delete(key);
    }
    if (same) return;
    save();
    notify(listeners.get(id) ?? []);
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
    const fail = (cause: unknown) => {
      connection.report(failedIn('userInfoProvider', 'PROVIDER_FAILED', cause));
      ttl = timing.recoverMs;
    };
    let users: Iterable<[string, ProvidedUser]> = [];
    try {
      const given = await inTime<ProvidedUsers>((resolve) => resolve(ask(ids)), timing.requestMs);
      users = given instanceof Map ? given : Object.entries(given);
    } catch (cause) {
      fail(cause);
    }
    if (provider != ask) return;
    for (const [id, user] of users) {
      if (!user) continue;
      if (typeof user.name != 'string' || (user.id ?? id) != id || !missing.delete(id)) fail(invalid(`user ${id}`));
      else put(id, { ...user, id, avatarUrl: user.avatarUrl ?? null }, ttlMs);
    }
    // What the provider returned before is better than what Rollcall has, if the provider has only failed.
    const rest = [...missing].filter((id) => {
      const { info, version } = (ttl != ttlMs && cache.get(id)) || {};
      if (info) put(id, info, ttl, version);
      return !info;
    });
    if (rest.length) await fromRollcall(rest, ttl);
  }

  /** Loads a user. Calls within a moment become one, and there is one at a time for each user. */
  function load(id: string): Promise<UserInfo | null> {
    const running = flying.get(id);
    if (running) return running;
    const ask = provider;
    if (!gathering || gathering.members.length == BATCH) {
      const members: string[] = [];
      const loaded = new Promise((resolve) => setTimeout(resolve, GATHER)).then(() => {
        if (gathering?.members == members) gathering = undefined;
        return ask ? fromProvider(members, ask) : fromRollcall(members);
      });
      gathering = { members, loaded };
    }
    gathering.members.push(id);
    const result: Promise<UserInfo | null> = gathering.loaded
      .finally(() => flying.get(id) == result && flying.delete(id))
      .then(() => (ask == provider ? (cache.get(id)?.info ?? null) : load(id)));
    flying.set(id, result);
    return result;
  }

  const isFresh = (id: string) => cache.get(id)?.freshUntil! > Date.now();

  function peek(id: string): UserInfo | null | undefined {
    return cache.get(id)?.info ?? (isFresh(id) ? null : undefined);
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

  /** Loads users in the background. Without a connection they are loaded after the next connect, if they are still in use. */
  function renew(ids: Iterable<string>): void {
    for (const id of ids) if (!isFresh(id)) load(id).catch(connection.reportOnline);
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
        if (watcher.failure() == error) connection.report(error);
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

  return {
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
        if (info) cache.set(id, { info, freshUntil: 0, version: '' });
        else cache.delete(id);
      }
      watcher.restart();
      renew(watcher.followed());
    },
    subscribe(id, listener) {
      const all = listeners.get(id) ?? new Set();
      listeners.set(id, all);
      const stop = listen(all, listener);
      const release = watcher.follow([id]);
      renew([id]);
      return () => {
        release();
        if (stop() && !all.size) listeners.delete(id);
      };
    },
    seed(profile) {
      if (!provider || !cache.has(profile.id)) putProfile(profile, provider && 0);
    },
    forget() {
      cache.clear();
      stored((from) => from.removeItem(storageKey));
    },
  };
}
