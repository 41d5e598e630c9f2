import type { Connection } from './connection';
import * as D from './documents';
import type { Doc } from './documents';
import { RollcallError } from './errors';
import type * as G from './generated';
import type { RelationshipChangedData } from './generated';
import { createList, type Change, type ListStore, type PageDoc, type Raw } from './list';
import type { Blocklist, Friends, Requests } from './types';
import type { Profile, UserStore } from './users';

type Node<D> = D extends PageDoc<infer N> ? N : never;
type Friendship = Node<typeof D.FriendsPage>;
type Request = Node<typeof D.IncomingPage>;
type Direction = 'INCOMING' | 'OUTGOING';
type Block = Node<typeof D.BlocksPage>;
type RawFriend = Friendship & Raw;
type RawRequest = Omit<Request, 'from' | 'to'> & Raw & { readonly id: string; readonly direction: Direction; readonly expiresAt: string };

/** The data of a document that ends a request. */
interface AnswerData {
  readonly result: { readonly friendship?: Friendship; readonly __typename?: string } | null;
}

/** What a call for one user, or an item of a batch, returns. */
interface UserResult {
  readonly outcome: G.Outcome;
  readonly error?: { readonly code: string; readonly message: string; readonly limit: number | null } | null;
}

/** Friendships and blocks become items by the key of their user. */
const keyed = <N extends Friendship | Block>(node: N) => ({ ...node, userId: node.user.id });
const requestOf = (direction: Direction, user: Profile, { from, to, ...rest }: Request): RawRequest => ({ ...rest, direction, userId: user.id, user });
const received = (request: Request) => requestOf('INCOMING', request.from, request);
const sent = (request: Request) => requestOf('OUTGOING', request.to, request);

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
  const { mutate } = connection;
  const events = new Map<string, object>(); // the last one about each user
  let breach: RollcallError | null = null;

  /** Subscribes first and loads then: the pages are never older than the events before them. */
  function start(): void {
    breach = null;
    connection.stream(D.RelationshipChanged, {}, handle, (error) => {
      breach = error;
      for (const list of all) list.publish();
      connection.later(connection.pause(error), start);
    });
    for (const list of all) list.load();
  }

  const list = <N, R extends Raw>(document: PageDoc<N>, raw: (node: N) => R) => createList(connection, users, () => breach, document, raw);
  const friends = list(D.FriendsPage, keyed<Friendship>);
  const blocks = list(D.BlocksPage, keyed<Block>);
  const incoming = list(D.IncomingPage, received);
  const outgoing = list(D.OutgoingPage, sent);
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

  function handle({ relationshipChanged: event }: RelationshipChangedData): void {
    const { kind, user, occurredAt, friendship, request } = event;
    const { id } = user;
    events.set(id, event);
    // The user of an event may lack what has been erased.
    if (user.name) users.seed(user);
    if (/^FRIEND_(ADD|REMA)/.test(kind) && friendship) apply(...befriended(friendship));
    else if (kind == 'FRIEND_REMOVED') apply(...unfriended(id));
    else if (kind == 'BLOCK_ADDED') apply(...blocked(put({ userId: id, user, createdAt: occurredAt }), id, occurredAt));
    else if (kind == 'BLOCK_REMOVED') apply(...unblocked(id));
    else if (kind == 'FRIEND_REQUEST_RECEIVED' && request) incoming.apply(put(received(request)));
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

  /** Runs a call for one user. */
  async function single<I>(document: Doc<{ readonly result: UserResult | { readonly results: readonly UserResult[] } | null }, { readonly input: I }>, userId: string, input: I): Promise<void> {
    const result = await mutate(document, input);
    const { outcome, error } = 'results' in result ? result.results[0]! : result;
    if (!error && outcome != 'NOT_FOUND') return;
    throw new RollcallError(error?.code ?? 'USER_NOT_FOUND', error?.message ?? 'unknown user', { userId, limit: error?.limit ?? undefined });
  }

  /** Ends a request, of which this device receives no event. */
  async function answer(list: ListStore<RawRequest>, requestId: string, document: Doc<AnswerData, G.AcceptRequestVariables>): Promise<void> {
    const request = list.raw(requestId);
    const ended = step(list, drop(requestId));
    const steps = [ended];
    if (request && document == D.AcceptRequest) {
      const { userId, user } = request;
      steps.push(step(friends, add<RawFriend>({ userId, user, remark: null, blocked: false, createdAt: new Date().toISOString() })));
    }
    await optimistic(request?.userId ?? '', steps, async () => {
      try {
        const { friendship } = await mutate(document, { requestId });
        apply(ended);
        return friendship ? befriended(friendship) : [];
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
      remove: (userId: string) => optimistic(userId, unfriended(userId), () => single(D.RemoveFriend, userId, { friendId: userId })),
      setRemark: (userId: string, remark: string) =>
        optimistic(userId, marked(userId, { remark: remark || null }), async () => {
          const { friendship } = await mutate(D.SetRemark, { friendId: userId, remark });
          return marked(userId, friendship);
        }),
    },
    requests: {
      incoming,
      outgoing,
      async send(targetId, message) {
        const before = events.get(targetId);
        const { result } = await mutate(D.SendRequest, { targetId, message: message || null });
        const friends = 'remark' in result;
        // An event may have ended the request already.
        if (events.get(targetId) != before) requests.forEach((list) => list.load());
        else if (friends) apply(...befriended(result));
        else outgoing.apply(put(sent(result)));
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
        return optimistic(userId, blocked(add(raw), userId, '9'), () => single(D.Block, userId, { targetIds: [userId] }));
      },
      remove: (userId: string) => optimistic(userId, unblocked(userId), () => single(D.Unblock, userId, { targetIds: [userId] })),
    },
  };
}
