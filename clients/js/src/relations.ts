import type { Connection } from './connection';
import * as D from './documents';
import { RollcallError, toError } from './errors';
import type { BlocksPageData, FriendsPageData, RelationshipChangedData, RequestsPageData, RequestDirection } from './generated';
import { createList, type Change, type ListStore, type Page, type Raw } from './list';
import type { Blocklist, BlockedUser, Friend, FriendRequest, Friends, Requests } from './types';
import type { UserStore } from './users';

type Node<C> = C extends { readonly nodes: readonly (infer N)[] } ? N : never;
type Friendship = Node<NonNullable<NonNullable<FriendsPageData['me']>['friends']>>;
type Request = Node<NonNullable<NonNullable<RequestsPageData['me']>['friendRequests']>>;
type Block = Node<NonNullable<NonNullable<BlocksPageData['me']>['blocklist']>>;

interface RawFriend extends Raw {
  readonly remark: string | null;
  readonly blocked: boolean;
}
interface RawRequest extends Raw {
  readonly id: string;
  readonly direction: RequestDirection;
  readonly message: string | null;
  readonly expiresAt: string;
}

const friendOf = ({ user, remark, createdAt, blocked }: Friendship): RawFriend => ({ userId: user.id, profile: user, remark, createdAt, blocked });
const requestOf = (direction: RequestDirection, { id, from, to, message, createdAt, expiresAt }: Request): RawRequest => {
  const profile = direction == 'INCOMING' ? from : to;
  return { id, direction, userId: profile.id, profile, message, createdAt, expiresAt };
};

function pageOf<N, R>(
  connection: { nodes: readonly N[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } } | null | undefined,
  raw: (node: N) => R,
): Page<R> {
  if (!connection) throw new RollcallError('UNAUTHENTICATED', 'the user was deleted');
  const { nodes, pageInfo } = connection;
  return { items: nodes.map(raw), after: pageInfo.hasNextPage ? pageInfo.endCursor : null };
}

/** Runs the result of a batch of one as if it were a call of its own. */
function single(results: readonly { outcome: string; error: { code: string; message: string; limit: number | null } | null }[] | undefined, userId: string): void {
  const { outcome, error } = results?.[0] ?? { outcome: 'DONE', error: null };
  if (error) throw new RollcallError(error.code, error.message, error.limit == null ? { userId } : { userId, limit: error.limit });
  if (outcome == 'NOT_FOUND') throw new RollcallError('USER_NOT_FOUND', 'there is no such user', { userId });
}

/** Returns the friends, requests and blocklist. One subscription tells them all what changes. */
export function createRelations(connection: Connection, users: UserStore): { friends: Friends; requests: Requests; blocklist: Blocklist } {
  let stop: (() => void) | undefined;

  /** Subscribes first and loads then: the pages are never older than the events before them. */
  function start(): void {
    const before = stop;
    const used = all.filter((list) => list.used());
    if (!used.length) return;
    stop = connection.stream(D.RelationshipChanged, {}, ({ relationshipChanged }) => received(relationshipChanged), (error) => {
      stop = undefined;
      all.forEach((list) => list.broken(error));
      connection.later(connection.pause(error), start);
    });
    before?.();
    used.forEach((list) => list.load());
    connection.later(connection.timing.requestMs, () => stop && all.forEach((list) => list.broken(null)));
  }

  /** Loads a list that is used for the first time. */
  const first = (list: () => { load(): void }) => () => {
    if (!connection.online()) return;
    if (stop) list().load();
    else start();
  };

  const friends: ListStore<Friend, RawFriend> = createList<Friend, RawFriend>(
    connection,
    users,
    first(() => friends),
    async (after) => pageOf((await connection.run(D.FriendsPage, { after })).me?.friends, friendOf),
    (raw) => raw.userId,
    ({ userId, remark, createdAt, blocked }, user) => ({ userId, user, remark, createdAt, blocked }),
  );
  const requestList = (direction: RequestDirection): ListStore<FriendRequest, RawRequest> => {
    const list: ListStore<FriendRequest, RawRequest> = createList(
      connection,
      users,
      first(() => list),
      async (after) => pageOf((await connection.run(D.RequestsPage, { direction, after })).me?.friendRequests, (node) => requestOf(direction, node)),
      (raw) => raw.id,
      ({ id, userId, message, createdAt, expiresAt }, user) => ({ id, direction, userId, user, message, createdAt, expiresAt }),
    );
    return list;
  };
  const incoming = requestList('INCOMING');
  const outgoing = requestList('OUTGOING');
  const blocks: ListStore<BlockedUser, Raw> = createList<BlockedUser, Raw>(
    connection,
    users,
    first(() => blocks),
    async (after) => pageOf((await connection.run(D.BlocksPage, { after })).me?.blocklist, ({ user, createdAt }: Block) => ({ userId: user.id, profile: user, createdAt })),
    (raw) => raw.userId,
    ({ userId, createdAt }, user) => ({ userId, user, createdAt }),
  );
  const all = [friends, incoming, outgoing, blocks];

  // Changes, which events and own calls share.

  /** Ends the requests with a user that began before `at`. */
  const endRequests = (userId: string, at: string): Change<RawRequest> => (items) => {
    for (const [id, raw] of items) if (raw.userId == userId && raw.createdAt <= at) items.delete(id);
  };
  const put = <R extends Raw>(id: string, raw: R): Change<R> => (items) => void items.set(id, raw);
  const drop = (id: string): Change<unknown> => (items) => void items.delete(id);
  const patch = (userId: string, part: Partial<RawFriend>): Change<RawFriend> => (items) => {
    const raw = items.get(userId);
    if (raw) items.set(userId, { ...raw, ...part });
  };
  function befriended(friendship: Friendship): void {
    users.seed(friendship.user);
    friends.apply(put(friendship.user.id, friendOf(friendship)));
    const ended = endRequests(friendship.user.id, friendship.createdAt);
    incoming.apply(ended);
    outgoing.apply(ended);
  }

  function received({ kind, user, occurredAt, friendship, request }: RelationshipChangedData['relationshipChanged']): void {
    const { id } = user;
    // The user of an event may lack what has been erased.
    if (user.name) users.seed(user);
    switch (kind) {
      case 'FRIEND_ADDED':
        if (friendship) befriended(friendship);
        break;
      case 'FRIEND_REMARK_CHANGED':
        if (friendship) friends.apply(patch(id, { remark: friendship.remark }));
        break;
      case 'FRIEND_REMOVED':
        friends.apply(drop(id));
        break;
      case 'FRIEND_REQUEST_RECEIVED':
        if (request) incoming.apply(put(request.id, requestOf('INCOMING', request)));
        break;
      case 'FRIEND_REQUEST_CANCELLED':
        if (request) incoming.apply(drop(request.id));
        break;
      case 'FRIEND_REQUEST_ACCEPTED':
      case 'FRIEND_REQUEST_DECLINED':
        if (request) outgoing.apply(drop(request.id));
        break;
      case 'BLOCK_ADDED':
        blocks.apply(put(id, { userId: id, profile: user, createdAt: occurredAt }));
        friends.apply(patch(id, { blocked: true }));
        incoming.apply(endRequests(id, occurredAt));
        outgoing.apply(endRequests(id, occurredAt));
        break;
      case 'BLOCK_REMOVED':
        blocks.apply(drop(id));
        friends.apply(patch(id, { blocked: false }));
    }
  }

  /** Shows assumed changes while `call` runs; then what it applied, or what was before. */
  async function optimistic<T>(assumed: (() => void)[], call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (thrown) {
      throw toError(thrown);
    } finally {
      assumed.forEach((end) => end());
    }
  }

  const answer = (list: ListStore<FriendRequest, RawRequest>, requestId: string, call: (input: { requestId: string }) => Promise<void>, also: (() => void)[] = []) =>
    optimistic([list.assume(drop(requestId)), ...also], async () => {
      try {
        await call({ requestId });
      } catch (thrown) {
        // Another device was faster, of which the server tells nothing.
        if (toError(thrown).code == 'REQUEST_NOT_FOUND') list.apply(drop(requestId));
        throw thrown;
      }
      list.apply(drop(requestId));
    });

  connection.onOnline(() => {
    stop = undefined;
    all.forEach((list) => list.broken(null));
    start();
  });

  const placeholder = (id: string) => ({ id, name: '', avatarUrl: null, updatedAt: '' });
  const LATEST = '9';

  return {
    friends: Object.assign(friends, {
      remove: (userId: string) =>
        optimistic([friends.assume(drop(userId))], async () => {
          const { removeFriend } = await connection.run(D.RemoveFriend, { input: { friendId: userId } });
          single(removeFriend ? [{ outcome: removeFriend.outcome, error: null }] : undefined, userId);
          friends.apply(drop(userId));
        }),
      setRemark: (userId: string, remark: string) =>
        optimistic([friends.assume(patch(userId, { remark: remark || null }))], async () => {
          const { setFriendRemark } = await connection.run(D.SetRemark, { input: { friendId: userId, remark } });
          if (setFriendRemark) friends.apply(patch(userId, { remark: setFriendRemark.friendship.remark }));
        }),
    }),
    requests: {
      incoming,
      outgoing,
      async send(userId, message) {
        try {
          const { sendFriendRequest } = await connection.run(D.SendRequest, { input: { targetId: userId, ...(message && { message }) } });
          const result = sendFriendRequest?.result;
          if (result?.__typename == 'Friendship') befriended(result);
          else if (result) outgoing.apply(put(result.id, requestOf('OUTGOING', result)));
          return result?.__typename == 'Friendship' ? 'FRIENDS' : 'PENDING';
        } catch (thrown) {
          throw toError(thrown);
        }
      },
      accept(requestId) {
        const raw = incoming.confirmed.get(requestId);
        const friend = raw && { userId: raw.userId, profile: raw.profile, remark: null, blocked: false, createdAt: new Date().toISOString() };
        return answer(incoming, requestId, async (input) => {
          const { acceptFriendRequest } = await connection.run(D.AcceptRequest, { input });
          if (acceptFriendRequest) befriended(acceptFriendRequest.friendship);
        }, friend && [friends.assume((items) => void (items.has(friend.userId) || items.set(friend.userId, friend)))]);
      },
      decline: (requestId) => answer(incoming, requestId, async (input) => void (await connection.run(D.DeclineRequest, { input }))),
      cancel: (requestId) => answer(outgoing, requestId, async (input) => void (await connection.run(D.CancelRequest, { input }))),
    },
    blocklist: Object.assign(blocks, {
      has: (userId: string) => blocks.getSnapshot().items.some((item) => item.userId == userId),
      add(userId: string) {
        const raw: Raw = { userId, profile: friends.confirmed.get(userId)?.profile ?? placeholder(userId), createdAt: new Date().toISOString() };
        const add: Change<Raw> = (items) => void (items.has(userId) || items.set(userId, raw));
        const ended = endRequests(userId, LATEST);
        const assumed = [blocks.assume(add), friends.assume(patch(userId, { blocked: true })), incoming.assume(ended), outgoing.assume(ended)];
        return optimistic(assumed, async () => {
          const { addToBlocklist } = await connection.run(D.Block, { input: { targetIds: [userId] } });
          single(addToBlocklist?.results, userId);
          blocks.apply(add);
          friends.apply(patch(userId, { blocked: true }));
          const now = endRequests(userId, LATEST);
          incoming.apply(now);
          outgoing.apply(now);
        });
      },
      remove: (userId: string) =>
        optimistic([blocks.assume(drop(userId)), friends.assume(patch(userId, { blocked: false }))], async () => {
          const { removeFromBlocklist } = await connection.run(D.Unblock, { input: { targetIds: [userId] } });
          single(removeFromBlocklist?.results, userId);
          blocks.apply(drop(userId));
          friends.apply(patch(userId, { blocked: false }));
        }),
    }),
  };
}
