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
  readonly members: Set<string>;
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
  /** Is called when `failure` or `progress` may have changed. */
  changed(): void;
  /** Is called with IDs that are no longer watched, or that the server does not know, when changes are gathered. */
  dropped(id: string): void;
}

/** Gathers the IDs that are watched, and keeps operations for them running. */
export interface Watcher {
  /** Watches IDs until the returned function is called. Others may watch the same. */
  follow(ids: readonly string[]): () => void;
  /** Returns the watched IDs. */
  followed(): ReadonlySet<string>;
  /** Why an operation failed, until one is answered. */
  failure(): RollcallError | null;
  /** Returns `idle` if nothing is watched, and `ready` when all operations have been answered. */
  progress(): 'idle' | 'loading' | 'ready';
  /** Starts all operations again, as after each connect. */
  restart(): void;
}

/**
 * Returns a watcher. Changes are gathered for a moment. Then each chunk that has changed gets a new
 * operation, and its old one is stopped when the new one has been answered, so that nothing is missed.
 */
export function createWatcher(connection: Connection, options: WatcherOptions): Watcher {
  const sources = new Set<readonly string[]>(); // what `follow` was called with
  let watched: Set<string> | undefined; // all IDs in it, once they have been gathered
  const unknown = new Set<string>();
  let chunks: Chunk[] = [];
  let planned = false;
  let earliest = 0;
  let error: RollcallError | null = null;

  function schedule(ms = connection.times.debounceMs): void {
    if (planned) return;
    planned = connection.online();
    connection.later(ms, plan);
  }

  const followed = () => (watched ??= new Set([...sources].flat()));

  // Nothing is dropped before `plan`: an ID may be watched again at once, by the next page of an app.
  function changed(): void {
    watched = undefined;
    schedule();
    options.changed();
  }

  function plan(): void {
    planned = false;
    const added = new Set([...followed()].filter((id) => USER_ID.test(id) && !unknown.has(id)));
    for (const chunk of chunks) {
      for (const id of chunk.members) {
        if (added.delete(id)) continue;
        chunk.members.delete(id);
        chunk.state = DIRTY;
        options.dropped(id);
      }
    }
    for (const id of added) {
      let chunk = chunks.find(({ members }) => members.size < SIZE);
      if (!chunk) {
        if (chunks.length == options.chunks) break;
        chunks.push((chunk = { members: new Set(), stop() {}, state: DIRTY, earliest: 0 }));
      }
      chunk.members.add(id);
      chunk.state = DIRTY;
    }
    chunks = chunks.filter((chunk) => chunk.members.size || chunk.stop());
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
    earliest = Date.now() + connection.times.statusPaceMs;
    chunk.earliest = Date.now() + options.paceMs;
    const stop = options.open(
      [...chunk.members],
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
        if (failure.code == 'USER_NOT_FOUND' && userId && chunk.members.has(userId)) {
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

  function restart(): void {
    planned = false;
    error = null;
    unknown.clear();
    for (const chunk of chunks) {
      chunk.state = DIRTY;
      chunk.earliest = 0;
    }
    if (followed().size && connection.online()) plan();
  }
  connection.onOnline(restart);

  return {
    follow(ids) {
      const source = [...ids];
      sources.add(source);
      changed();
      return () => {
        if (sources.delete(source)) changed();
      };
    },
    followed,
    failure: () => (followed().size ? error : null),
    progress: () => (!followed().size ? 'idle' : planned || chunks.some(({ state }) => state != ANSWERED) ? 'loading' : 'ready'),
    restart,
  };
}
