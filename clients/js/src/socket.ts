import type { Timing } from './types';

/** The end of a socket, as a close event tells it. */
export interface End {
  readonly code: number;
  readonly reason: string;
}

/** An operation. */
export interface Payload {
  readonly query: string;
  readonly variables: unknown;
}

/** A result of an operation. */
export interface Result {
  readonly data?: unknown;
  readonly errors?: readonly unknown[];
}

/** What receives the results of an operation. After `done` it receives nothing. */
export interface Sink {
  next(result: Result): void;
  /** The operation has ended: with errors of the server, or without. */
  done(errors?: unknown): void;
}

/** The end of a socket that has been silent for too long. */
const SILENT: End = { code: 4499, reason: 'no answer' };
/** Operations at the same time on a socket: the server allows 100. */
const OPERATIONS = 90;

/** One WebSocket that speaks graphql-transport-ws. */
export interface Socket {
  /** How it was lost or closed; undefined while it is open. */
  end?: End;
  /** Is called while there are more operations than the server allows: the last ones wait. */
  crowded?: () => void;
  /** Starts an operation, or waits while there are too many; the returned function ends it. */
  start(payload: Payload, sink: Sink): () => void;
  /** Closes it when its queries and mutations have been answered. */
  retire(): void;
  /** Closes it, which becomes its `end`. */
  close(end?: End): void;
}

/**
 * Opens a socket on the WebSocket that `connect` returns. `opened` is called when the server has acknowledged it, and `ended` once, when it
 * is closed, lost, or silent for too long: a ping without a pong means that the network is gone.
 */
export function openSocket(
  connect: () => WebSocket,
  init: object,
  { requestMs, pingMs, pongMs }: Timing,
  opened: (socket: Socket) => void,
  ended: (socket: Socket) => void,
): void {
  const running = new Map<string, { readonly payload: Payload; readonly sink: Sink; sent?: boolean }>();
  let web: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout>;
  let count = 0;
  let retired = false;

  const send = (message: object) => web!.readyState == 1 && web!.send(JSON.stringify(message));
  const wait = (ms: number, then: () => void) => {
    clearTimeout(timer);
    timer = setTimeout(then, ms);
  };
  const close = (end: End = { code: 1000, reason: '' }) => {
    if (socket.end) return;
    socket.end = end;
    clearTimeout(timer);
    // Does not wait for the other side, which may be gone.
    web?.close();
    ended(socket);
    running.forEach(({ sink }) => sink.done());
  };
  const ping = () => {
    send({ type: 'ping' });
    wait(pongMs, () => close(SILENT));
  };
  /** Sends the first operations that have not been sent. */
  const pump = () => {
    let free = OPERATIONS;
    let calls = 0;
    for (const [id, operation] of running) {
      const { payload, sent } = operation;
      if (!free--) return socket.crowded?.();
      if (!sent) send({ id, type: 'subscribe', payload });
      operation.sent = true;
      if (payload.query[0] != 's') calls++;
    }
    if (retired && !calls) close();
  };
  const socket: Socket = {
    start(payload, sink) {
      const id = `${++count}`;
      const operation = { payload, sink, sent: false };
      running.set(id, operation);
      pump();
      return () => {
        if (!running.delete(id)) return;
        if (operation.sent) send({ id, type: 'complete' });
        pump();
      };
    },
    retire() {
      retired = true;
      pump();
    },
    close,
  };

  wait(requestMs, () => close(SILENT));
  try {
    web = connect();
  } catch (thrown) {
    return close({ code: 1006, reason: String(thrown) }); // the page may not open it
  }
  web.onopen = () => send({ type: 'connection_init', payload: init });
  web.onclose = close;
  web.onerror = () => {}; // a close event follows
  web.onmessage = ({ data }) => {
    if (socket.end) return;
    let message;
    try {
      message = JSON.parse(data as string) as { type: string; id: string; payload?: never };
    } catch {
      return close({ code: 4400, reason: 'no JSON' });
    }
    const { type, id, payload } = message;
    const sink = running.get(id)?.sink;
    if (type == 'ping') send({ type: 'pong' });
    if (type == 'connection_ack') opened(socket);
    else if (type == 'next') sink?.next(payload!);
    else if (type == 'error' || type == 'complete') {
      running.delete(id);
      pump();
      sink?.done(payload);
    }
    // Whatever comes is a sign of life.
    if (!socket.end) wait(pingMs, ping);
  };
}
