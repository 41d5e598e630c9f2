package graph_test

import (
	"encoding/json"
	"regexp"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/relations"
)

const (
	sendRequest = `mutation($input: SendFriendRequestInput!) { sendFriendRequest(input: $input) {
		request { id from { id } to { id } message createdAt expiresAt } friendship { user { id } } } }`
	accept  = `mutation($id: ID!) { acceptFriendRequest(id: $id) { user { id } remark blocked } }`
	decline = `mutation($id: ID!) { declineFriendRequest(id: $id) { id outcome } }`
	cancel  = `mutation($id: ID!) { cancelFriendRequest(id: $id) { id outcome } }`
)

func request(id string) map[string]any { return map[string]any{"id": id} }

// sends sends a friend request and returns its ID.
func sends(w *graphtest.World, from, to string) string {
	w.T.Helper()
	r := w.Do(w.Bearer(from), sendRequest, input("to", to))
	var data struct {
		SendFriendRequest struct{ Request struct{ ID string } }
	}
	if err := json.Unmarshal(r.Data, &data); err != nil || data.SendFriendRequest.Request.ID == "" {
		w.T.Fatalf("%s to %s: %s", from, to, r.Body)
	}
	return data.SendFriendRequest.Request.ID
}

func TestFriendRequests(t *testing.T) {
	const waiting = `{ me { friendRequests(direction: INCOMING) { totalCount nodes { from { id } to { id } message } } } }`
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid", "dan")
		w.Run(
			step("with a message", "ann", sendRequest, input("to", "bob", "message", "I'm Ann"),
				`{"sendFriendRequest":{"request":{"id":"*","from":{"id":"ann"},"to":{"id":"bob"},"message":"I'm Ann","createdAt":"2026-11-20T08:15:30.123Z","expiresAt":"2026-11-27T08:15:30.123Z"},"friendship":null}}`),
			step("the recipient sees it", "bob", waiting, nil,
				`{"me":{"friendRequests":{"totalCount":1,"nodes":[{"from":{"id":"ann"},"to":{"id":"bob"},"message":"I'm Ann"}]}}}`),
			step("the sender too", "ann", `{ me { friendRequests(direction: OUTGOING) { totalCount nodes { to { id } } } } }`, nil,
				`{"me":{"friendRequests":{"totalCount":1,"nodes":[{"to":{"id":"bob"}}]}}}`),
		)
		w.Clock.Pass(1000_000_000)
		w.Run(
			step("again: replaces the message, also by none, and the expiry", "ann", sendRequest, input("to", "bob"),
				`{"sendFriendRequest":{"request":{"id":"*","from":{"id":"ann"},"to":{"id":"bob"},"message":null,"createdAt":"2026-11-20T08:15:30.123Z","expiresAt":"2026-11-27T08:15:31.123Z"},"friendship":null}}`),
			step("there is still one request", "bob", waiting, nil, `{"me":{"friendRequests":{"totalCount":1,"nodes":[{"from":{"id":"ann"},"to":{"id":"bob"},"message":null}]}}}`),
			step("one that crosses makes both friends", "bob", sendRequest, input("to", "ann"), `{"sendFriendRequest":{"request":null,"friendship":{"user":{"id":"ann"}}}}`),
			step("both", "ann", `{ me { friendIds friendRequests(direction: OUTGOING) { totalCount } } }`, nil, `{"me":{"friendIds":["bob"],"friendRequests":{"totalCount":0}}}`),
			refusal("to a friend", "ann", sendRequest, input("to", "bob"), "ALREADY_FRIENDS"),
			refusal("to oneself", "ann", sendRequest, input("to", "ann"), "SELF_REFERENCE"),
			refusal("to nobody", "ann", sendRequest, input("to", "nobody"), "USER_NOT_FOUND"),
			refusal("to a user of another app", "ann", sendRequest, input("to", "eve"), "USER_NOT_FOUND"),
			refusal("by the App Server", server, sendRequest, input("to", "bob"), "FORBIDDEN"),
			step("cid blocks ann", "cid", block, input("ids", []string{"ann"}), ""),
			refusal("to a user that has blocked the sender", "ann", sendRequest, input("to", "cid"), "BLOCKED"),
			refusal("to a user that the sender has blocked", "cid", sendRequest, input("to", "ann"), "BLOCKED"),
			step("dan's whitelist is on", server, setWhitelist, input("userIds", []string{"dan"}, "enabled", true), ""),
			refusal("to a user whose whitelist lacks the sender", "ann", sendRequest, input("to", "dan"), "NOT_IN_WHITELIST"),
			step("whitelisting", server, allow, input("userId", "dan", "ids", []string{"ann"}), ""),
			step("then it succeeds", "ann", sendRequest, input("to", "dan"), ""),
			step("addFriend ends it", server, addFriend, input("userId", "dan", "friendId", "ann"), ""),
			step("for both", "dan", `{ me { friendIds friendRequests(direction: INCOMING) { totalCount } } }`, nil, `{"me":{"friendIds":["ann"],"friendRequests":{"totalCount":0}}}`),
		)
		w.Set(map[string]string{"friendLimit": "2"})
		w.Run(refusal("to an unknown user at the friend limit", "ann", sendRequest, input("to", "cid2"), "USER_NOT_FOUND"))
		people(w, "flo")
		w.Run(refusal("at the sender's friend limit", "ann", sendRequest, input("to", "flo"), "FRIEND_LIMIT_REACHED", "userId", "ann", "limit", 2))
		id := sends(w, "flo", "ann") // ann's limit is checked when she accepts
		w.Run(
			refusal("accepting at the friend limit", "ann", accept, request(id), "FRIEND_LIMIT_REACHED", "userId", "ann", "limit", 2),
			step("making room", "ann", removeFriend, input("friendId", "bob"), ""),
			step("accepting", "ann", accept, request(id), `{"acceptFriendRequest":{"user":{"id":"flo"},"remark":null,"blocked":false}}`),
			step("both are friends", "flo", `{ me { friendIds } }`, nil, `{"me":{"friendIds":["ann"]}}`),
		)
		id = sends(w, "bob", "cid")
		w.Run(
			step("declining", "cid", decline, request(id), `{"declineFriendRequest":{"id":"`+id+`","outcome":"DONE"}}`),
			refusal("declining again", "cid", decline, request(id), "REQUEST_NOT_FOUND"),
		)
		id = sends(w, "bob", "cid")
		w.Run(
			step("cancelling", "bob", cancel, request(id), `{"cancelFriendRequest":{"id":"`+id+`","outcome":"DONE"}}`),
			refusal("cancelling again", "bob", cancel, request(id), "REQUEST_NOT_FOUND"),
		)
		id = sends(w, "bob", "cid")
		w.Run(
			step("a block ends it", "bob", block, input("ids", []string{"cid"}), ""),
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
			none := answer("cid", "987654321")
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
			for _, made := range []string{"", "x", "-1", "0x1", "99999999999999999999999"} {
				if got := answer("bob", made); got != none {
					w.T.Errorf("for %q the response is %s, for an unknown ID %s", made, got, none)
				}
			}
		}
		w.Run(step("it is still there", "bob", accept, request(id), `{"acceptFriendRequest":{"user":{"id":"ann"},"remark":null,"blocked":false}}`))
	})
}
