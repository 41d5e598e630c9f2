import type { Connection } from './connection';
import type { RollcallError } from './errors';

/** The server's limit of IDs in one operation. */
const SIZE = 200;
/** The user IDs that the server accepts. Others are unknown, and would fail the whole operation. */
const USER_ID = /^[\w\-.@=+]{1,64}$/;

/** The operation must be replaced, has not been answered, or has been. */
const DIRTY = 0;
const ASKED = 1;
const ANSWERED = 2;

/** A part of the watched IDs, which one operation watches. */
interface Chunk {
  readonly ids: Set<string>;
  stop: () => void;
  state: typeof DIRTY | typeof ASKED | typeof ANSWERED;
  /** When its operation may be replaced, in ms since 1970. */
  earliest: number;
}

/** How IDs are watched. */
export interface WatcherOptions {
  /** The largest number of operations at the same time. */
  readonly chunks: number;
  /** The least time between two operations for the same chunk, in ms. */
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
  /** Returns `idle` if nothing is watched, and `ready` when all operations have been answered. */
  status(): 'idle' | 'loading' | 'ready';
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
  let earliest = 0;
  let error: RollcallError | null = null;

  function schedule(ms = connection.timing.debounceMs): void {
    if (planned) return;
    planned = connection.online();
    connection.later(ms, plan);
  }

  function count(ids: readonly string[], change: number): void {
    for (const id of ids) {
      const after = (counts.get(id) ?? 0) + change;
      // Nothing is dropped before `plan`: an ID may be watched again at once, by the next page of an app.
      if (after > 0) counts.set(id, after);
      else counts.delete(id);
    }
    schedule();
  }

  function plan(): void {
    planned = false;
    for (const chunk of chunks) {
      for (const id of chunk.ids) {
        if (counts.has(id) && !unknown.has(id)) continue;
        chunk.ids.delete(id);
        chunk.state = DIRTY;
        options.dropped(id);
      }
    }
    for (const id of counts.keys()) {
      if (!USER_ID.test(id) || unknown.has(id) || chunks.some(({ ids }) => ids.has(id))) continue;
      let chunk = chunks.find(({ ids }) => ids.size < SIZE);
      if (!chunk) {
        if (chunks.length == options.chunks) break;
        chunks.push((chunk = { ids: new Set(), stop() {}, state: DIRTY, earliest: 0 }));
      }
      chunk.ids.add(id);
      chunk.state = DIRTY;
    }
    chunks = chunks.filter((chunk) => chunk.ids.size || chunk.stop());
    let wait = Infinity;
    for (const chunk of chunks) {
      const left = Math.max(earliest, chunk.earliest) - Date.now();
      if (chunk.state == DIRTY) {
        if (left > 0) wait = Math.min(wait, left);
        else open(chunk);
      }
    }
    if (wait < Infinity) schedule(wait);
    options.changed();
  }

  function open(chunk: Chunk): void {
    let before = chunk.stop;
    let replaced = false;
    chunk.state = ASKED;
    earliest = Date.now() + connection.timing.statusPaceMs;
    chunk.earliest = Date.now() + options.paceMs;
    const stop = options.open(
      [...chunk.ids],
      () => {
        if (replaced) return;
        before();
        before = () => {};
        if (chunk.state == ASKED) chunk.state = ANSWERED;
        error = null;
        options.changed();
      },
      (failure) => {
        if (replaced) return;
        const { userId } = failure.details;
        if (failure.code == 'USER_NOT_FOUND' && userId && chunk.ids.has(userId)) {
          unknown.add(userId);
        } else {
          earliest = Date.now() + connection.pause(failure);
          if (failure.code != 'RATE_LIMITED') error = failure;
        }
        chunk.state = DIRTY;
        plan();
      },
    );
    chunk.stop = () => {
      replaced = true;
      before();
      stop();
    };
  }

  return {
    add: (ids) => count(ids, 1),
    remove: (ids) => count(ids, -1),
    has: (id) => counts.has(id),
    error: () => (counts.size ? error : null),
    status: () => (!counts.size ? 'idle' : planned || chunks.some(({ state }) => state != ANSWERED) ? 'loading' : 'ready'),
    restart() {
      planned = false;
      error = null;
      unknown.clear();
      for (const chunk of chunks) {
        chunk.state = DIRTY;
        chunk.earliest = 0;
      }
      if (counts.size && connection.online()) plan();
    },
  };
}
