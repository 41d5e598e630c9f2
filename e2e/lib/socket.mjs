import { once } from 'node:events';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { Events } from './events.mjs';
import { within } from './wait.mjs';

/** A connection of npm graphql-ws: one device if the token is a user's. */
export class Connection {
  /** Connects and waits for the acknowledgement; fails with the close event if refused. */
  static async open(server, token, platform) {
    const connection = new Connection(server, token, platform);
    await within(Promise.race([connection.connected, connection.closed.then((event) => Promise.reject(event))]), 'ack');
    return connection;
  }

  constructor(server, token, platform = 'WEB') {
    this.connected = new Promise((resolve) => (this.onConnected = resolve));
    /** The close event: {code, reason}. */
    this.closed = new Promise((resolve) => (this.onClosed = resolve));
    this.client = createClient({
      url: server.socket,
      webSocketImpl: WebSocket,
      connectionParams: { ...(token && { Authorization: `Bearer ${token}` }), platform },
      lazy: false,
      retryAttempts: 0,
      onNonLazyError: () => {}, // `closed` tells
      on: {
        connected: (socket) => {
          this.socket = socket;
          this.onConnected();
        },
        closed: (event) => this.onClosed({ code: event.code, reason: event.reason }),
      },
    });
  }

  /** Runs a query or mutation and returns the result: {data, errors}. */
  request(query, variables) {
    return within(
      new Promise((resolve, reject) => {
        let result;
        this.client.subscribe(
          { query, variables },
          { next: (value) => (result = value), error: reject, complete: () => resolve(result) },
        );
      }),
      'an answer',
    );
  }

  subscribe(query, variables) {
    const events = new Events();
    events.cancel = this.client.subscribe({ query, variables }, events);
    return events;
  }

  /** Breaks the connection without a closing handshake, as a lost network does. */
  terminate() {
    this.socket.terminate();
    return this.closed;
  }

  /** Closes the connection normally. */
  close() {
    this.client.dispose();
    return this.closed;
  }
}

/**
 * A client with graphql-ws's own rules for reconnecting, but without its pauses. `links` are its
 * connections, each with its close event once it has one.
 */
export class Reconnecting {
  links = [];

  constructor(server, token) {
    this.client = createClient({
      url: server.socket,
      webSocketImpl: WebSocket,
      connectionParams: { Authorization: `Bearer ${token}` },
      retryWait: async () => {},
      on: {
        opened: () => this.links.push({}),
        closed: ({ code, reason }) => Object.assign(this.links.at(-1), { code, reason }),
      },
    });
  }

  /** Subscribes. If the client stops, `ended` resolves with the close event. */
  subscribe(query, variables) {
    const events = new Events();
    events.cancel = this.client.subscribe({ query, variables }, events);
    return events;
  }
}

/** A bare WebSocket, for messages that no correct client sends. */
export class RawSocket {
  static async open(server, protocol = 'graphql-transport-ws') {
    const socket = new WebSocket(server.socket, protocol);
    const raw = new RawSocket(socket);
    await within(once(socket, 'open'), 'the upgrade');
    return raw;
  }

  constructor(socket) {
    this.socket = socket;
    this.arrived = [];
    this.wanted = [];
    this.closed = once(socket, 'close').then(([code]) => code);
    socket.on('message', (text) => {
      const message = JSON.parse(text);
      const wanted = this.wanted.shift();
      if (wanted) wanted(message);
      else this.arrived.push(message);
    });
  }

  send(message) {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  message() {
    if (this.arrived.length) return this.arrived.shift();
    return within(new Promise((resolve) => this.wanted.push(resolve)), 'a message');
  }

  closeCode() {
    return within(this.closed, 'the close');
  }
}
