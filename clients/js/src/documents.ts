// The documents that the library sends. `npm run generate` writes the types of their results.
import type * as G from './generated';

/** A document with the types of its result and its variables. */
export type Doc<Data, Variables> = string & { readonly data?: Data; readonly variables?: Variables };

const profile = '{id name avatarUrl updatedAt}';
const friendship = `{user${profile} remark createdAt blocked}`;
const request = `{id from${profile} to${profile} message createdAt expiresAt}`;
const status = '{userId presence customStatus changedAt}';
const page = 'pageInfo{hasNextPage endCursor}';

export const Me = `query Me{me{id status${status}}}` as Doc<G.MeData, G.MeVariables>;
export const UsersByID = `query UsersByID($ids:[ID!]!){users(ids:$ids)${profile}}` as Doc<G.UsersByIDData, G.UsersByIDVariables>;
export const UserChanged = `subscription UserChanged($ids:[ID!]!){userChanged(ids:$ids)${profile}}` as Doc<G.UserChangedData, G.UserChangedVariables>;

export const FriendsPage = `query FriendsPage($after:String){me{friends(first:100,after:$after){nodes${friendship}${page}}}}` as Doc<G.FriendsPageData, G.FriendsPageVariables>;
export const RequestsPage = `query RequestsPage($direction:RequestDirection!,$after:String){me{friendRequests(direction:$direction,first:100,after:$after){nodes${request}${page}}}}` as Doc<G.RequestsPageData, G.RequestsPageVariables>;
export const BlocksPage = `query BlocksPage($after:String){me{blocklist(first:100,after:$after){nodes{user${profile} createdAt}${page}}}}` as Doc<G.BlocksPageData, G.BlocksPageVariables>;
export const RelationshipChanged = `subscription RelationshipChanged{relationshipChanged{kind user${profile} occurredAt friendship${friendship} request${request}}}` as Doc<G.RelationshipChangedData, G.RelationshipChangedVariables>;

export const RemoveFriend = 'mutation RemoveFriend($input:RemoveFriendInput!){removeFriend(input:$input){outcome}}' as Doc<G.RemoveFriendData, G.RemoveFriendVariables>;
export const SetRemark = `mutation SetRemark($input:SetFriendRemarkInput!){setFriendRemark(input:$input){friendship${friendship}}}` as Doc<G.SetRemarkData, G.SetRemarkVariables>;
export const SendRequest = `mutation SendRequest($input:SendFriendRequestInput!){sendFriendRequest(input:$input){result{__typename ...on FriendRequest${request} ...on Friendship${friendship}}}}` as Doc<G.SendRequestData, G.SendRequestVariables>;
export const AcceptRequest = `mutation AcceptRequest($input:FriendRequestInput!){acceptFriendRequest(input:$input){friendship${friendship}}}` as Doc<G.AcceptRequestData, G.AcceptRequestVariables>;
export const DeclineRequest = 'mutation DeclineRequest($input:FriendRequestInput!){declineFriendRequest(input:$input){request{id}}}' as Doc<G.DeclineRequestData, G.DeclineRequestVariables>;
export const CancelRequest = 'mutation CancelRequest($input:FriendRequestInput!){cancelFriendRequest(input:$input){request{id}}}' as Doc<G.CancelRequestData, G.CancelRequestVariables>;
export const Block = 'mutation Block($input:BlocklistInput!){addToBlocklist(input:$input){results{outcome error{code message limit}}}}' as Doc<G.BlockData, G.BlockVariables>;
export const Unblock = 'mutation Unblock($input:BlocklistInput!){removeFromBlocklist(input:$input){results{outcome error{code message limit}}}}' as Doc<G.UnblockData, G.UnblockVariables>;

export const StatusChanged = `subscription StatusChanged{statusChanged${status}}` as Doc<G.StatusChangedData, G.StatusChangedVariables>;
export const StatusOf = `subscription StatusOf($ids:[ID!]!){userStatus(ids:$ids)${status}}` as Doc<G.StatusOfData, G.StatusOfVariables>;
export const SetStatus = `mutation SetStatus($input:SetStatusInput!){setStatus(input:$input){status${status}}}` as Doc<G.SetStatusData, G.SetStatusVariables>;
export const Logout = 'mutation Logout($input:LogoutInput!){logout(input:$input){loggedOutCount}}' as Doc<G.LogoutData, G.LogoutVariables>;
