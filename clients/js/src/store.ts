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

/** Returns a function that calls `fn` once after what runs now, however often it is called. */
export function batched(fn: () => void): () => void {
  let queued = false;
  return () => {
    if (queued) return;
    queued = true;
    Promise.resolve().then(() => {
      queued = false;
      fn();
    });
  };
}

/** Calls `look` now and after each change of the stores, until it returns true. */
export function watchUntil(look: () => boolean, ...stores: Store<unknown>[]): () => void {
  const end = () => stops.forEach((stop) => stop());
  const stops = stores.map((store) => store.subscribe(() => look() && end()));
  if (look()) end();
  return end;
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
