// The documents that the library sends. `npm run generate` writes the types of their results, under
// their names here.
import type * as G from './generated';

/** A document with the types of its result and its variables. */
export type Doc<Data, Variables> = string & { readonly data?: Data; readonly variables?: Variables };

// Results have the same names where the same is done with them.
const profile = '{id name avatarUrl updatedAt}';
const friendship = `{user${profile} remark createdAt blocked}`;
const request = `{id from${profile} to${profile} message createdAt expiresAt}`;
const status = '{userId presence customStatus changedAt}';
const page = (field: string, node: string, filter = '') =>
  `query($after:String){me{page:${field}(${filter}first:100,after:$after){nodes${node}pageInfo{hasNextPage endCursor}}}}`;
const mutation = (field: string, input: string, selection: string) => `mutation($input:${input}Input!){result:${field}(input:$input){${selection}}}`;
const batch = 'results{outcome error{code message limit}}';

export const Me = `{me{id status${status}}}` as Doc<G.MeData, G.MeVariables>;
export const UsersByID = `query($ids:[ID!]!){users(ids:$ids)${profile}}` as Doc<G.UsersByIDData, G.UsersByIDVariables>;
export const UserChanged = `subscription($ids:[ID!]!){userChanged(ids:$ids)${profile}}` as Doc<G.UserChangedData, G.UserChangedVariables>;

export const FriendsPage = page('friends', friendship) as Doc<G.FriendsPageData, G.FriendsPageVariables>;
export const IncomingPage = page('friendRequests', request, 'direction:INCOMING,') as Doc<G.IncomingPageData, G.IncomingPageVariables>;
export const OutgoingPage = page('friendRequests', request, 'direction:OUTGOING,') as Doc<G.OutgoingPageData, G.OutgoingPageVariables>;
export const BlocksPage = page('blocklist', `{user${profile} createdAt}`) as Doc<G.BlocksPageData, G.BlocksPageVariables>;
export const RelationshipChanged = `subscription{relationshipChanged{kind user${profile} occurredAt friendship${friendship} request${request}}}` as Doc<G.RelationshipChangedData, G.RelationshipChangedVariables>;

export const RemoveFriend = mutation('removeFriend', 'RemoveFriend', 'outcome') as Doc<G.RemoveFriendData, G.RemoveFriendVariables>;
export const SetRemark = mutation('setFriendRemark', 'SetFriendRemark', 'friendship{remark}') as Doc<G.SetRemarkData, G.SetRemarkVariables>;
export const SendRequest = mutation('sendFriendRequest', 'SendFriendRequest', `result{...on FriendRequest${request} ...on Friendship${friendship}}`) as Doc<G.SendRequestData, G.SendRequestVariables>;
export const AcceptRequest = mutation('acceptFriendRequest', 'FriendRequest', `friendship${friendship}`) as Doc<G.AcceptRequestData, G.AcceptRequestVariables>;
export const DeclineRequest = mutation('declineFriendRequest', 'FriendRequest', '__typename') as Doc<G.DeclineRequestData, G.DeclineRequestVariables>;
export const CancelRequest = mutation('cancelFriendRequest', 'FriendRequest', '__typename') as Doc<G.CancelRequestData, G.CancelRequestVariables>;
export const Block = mutation('addToBlocklist', 'Blocklist', batch) as Doc<G.BlockData, G.BlockVariables>;
export const Unblock = mutation('removeFromBlocklist', 'Blocklist', batch) as Doc<G.UnblockData, G.UnblockVariables>;

export const StatusChanged = `subscription{statusChanged${status}}` as Doc<G.StatusChangedData, G.StatusChangedVariables>;
export const StatusOf = `subscription($ids:[ID!]!){userStatus(ids:$ids)${status}}` as Doc<G.StatusOfData, G.StatusOfVariables>;
export const SetStatus = mutation('setStatus', 'SetStatus', `status${status}`) as Doc<G.SetStatusData, G.SetStatusVariables>;
export const Logout = mutation('logout', 'Logout', '__typename') as Doc<G.LogoutData, G.LogoutVariables>;
