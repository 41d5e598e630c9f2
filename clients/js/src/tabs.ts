// One connection for all tabs of an origin in which the same user is logged in. A tab leads, whose socket
// the others use: they speak graphql-transport-ws to it, over a BroadcastChannel.
import type { End, Payload, Result, Socket } from './socket';

/** For how long a tab waits for the one that leads, in ms, before it leads instead. */
const PATIENCE = 2_000;
/** For how long it waits while that one connects, in ms. */
const CONNECTING = 4_000;
/** A letter that is older, in ms, has been given up by the tab that sent it: this one was frozen. */
const STALE = 10_000;
/** Why a tab connects again that has lost the tab that leads, or its lead. */
const CHANGED: End = { code: 1012, reason: 'another tab leads' };

/** The way to the server for one socket. */
export interface Line {
  connect(): WebSocket;
  /** Is called when the server has acknowledged the socket. */
  opened?(socket: Socket): void;
  /** Is called once, when the socket has ended. */
  ended?(socket: Socket): void;
}

/** What tabs send each other, also those with different editions of a page. No token is among it. */
interface Letter {
  /** IDs of lines; a letter without `to` is for all. */
  readonly from: number;
  readonly to?: number;
  /** When it was sent, in ms since 1970. */
  readonly at: number;
  /**
   * That of a frame, or of the leader: `wait` before it is connected, `ready` when it is, and `closed` when the
   * connection has ended, for `to` or for all.
   */
  readonly type: string;
  readonly id?: string;
  readonly payload?: Payload & Result & End;
}

/** Returns the app and the user of a token, or undefined if it is none. */
function userOf(token: string): string | undefined {
  try {
    const { aud, sub } = JSON.parse(atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/'))) as Record<string, string>;
    return sub && `${aud} ${sub}`;
  } catch {
    return;
  }
}

/**
 * Returns a function that finds the line for a token: all tabs with the same user and server share a connection,
 * and count as one device. `connect` opens that connection.
 */
export function shareTabs(url: string, connect: () => WebSocket): (token: string) => Line | Promise<Line> {
  const { locks } = navigator;
  let lead: Line | undefined; // if this client leads
  let alone = false; // whether the operations of this tab have not fitted beside those of others

  return (token) => {
    const user = userOf(token);
    if (!user || alone) return { connect };
    if (lead) return lead; // with a new connection for the one that this tab has

    const name = `rollcall 1 ${url} ${user}`;
    const id = Math.random();
    const channel = new BroadcastChannel(name);
    const over = new AbortController();
    const { signal } = over;
    const gone = new Promise<void>((resolve) => {
      signal.onabort = () => {
        channel.close();
        resolve();
      };
    });
    const post = (type: string, letter?: { readonly [name in keyof Letter]?: unknown }) => signal.aborted || channel.postMessage({ from: id, at: Date.now(), type, ...letter });
    const receive = (fn: (letter: Letter) => void) => {
      channel.onmessage = ({ data }) => {
        const { to = id } = data as Letter;
        if (to == id) fn(data as Letter);
      };
    };
    /** Ends what uses the line. */
    let end: (end: End) => void;
    /** Calls `held` with a lock. If it is stolen, or the page may not use locks, the line ends. */
    const lock = (name: string, options: LockOptions, held: () => Promise<void> | void) =>
      void locks.request(name, options, held).catch(() => signal.aborted || end(CHANGED));

    /** Returns the line of this tab as the leader. */
    function leading(): Line {
      let socket: Socket | undefined; // that new operations use
      const followers = new Map<number, Map<string, { readonly payload: Payload; stop(): void }>>(); // their operations by ID

      function dismiss(follower: number): void {
        followers.get(follower)?.forEach(({ stop }) => stop());
        followers.delete(follower);
      }

      function start(to: number, id: string, payload: Payload): void {
        const operations = followers.get(to)!;
        const current = socket!;
        const operation = {
          payload,
          stop: current.start(payload, {
            next: (payload) => post('next', { to, id, payload }),
            done(errors) {
              // The line ends with the connection, and a subscription may have moved to the next one.
              if (current.end || operations.get(id) != operation) return;
              operations.delete(id);
              post(errors ? 'error' : 'complete', { to, id, payload: errors });
            },
          }),
        };
        if (followers.has(to)) operations.set(id, operation);
        else operation.stop(); // there was no room
      }

      receive(({ from, at, type, id, payload }) => {
        const operations = followers.get(from);
        if (type == 'connection_init') {
          if (!operations) {
            followers.set(from, new Map());
            // It is free when that tab has gone, in whatever way.
            lock(`${name} ${from}`, { signal }, () => dismiss(from));
          }
          post(socket ? 'connection_ack' : 'wait', { to: from });
        } else if (operations && at > Date.now() - STALE) {
          if (type == 'ping') post('pong', { to: from });
          if (type == 'subscribe') start(from, id!, payload!);
          if (type == 'complete') {
            operations.get(id!)?.stop();
            operations.delete(id!);
          }
        }
      });
      post('wait'); // so that no other tab takes the lead at the same time

      end = (end) => {
        lead = undefined;
        if (socket) socket.close(end);
        else over.abort();
      };
      return {
        connect,
        opened(next) {
          if (signal.aborted) return next.close(CHANGED);
          socket = next;
          socket.crowded = () => {
            const last = [...followers.keys()].pop();
            if (!last) return;
            dismiss(last);
            post('closed', { to: last, payload: CHANGED });
          };
          for (const [from, operations] of followers) {
            for (const [id, { payload }] of operations) if (payload.query[0] == 's') start(from, id, payload);
          }
          post('ready');
        },
        ended(lost) {
          if (signal.aborted || (socket && socket != lost)) return;
          const { code, reason } = lost.end!;
          // A refused token is that of this tab; the others have their own.
          const mine = code == 1000 || reason == 'UNAUTHENTICATED';
          post('closed', { payload: mine ? CHANGED : { code, reason } });
          lead = undefined;
          followers.forEach((_, follower) => dismiss(follower)); // a connection before may still run their calls
          over.abort();
        },
      };
    }

    /** Returns the line of this tab to the leader. */
    function following(leader: number): Line {
      const web = {
        readyState: 1,
        send: (text: string) => post('', { to: leader, ...(JSON.parse(text) as object) }),
        close() {},
      } as unknown as WebSocket;
      end = (end) => web.onclose!(end as CloseEvent);
      receive((letter) => {
        const { from, to, type, payload } = letter;
        if (from != leader) return;
        if (type != 'closed') return web.onmessage!({ data: JSON.stringify(letter) } as MessageEvent);
        if (to) alone = true;
        end(payload!);
      });
      return {
        connect() {
          setTimeout(() => web.onopen!({} as Event));
          return web;
        },
        ended: () => over.abort(),
      };
    }

    return new Promise((resolve) => {
      let timer: ReturnType<typeof setTimeout>;
      let waiting = true;
      const wait = (ms: number) => {
        clearTimeout(timer);
        // Takes the place of a leader that is frozen, or cannot connect.
        timer = setTimeout(() => lock(name, { steal: true }, take), ms);
      };
      const settle = (line: Line) => {
        waiting = false;
        clearTimeout(timer);
        resolve(line);
      };
      end = () => {
        over.abort();
        settle({ connect });
      };
      const join = () => {
        wait(PATIENCE);
        post('connection_init');
      };
      const take = () => {
        // The leader has gone, and its connection with it.
        if (!waiting) return end(CHANGED);
        settle((lead = leading()));
        return gone;
      };
      receive(({ from, to, type }) => {
        if (type == 'ready') join();
        if (type == 'wait') wait(CONNECTING);
        if (to && type == 'connection_ack') settle(following(from));
      });
      // Tells the leader when this tab has gone.
      lock(`${name} ${id}`, { signal }, () => {
        join();
        return gone;
      });
      lock(name, { signal }, take);
    });
  };
}
