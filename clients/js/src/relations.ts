import type { Connection } from './connection';
import * as D from './documents';
import type { Doc } from './documents';
import { RollcallError } from './errors';
import type * as G from './generated';
import type { BlocksPageData, FriendsPageData, RelationshipChangedData, RequestDirection, RequestsPageData } from './generated';
import { createList, type Change, type ListStore, type Raw } from './list';
import type { Blocklist, Friends, Requests } from './types';
import type { UserStore } from './users';

/** The data of a document with a page of a list. */
interface PageData<N> {
  readonly me: { readonly page: { readonly nodes: readonly N[]; readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null } } | null } | null;
}
type Node<D> = D extends PageData<infer N> ? N : never;
type Friendship = Node<FriendsPageData>;
type Request = Node<RequestsPageData>;
type Block = Node<BlocksPageData>;
type RawFriend = Friendship & Raw;
type RawRequest = Omit<Request, 'from' | 'to'> & Raw & { readonly id: string; readonly direction: RequestDirection; readonly expiresAt: string };

/** The data of a document that ends a request. */
interface AnswerData {
  readonly result: { readonly friendship?: Friendship; readonly __typename?: string } | null;
}

/** Friendships and blocks become items by the key of their user. */
const keyed = <N extends Friendship | Block>(node: N) => ({ ...node, userId: node.user.id });
const requestOf = (direction: RequestDirection, { from, to, ...rest }: Request): RawRequest => {
  const user = direction == 'INCOMING' ? from : to;
  return { ...rest, direction, userId: user.id, user };
};

/** Throws what a batch of one user would have thrown as a call of its own. */
function single(result: { outcome: string; error?: { code: string; message: string; limit: number | null } | null } | null | undefined, userId: string): void {
  if (result?.error || result?.outcome == 'NOT_FOUND') {
    const { code, message, limit } = result.error ?? { code: 'USER_NOT_FOUND', message: 'unknown user' };
    throw new RollcallError(code, message, { userId, limit: limit ?? undefined });
  }
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

/** A list and a change of it. */
type Step = readonly [ListStore<never>, Change<never>];
const step = <R extends Raw>(list: ListStore<R>, change: Change<R>): Step => [list, change] as never;
const apply = (...steps: readonly Step[]) => steps.forEach(([list, change]) => list.apply(change));

/** Returns the friends, requests and blocklist. One subscription tells them all what changes. */
export function createRelations(connection: Connection, users: UserStore): { friends: Friends; requests: Requests; blocklist: Blocklist } {
  const { run } = connection;
  /** How many events about a user have come. */
  const events = new Map<string, number>();
  let breach: RollcallError | null = null;

  /** Subscribes first and loads then: the pages are never older than the events before them. */
  function start(): void {
    breach = null;
    connection.stream(D.RelationshipChanged, {}, received, (error) => {
      breach = error;
      for (const list of all) list.publish();
      connection.later(connection.pause(error), start);
    });
    for (const list of all) list.load();
  }

  function list<N, V, R extends Raw>(document: Doc<PageData<N>, V>, variables: Omit<V, 'after'>, raw: (node: N) => R): ListStore<R> {
    return createList(connection, users, () => breach, async (after) => {
      const { me } = await run(document, { ...variables, after } as V);
      if (!me?.page) throw new RollcallError('UNAUTHENTICATED', 'user deleted');
      const { nodes, pageInfo } = me.page;
      return { items: nodes.map(raw), after: pageInfo.hasNextPage ? pageInfo.endCursor : null };
    });
  }

  const requestList = (direction: RequestDirection) => list(D.RequestsPage, { direction }, (node: Request) => requestOf(direction, node));
  const friends = list(D.FriendsPage, {}, keyed<Friendship>);
  const blocks = list(D.BlocksPage, {}, keyed<Block>);
  const incoming = requestList('INCOMING');
  const outgoing = requestList('OUTGOING');
  const requests = [incoming, outgoing];
  const all = [friends, blocks, ...requests];

  const ofRequests = (change: Change<RawRequest>) => requests.map((list) => step(list, change));
  const marked = (userId: string, part: Partial<RawFriend>) => [step(friends, patch(userId, part))];
  const unfriended = (userId: string) => [step(friends, drop(userId))];
  const unblocked = (userId: string) => [step(blocks, drop(userId)), ...marked(userId, { blocked: false })];
  const blocked = (change: Change<Block & Raw>, userId: string, until: string) => [
    step(blocks, change),
    ...marked(userId, { blocked: true }),
    ...ofRequests(endRequests(userId, until)),
  ];
  function befriended(friendship: Friendship): Step[] {
    const friend = keyed(friendship);
    users.seed(friend.user);
    return [step(friends, put(friend)), ...ofRequests(endRequests(friend.userId, friend.createdAt))];
  }

  function received({ relationshipChanged: { kind, user, occurredAt, friendship, request } }: RelationshipChangedData): void {
    const { id } = user;
    events.set(id, (events.get(id) ?? 0) + 1);
    // The user of an event may lack what has been erased.
    if (user.name) users.seed(user);
    if (/^FRIEND_(ADD|REMA)/.test(kind) && friendship) apply(...befriended(friendship));
    else if (kind == 'FRIEND_REMOVED') apply(...unfriended(id));
    else if (kind == 'BLOCK_ADDED') apply(...blocked(put({ userId: id, user, createdAt: occurredAt }), id, occurredAt));
    else if (kind == 'BLOCK_REMOVED') apply(...unblocked(id));
    else if (kind == 'FRIEND_REQUEST_RECEIVED' && request) incoming.apply(put(requestOf('INCOMING', request)));
    // A request that has ended is in one of the two.
    else if (/_(ACC|DECL|CANC)/.test(kind) && request) apply(...ofRequests(drop(request.id)));
  }

  /**
   * Shows the steps while `call` runs. Then they are applied, or those that it returns, or taken back.
   * An event about the user that came meanwhile may be of a later change than the call, and decides.
   */
  async function optimistic(userId: string, steps: readonly Step[], call: () => Promise<readonly Step[] | void>): Promise<void> {
    const before = events.get(userId);
    const assumed = steps.map(([list, change]) => list.assume(change));
    try {
      const confirmed = await call();
      if (events.get(userId) == before) apply(...(confirmed ?? steps));
    } finally {
      assumed.forEach((end) => end());
    }
  }

  /** Ends a request, of which this device receives no event. */
  async function answer(list: ListStore<RawRequest>, requestId: string, document: Doc<AnswerData, G.AcceptRequestVariables>): Promise<void> {
    const request = list.find(requestId);
    const ended = step(list, drop(requestId));
    const steps = [ended];
    if (request && document == D.AcceptRequest) {
      const { userId, user } = request;
      steps.push(step(friends, add<RawFriend>({ userId, user, remark: null, blocked: false, createdAt: new Date().toISOString() })));
    }
    await optimistic(request?.userId ?? '', steps, async () => {
      try {
        const { result } = await run(document, { input: { requestId } });
        apply(ended);
        return result?.friendship ? befriended(result.friendship) : [];
      } catch (error) {
        // Another device was faster.
        if ((error as RollcallError).code == 'REQUEST_NOT_FOUND') apply(ended);
        throw error;
      }
    });
  }

  connection.onOnline(start);

  return {
    friends: {
      ...friends,
      remove: (userId: string) =>
        optimistic(userId, unfriended(userId), async () => single((await run(D.RemoveFriend, { input: { friendId: userId } })).result, userId)),
      setRemark: (userId: string, remark: string) =>
        optimistic(userId, marked(userId, { remark: remark || null }), async () => {
          const { result } = await run(D.SetRemark, { input: { friendId: userId, remark } });
          return marked(userId, { remark: result?.friendship.remark ?? null });
        }),
    },
    requests: {
      incoming,
      outgoing,
      async send(targetId, message) {
        const before = events.get(targetId);
        const result = (await run(D.SendRequest, { input: { targetId, message: message || null } })).result?.result;
        const friends = result?.__typename == 'Friendship';
        // An event may have ended the request already.
        if (events.get(targetId) != before) requests.forEach((list) => list.load());
        else if (friends) apply(...befriended(result));
        else if (result) outgoing.apply(put(requestOf('OUTGOING', result)));
        return friends ? 'FRIENDS' : 'PENDING';
      },
      accept: (requestId) => answer(incoming, requestId, D.AcceptRequest),
      decline: (requestId) => answer(incoming, requestId, D.DeclineRequest),
      cancel: (requestId) => answer(outgoing, requestId, D.CancelRequest),
    },
    blocklist: {
      ...blocks,
      has: (userId: string) => blocks.getSnapshot().items.some((item) => item.userId == userId),
      add(userId: string) {
        const raw: Block & Raw = { userId, user: { id: userId, name: '', avatarUrl: null, updatedAt: '' }, createdAt: new Date().toISOString() };
        // Later than any time: whatever is pending now ends.
        return optimistic(userId, blocked(add(raw), userId, '9'), async () =>
          single((await run(D.Block, { input: { targetIds: [userId] } })).result?.results[0], userId),
        );
      },
      remove: (userId: string) =>
        optimistic(userId, unblocked(userId), async () => single((await run(D.Unblock, { input: { targetIds: [userId] } })).result?.results[0], userId)),
    },
  };
}
