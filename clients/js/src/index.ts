/**
 * Rollcall for front ends: user information, friends, friend requests, the blocklist and statuses
 * as live stores over one WebSocket.
 *
 * @packageDocumentation
 */
import { createConnection } from './connection';
import { Logout } from './documents';
import { RollcallError } from './errors';
import { createPresence } from './presence';
import { createRelations } from './relations';
import { listen } from './store';
import type { Rollcall, RollcallOptions } from './types';
import { createUsers } from './users';

export { RollcallError };
export type { ClientErrorCode, ErrorDetails, RollcallErrorCode } from './errors';
export type { ErrorCode, Platform, Presence } from './generated';
export type * from './types';

/**
 * Connects a device of a user and returns its stores. It connects by itself, and stays connected
 * until `close` or `logout`. Throws INVALID_ARGUMENT if the URL is none or there is no WebSocket.
 */
export function createRollcall(options: RollcallOptions): Rollcall {
  const connection = createConnection(options);
  const users = createUsers(connection, options.userInfoProvider, options.cache);
  const presence = createPresence(connection);
  return {
    connection: connection.state,
    users,
    ...createRelations(connection, users),
    presence,
    setUserInfoProvider: users.setProvider,
    getUserInfo: ((id: string | readonly string[]) => (typeof id == 'string' ? users.get(id) : users.getMany(id))) as Rollcall['getUserInfo'],
    peekUserInfo: users.peek,
    refreshUserInfo: users.refresh,
    onError: (listener) => listen(connection.errorListeners, listener),
    reconnect: connection.reconnect,
    async logout(input = {}) {
      await connection.mutate(Logout, input);
      users.forget();
      connection.close(new RollcallError('LOGGED_OUT', 'logged out'));
    },
    close: () => connection.close(),
  };
}
