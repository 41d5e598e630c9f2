import type { Connection } from './connection';
import * as D from './documents';
import { RollcallError } from './errors';
import type { BlocksPageData, FriendsPageData, RelationshipChangedData, RequestDirection, RequestsPageData } from './generated';
import { createList, type Change, type ListStore, type Page, type Raw } from './list';
import type { Blocklist, Friends, Requests } from './types';
import type { UserStore } from './users';

type Node<C> = C extends { readonly nodes: readonly (infer N)[] } ? N : never;
type Friendship = Node<NonNullable<NonNullable<FriendsPageData['me']>['friends']>>;
type Request = Node<NonNullable<NonNullable<RequestsPageData['me']>['friendRequests']>>;
type Block = Node<NonNullable<NonNullable<BlocksPageData['me']>['blocklist']>>;
type RawFriend = Friendship & Raw;
type RawRequest = Omit<Request, 'from' | 'to'> & Raw & { readonly id: string; readonly direction: RequestDirection; readonly expiresAt: string };

/** Friendships and blocks become items by the key of their user. */
const keyed = <N extends Friendship | Block>(node: N) => ({ ...node, userId: node.user.id });
const requestOf = (direction: RequestDirection, { from, to, ...rest }: Request): RawRequest => {
  const user = direction == 'INCOMING' ? from : to;
  return { ...rest, direction, userId: user.id, user };
};

function pageOf<N, R>(
  connection: { nodes: readonly N[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } } | null | undefined,
  raw: (node: N) => R,
): Page<R> {
  if (!connection) throw new RollcallError('UNAUTHENTICATED', 'the user was deleted');
  const { nodes, pageInfo } = connection;
  return { items: nodes.map(raw), after: pageInfo.hasNextPage ? pageInfo.endCursor : null };
}

/** Throws what a batch of one user would have thrown as a call of its own. */
function single(result: { outcome: string; error?: { code: string; message: string; limit: number | null } | null } | null | undefined, userId: string): void {
  if (result?.error) throw new RollcallError(result.error.code, result.error.message, { userId, limit: result.error.limit ?? undefined });
  if (result?.outcome == 'NOT_FOUND') throw new RollcallError('USER_NOT_FOUND', 'no such user', { userId });
}

// Changes, which events and own calls share.

const put = <R extends Raw>(raw: R): Change<R> => (items) => void items.set(raw.id ?? raw.userId, raw);
/** The same unless the item is there. */
const add = <R extends Raw>(raw: R): Change<R> => (items) => void (items.has(raw.userId) || items.set(raw.userId, raw));
const drop = (key: string): Change<unknown> => (items) => void items.delete(key);
const patch = (userId: string, part: Partial<RawFriend>): Change<RawFriend> => (items) => {
  const raw = items.get(userId);
  if (raw) items.set(userId, { ...raw, ...part });
};
/** Ends the requests with a user that began until `at`. */
const endRequests = (userId: string, at: string): Change<RawRequest> => (items) => {
  for (const [id, raw] of items) if (raw.userId == userId && raw.createdAt <= at) items.delete(id);
};

/** Returns the friends, requests and blocklist. One subscription tells them all what changes. */
export function createRelations(connection: Connection, users: UserStore): { friends: Friends; requests: Requests; blocklist: Blocklist } {
  const { run } = connection;
  /** How many events about a user have come. */
  const events = new Map<string, number>();
  let stop: (() => void) | undefined;

  /** Subscribes first and loads then: the pages are never older than the events before them. */
  function start(): void {
    const used = all.filter((list) => list.used());
    if (!used.length) return;
    for (const list of used) list.broken(null);
    stop = connection.stream(D.RelationshipChanged, {}, received, (error) => {
      stop = undefined;
      for (const list of all) list.broken(error);
      connection.later(connection.pause(error), start);
    });
    for (const list of used) list.load();
  }

  function list<R extends Raw>(page: (after: string | null) => Promise<Page<R>>): ListStore<R> {
    const created: ListStore<R> = createList(
      connection,
      users,
      () => {
        if (!connection.online()) return;
        if (stop) created.load();
        else start();
      },
      page,
    );
    return created;
  }

  const requestList = (direction: RequestDirection) =>
    list(async (after) => pageOf((await run(D.RequestsPage, { direction, after })).me?.friendRequests, (node) => requestOf(direction, node)));
  const friends = list<RawFriend>(async (after) => pageOf((await run(D.FriendsPage, { after })).me?.friends, keyed));
  const blocks = list<Block & Raw>(async (after) => pageOf((await run(D.BlocksPage, { after })).me?.blocklist, keyed));
  const incoming = requestList('INCOMING');
  const outgoing = requestList('OUTGOING');
  const all = [friends, incoming, outgoing, blocks];
  const requests = [incoming, outgoing];

  function befriended(friendship: Friendship): void {
    const friend = keyed(friendship);
    users.seed(friend.user);
    friends.apply(put(friend));
    for (const list of requests) list.apply(endRequests(friend.userId, friend.createdAt));
  }

  function blocked(raw: Block & Raw, until: string): void {
    blocks.apply(put(raw));
    friends.apply(patch(raw.userId, { blocked: true }));
    for (const list of requests) list.apply(endRequests(raw.userId, until));
  }

  function unblocked(userId: string): void {
    blocks.apply(drop(userId));
    friends.apply(patch(userId, { blocked: false }));
  }

  function received({ relationshipChanged: { kind, user, occurredAt, friendship, request } }: RelationshipChangedData): void {
    const { id } = user;
    events.set(id, (events.get(id) ?? 0) + 1);
    // The user of an event may lack what has been erased.
    if (user.name) users.seed(user);
    if (kind == 'FRIEND_ADDED' && friendship) befriended(friendship);
    else if (kind == 'FRIEND_REMARK_CHANGED' && friendship) friends.apply(patch(id, { remark: friendship.remark }));
    else if (kind == 'FRIEND_REMOVED') friends.apply(drop(id));
    else if (kind == 'BLOCK_ADDED') blocked({ userId: id, user, createdAt: occurredAt }, occurredAt);
    else if (kind == 'BLOCK_REMOVED') unblocked(id);
    else if (kind == 'FRIEND_REQUEST_RECEIVED' && request) incoming.apply(put(requestOf('INCOMING', request)));
    // A request that has ended is in one of the two.
    else if (/^FRIEND_REQUEST_(ACC|DECL|CANC)/.test(kind) && request) for (const list of requests) list.apply(drop(request.id));
  }

  /**
   * Shows assumed changes while `call` runs, and then what `confirm` applies, or what was before. An
   * event about the user that came meanwhile may be of a later change than the call, and decides.
   */
  async function optimistic<T>(userId: string, assumed: (() => void)[], call: () => Promise<T>, confirm: (result: T) => void): Promise<T> {
    const before = events.get(userId);
    try {
      const result = await call();
      if (events.get(userId) == before) confirm(result);
      return result;
    } finally {
      assumed.forEach((end) => end());
    }
  }

  /** Ends a request by `call`, of which this device receives no event. */
  function answer<T>(list: ListStore<RawRequest>, requestId: string, call: (variables: { input: { requestId: string } }) => Promise<T>, confirm?: (result: T) => void) {
    const request = list.find(requestId);
    const ended = drop(requestId);
    const assumed = [list.assume(ended)];
    if (request && confirm) {
      const { userId, user } = request;
      assumed.push(friends.assume(add<RawFriend>({ userId, user, remark: null, blocked: false, createdAt: new Date().toISOString() })));
    }
    const ending = call({ input: { requestId } }).then(
      (result) => {
        list.apply(ended);
        return result;
      },
      (error: RollcallError) => {
        // Another device was faster.
        if (error.code == 'REQUEST_NOT_FOUND') list.apply(ended);
        throw error;
      },
    );
    return optimistic(request?.userId ?? '', assumed, () => ending, confirm ?? (() => {})).then(() => {});
  }

  connection.onOnline(start);

  return {
    friends: Object.assign(friends, {
      async remove(userId: string) {
        await optimistic(
          userId,
          [friends.assume(drop(userId))],
          async () => single((await run(D.RemoveFriend, { input: { friendId: userId } })).removeFriend, userId),
          () => friends.apply(drop(userId)),
        );
      },
      async setRemark(userId: string, remark: string) {
        await optimistic(
          userId,
          [friends.assume(patch(userId, { remark: remark || null }))],
          () => run(D.SetRemark, { input: { friendId: userId, remark } }),
          ({ setFriendRemark }) => friends.apply(patch(userId, { remark: setFriendRemark?.friendship.remark ?? null })),
        );
      },
    }),
    requests: {
      incoming,
      outgoing,
      async send(targetId, message) {
        const before = events.get(targetId);
        const result = (await run(D.SendRequest, { input: { targetId, message: message || null } })).sendFriendRequest?.result;
        // An event may have ended the request already.
        if (events.get(targetId) != before) start();
        else if (result?.__typename == 'Friendship') befriended(result);
        else if (result) outgoing.apply(put(requestOf('OUTGOING', result)));
        return result?.__typename == 'Friendship' ? 'FRIENDS' : 'PENDING';
      },
      accept: (requestId) => answer(incoming, requestId, (variables) => run(D.AcceptRequest, variables), ({ acceptFriendRequest }) => acceptFriendRequest && befriended(acceptFriendRequest.friendship)),
      decline: (requestId) => answer(incoming, requestId, (variables) => run(D.DeclineRequest, variables)),
      cancel: (requestId) => answer(outgoing, requestId, (variables) => run(D.CancelRequest, variables)),
    },
    blocklist: Object.assign(blocks, {
      has: (userId: string) => blocks.getSnapshot().items.some((item) => item.userId == userId),
      async add(userId: string) {
        const user = users.peek(userId) ?? { name: '', avatarUrl: null };
        const raw = { userId, user: { ...user, id: userId, updatedAt: '' }, createdAt: new Date().toISOString() };
        // Later than any time: whatever is pending now ends.
        const ended = endRequests(userId, '9');
        await optimistic(
          userId,
          [blocks.assume(add<Block & Raw>(raw)), friends.assume(patch(userId, { blocked: true })), ...requests.map((list) => list.assume(ended))],
          async () => single((await run(D.Block, { input: { targetIds: [userId] } })).addToBlocklist?.results[0], userId),
          () => blocked(raw, '9'),
        );
      },
      async remove(userId: string) {
        await optimistic(
          userId,
          [blocks.assume(drop(userId)), friends.assume(patch(userId, { blocked: false }))],
          async () => single((await run(D.Unblock, { input: { targetIds: [userId] } })).removeFromBlocklist?.results[0], userId),
          () => unblocked(userId),
        );
      },
    }),
  };
}
