// The documents that the library sends. `npm run generate` writes the types of their results, under
// their names here.
import type * as G from './generated';

/** A document with the types of its result and its variables. */
export type Doc<Data, Variables> = string & { readonly data?: Data; readonly variables?: Variables };

const profile = '{id name avatarUrl updatedAt}';
const friendship = `{user${profile} remark createdAt blocked}`;
const request = `{id from${profile} to${profile} message createdAt expiresAt}`;
const status = '{userId presence customStatus changedAt}';
const page = 'pageInfo{hasNextPage endCursor}';

export const Me = `{me{id status${status}}}` as Doc<G.MeData, G.MeVariables>;
export const UsersByID = `query($ids:[ID!]!){users(ids:$ids)${profile}}` as Doc<G.UsersByIDData, G.UsersByIDVariables>;
export const UserChanged = `subscription($ids:[ID!]!){userChanged(ids:$ids)${profile}}` as Doc<G.UserChangedData, G.UserChangedVariables>;

export const FriendsPage = `query($after:String){me{friends(first:100,after:$after){nodes${friendship}${page}}}}` as Doc<G.FriendsPageData, G.FriendsPageVariables>;
export const RequestsPage = `query($direction:RequestDirection!,$after:String){me{friendRequests(direction:$direction,first:100,after:$after){nodes${request}${page}}}}` as Doc<G.RequestsPageData, G.RequestsPageVariables>;
export const BlocksPage = `query($after:String){me{blocklist(first:100,after:$after){nodes{user${profile} createdAt}${page}}}}` as Doc<G.BlocksPageData, G.BlocksPageVariables>;
export const RelationshipChanged = `subscription{relationshipChanged{kind user${profile} occurredAt friendship${friendship} request${request}}}` as Doc<G.RelationshipChangedData, G.RelationshipChangedVariables>;

export const RemoveFriend = 'mutation($input:RemoveFriendInput!){removeFriend(input:$input){outcome}}' as Doc<G.RemoveFriendData, G.RemoveFriendVariables>;
export const SetRemark = `mutation($input:SetFriendRemarkInput!){setFriendRemark(input:$input){friendship${friendship}}}` as Doc<G.SetRemarkData, G.SetRemarkVariables>;
export const SendRequest = `mutation($input:SendFriendRequestInput!){sendFriendRequest(input:$input){result{__typename ...on FriendRequest${request} ...on Friendship${friendship}}}}` as Doc<G.SendRequestData, G.SendRequestVariables>;
export const AcceptRequest = `mutation($input:FriendRequestInput!){acceptFriendRequest(input:$input){friendship${friendship}}}` as Doc<G.AcceptRequestData, G.AcceptRequestVariables>;
export const DeclineRequest = 'mutation($input:FriendRequestInput!){declineFriendRequest(input:$input){request{id}}}' as Doc<G.DeclineRequestData, G.DeclineRequestVariables>;
export const CancelRequest = 'mutation($input:FriendRequestInput!){cancelFriendRequest(input:$input){request{id}}}' as Doc<G.CancelRequestData, G.CancelRequestVariables>;
export const Block = 'mutation($input:BlocklistInput!){addToBlocklist(input:$input){results{outcome error{code message limit}}}}' as Doc<G.BlockData, G.BlockVariables>;
export const Unblock = 'mutation($input:BlocklistInput!){removeFromBlocklist(input:$input){results{outcome error{code message limit}}}}' as Doc<G.UnblockData, G.UnblockVariables>;

export const StatusChanged = `subscription{statusChanged${status}}` as Doc<G.StatusChangedData, G.StatusChangedVariables>;
export const StatusOf = `subscription($ids:[ID!]!){userStatus(ids:$ids)${status}}` as Doc<G.StatusOfData, G.StatusOfVariables>;
export const SetStatus = `mutation($input:SetStatusInput!){setStatus(input:$input){status${status}}}` as Doc<G.SetStatusData, G.SetStatusVariables>;
export const Logout = 'mutation($input:LogoutInput!){logout(input:$input){loggedOutCount}}' as Doc<G.LogoutData, G.LogoutVariables>;
