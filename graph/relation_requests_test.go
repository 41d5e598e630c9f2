package graph_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/relations"
)

const (
	sendRequest = `mutation($input: SendFriendRequestInput!) { sendFriendRequest(input: $input) { result {
		__typename ... on FriendRequest { id from { id } to { id } message createdAt expiresAt } ... on Friendship { user { id } } } } }`
	accept  = `mutation($input: FriendRequestInput!) { acceptFriendRequest(input: $input) { friendship { user { id } remark blocked } } }`
	decline = `mutation($input: FriendRequestInput!) { declineFriendRequest(input: $input) { request { id from { id } to { id } } } }`
	cancel  = `mutation($input: FriendRequestInput!) { cancelFriendRequest(input: $input) { request { id from { id } to { id } } } }`
)

func request(id string) map[string]any { return input("requestId", id) }

// sends sends a friend request and returns its ID.
func sends(w *graphtest.World, from, to string) string {
	w.T.Helper()
	r := w.Do(w.Bearer(from), sendRequest, input("targetId", to))
	var data struct {
		SendFriendRequest struct{ Result struct{ ID string } }
	}
	if err := json.Unmarshal(r.Data, &data); err != nil || data.SendFriendRequest.Result.ID == "" {
		w.T.Fatalf("%s to %s: %s", from, to, r.Body)
	}
	return data.SendFriendRequest.Result.ID
}

func TestFriendRequests(t *testing.T) {
	const waiting = `{ me { friendRequests(direction: INCOMING) { totalCount nodes { from { id } to { id } message } } } }`
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid", "dan")
		w.Run(
			step("with a message", "ann", sendRequest, input("targetId", "bob", "message", "I'm Ann"),
				`{"sendFriendRequest":{"result":{"__typename":"FriendRequest","id":"*","from":{"id":"ann"},"to":{"id":"bob"},"message":"I'm Ann","createdAt":"2026-11-20T08:15:30.123Z","expiresAt":"2026-11-27T08:15:30.123Z"}}}`),
			step("the recipient sees it", "bob", waiting, nil,
				`{"me":{"friendRequests":{"totalCount":1,"nodes":[{"from":{"id":"ann"},"to":{"id":"bob"},"message":"I'm Ann"}]}}}`),
			step("as the one with the sender", "bob", `{ me { ann: friendRequest(with: "ann") { id from { id } message } cid: friendRequest(with: "cid") { id } } }`, nil,
				`{"me":{"ann":{"id":"*","from":{"id":"ann"},"message":"I'm Ann"},"cid":null}}`),
			step("the sender too", "ann", `{ me { friendRequests(direction: OUTGOING) { totalCount nodes { to { id } } } } }`, nil,
				`{"me":{"friendRequests":{"totalCount":1,"nodes":[{"to":{"id":"bob"}}]}}}`),
		)
		w.Clock.Pass(1000_000_000)
		w.Run(
			step("again: replaces the message, also by none, and the expiry", "ann", sendRequest, input("targetId", "bob"),
				`{"sendFriendRequest":{"result":{"__typename":"FriendRequest","id":"*","from":{"id":"ann"},"to":{"id":"bob"},"message":null,"createdAt":"2026-11-20T08:15:30.123Z","expiresAt":"2026-11-27T08:15:31.123Z"}}}`),
			step("there is still one request", "bob", waiting, nil, `{"me":{"friendRequests":{"totalCount":1,"nodes":[{"from":{"id":"ann"},"to":{"id":"bob"},"message":null}]}}}`),
			step("one that crosses makes both friends", "bob", sendRequest, input("targetId", "ann"), `{"sendFriendRequest":{"result":{"__typename":"Friendship","user":{"id":"ann"}}}}`),
			step("both", "ann", `{ me { friendIds friendRequests(direction: OUTGOING) { totalCount } } }`, nil, `{"me":{"friendIds":["bob"],"friendRequests":{"totalCount":0}}}`),
			refusal("to a friend", "ann", sendRequest, input("targetId", "bob"), "ALREADY_FRIENDS"),
			refusal("to oneself", "ann", sendRequest, input("targetId", "ann"), "SELF_REFERENCE"),
			refusal("to nobody", "ann", sendRequest, input("targetId", "nobody"), "USER_NOT_FOUND"),
			refusal("to a user of another app", "ann", sendRequest, input("targetId", "eve"), "USER_NOT_FOUND"),
			refusal("by the App Server, for no user", server, sendRequest, input("targetId", "bob"), "INVALID_ARGUMENT", "field", "input.userId", "rule", "required"),
			refusal("for another user", "ann", sendRequest, input("userId", "cid", "targetId", "bob"), "FORBIDDEN"),
			step("cid blocks ann", "cid", block, input("targetIds", []string{"ann"}), ""),
			refusal("to a user that has blocked the sender", "ann", sendRequest, input("targetId", "cid"), "BLOCKED"),
			refusal("to a user that the sender has blocked", "cid", sendRequest, input("targetId", "ann"), "BLOCKED"),
			step("dan's whitelist is on", server, setWhitelist, input("userIds", []string{"dan"}, "enabled", true), ""),
			refusal("to a user whose whitelist lacks the sender", "ann", sendRequest, input("targetId", "dan"), "NOT_IN_WHITELIST"),
			step("whitelisting", server, allow, input("userId", "dan", "targetIds", []string{"ann"}), ""),
			step("then it succeeds", "ann", sendRequest, input("targetId", "dan"), ""),
			step("addFriend ends it", server, addFriend, input("userId", "dan", "friendId", "ann"), ""),
			step("for both", "dan", `{ me { friendIds friendRequests(direction: INCOMING) { totalCount } } }`, nil, `{"me":{"friendIds":["ann"],"friendRequests":{"totalCount":0}}}`),
		)
		w.Set(map[string]string{"friendLimit": "2"})
		w.Run(refusal("to an unknown user at the friend limit", "ann", sendRequest, input("targetId", "cid2"), "USER_NOT_FOUND"))
		people(w, "flo")
		w.Run(refusal("at the sender's friend limit", "ann", sendRequest, input("targetId", "flo"), "FRIEND_LIMIT_REACHED", "userId", "ann", "limit", 2))
		id := sends(w, "flo", "ann") // ann's limit is checked when she accepts
		w.Run(
			refusal("accepting at the friend limit", "ann", accept, request(id), "FRIEND_LIMIT_REACHED", "userId", "ann", "limit", 2),
			step("making room", "ann", removeFriend, input("friendId", "bob"), ""),
			step("accepting", "ann", accept, request(id), `{"acceptFriendRequest":{"friendship":{"user":{"id":"flo"},"remark":null,"blocked":false}}}`),
			step("both are friends", "flo", `{ me { friendIds } }`, nil, `{"me":{"friendIds":["ann"]}}`),
		)
		id = sends(w, "bob", "cid")
		w.Run(
			step("declining", "cid", decline, request(id), `{"declineFriendRequest":{"request":{"id":"`+id+`","from":{"id":"bob"},"to":{"id":"cid"}}}}`),
			refusal("declining again", "cid", decline, request(id), "REQUEST_NOT_FOUND"),
		)
		id = sends(w, "bob", "cid")
		w.Run(
			step("cancelling", "bob", cancel, request(id), `{"cancelFriendRequest":{"request":{"id":"`+id+`","from":{"id":"bob"},"to":{"id":"cid"}}}}`),
			refusal("cancelling again", "bob", cancel, request(id), "REQUEST_NOT_FOUND"),
		)
		id = sends(w, "bob", "cid")
		w.Run(
			step("a block ends it", "bob", block, input("targetIds", []string{"cid"}), ""),
			refusal("for good", "cid", accept, request(id), "REQUEST_NOT_FOUND"),
		)
	})
}

var requestIDs = regexp.MustCompile(`"requestId":"[^"]*"`)

// TestFriendRequest_OfOthersIsNotFound: the response is, byte for byte except for the request ID,
// the one to an ID that does not exist.
func TestFriendRequest_OfOthersIsNotFound(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "bob", "cid")
		expired := sends(w, "cid", "bob")
		w.Clock.Pass(relations.RequestLifetime)
		id := sends(w, "ann", "bob")
		for query, callers := range map[string][]string{
			accept:  {"cid", "ann"},
			decline: {"cid", "ann"},
			cancel:  {"cid", "bob"},
		} {
			answer := func(as, id string) string {
				r := w.Do(w.Bearer(as), query, request(id))
				if r.Code() != "REQUEST_NOT_FOUND" {
					w.T.Errorf("%s with %s: %s", as, id, r.Body)
				}
				return requestIDs.ReplaceAllString(string(r.Body), "")
			}
			none := answer("cid", "request:987654321")
			for _, as := range callers {
				if got := answer(as, id); got != none {
					w.T.Errorf("%s gets %s, for an unknown ID %s", as, got, none)
				}
			}
			for _, as := range []string{"bob", "cid"} {
				if got := answer(as, expired); got != none {
					w.T.Errorf("for an expired one %s gets %s, for an unknown ID %s", as, got, none)
				}
			}
			for _, made := range []string{"request:", "request:x", id + "x", id + "\n"} {
				if got := answer("bob", made); got != none {
					w.T.Errorf("for %q the response is %s, for an unknown ID %s", made, got, none)
				}
			}
		}
		w.Run(step("it is still there", "bob", accept, request(id), `{"acceptFriendRequest":{"friendship":{"user":{"id":"ann"},"remark":null,"blocked":false}}}`))
	})
}

// TestFriendRequest_ByTheAppServer: an App Server does for a user what the user may do.
func TestFriendRequest_ByTheAppServer(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid")
		act := func(userID, id string) map[string]any { return input("userId", userID, "requestId", id) }
		w.Run(
			step("sending", server, sendRequest, input("userId", "ann", "targetId", "bob", "message", ""),
				`{"sendFriendRequest":{"result":{"__typename":"FriendRequest","id":"*","from":{"id":"ann"},"to":{"id":"bob"},"message":null,"createdAt":"*","expiresAt":"*"}}}`),
			refusal("sending for an unknown user", server, sendRequest, input("userId", "nobody", "targetId", "bob"), "USER_NOT_FOUND", "userId", "nobody"),
			refusal("sending as another app's App Server", graphtest.OtherServer, sendRequest, input("userId", "ann", "targetId", "bob"), "USER_NOT_FOUND"),
			step("crossing", server, sendRequest, input("userId", "bob", "targetId", "ann"), `{"sendFriendRequest":{"result":{"__typename":"Friendship","user":{"id":"ann"}}}}`),
		)
		id := sends(w, "ann", "cid")
		for _, query := range []string{accept, decline, cancel} {
			w.Run(
				refusal("for a user without it", server, query, act("bob", id), "REQUEST_NOT_FOUND"),
				refusal("for an unknown user", server, query, act("nobody", id), "REQUEST_NOT_FOUND"),
				refusal("as another app's App Server", graphtest.OtherServer, query, act("cid", id), "REQUEST_NOT_FOUND"),
				refusal("for no user", server, query, request(id), "INVALID_ARGUMENT", "field", "input.userId", "rule", "required"),
				refusal("for another user", "bob", query, act("cid", id), "FORBIDDEN"),
			)
		}
		w.Run(step("cancelling", server, cancel, act("ann", id), `{"cancelFriendRequest":{"request":{"id":"`+id+`","from":{"id":"ann"},"to":{"id":"cid"}}}}`))
		id = sends(w, "ann", "cid")
		w.Run(step("declining", server, decline, act("cid", id), `{"declineFriendRequest":{"request":{"id":"`+id+`","from":{"id":"ann"},"to":{"id":"cid"}}}}`))
		id = sends(w, "ann", "cid")
		w.Run(
			step("accepting", server, accept, act("cid", id), `{"acceptFriendRequest":{"friendship":{"user":{"id":"ann"},"remark":null,"blocked":false}}}`),
			step("both are friends", "ann", `{ me { friendIds } }`, nil, `{"me":{"friendIds":["cid","bob"]}}`),
		)
	})
}

// TestFriendRequest_IDOfAnotherType: an ID that is not that of a request is refused, and nothing is done.
func TestFriendRequest_IDOfAnotherType(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob")
		id := sends(w, "ann", "bob")
		_, sealed, _ := strings.Cut(id, ":")
		for _, other := range []string{"", "ann", sealed, "friendship:ann:bob", "block:bob:ann", "status:ann", "request", ":" + sealed, id + ":x", "Request:" + sealed} {
			for _, query := range []string{accept, decline, cancel} {
				w.Run(refusal(other, "bob", query, request(other), "INVALID_ARGUMENT", "field", "input.requestId", "rule", "node"))
			}
		}
		w.Run(step("the request is still there", "bob", `{ me { friendIds friendRequests(direction: INCOMING) { nodes { id } } } }`, nil,
			`{"me":{"friendIds":[],"friendRequests":{"nodes":[{"id":"`+id+`"}]}}}`))
	})
}
