'use client';
/**
 * Hooks for React 18 and later. Each follows a store of the client: a component renders again when
 * what it uses has changed.
 *
 * @packageDocumentation
 */
import { createContext, createElement, useContext, useMemo, useSyncExternalStore, type ReactElement, type ReactNode } from 'react';
import type { BlockedUser, ConnectionState, Friend, FriendRequest, ListState, PresenceState, Rollcall, Store, UserInfo } from './types';

const Context = createContext<Rollcall | null>(null);

// What is shown while a page is rendered on a server and hydrated, where nothing is loaded yet.
const connecting: ConnectionState = { status: 'connecting' };
const idle: ListState<never> & PresenceState = { items: [], self: null, statuses: new Map(), status: 'idle', error: null };

/** The properties of `RollcallProvider`. */
export interface RollcallProviderProps {
  /** The client that the hooks below it use. */
  readonly client: Rollcall;
  /** What uses it. */
  readonly children?: ReactNode;
}

/**
 * Gives a client to the hooks below it. The client is the app's: create it outside of components or
 * in an effect, and close it at logout. Unmounting the provider does not close it.
 *
 * @param props - The client, and what uses it.
 */
export function RollcallProvider({ client, children }: RollcallProviderProps): ReactElement {
  return createElement(Context.Provider, { value: client }, children);
}

/** Returns the client of the nearest `RollcallProvider`. Throws if there is none. */
export function useRollcall(): Rollcall {
  const client = useContext(Context);
  if (!client) throw new Error('no RollcallProvider');
  return client;
}

const useStore = <T>({ subscribe, getSnapshot }: Store<T>, first: T): T => useSyncExternalStore(subscribe, getSnapshot, () => first);

/** Returns the state of the connection. */
export const useConnection = (): ConnectionState => useStore(useRollcall().connection, connecting);

/** Returns the friends, and loads them when it is first used. */
export const useFriends = (): ListState<Friend> => useStore(useRollcall().friends, idle);

/** Returns the pending requests to the user, or with `OUTGOING` those from the user. */
export const useRequests = (direction: 'INCOMING' | 'OUTGOING' = 'INCOMING'): ListState<FriendRequest> =>
  useStore(useRollcall().requests[direction.toLowerCase() as 'incoming'], idle);

/** Returns the blocklist, and loads it when it is first used. */
export const useBlocklist = (): ListState<BlockedUser> => useStore(useRollcall().blocklist, idle);

/**
 * Returns a user as shown to people, loads it, and keeps it fresh while the component is mounted:
 * undefined until it is loaded, null if it is unknown.
 */
export function useUser(id: string): UserInfo | null | undefined {
  const { users } = useRollcall();
  return useStore(
    useMemo(() => ({ subscribe: (changed: () => void) => users.subscribe(id, changed), getSnapshot: () => users.peek(id) }), [users, id]),
    undefined,
  );
}

/**
 * Watches users while the component is mounted, and returns the store of statuses with theirs alone.
 * The array may be another one at each render; what counts are its IDs. The component does not
 * render again when only others change.
 */
export function usePresence(ids: readonly string[]): PresenceState {
  const { presence } = useRollcall();
  const key = JSON.stringify(ids);
  return useStore(
    useMemo(() => {
      let seen: string;
      let shown: PresenceState = idle;
      return {
        subscribe(changed: () => void) {
          const stop = presence.watch(ids);
          const end = presence.subscribe(changed);
          return () => {
            end();
            stop();
          };
        },
        getSnapshot() {
          const now = presence.getSnapshot();
          const statuses = new Map(ids.flatMap((id) => now.statuses.get(id) ?? []).map((status) => [status.userId, status]));
          const text = JSON.stringify([now, ...statuses.values()]); // a Map has no text of its own
          if (text != seen) shown = { ...now, statuses };
          seen = text;
          return shown;
        },
      };
    }, [presence, key]),
    idle,
  );
}
