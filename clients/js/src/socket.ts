import type { Timing, WebSocketClass } from './types';

/** The end of a socket, as a close event tells it. */
export interface End {
  readonly code: number;
  readonly reason: string;
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

/** Operations at the same time on a socket: the server allows 100. */
const OPERATIONS = 90;

/** One WebSocket that speaks graphql-transport-ws. */
export interface Socket {
  /** How it was lost or closed; undefined while it is open. */
  end?: End;
  /** Starts an operation, or waits while there are too many; the returned function ends it. */
  start(payload: { query: string; variables: unknown }, sink: Sink): () => void;
  /** Closes it; the code and the reason become its `end`. */
  close(code?: number, reason?: string): void;
}

/**
 * Opens a socket. `opened` is called when the server has acknowledged it, and `ended` once, when it
 * is closed, lost, or silent for too long: a ping without a pong means that the network is gone.
 */
export function openSocket(
  Class: WebSocketClass,
  url: string,
  init: object,
  { requestMs, pingMs, pongMs }: Timing,
  opened: (socket: Socket) => void,
  ended: (socket: Socket) => void,
): void {
  const running = new Map<string, { sink: Sink; payload?: unknown }>(); // with a payload that has not been sent
  let web: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout>;
  let count = 0;

  const send = (message: object) => web?.readyState == 1 && web.send(JSON.stringify(message));
  const wait = (ms: number, then: () => void) => {
    clearTimeout(timer);
    timer = setTimeout(then, ms);
  };
  const stop = (code: number, reason: string) => {
    if (socket.end) return;
    socket.end = { code, reason };
    clearTimeout(timer);
    // Does not wait for the other side, which may be gone.
    web?.close();
    ended(socket);
    running.forEach(({ sink }) => sink.done());
  };
  const ping = () => {
    send({ type: 'ping' });
    wait(pongMs, () => stop(4499, 'no answer'));
  };
  /** Sends the first operations that have not been sent. */
  const pump = () => {
    let free = OPERATIONS;
    for (const [id, operation] of running) {
      if (!free--) return;
      if (operation.payload) send({ id, type: 'subscribe', payload: operation.payload });
      operation.payload = 0;
    }
  };
  const socket: Socket = {
    start(payload, sink) {
      const id = `${++count}`;
      const operation = { sink, payload };
      running.set(id, operation);
      pump();
      return () => {
        if (!running.delete(id)) return;
        if (!operation.payload) send({ id, type: 'complete' });
        pump();
      };
    },
    close: (code = 1000, reason = '') => stop(code, reason),
  };

  wait(requestMs, () => stop(4499, 'no answer'));
  try {
    web = new Class(url, 'graphql-transport-ws') as WebSocket;
  } catch (thrown) {
    return stop(1006, String(thrown)); // the page may not open it
  }
  web.onopen = () => send({ type: 'connection_init', payload: init });
  web.onclose = ({ code, reason }) => stop(code, reason);
  web.onerror = () => {}; // a close event follows
  web.onmessage = ({ data }) => {
    if (socket.end) return;
    let message;
    try {
      message = JSON.parse(data as string) as { type: string; id: string; payload?: never };
    } catch {
      return stop(4400, 'no JSON');
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
