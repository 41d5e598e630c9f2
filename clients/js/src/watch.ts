import type { Connection } from './connection';
import type { RollcallError } from './errors';

/** The server's limit of IDs in one operation. */
const SIZE = 200;
/** The user IDs that the server accepts. Others are unknown, and would fail the whole operation. */
const USER_ID = /^[\w\-.@=+]{1,64}$/;

/** A part of the watched IDs, which one operation watches. */
interface Chunk {
  readonly ids: Set<string>;
  stop: () => void;
  /** Whether the operation must be replaced. */
  dirty: boolean;
  /** Whether the present operation has been answered. */
  answered: boolean;
}

/** How IDs are watched. */
export interface WatcherOptions {
  /** The largest number of operations at the same time. */
  readonly chunks: number;
  /** The least time between two operations, in ms. */
  readonly paceMs: number;
  /** Starts an operation. `answered` is called after its first answer, `failed` if it ends. */
  open(ids: readonly string[], answered: () => void, failed: (error: RollcallError) => void): () => void;
  /** Is called when `state` has changed. */
  changed(): void;
  /** Is called with IDs that are no longer watched, or that the server does not know, when changes are gathered. */
  dropped(id: string): void;
}

/** Counts who watches which IDs, and keeps operations for them running. */
export interface Watcher {
  add(ids: readonly string[]): void;
  remove(ids: readonly string[]): void;
  has(id: string): boolean;
  /** Why an operation failed, until one is answered. */
  error(): RollcallError | null;
  /** Reports whether all operations have been answered. */
  settled(): boolean;
  /** Starts all operations again. */
  restart(): void;
}

/**
 * Returns a watcher. Changes are gathered for a moment. Then each chunk that has changed gets a new
 * operation, and its old one is stopped when the new one has been answered, so that nothing is missed.
 */
export function createWatcher(connection: Connection, options: WatcherOptions): Watcher {
  const counts = new Map<string, number>();
  const unknown = new Set<string>();
  let chunks: Chunk[] = [];
  let planned = false;
  let pumping = false;
  let earliest = 0;
  let error: RollcallError | null = null;

  function schedule(): void {
    if (planned) return;
    planned = connection.online();
    connection.later(connection.timing.debounceMs, plan);
  }

  function plan(): void {
    planned = false;
    const placed = new Set<string>();
    for (const chunk of chunks) {
      for (const id of chunk.ids) {
        if (counts.has(id) && !unknown.has(id)) placed.add(id);
        else {
          chunk.dirty = chunk.ids.delete(id);
          options.dropped(id);
        }
      }
    }
    for (const id of counts.keys()) {
      if (placed.has(id) || unknown.has(id)) continue;
      let chunk = chunks.find(({ ids }) => ids.size < SIZE);
      if (!chunk) {
        if (chunks.length == options.chunks) break;
        chunks.push((chunk = { ids: new Set(), stop() {}, dirty: true, answered: false }));
      }
      chunk.ids.add(id);
      chunk.dirty = true;
    }
    pump();
    options.changed();
  }

  function pump(): void {
    const chunk = chunks.find(({ dirty }) => dirty);
    if (!chunk || pumping) return;
    const wait = earliest - Date.now();
    if (wait > 0) {
      pumping = true;
      return connection.later(wait, () => {
        pumping = false;
        pump();
      });
    }
    const before = chunk.stop;
    chunk.dirty = chunk.answered = false;
    if (!chunk.ids.size) {
      chunks = chunks.filter((other) => other != chunk);
      before();
      return pump();
    }
    earliest = Date.now() + options.paceMs;
    let replaced = false;
    const stop = options.open(
      [...chunk.ids],
      () => {
        if (replaced) return;
        before();
        chunk.answered = true;
        error = null;
        options.changed();
      },
      (failure) => {
        if (replaced) return;
        const { userId } = failure.details;
        if (failure.code == 'USER_NOT_FOUND' && userId && chunk.ids.has(userId)) {
          unknown.add(userId);
        } else {
          earliest = Math.max(earliest, Date.now() + connection.pause(failure));
          if (failure.code != 'RATE_LIMITED') error = failure;
        }
        chunk.answered = false;
        chunk.dirty = true;
        plan();
      },
    );
    chunk.stop = () => {
      replaced = true;
      before();
      stop();
    };
    pump();
  }

  return {
    add(ids) {
      for (const id of ids) {
        counts.set(id, (counts.get(id) ?? 0) + 1);
        if (!USER_ID.test(id)) unknown.add(id);
      }
      schedule();
    },
    remove(ids) {
      for (const id of ids) {
        const count = (counts.get(id) ?? 0) - 1;
        // Nothing is dropped before `plan`: an ID may be watched again at once, by the next page of an app.
        if (count > 0) counts.set(id, count);
        else counts.delete(id);
      }
      schedule();
    },
    has: (id) => counts.has(id),
    error: () => (counts.size ? error : null),
    settled: () => !planned && chunks.every(({ dirty, answered }) => !dirty && answered),
    restart() {
      planned = pumping = false;
      error = null;
      unknown.forEach((id) => USER_ID.test(id) && unknown.delete(id));
      for (const chunk of chunks) chunk.dirty = true;
      if (counts.size) plan();
    },
  };
}
