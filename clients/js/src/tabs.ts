/**
 * One connection for all tabs of an origin in which the same user is logged in.
 *
 * @packageDocumentation
 */
import type { WebSocketClass } from './types';

/** The server allows 100 operations on a socket. */
const OPERATIONS = 90;
/** For how long a tab waits for the one that is connected, in ms, before it connects for itself. */
const PATIENCE = 2_000;
/** Closed, but the client may connect again. */
const RESTART = 1012;

/** What tabs tell each other; `from` and `to` are IDs of sockets. No token is among it. */
type Letter =
  /** Asks the leader for its connection; it answers `welcome` once it has one, or `ready` to all. */
  | { readonly kind: 'join' | 'ready'; readonly from: string }
  | { readonly kind: 'welcome'; readonly from: string; readonly to: string }
  | { readonly kind: 'frame'; readonly from: string; readonly to: string; readonly text: string }
  /** The connection of `from` has ended, for `to` or for all. */
  | { readonly kind: 'end'; readonly from: string; readonly to?: string; readonly code: number; readonly reason: string };

interface Frame {
  readonly type: string;
  readonly id?: string;
}

/**
 * Returns a class for `webSocketImpl` by which all tabs share one connection, and count as one device.
 * `userId` must be the user of the tokens: tabs of the same origin, URL and user share. One tab connects
 * with its token. When it is closed, another does. Without BroadcastChannel or Web Locks, which
 * browsers offer only on https and localhost, each tab has a connection of its own.
 */
export function sharedSocket(userId: string, Real: WebSocketClass = globalThis.WebSocket): WebSocketClass {
  const locks = globalThis.navigator?.locks;
  if (!locks || !globalThis.BroadcastChannel || !globalThis.crypto?.subtle) return Real;
  let connected = 0; // sockets of this tab with a connection of their own
  let alone = false; // whether the operations of this tab have not fitted beside those of others

  return class {
    readyState = 0;
    onopen?: () => void;
    onclose?: (event: { code: number; reason: string }) => void;
    onmessage?: (event: { data: string }) => void;

    constructor(url: string, protocol?: string | string[]) {
      const id = crypto.randomUUID();
      const over = new AbortController();
      const operations = new Map<string, string>(); // on `real`, and whose they are
      const followers = new Set<string>();
      let channel: BroadcastChannel | undefined;
      let real: WebSocket | undefined;
      let leader = ''; // whose connection this one uses
      let leading = false;
      let acknowledged = false;

      const post = (letter: Letter) => channel?.postMessage(letter);
      const deliver = (data: string) => this.onmessage?.({ data });
      /** Holds a lock until this socket ends, and calls `held` when it has it. */
      const hold = (name: string, held: () => void) =>
        void locks
          .request(name, { signal: over.signal }, () => {
            held();
            return new Promise<void>((resolve) => (over.signal.aborted ? resolve() : over.signal.addEventListener('abort', () => resolve())));
          })
          .catch(() => {}); // it ended while waiting

      const end = (code: number, reason: string) => {
        if (this.readyState == 3) return;
        this.readyState = 3;
        if (real) {
          connected--;
          // A refused token is that of this tab; the others have their own.
          const own = code == 1000 || (code == 4401 && reason == 'UNAUTHENTICATED');
          post({ kind: 'end', from: id, code: own ? RESTART : code, reason: own ? 'the tab left' : reason });
          real.close();
        }
        channel?.close();
        over.abort();
        this.onclose?.({ code, reason });
      };

      const open = () => {
        if (this.readyState == 1) return;
        this.readyState = 1;
        this.onopen?.();
      };

      /** Ends the operations of a follower. */
      const dismiss = (follower: string) => {
        followers.delete(follower);
        for (const [operation, owner] of operations) {
          if (owner != follower) continue;
          operations.delete(operation);
          real?.send(JSON.stringify({ id: operation, type: 'complete' }));
        }
      };
      const evict = (follower: string) => {
        dismiss(follower);
        post({ kind: 'end', from: id, to: follower, code: RESTART, reason: 'full' });
      };

      /** Sends a frame of this tab or a follower on the connection. */
      const relay = (text: string, owner: string) => {
        const frame = JSON.parse(text) as Frame;
        if (!frame.id) {
          if (owner == id) real?.send(text);
          else if (frame.type == 'ping') post({ kind: 'frame', from: id, to: owner, text: '{"type":"pong"}' });
          return;
        }
        const operation = owner == id ? frame.id : `${owner}:${frame.id}`;
        if (frame.type == 'complete') operations.delete(operation);
        else {
          if (operations.size >= OPERATIONS) {
            if (owner != id) return evict(owner);
            const [follower] = followers;
            if (follower) evict(follower);
          }
          operations.set(operation, owner);
        }
        real?.send(JSON.stringify({ ...frame, id: operation }));
      };

      const connect = () => {
        if (real || leader || this.readyState == 3) return;
        connected++;
        try {
          real = new Real(url, protocol) as WebSocket;
        } catch (thrown) {
          connected--;
          return end(1006, String(thrown));
        }
        real.onopen = open;
        real.onclose = ({ code, reason }) => end(code, reason);
        real.onerror = () => {}; // a close event follows
        real.onmessage = ({ data }: { data: string }) => {
          let frame: Frame;
          try {
            frame = JSON.parse(data) as Frame;
          } catch {
            return deliver(data); // which ends it
          }
          const { type, id: operation = '' } = frame;
          const owner = operations.get(operation);
          if (type == 'error' || type == 'complete') operations.delete(operation);
          if (owner && owner != id) return post({ kind: 'frame', from: id, to: owner, text: JSON.stringify({ ...frame, id: operation.slice(owner.length + 1) }) });
          deliver(data);
          if (type != 'connection_ack') return;
          acknowledged = true;
          if (leading) post({ kind: 'ready', from: id });
        };
      };

      const receive = (letter: Letter) => {
        const { kind, from } = letter;
        if ('to' in letter && letter.to && letter.to != id) return;
        if (kind == 'join' && leading && acknowledged) {
          if (!followers.has(from)) {
            followers.add(from);
            // It is free when that tab has gone, in whatever way.
            locks.request(`${channel!.name} ${from}`, { signal: over.signal }, () => dismiss(from)).catch(() => {});
          }
          post({ kind: 'welcome', from: id, to: from });
        } else if (kind == 'ready' && !real && !leader) post({ kind: 'join', from: id });
        else if (kind == 'welcome' && !real && !leader) {
          leader = from;
          open();
        } else if (kind == 'frame') {
          if (followers.has(from)) relay(letter.text, from);
          else if (from == leader) deliver(letter.text);
        } else if (kind == 'end' && from == leader) {
          if (letter.to) alone = true;
          end(letter.code, letter.reason);
        }
      };

      this.send = (text) => {
        if (real) relay(text, id);
        else if (!leader) return;
        else if (text.includes('"type":"connection_init"')) setTimeout(deliver, 0, '{"type":"connection_ack"}');
        else post({ kind: 'frame', from: id, to: leader, text });
      };
      this.close = () => end(1000, '');

      void crypto.subtle.digest('SHA-256', new TextEncoder().encode(`${url} ${userId}`)).then((hash) => {
        if (this.readyState == 3) return;
        channel = new BroadcastChannel(`rollcall ${[...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`);
        channel.onmessage = ({ data }) => this.readyState != 3 && receive(data as Letter);
        // A new token of the leader's tab needs a new connection, beside the one that it replaces.
        if (connected || alone) connect();
        hold(`${channel.name} ${id}`, () => post({ kind: 'join', from: id }));
        hold(channel.name, () => {
          // The leader has gone without a word.
          if (leader) return end(RESTART, 'the tab left');
          leading = true;
          connect();
          if (acknowledged) post({ kind: 'ready', from: id });
        });
        setTimeout(connect, PATIENCE);
      });
    }

    send: (text: string) => void;
    close: () => void;
  };
}
