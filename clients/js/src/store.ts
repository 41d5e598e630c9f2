import type { Store } from './types';

/** A store that can be written. */
export interface Writable<T> extends Store<T> {
  /** Replaces the value and calls the listeners. */
  set(value: T): void;
}

/** Calls each listener. One that throws is logged, and does not keep the others from being called. */
export function notify<A extends unknown[]>(listeners: Iterable<(...args: A) => void>, ...args: A): void {
  for (const listener of [...listeners]) {
    try {
      listener(...args);
    } catch (thrown) {
      console.error(thrown);
    }
  }
}

/** The least time between two calls of a batched function, in ms: a thousand events render a page a few times. */
const PACE = 50;

/** Returns a function that calls `fn` once after what runs now, or `pace` ms after the last time. */
export function batched(fn: () => void, pace = PACE): () => void {
  let queued = false;
  let earliest = 0;
  return () => {
    if (queued) return;
    queued = true;
    const run = () => {
      queued = false;
      earliest = Date.now() + pace;
      fn();
    };
    setTimeout(run, earliest - Date.now());
  };
}

/** Returns a promise that `look` settles, which is called now and after each change of the stores. */
export function when<T>(look: (resolve: (value: T) => void, reject: (error: unknown) => void) => void, ...stores: Store<unknown>[]): Promise<T> {
  let stops: (() => void)[];
  return new Promise<T>((resolve, reject) => {
    const again = () => look(resolve, reject);
    stops = stores.map((store) => store.subscribe(again));
    again();
  }).finally(() => stops.forEach((stop) => stop()));
}

/** Adds a listener, also one that is there already. Returns a function that removes it. */
export function listen<A extends unknown[]>(listeners: Set<(...args: A) => void>, listener: (...args: A) => void): () => boolean {
  const own = (...args: A) => listener(...args);
  listeners.add(own);
  return () => listeners.delete(own);
}

/** Returns a store with a first value. */
export function createStore<T>(value: T): Writable<T> {
  const listeners = new Set<() => void>();
  return {
    getSnapshot: () => value,
    subscribe: (listener) => listen(listeners, listener),
    set(next) {
      value = next;
      notify(listeners);
    },
  };
}
