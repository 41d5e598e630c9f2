import type { Doc } from './documents';
import { failedIn, incomplete, inTime, invalid, RollcallError, toError } from './errors';
import { openSocket, type End, type Result, type Socket } from './socket';
import { createStore, notify, when } from './store';
import { shareTabs, type Line } from './tabs';
import type { ConnectionState, RollcallOptions, Store, Timing, Token, TokenReason } from './types';

/** What the stores need of the connection. */
export interface Connection {
  readonly state: Store<ConnectionState>;
  readonly times: Timing;
  /** Calls `start` with each new socket: what ran on the one before has ended or soon will. */
  onOnline(start: () => void): void;
  /** Reports whether there is a connection. */
  online(): boolean;
  /** Returns why no call can succeed, or false if one may. */
  fatal(): RollcallError | false;
  /** Runs a query or a mutation, and waits for a connection if there is none. Rejects with a RollcallError. */
  run<D, V>(document: Doc<D, V>, variables: V): Promise<D>;
  /** Runs a mutation with one input, and returns its result. */
  mutate<R, I>(document: Doc<{ readonly result: R | null }, { readonly input: I }>, input: I): Promise<R>;
  /**
   * Starts a subscription on the present socket, which there must be. `failed` is called if the server ends it, but not
   * when the socket is lost: then `onOnline` starts everything again.
   */
  stream<D, V>(document: Doc<D, V>, variables: V, next: (data: D) => void, failed: (error: RollcallError) => void): () => void;
  /** Calls `fn` after `ms` if the socket is the same then; never if there is none. */
  later(ms: number, fn: () => unknown): void;
  /** Returns for how many ms to wait before trying again what failed with this error. */
  pause(error: RollcallError): number;
  /** Tells the listeners of errors. */
  report(error: RollcallError): void;
  /** The same, unless the connection is lost: what failed for that reason is done again. */
  reportOnline(error: RollcallError): void;
  readonly errorListeners: Set<(error: RollcallError) => void>;
  reconnect(): void;
  close(error?: RollcallError | null): void;
}

const defaults: Timing = {
  pingMs: 12_000,
  pongMs: 5_000,
  requestMs: 10_000,
  backoffMs: 500,
  backoffMaxMs: 30_000,
  bannedMs: 300_000,
  debounceMs: 100,
  statusPaceMs: 250,
  profilePaceMs: 2_500,
  recoverMs: 30_000,
};

/** How long before its end a token is renewed, in ms. */
const RENEW = 60_000;
/** A socket that has lived this long, in ms, was a success: the back-off begins again. */
const STABLE = 5_000;
/** If a token that came in place of a refused one is refused within this time, in ms, the user must log in again. */
const REFUSAL = 10_000;
/** A time that never comes, in ms since 1970. */
const FOREVER = 1e15;
/** A long time that setTimeout accepts, in ms. */
const LONGEST = 2e9;

/** Connects and stays connected until `close`. */
export function createConnection(options: RollcallOptions): Connection {
  const timing = { ...defaults, ...options.timing };
  const url = socketURL(options.url);
  const Class = options.webSocketImpl ?? globalThis.WebSocket;
  if (!Class) throw invalid('webSocketImpl');

  const state = createStore<ConnectionState>({ status: 'connecting' });
  const is = (...statuses: ConnectionState['status'][]) => statuses.includes(state.getSnapshot().status);
  const errorListeners = new Set<(error: RollcallError) => void>();
  const starters: (() => void)[] = [];
  let current: Socket | undefined;
  let life = 0; // counts the calls of live; an older one ends
  let wake = () => {}; // ends what live waits for

  const report = (error: RollcallError) => notify(errorListeners, error);
  const online = () => !!current && !current.end;
  /** Returns why no call can succeed. */
  const fatal = () =>
    is('closed', 'unauthenticated', 'banned') && ((state.getSnapshot() as { error?: RollcallError | null }).error ?? new RollcallError('CLOSED', 'closed'));
  const later = (ms: number, fn: () => unknown) => {
    const socket = current;
    // In Node.js it does not keep the process running.
    if (online()) (setTimeout(() => socket == current && fn(), ms) as { unref?(): void }).unref?.();
  };

  async function getToken(why: TokenReason): Promise<{ token: string; expires: number }> {
    try {
      const given = await inTime<Token>((resolve) => resolve(options.getToken(why)), timing.requestMs);
      const expires = +new Date(given.expiresAt ?? FOREVER);
      // What is no text has no `trim`.
      if (!given.token.trim() || isNaN(expires)) throw invalid('token');
      // The clock may be wrong: the server knows when a token has expired.
      return { token: given.token, expires: expires > Date.now() ? expires : FOREVER };
    } catch (cause) {
      const error = failedIn('getToken', 'TOKEN_FAILED', cause);
      report(error);
      throw error;
    }
  }

  const connect = () => new Class(url, 'graphql-transport-ws') as WebSocket;
  const lineOf = options.tabs !== false && globalThis.document && navigator.locks ? shareTabs(url, connect) : (): Line => ({ connect });

  /** Resolves with an acknowledged socket; rejects with an End. */
  const open = async (accessToken: string) => {
    const line = await lineOf(accessToken);
    return new Promise<Socket>((resolve, reject) =>
      openSocket(
        line.connect,
        { Authorization: `Bearer ${accessToken}`, platform: options.platform ?? 'WEB' },
        timing,
        (socket) => {
          line.opened?.(socket);
          resolve(socket);
        },
        (socket) => {
          line.ended?.(socket);
          reject(socket.end);
          if (socket == current) wake();
        },
      ),
    );
  };

  /** Waits, at most until `wake` is called. */
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
    let used!: Awaited<ReturnType<typeof getToken>>;
    let why: TokenReason | undefined = 'start'; // another token is needed
    let attempts = 0;
    let renewedAt = 0; // when the last token came in place of one that was refused
    follow('addEventListener');
    for (;;) {
      const old = current;
      let cause: unknown;
      if (!old && !is('banned')) state.set({ status: 'connecting' });
      try {
        if (!why && used.expires < Date.now() + (old ? 2 * RENEW : 0)) why = 'expired';
        if (why) used = await getToken(why);
        if (why == 'refused') renewedAt = Date.now();
        why = undefined;
        if (mine != life) return;
        const socket = await open(used.token);
        if (mine != life) return socket.close();
        if (socket.end) throw socket.end;
        current = socket;
        state.set({ status: 'online' });
        starters.forEach((start) => start());
        old?.retire();
        later(STABLE, () => (attempts = 0));
        const left = used.expires - Date.now();
        const lead = RENEW * (0.9 + Math.random() / 5);
        await sleep(Math.max(timing.backoffMs, left - lead, left / 2));
      } catch (thrown) {
        cause = thrown;
        // The present token may still be good for a while. When it is not, the server closes the socket.
        if (online()) await sleep(timing.backoffMs * 4);
      }
      if (mine != life) return;
      if (online()) continue;
      cause = current?.end ?? cause;
      current = undefined;

      const end = cause as End;
      const [code = '', , until] = end.code == 4401 ? end.reason.split(' ') : [];
      const error =
        cause instanceof RollcallError ? cause : new RollcallError(code || 'CONNECTION_LOST', `closed: ${end.code} ${end.reason}`, { until });
      if (code == 'USER_BANNED') {
        const time = Date.parse(until!);
        state.set({ status: 'banned', until: time ? new Date(time) : null, error });
        await sleep(Math.min(timing.bannedMs, (time || Infinity) - Date.now() + timing.backoffMs));
      } else if (/LOG|LIM|DEACT|APP/.test(code)) {
        return finish('closed', error);
      } else if (code) {
        if (Date.now() - renewedAt < REFUSAL) return finish('unauthenticated', error);
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
    wake();
    follow('removeEventListener');
    const last = current;
    current = undefined;
    state.set({ status, error } as ConnectionState);
    last?.close();
  }

  /** Adds or removes the listeners of the page; there are none outside browsers. */
  function follow(method: 'addEventListener' | 'removeEventListener'): void {
    for (const type of ['online', 'visibilitychange']) globalThis[method]?.(type, back);
  }

  /** A network or a page that comes back cuts a back-off short. */
  function back(): void {
    if (!online() && !globalThis.document?.hidden) wake();
  }

  const connected = () =>
    inTime<Socket>(
      (resolve) =>
        resolve(
          when((found, reject) => {
            const error = fatal();
            if (online()) found(current!);
            else if (error) reject(error);
          }, state),
        ),
      timing.requestMs,
      'OFFLINE',
    );

  /** Returns the error of an operation. A token that was ended while connected is replaced, as at a connect. */
  function failed(socket: Socket, failures: unknown, fallback?: string): RollcallError {
    const error = toError(failures, fallback);
    if (error.code == 'UNAUTHENTICATED') socket.close({ code: 4401, reason: error.code });
    return error;
  }

  async function run<D, V>(query: Doc<D, V>, variables: V): Promise<D> {
    for (;;) {
      const socket = await connected();
      const result = inTime<D>((resolve, reject) => {
        let last: Result | undefined;
        return socket.start({ query, variables }, {
          next: (value) => (last = value),
          done(failures = last?.errors) {
            if (failures || !last?.data) reject(failed(socket, failures));
            else resolve(last.data as D);
          },
        });
      }, timing.requestMs);
      try {
        return await result;
      } catch (error) {
        // A query is sent again, with the next connection. A mutation may have been executed.
        const { code, details } = error as RollcallError;
        if (query[0] == 'm' || (!socket.end && code != 'RATE_LIMITED')) throw error;
        await new Promise((resolve) => setTimeout(resolve, details.retryAfterMs));
      }
    }
  }

  // After the stores have been made.
  queueMicrotask(() => void (life || live()));

  return {
    state,
    times: timing,
    errorListeners,
    report,
    reportOnline: (error) => online() && report(error),
    online,
    fatal,
    later,
    onOnline: (fn) => void starters.push(fn),
    run,
    async mutate(document, input) {
      const { result } = await run(document, { input });
      if (!result) throw incomplete();
      return result;
    },
    stream<D, V>(query: Doc<D, V>, variables: V, next: (data: D) => void, onFailure: (error: RollcallError) => void) {
      const socket = current!;
      const done = (failures?: unknown) => {
        const error = failed(socket, failures, 'UNAVAILABLE');
        if (!socket.end) onFailure(error);
      };
      const stop = socket.start({ query, variables }, {
        next({ data, errors }) {
          try {
            next(data as D);
          } catch (thrown) {
            // An event was missed: there is no data, or it lacks something.
            stop();
            done(errors ?? thrown);
          }
        },
        done,
      });
      return stop;
    },
    pause: ({ code, details }) => details.retryAfterMs ?? timing.recoverMs / (/UNAV|TIMEOUT|TOO/.test(code) ? 15 : 1),
    reconnect() {
      if (is('closed', 'unauthenticated')) live();
      else if (!online()) wake();
    },
    close: (error = null) => finish('closed', error),
  };
}

function socketURL(given: string): string {
  try {
    const url = new URL(given, globalThis.location?.href).href.replace(/^http/, 'ws');
    if (/^wss?:/.test(url)) return url;
  } catch {
    // refused below
  }
  throw invalid('url');
}
