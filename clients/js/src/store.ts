import type { Store } from './types';

/** A store that can be written. */
export interface Writable<T> extends Store<T> {
  /** Replaces the value and calls the listeners. */
  set(value: T): void;
}

/** Calls each listener; one that throws does not keep the others from being called. */
export function notify<A extends unknown[]>(listeners: Iterable<(...args: A) => void>, ...args: A): void {
  for (const listener of [...listeners]) {
    try {
      listener(...args);
    } catch (thrown) {
      // As the browser does with the listeners of an event.
      setTimeout(() => {
        throw thrown;
      });
    }
  }
}

/** Returns a store with a first value. */
export function createStore<T>(value: T): Writable<T> {
  const listeners = new Set<() => void>();
  return {
    getSnapshot: () => value,
    subscribe(listener) {
      const own = () => listener();
      listeners.add(own);
      return () => void listeners.delete(own);
    },
    set(next) {
      value = next;
      notify(listeners);
    },
  };
}
