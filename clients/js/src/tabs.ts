// One connection for all tabs of an origin in which the same user is logged in. The core loads this file
// by itself where a browser has what it needs.
import type { WebSocketClass } from './types';

/** Operations on a connection: the server allows 100. */
const OPERATIONS = 90;
/** For how long a tab waits for a sign of life of the one that is connected, in ms, before it connects instead. */
const PATIENCE = 2_000;
/** For how long it waits while that one connects or checks its connection, in ms; less than a client waits for a socket. */
const CONNECTING = 4_000;
/** A frame that is older, in ms, has been given up by the tab that sent it: this one was frozen. */
const STALE = 10_000;
/** Closed, but the client may connect again. */
const RESTART = 1012;

/**
 * What tabs tell each other, on a channel of the server's URL and the user. The leader is the tab that is
 * connected. `from` and `to` are IDs of sockets, and a letter without `to` is for all. No token is among it.
 */
interface Letter {
  readonly from: string;
  readonly to?: string;
  /** When it was sent, in ms since 1970. */
  readonly at: number;
  /** `join`: asks the leader for its connection. `wait`: there is a leader, which will be connected. `ready`: it is connected. */
  readonly kind?: 'join' | 'wait' | 'ready';
  /** A frame to the leader or from it. */
  readonly text?: string;
  /** The leader's connection has ended, for `to` or for all. */
  readonly closed?: readonly [code: number, reason: string];
}

interface Frame {
  readonly type: string;
  readonly id?: string;
  readonly payload?: { readonly query?: string };
}

/** An operation of another tab. */
interface Operation {
  readonly from: string;
  readonly id: string;
  readonly text: string;
  /** Its events may be missed by none: it is started again on the connection that replaces this one. */
  readonly subscription: boolean;
  real: WebSocket;
}

/** What the leader does for the other tabs. */
interface Hub {
  /** The connection that new operations use. */
  real?: WebSocket;
  /** Ends the socket of this tab that uses `real`. */
  stop(code: number, reason: string): void;
  /** Moves the other tabs to a connection that is acknowledged. */
  adopt(real: WebSocket, stop: Hub['stop']): void;
  /** Makes room for an operation of this tab. */
  started(id: string): void;
  ended(id: string): void;
  /** Handles what the server sent to another tab; reports whether it was. */
  received(real: WebSocket, frame: Frame): boolean;
  receive(letter: Letter): void;
  /** Closes a connection when the other tabs' calls on it have been answered. */
  retire(real: WebSocket): void;
  /** Tells the other tabs that there is no connection. */
  end(code: number, reason: string): void;
}

/** Returns the app and the user of a token, or undefined if it is none. */
function userOf(token: string): string | undefined {
  try {
    const { aud, sub } = JSON.parse(atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/'))) as Record<string, unknown>;
    return typeof sub == 'string' ? `${aud} ${sub}` : undefined;
  } catch {
    return undefined;
  }
}

function parse(text: string): Frame | undefined {
  try {
    return JSON.parse(text) as Frame;
  } catch {
    return undefined; // passed on to the client, which closes the socket
  }
}

function createHub(name: string, post: (letter: Partial<Letter>) => void, id: string, over: AbortController): Hub {
  const followers = new Set<string>();
  const operations = new Map<string, Operation>(); // by the ID on the connection
  const own = new Set<string>(); // operations of this tab
  const retired = new Set<WebSocket>();
  let pings: (readonly [to: string, type: string])[] = []; // what is answered with the next pong
  const reply = (to: string, frame: object) => post({ to, text: JSON.stringify(frame) });

  function dismiss(follower: string): void {
    followers.delete(follower);
    for (const [key, { from, real }] of operations) {
      if (from != follower) continue;
      operations.delete(key);
      if (real.readyState == 1) real.send(JSON.stringify({ id: key, type: 'complete' }));
    }
  }
  function evict(follower: string): void {
    dismiss(follower);
    post({ to: follower, closed: [RESTART, 'full'] });
  }
  /** Answers when the server has: a leader whose network is gone must not seem to be connected. */
  function ping(to: string, type: string): void {
    if (hub.real?.readyState != 1) return;
    pings.push([to, type]);
    hub.real.send('{"type":"ping"}');
  }
  function close(real: WebSocket): void {
    if ([...operations.values()].some((operation) => operation.real == real)) return;
    retired.delete(real);
    real.close();
  }

  const hub: Hub = {
    stop() {},
    adopt(real, stop) {
      if (over.signal.aborted) return; // the connection before was lost first: this one serves its own tab
      hub.real = real;
      hub.stop = stop;
      own.clear();
      for (const operation of operations.values()) {
        if (!operation.subscription) continue;
        operation.real = real;
        real.send(operation.text);
      }
      post({ kind: 'ready' });
    },
    started(operation) {
      own.add(operation);
      const [follower] = followers;
      if (follower && own.size + operations.size > OPERATIONS) evict(follower);
    },
    ended: (operation) => void own.delete(operation),
    received(real, frame) {
      if (frame.type == 'pong') {
        for (const [to, type] of pings.splice(0)) reply(to, { type });
      }
      const operation = operations.get(frame.id!);
      if (operation) {
        if (frame.type == 'next' || operation.real == real) reply(operation.from, { ...frame, id: operation.id });
        if (frame.type != 'next' && operation.real == real) operations.delete(frame.id!);
        if (retired.has(real)) close(real);
      }
      return !!frame.id?.includes(':');
    },
    receive({ from, to, at, kind, text }) {
      if (kind == 'join') {
        post({ to: from, kind: 'wait' });
        if (!followers.has(from)) {
          followers.add(from);
          // It is free when that tab has gone, in whatever way.
          navigator.locks.request(`${name} ${from}`, { signal: over.signal }, () => dismiss(from)).catch(() => {});
        }
        ping(from, 'connection_ack');
      }
      if (to != id || !text || !followers.has(from) || Date.now() - at > STALE) return;
      const frame = JSON.parse(text) as Frame;
      const key = `${from}:${frame.id}`;
      if (frame.type == 'ping') ping(from, 'pong');
      else if (frame.type == 'complete') {
        const operation = operations.get(key);
        operations.delete(key);
        operation?.real.send(JSON.stringify({ ...frame, id: key }));
      } else if (frame.type == 'subscribe' && hub.real) {
        if (own.size + operations.size >= OPERATIONS) return evict(from);
        const moved = JSON.stringify({ ...frame, id: key });
        operations.set(key, { from, id: frame.id!, text: moved, subscription: !!frame.payload?.query?.startsWith('subscription'), real: hub.real });
        hub.real.send(moved);
      }
    },
    retire(real) {
      retired.add(real);
      close(real);
      setTimeout(() => real.close(), STALE);
    },
    end(code, reason) {
      // A refused token is that of this tab; the others have their own.
      const mine = code == 1000 || (code == 4401 && reason == 'UNAUTHENTICATED');
      if (over.signal.aborted) return; // it has ended before
      post({ closed: mine ? [RESTART, 'the tab left'] : [code, reason] });
      hub.real = undefined as never;
      over.abort();
    },
  };
  return hub;
}

/**
 * Returns a function that returns the WebSocket class for a token: one by which all tabs with the same
 * user and server share a connection, and count as one device. `Real` is the class for that connection.
 */
export function shareTabs(Real: WebSocketClass): (token: string) => WebSocketClass {
  const { locks } = navigator;
  let hub: Hub | undefined; // if this client is the leader
  let suspect = false; // whether the leader may be frozen
  let alone = false; // whether the operations of this tab have not fitted beside those of others

  return (token) => {
    const user = userOf(token);
    if (!user || alone) return Real;

    return class {
      readyState = 0;
      onopen?: () => void;
      onclose?: (event: { code: number; reason: string }) => void;
      onmessage?: (event: { data: string }) => void;
      send: (text: string) => void;
      close: () => void;

      constructor(url: string, protocol?: string | string[]) {
        const name = `rollcall 1 ${url} ${user}`;
        const id = crypto.randomUUID();
        const over = new AbortController();
        const gone = new Promise((resolve) => over.signal.addEventListener('abort', resolve));
        let channel: BroadcastChannel | undefined;
        let real: WebSocket | undefined;
        let mine: Hub | undefined; // which uses `real`, or has used it
        let leader = ''; // the tab whose connection this one uses
        let init = ''; // the frame that makes the server acknowledge the connection
        let timer: ReturnType<typeof setTimeout> | undefined;

        const post = (letter: Partial<Letter>) => channel?.postMessage({ from: id, at: Date.now(), ...letter });
        const deliver = (data: string) => this.readyState == 1 && this.onmessage?.({ data });

        const end = (code: number, reason: string) => {
          if (this.readyState == 3) return;
          this.readyState = 3;
          clearTimeout(timer);
          if (!real) over.abort();
          else if (mine?.real && mine.real != real) mine.retire(real);
          else {
            mine?.end(code, reason);
            if (hub == mine) hub = undefined;
            real.close();
          }
          this.onclose?.({ code, reason });
        };

        const connect = () => {
          mine = hub;
          try {
            real = new Real(url, protocol) as WebSocket;
          } catch (thrown) {
            real = { close() {} } as WebSocket;
            return end(1006, String(thrown));
          }
          const socket = real;
          socket.onopen = () => socket.send(init);
          socket.onclose = ({ code, reason }) => end(code, reason);
          socket.onerror = () => {}; // a close event follows
          socket.onmessage = ({ data }: { data: string }) => {
            const frame = parse(data);
            if (frame && mine?.received(socket, frame)) return;
            if (frame?.type == 'connection_ack') mine?.adopt(socket, end);
            if (frame?.type == 'complete' || frame?.type == 'error') mine?.ended(frame.id!);
            deliver(data);
          };
        };

        const lead = () => {
          if (this.readyState == 3) return;
          // The leader has gone, and its connection with it.
          if (leader) return end(RESTART, 'the tab left');
          clearTimeout(timer);
          const made = (hub = createHub(name, post, id, over));
          made.stop = end;
          channel!.onmessage = ({ data }) => made.receive(data as Letter);
          post({ kind: 'wait' }); // so that no other tab takes the lead at the same time
          connect();
          return gone;
        };
        /** Takes the place of a leader that is frozen, or cannot connect. */
        const steal = () => {
          if (!real && this.readyState != 3) locks.request(name, { steal: true }, lead).catch(stolen);
        };
        const stolen = () => {
          if (!over.signal.aborted) mine?.stop(RESTART, 'another tab leads');
        };

        const join = () => {
          if (real) return;
          clearTimeout(timer);
          timer = setTimeout(steal, suspect ? PATIENCE / 4 : PATIENCE);
          post({ kind: 'join' });
        };
        const receive = ({ from, to, kind, text, closed }: Letter) => {
          if ((to && to != id) || (leader && from != leader)) return;
          if (kind == 'ready' && !leader) join();
          if (kind == 'wait' && !leader) {
            clearTimeout(timer);
            timer = setTimeout(steal, CONNECTING);
          }
          if (closed && (leader || to)) {
            if (to) alone = true;
            end(...closed);
          }
          if (to && text) {
            if (!leader && parse(text)?.type == 'connection_ack') {
              clearTimeout(timer);
              leader = from;
              suspect = false;
            }
            if (leader) deliver(text);
          }
        };

        const start = () => {
          if (hub) return connect(); // a new connection for the one that this tab has
          channel = new BroadcastChannel(name);
          channel.onmessage = ({ data }) => receive(data as Letter);
          void gone.then(() => {
            channel!.close();
            channel = undefined;
          });
          // Tells the leader when this tab has gone.
          locks.request(`${name} ${id}`, () => (join(), gone)).catch(() => {});
          locks.request(name, { signal: over.signal }, lead).catch(stolen);
        };

        this.send = (text) => {
          if (!init) {
            init = text;
            start();
          } else if (real) {
            const { type, id: operation } = JSON.parse(text) as Frame;
            if (type == 'subscribe') mine?.started(operation!);
            if (type == 'complete') mine?.ended(operation!);
            if (real.readyState == 1) real.send(text);
          } else if (leader) post({ to: leader, text });
        };
        this.close = () => {
          suspect = !!leader; // which may have sent no pong
          end(1000, '');
        };
        setTimeout(() => {
          if (this.readyState) return;
          this.readyState = 1;
          this.onopen?.();
        });
      }
    };
  };
}
