import type { Doc } from './documents';
import { inTime, invalid, RollcallError, toError } from './errors';
import { openSocket, type End, type Result, type Socket } from './socket';
import { createStore, notify, watchUntil } from './store';
import type { ConnectionState, RollcallOptions, Store, Timing, Token, TokenReason } from './types';

/** What the stores need of the connection. */
export interface Connection {
  readonly state: Store<ConnectionState>;
  readonly timing: Timing;
  /** Calls `start` with each new socket: what ran on the one before has ended or soon will. */
  onOnline(start: () => void): void;
  /** Reports whether there is a connection. */
  online(): boolean;
  /** Returns why no call can succeed, or false if one may. */
  fatal(): RollcallError | false;
  /** Runs a query or a mutation, and waits for a connection if there is none. Rejects with a RollcallError. */
  run<D, V>(document: Doc<D, V>, variables: V): Promise<D>;
  /**
   * Starts a subscription on the present socket. `failed` is called if the server ends it, but not
   * when the socket is lost: then `onOnline` starts everything again.
   */
  stream<D, V>(document: Doc<D, V>, variables: V, next: (data: D) => void, failed: (error: RollcallError) => void): () => void;
  /** Calls `fn` after `ms` if the socket is the same then; never if there is none. */
  later(ms: number, fn: () => void): void;
  /** Returns for how many ms to wait before trying again what failed with this error. */
  pause(error: RollcallError): number;
  /** Tells the listeners of errors. */
  report(error: RollcallError): void;
  /** The same, unless the connection is lost: what failed for that reason is done again. */
  reportOnline(error: RollcallError): void;
  readonly errors: Set<(error: RollcallError) => void>;
  reconnect(): void;
  close(error?: RollcallError): void;
}

const defaults: Timing = {
  pingMs: 12_000,
  pongMs: 5_000,
  requestMs: 10_000,
  backoffMs: 500,
  backoffMaxMs: 30_000,
  renewMs: 60_000,
  bannedMs: 300_000,
  gatherMs: 10,
  debounceMs: 100,
  statusPaceMs: 250,
  profilePaceMs: 2_500,
  recoverMs: 30_000,
};

/** A socket that has lived this long, in ms, was a success: the back-off begins again. */
const STABLE = 5_000;
/** Two refusals of tokens within this time, in ms, mean that the user must log in again. */
const REFUSALS = 10_000;
/** The longest time that setTimeout accepts, in ms. */
const LONGEST = 2 ** 31 - 1;
/** Operations on a socket: the server allows 100. */
const OPERATIONS = 90;

/** Connects and stays connected until `close`. */
export function createConnection(options: RollcallOptions): Connection {
  const timing = { ...defaults, ...options.timing };
  const url = socketURL(options.url);
  const Class = options.webSocketImpl ?? globalThis.WebSocket;
  if (!Class) throw invalid('webSocketImpl');

  const state = createStore<ConnectionState>({ status: 'connecting' });
  const is = (...statuses: ConnectionState['status'][]) => statuses.includes(state.getSnapshot().status);
  const errors = new Set<(error: RollcallError) => void>();
  const starters: (() => void)[] = [];
  const timers = new Set<ReturnType<typeof setTimeout>>(); // of the present socket
  const waiting: (() => void)[] = []; // requests beyond OPERATIONS
  let current: Socket | undefined;
  let running = new Set<Promise<unknown>>(); // the requests on it
  let used = { token: '', expires: Infinity }; // its token
  let life = 0; // counts the calls of live; an older one ends
  let operations = 0;
  let wake = () => {};
  let lost = () => {};

  const report = (error: RollcallError) => notify(errors, error);
  const online = () => !!current && !current.end;
  /** Returns why no call can succeed. */
  const fatal = () =>
    is('closed', 'unauthenticated', 'banned') && ((state.getSnapshot() as { error?: RollcallError | null }).error ?? new RollcallError('CLOSED', 'closed'));
  const later = (ms: number, fn: () => void) => {
    if (!online()) return;
    const timer = setTimeout(() => timers.delete(timer) && fn(), Math.min(LONGEST, ms));
    timers.add(timer);
  };
  const clear = () => {
    timers.forEach(clearTimeout);
    timers.clear();
  };

  async function token(why: TokenReason): Promise<typeof used> {
    try {
      const given = await inTime<Token>((resolve) => resolve(options.getToken(why)), timing.requestMs);
      const expires = given.expiresAt == null ? Infinity : +new Date(given.expiresAt);
      if (typeof given.token != 'string' || !given.token || isNaN(expires)) throw new TypeError('not {token, expiresAt}');
      return { token: given.token, expires };
    } catch (cause) {
      const error = new RollcallError('TOKEN_FAILED', `getToken: ${toError(cause).message}`, { cause });
      report(error);
      throw error;
    }
  }

  /** Resolves with an acknowledged socket; rejects with an End. */
  const open = (accessToken: string) =>
    new Promise<Socket>((resolve, reject) =>
      openSocket(Class, url, { Authorization: `Bearer ${accessToken}`, platform: options.platform ?? 'WEB' }, timing, resolve, (socket) => {
        reject(socket.end);
        if (socket == current) lost();
      }),
    );

  function goOnline(socket: Socket): void {
    clear();
    current = socket;
    running = new Set();
    state.set({ status: 'online' });
    if (used.expires < Infinity) {
      const left = used.expires - Date.now();
      const lead = timing.renewMs * (0.9 + 0.2 * Math.random());
      later(Math.max(timing.backoffMs, left > 2 * lead ? left - lead : left / 2), () => renew(socket));
    }
    starters.forEach((start) => start());
  }

  /** Replaces a socket by one with a new token. The old one is closed when its requests are answered. */
  async function renew(old: Socket): Promise<void> {
    try {
      const next = await token('expired');
      if (current != old) return;
      const socket = await open(next.token);
      if (current != old || socket.end) return socket.close();
      const rest = running;
      used = next;
      goOnline(socket);
      await Promise.allSettled(rest);
      old.close();
    } catch {
      // The present token may still be good for a while. When it is not, the server closes the socket.
      if (current == old) later(timing.backoffMs * 4, () => renew(old));
    }
  }

  const sleep = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(ms, LONGEST));
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  /** Connects again and again until the connection is closed or refused for good. */
  async function live(): Promise<void> {
    const mine = ++life;
    let why: TokenReason = 'start';
    let attempts = 0;
    let refusedAt = 0;
    used = { token: '', expires: Infinity };
    follow('addEventListener');
    for (;;) {
      if (!is('banned')) state.set({ status: 'connecting' });
      let end: End | undefined;
      let error: RollcallError | undefined;
      try {
        const before = used.token;
        if (used.expires < Date.now()) why = 'expired';
        if (why != 'start' || !before) used = await token(why);
        if (mine != life) return;
        if (why == 'refused' && used.token == before) throw { code: 4401, reason: 'UNAUTHENTICATED' };
        const socket = await open(used.token);
        if (mine != life) return socket.close();
        why = 'start';
        const since = Date.now();
        await new Promise<void>((resolve) => {
          lost = resolve;
          if (socket.end) resolve();
          else goOnline(socket);
        });
        end = (current ?? socket).end;
        if (Date.now() - since > STABLE) attempts = 0;
      } catch (thrown) {
        if (thrown instanceof RollcallError) error = thrown;
        else end = thrown as End;
      }
      if (mine != life) return;
      current = undefined;
      clear();

      const [code = '', , until] = end?.code == 4401 ? end.reason.split(' ') : [];
      error ??= new RollcallError(code || 'CONNECTION_LOST', `closed: ${end?.code} ${end?.reason}`, until ? { until } : {});
      if (code == 'USER_BANNED') {
        const time = Date.parse(until ?? '');
        state.set({ status: 'banned', until: time ? new Date(time) : null, error });
        await sleep(Math.min(timing.bannedMs, (time || Infinity) - Date.now() + timing.backoffMs * Math.random()));
      } else if (/LOG|LIM|DEACT/.test(code)) {
        return finish('closed', error);
      } else if (code) {
        if (Date.now() - refusedAt < REFUSALS) return finish('unauthenticated', error);
        refusedAt = Date.now();
        why = 'refused';
      } else {
        const pause = Math.min(timing.backoffMaxMs, timing.backoffMs * 2 ** attempts++) * Math.random();
        // `onLine` is undefined outside browsers.
        const offline = globalThis.navigator?.onLine === false;
        state.set(offline ? { status: 'offline' } : { status: 'reconnecting', nextAt: new Date(Date.now() + pause), error });
        await sleep(offline ? timing.backoffMaxMs : pause);
      }
      if (mine != life) return;
    }
  }

  function finish(status: 'unauthenticated' | 'closed', error: RollcallError | null): void {
    life++;
    clear();
    wake();
    follow('removeEventListener');
    const last = current;
    current = undefined;
    state.set({ status, error } as ConnectionState);
    last?.close();
  }

  /** Adds or removes the listeners of the page; there are none outside browsers. */
  function follow(method: 'addEventListener' | 'removeEventListener'): void {
    globalThis[method]?.('online', back);
    globalThis.document?.[method]('visibilitychange', back);
  }

  /** A network or a page that comes back cuts a back-off short. */
  function back(): void {
    if (is('reconnecting', 'offline') && globalThis.document?.visibilityState != 'hidden') wake();
  }

  const connected = () =>
    inTime<Socket>(
      (resolve, reject) =>
        watchUntil(() => {
          const error = fatal();
          if (online()) resolve(current!);
          else if (error) reject(error);
          return online() || !!error;
        }, state),
      timing.requestMs,
      'OFFLINE',
    );

  /** Returns the error of an operation. A token that was ended while connected is replaced, as at a connect. */
  function failed(socket: Socket, failures: unknown, fallback?: string): RollcallError {
    const error = toError(failures, fallback);
    if (error.code == 'UNAUTHENTICATED') socket.close(4401, error.code);
    return error;
  }

  /** Starts an operation that counts; `done` is called once, unless it is stopped before. */
  function start(socket: Socket, query: string, variables: unknown, next: (result: Result) => void, done: (errors?: unknown) => void) {
    let over = false;
    const release = () => {
      if (over) return false;
      operations--;
      waiting.shift()?.();
      return (over = true);
    };
    operations++;
    const stop = socket.start({ query, variables }, { next, done: (errors) => release() && done(errors) });
    return () => void (release() && stop());
  }

  // After the stores have been made.
  Promise.resolve().then(() => void (life || live()));

  return {
    state,
    timing,
    errors,
    report,
    reportOnline: (error) => online() && report(error),
    online,
    fatal,
    later,
    onOnline: (fn) => void starters.push(fn),
    async run<D, V>(document: Doc<D, V>, variables: V) {
      if (operations >= OPERATIONS) await new Promise<void>((resolve) => waiting.push(resolve));
      const socket = await connected();
      const result = inTime<D>((resolve, reject) => {
        let last: Result | undefined;
        return start(socket, document, variables, (value) => (last = value), (failures) => {
          const wrong = failures ?? last?.errors;
          if (wrong || !last) reject(failed(socket, wrong));
          else resolve(last.data as D);
        });
      }, timing.requestMs);
      running.add(result);
      return result;
    },
    stream<D, V>(document: Doc<D, V>, variables: V, next: (data: D) => void, onFailure: (error: RollcallError) => void) {
      const socket = current;
      if (!socket || socket.end) return () => {};
      const fail = (failures?: unknown) => {
        const error = failed(socket, failures, 'UNAVAILABLE');
        if (!socket.end) onFailure(error);
      };
      const stop = start(
        socket,
        document,
        variables,
        ({ data, errors: failures }) => {
          if (data) return next(data as D);
          // An event was missed.
          stop();
          fail(failures);
        },
        fail,
      );
      return stop;
    },
    pause: ({ code, details }) => details.retryAfterMs ?? (/UNAV|TIMEOUT|TOO/.test(code) ? Math.min(2_000, timing.recoverMs) : timing.recoverMs),
    reconnect() {
      if (is('closed', 'unauthenticated')) live();
      else wake();
    },
    close: (error) => finish('closed', error ?? null),
  };
}

function socketURL(given: string): string {
  try {
    const url = new URL(given, globalThis.location?.href);
    url.protocol = url.protocol.replace('http', 'ws');
    if (/^wss?:/.test(url.href)) return url.href;
  } catch {
    // refused below
  }
  throw invalid('url');
}
