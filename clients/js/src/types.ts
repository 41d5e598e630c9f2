import type { RollcallError } from './errors';
import type { Platform, Presence } from './generated';

/** A value that changes over time. Its methods need no `this`, so they fit React's `useSyncExternalStore`. */
export interface Store<T> {
  /** Returns the present value. It is immutable, and the same object until something changes. */
  getSnapshot(): T;
  /** Calls `listener` after each change until the returned function is called. */
  subscribe(listener: () => void): () => void;
}

/** What the library knows about its connection. */
export type ConnectionState =
  /** A connection is being opened. */
  | { readonly status: 'connecting' }
  /** Connected: the stores follow the server. */
  | { readonly status: 'online' }
  /** The connection was lost or refused because of `error`; the next attempt is at `nextAt`. */
  | { readonly status: 'reconnecting'; readonly nextAt: Date; readonly error: RollcallError }
  /** The browser reports that there is no network. The library connects again when there is one. */
  | { readonly status: 'offline' }
  /**
   * The user is banned until `until`, or until the ban is lifted if that is null. The library tries
   * again then, and every five minutes before, in case the ban is lifted early.
   */
  | { readonly status: 'banned'; readonly until: Date | null; readonly error: RollcallError }
  /** The server refused the token, and `getToken` had no better one. Call `reconnect` after a new login. */
  | { readonly status: 'unauthenticated'; readonly error: RollcallError }
  /**
   * Ended: by `close` (`error` is null), or for good by the server, with the code LOGGED_OUT,
   * DEVICE_LIMIT, USER_DEACTIVATED or APP_DISABLED.
   */
  | { readonly status: 'closed'; readonly error: RollcallError | null };

/** Why a token is needed: the first one, one before the present one expires, or because the server refused it. */
export type TokenReason = 'start' | 'expired' | 'refused';

/** A user token that the app's own back end got from `registerUser` or `issueUserToken`. */
export interface Token {
  /** The token. */
  readonly token: string;
  /** When it expires: an RFC 3339 text, milliseconds since 1970, or a Date. Omitted or null if it does not. */
  readonly expiresAt?: string | number | Date | null | undefined;
}

/** A user as shown to people. A provider may add further fields, which are kept as they are. */
export interface UserInfo {
  /** The user ID. */
  readonly id: string;
  /** The name; empty if the user is deactivated. */
  readonly name: string;
  /** The URL of the avatar; null if there is none. */
  readonly avatarUrl: string | null;
  /** What a provider adds. */
  readonly [field: string]: unknown;
}

/** What a provider returns about one user. */
export interface ProvidedUser {
  /** If given, it must be the ID under which it is returned; otherwise the entry is ignored. */
  readonly id?: string;
  /** The name. */
  readonly name: string;
  /** The URL of the avatar. */
  readonly avatarUrl?: string | null;
  /** Further fields of the app. */
  readonly [field: string]: unknown;
}

/**
 * Returns the users with these IDs, at most 500 and each once, as a Map or an object by ID. An ID
 * that is missing is looked up in Rollcall. It must return within 10 s.
 */
export type UserInfoProvider = (
  ids: readonly string[],
) => ProvidedUsers | Promise<ProvidedUsers>;

/** Users by their IDs. */
export type ProvidedUsers = ReadonlyMap<string, ProvidedUser> | Readonly<Record<string, ProvidedUser>>;

/** The part of `localStorage` that the cache uses. */
export interface InfoStorage {
  /** Returns a text that was stored, or null. */
  getItem(key: string): string | null;
  /** Stores a text. */
  setItem(key: string, value: string): void;
  /** Removes a text. */
  removeItem(key: string): void;
}

/** The cache of user information. */
export interface CacheOptions {
  /** After how many milliseconds an entry is loaded again when it is used; 300 000 by default. */
  readonly ttlMs?: number;
  /** How many users it holds; the least recently used go first. 5000 by default. */
  readonly max?: number;
  /** Where users are kept between visits, such as `localStorage`. By default nowhere. */
  readonly storage?: InfoStorage;
  /** The key in `storage`; `rollcall:users` by default. Use one for each account. */
  readonly storageKey?: string;
}

/** Times in milliseconds. The defaults fit Rollcall's limits; tests shorten them. */
export interface Timing {
  /** Between two pings: 12 000. */
  readonly pingMs: number;
  /** Until a ping without a pong means that the network is gone: 5000. */
  readonly pongMs: number;
  /** Until a request, an attempt to connect, a token function or a provider has failed: 10 000. */
  readonly requestMs: number;
  /** The first back-off, which doubles with each attempt: 500. */
  readonly backoffMs: number;
  /** The longest back-off: 30 000. */
  readonly backoffMaxMs: number;
  /** Between two attempts to connect while banned: 300 000. */
  readonly bannedMs: number;
  /** For how long changes of the watched users are gathered: 100. */
  readonly debounceMs: number;
  /** Between two operations that watch statuses: 250. */
  readonly statusPaceMs: number;
  /** Between two operations that watch profiles: 2500. */
  readonly profilePaceMs: number;
  /** Until what was refused is tried again, such as a feature that is off or an unknown user: 30 000. */
  readonly recoverMs: number;
}

/** What a WebSocket class must offer: the browser's, or that of npm `ws`. */
export type WebSocketClass = new (url: string, protocols?: string | string[]) => object;

/** How to reach Rollcall, and as which user. */
export interface RollcallOptions {
  /** The URL of the GraphQL endpoint, such as `wss://chat.example/graphql`. http and https become ws and wss. */
  readonly url: string;
  /** Returns a user token. If it throws, it is called again after a back-off. */
  readonly getToken: (why: TokenReason) => Token | Promise<Token>;
  /** The platform of this device; WEB by default. */
  readonly platform?: Platform;
  /** Returns users that the app stores itself; see `setUserInfoProvider`. */
  readonly userInfoProvider?: UserInfoProvider;
  /** The cache of user information. */
  readonly cache?: CacheOptions;
  /** The WebSocket class; the global one by default. Node.js before 22 needs that of npm `ws`. */
  readonly webSocketImpl?: WebSocketClass;
  /**
   * Whether the tabs of a browser in which the same user is logged in share one connection, and are
   * one device. True by default, where the browser has Web Locks: on https and localhost.
   */
  readonly tabs?: boolean;
  /** Other times than the defaults. */
  readonly timing?: Partial<Timing>;
}

/** The users' names and avatars: from the provider if there is one, otherwise from Rollcall. */
export interface Users {
  /**
   * Returns a user, or null if neither the provider nor Rollcall knows it. A cached user is returned
   * at once, and loaded again in the background if it is older than the TTL. Rejects with a
   * RollcallError if it cannot be loaded.
   */
  get(id: string): Promise<UserInfo | null>;
  /** Returns users in the order of the IDs, null for those that are unknown. Otherwise as `get`. */
  getMany(ids: readonly string[]): Promise<(UserInfo | null)[]>;
  /** Returns what the cache has and loads nothing: undefined if it has nothing, null if the user is unknown. */
  peek(id: string): UserInfo | null | undefined;
  /**
   * With `partial`, changes the cached user at once and tells the listeners, as after the app's own
   * profile form. Without it, loads the user again, from the provider or Rollcall.
   */
  refresh(id: string, partial?: Partial<Omit<ProvidedUser, 'id'>>): Promise<UserInfo | null>;
  /** Sets the provider, or removes it, and loads the users again that are in use. */
  setProvider(provider: UserInfoProvider | undefined): void;
  /** Calls `listener` after each change of the user until the returned function is called, loads it, and keeps it fresh. */
  subscribe(id: string, listener: () => void): () => void;
}

/** How far a store is. */
export type LoadStatus = 'idle' | 'loading' | 'ready' | 'failed';

/** A list as it is now. */
export interface ListState<T> {
  /** The items, the newest first. While the list is loaded again they are those of before. */
  readonly items: readonly T[];
  /**
   * `idle` before it is first used; `loading` until it is complete; then `ready`, also while
   * the connection is lost, until it is loaded again; `failed` if it cannot, for the reason in `error`. It then tries again by itself.
   */
  readonly status: LoadStatus;
  /** Why it failed; otherwise null. */
  readonly error: RollcallError | null;
}

/** A list that follows the server. It is loaded when it is first subscribed to or awaited. */
export interface LiveList<T> extends Store<ListState<T>> {
  /** Resolves with the items once they are loaded; rejects with the RollcallError if that fails. */
  ready(): Promise<readonly T[]>;
  /** Loads the list again. */
  reload(): Promise<readonly T[]>;
}

/** A friend of the user. */
export interface Friend {
  /** The friend's user ID. */
  readonly userId: string;
  /** The friend as shown to people; kept fresh. */
  readonly user: UserInfo;
  /** The user's own name for the friend; null if there is none. */
  readonly remark: string | null;
  /** When the two became friends (RFC 3339). */
  readonly createdAt: string;
  /** Whether the friend is on the user's blocklist. */
  readonly blocked: boolean;
}

/** A pending friend request. */
export interface FriendRequest {
  /** The request's ID. */
  readonly id: string;
  /** Whether the user received or sent it. */
  readonly direction: 'INCOMING' | 'OUTGOING';
  /** The other user's ID. */
  readonly userId: string;
  /** The other user as shown to people; kept fresh. */
  readonly user: UserInfo;
  /** The sender's message; null if there is none. */
  readonly message: string | null;
  /** When it was first sent (RFC 3339). */
  readonly createdAt: string;
  /** When it expires (RFC 3339). */
  readonly expiresAt: string;
}

/** An entry of the user's blocklist. */
export interface BlockedUser {
  /** The blocked user's ID. */
  readonly userId: string;
  /** The blocked user as shown to people; kept fresh. */
  readonly user: UserInfo;
  /** When it was blocked (RFC 3339). */
  readonly createdAt: string;
}

/**
 * The user's friends. A change shows in the list at once, and is taken back if the server refuses
 * it: then the promise rejects with the RollcallError.
 */
export interface Friends extends LiveList<Friend> {
  /** Ends the friendship. USER_NOT_FOUND. */
  remove(userId: string): Promise<void>;
  /** Sets the user's own name for a friend, at most 100 characters; empty clears it. NOT_FRIENDS, INVALID_ARGUMENT. */
  setRemark(userId: string, remark: string): Promise<void>;
}

/** The pending friend requests, and what can be done with them. Changes show at once, as with `Friends`. */
export interface Requests {
  /** Requests that others sent to the user. */
  readonly incoming: LiveList<FriendRequest>;
  /** Requests that the user sent. */
  readonly outgoing: LiveList<FriendRequest>;
  /**
   * Sends a friend request with a message of at most 100 characters. Returns PENDING, or FRIENDS if
   * that made the two friends at once. ALREADY_FRIENDS, BLOCKED, NOT_IN_WHITELIST,
   * REQUESTS_NOT_ACCEPTED, USER_NOT_FOUND, USER_DEACTIVATED, SELF_REFERENCE, FRIEND_LIMIT_REACHED,
   * RATE_LIMITED.
   */
  send(userId: string, message?: string): Promise<'PENDING' | 'FRIENDS'>;
  /** Accepts a request to the user. REQUEST_NOT_FOUND, FRIEND_LIMIT_REACHED. */
  accept(requestId: string): Promise<void>;
  /** Declines a request to the user. REQUEST_NOT_FOUND. */
  decline(requestId: string): Promise<void>;
  /** Cancels a request of the user. REQUEST_NOT_FOUND. */
  cancel(requestId: string): Promise<void>;
}

/** The user's blocklist. Changes show at once, as with `Friends`. */
export interface Blocklist extends LiveList<BlockedUser> {
  /** Blocks a user. A friend stays one, with `blocked`. USER_NOT_FOUND, USER_DEACTIVATED, SELF_REFERENCE, BLOCKLIST_LIMIT_REACHED. */
  add(userId: string): Promise<void>;
  /** Ends the block of a user. USER_NOT_FOUND. */
  remove(userId: string): Promise<void>;
  /** Reports whether the loaded list has the user. */
  has(userId: string): boolean;
}

/** The status of a user. */
export interface UserStatus {
  /** The user ID. */
  readonly userId: string;
  /** Whether the user is online. */
  readonly presence: Presence;
  /** The text that the user has set while online; empty if there is none. */
  readonly customStatus: string;
  /** When the status last changed (RFC 3339); null if the user has never logged in. */
  readonly changedAt: string | null;
}

/** The statuses as they are now. */
export interface PresenceState {
  /** The user's own status; null until it is loaded. */
  readonly self: UserStatus | null;
  /**
   * The known statuses by user ID: those of watched users, and of friends that changed if the app
   * has `friendStatusNotifyEnabled`. A user without an entry is unknown.
   */
  readonly statuses: ReadonlyMap<string, UserStatus>;
  /**
   * `idle` if no user is watched; `loading`; `ready`; `disabled` while the app's `statusQueryEnabled`
   * is off: the library tries again by itself; `failed` for another reason in `error`.
   */
  readonly status: LoadStatus | 'disabled';
  /** Why it is `disabled` or `failed`; otherwise null. */
  readonly error: RollcallError | null;
}

/** The statuses of users. */
export interface PresenceStore extends Store<PresenceState> {
  /**
   * Keeps the statuses of these users in the store until the returned function is called. Users may
   * be watched several times; at most 8000 are watched at once.
   */
  watch(userIds: readonly string[]): () => void;
  /** Returns a user's status, or undefined if it is not known. */
  get(userId: string): UserStatus | undefined;
  /** Sets the user's own text, at most 100 bytes of UTF-8; empty clears it. Shows at once. NOT_ONLINE, INVALID_ARGUMENT, RATE_LIMITED. */
  setCustomStatus(text: string): Promise<void>;
}

/** A device of one user, connected to Rollcall. */
export interface Rollcall {
  /** The state of the connection. */
  readonly connection: Store<ConnectionState>;
  /** Names and avatars. */
  readonly users: Users;
  /** The friends. */
  readonly friends: Friends;
  /** The friend requests. */
  readonly requests: Requests;
  /** The blocklist. */
  readonly blocklist: Blocklist;
  /** The statuses. */
  readonly presence: PresenceStore;
  /** Sets where user information comes from; the same as `users.setProvider`. */
  setUserInfoProvider(provider: UserInfoProvider | undefined): void;
  /** Returns one user; the same as `users.get`. */
  getUserInfo(id: string): Promise<UserInfo | null>;
  /** Returns many users; the same as `users.getMany`. */
  getUserInfo(ids: readonly string[]): Promise<(UserInfo | null)[]>;
  /** Returns what the cache has; the same as `users.peek`. */
  peekUserInfo(id: string): UserInfo | null | undefined;
  /** Loads a user again or changes the cached one; the same as `users.refresh`. */
  refreshUserInfo(id: string, partial?: Partial<Omit<ProvidedUser, 'id'>>): Promise<UserInfo | null>;
  /**
   * Calls `listener` with errors that no call returned, such as those of a provider or of a token
   * function, until the returned function is called.
   */
  onError(listener: (error: RollcallError) => void): () => void;
  /** Connects at once instead of after a back-off, and again after `unauthenticated` or `closed`. */
  reconnect(): void;
  /**
   * Logs this device out, or all devices of the user, closes the connection and empties the stored
   * cache. Without a connection it rejects with OFFLINE and the device stays logged in.
   */
  logout(options?: { readonly allDevices?: boolean }): Promise<void>;
  /** Closes the connection without logging out: the user is OFFLINE when this was its last device. */
  close(): void;
}
