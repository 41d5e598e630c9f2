package graph_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/graph/graphtest"
)

const changes = `subscription { relationshipChanged { kind user { id } occurredAt } }`

// relationEvents returns the data of events of relationshipChanged at the present time, which are
// given in the form "KIND user".
func relationEvents(w *graphtest.World, list ...string) []string {
	events := make([]string, len(list))
	for i, event := range list {
		kind, user, _ := strings.Cut(event, " ")
		events[i] = fmt.Sprintf(`{"relationshipChanged":{"kind":%q,"user":{"id":%q},"occurredAt":%q}}`,
			kind, user, w.Clock.Now().Format("2006-01-02T15:04:05.000Z07:00"))
	}
	return events
}

// TestRelationshipChanged: changes by users and by the App Server, over real connections, reach all
// devices of exactly the users that they concern.
func TestRelationshipChanged(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid", "gone")
		for _, id := range []string{"ann", "ann", "bob", "cid"} {
			w.Subscriber(id, id, changes, nil)
		}
		type change struct {
			name, as, query string
			variables       map[string]any
			ann, bob        []string // the events of their devices
		}
		run := func(list ...change) {
			w.T.Helper()
			for _, c := range list {
				w.Run(graphtest.Scenario{Name: c.name, As: c.as, Query: c.query, Variables: c.variables, WantEvents: map[string]any{
					"ann": relationEvents(w, c.ann...), "bob": relationEvents(w, c.bob...), "*": 0,
				}})
			}
		}
		type events = []string
		ask := change{"a request", "ann", sendRequest, input("targetId", "bob"), nil, events{"FRIEND_REQUEST_RECEIVED ann"}}
		run(ask, change{"a request, repeated", "ann", sendRequest, input("targetId", "bob"), nil, nil})
		w.Clock.Pass(time.Hour)
		run(
			ask, // after an hour
			change{"addFriend", server, addFriend, input("userId", "bob", "friendId", "ann", "remark", "Annie"),
				events{"FRIEND_REQUEST_ACCEPTED bob", "FRIEND_ADDED bob"}, events{"FRIEND_ADDED ann"}},
			change{"addFriend, repeated", server, addFriend, input("userId", "bob", "friendId", "ann", "remark", "Annie"), nil, nil},
			change{"a remark", "ann", setRemark, input("friendId", "bob", "remark", "Bobby"), events{"FRIEND_REMARK_CHANGED bob"}, nil},
			change{"the same remark", server, setRemark, input("userId", "ann", "friendId", "bob", "remark", "Bobby"), nil, nil},
			change{"no remark", server, setRemark, input("userId", "ann", "friendId", "bob", "remark", ""), events{"FRIEND_REMARK_CHANGED bob"}, nil},
			change{"a block, given twice", "ann", block, input("targetIds", []string{"bob", "bob"}), events{"BLOCK_ADDED bob"}, nil},
			change{"a message permission", "bob", `{ messagePermission(from: "bob", to: "ann") { reason } }`, nil, nil, nil},
			change{"unblocking", "ann", unblock, input("targetIds", []string{"bob"}), events{"BLOCK_REMOVED bob"}, nil},
			change{"unblocking, repeated", "ann", unblock, input("targetIds", []string{"bob"}), nil, nil},
			change{"removing", "bob", removeFriend, input("friendId", "ann"), events{"FRIEND_REMOVED bob"}, events{"FRIEND_REMOVED ann"}},
			change{"removing, repeated", server, removeFriend, input("userId", "ann", "friendId", "bob"), nil, nil},
		)
		run(change{"declining", "bob", decline, request(sends(w, "ann", "bob")),
			events{"FRIEND_REQUEST_DECLINED bob"}, events{"FRIEND_REQUEST_RECEIVED ann"}})
		run(change{"cancelling", "ann", cancel, request(sends(w, "ann", "bob")),
			nil, events{"FRIEND_REQUEST_RECEIVED ann", "FRIEND_REQUEST_CANCELLED ann"}})
		run(
			change{"accepting", "bob", accept, request(sends(w, "ann", "bob")),
				events{"FRIEND_REQUEST_ACCEPTED bob", "FRIEND_ADDED bob"}, events{"FRIEND_REQUEST_RECEIVED ann", "FRIEND_ADDED ann"}},
			change{"removing the new friend", "ann", removeFriend, input("friendId", "bob"), events{"FRIEND_REMOVED bob"}, events{"FRIEND_REMOVED ann"}},
			ask,
			change{"a crossing request", "bob", sendRequest, input("targetId", "ann"),
				events{"FRIEND_REQUEST_ACCEPTED bob", "FRIEND_ADDED bob"}, events{"FRIEND_ADDED ann"}},
			change{"removing that friend", "ann", removeFriend, input("friendId", "bob"), events{"FRIEND_REMOVED bob"}, events{"FRIEND_REMOVED ann"}},
			change{"a policy", "bob", setPolicy, input("policy", "ANYONE"), nil, nil},
			change{"a request that makes friends at once", "ann", sendRequest, input("targetId", "bob"), events{"FRIEND_ADDED bob"}, events{"FRIEND_ADDED ann"}},
			change{"adding a friend", server, addFriend, input("userId", "ann", "friendId", "gone"), events{"FRIEND_ADDED gone"}, nil},
			change{"blocking that user", server, block, input("userId", "bob", "targetIds", []string{"gone"}), nil, events{"BLOCK_ADDED gone"}},
			change{"a block by that user", "gone", block, input("targetIds", []string{"ann"}), nil, nil},
			change{"deactivation", server, `mutation { deactivateUsers(input: {userIds: ["gone"]}) { results { outcome } } }`, nil,
				events{"FRIEND_REMOVED gone"}, events{"BLOCK_REMOVED gone"}},
		)
	})
}

// TestRelationshipChanged_ShowsNoMore: the fields in an event are visible under the same rules as
// in other responses.
func TestRelationshipChanged_ShowsNoMore(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob")
		const of = `subscription { relationshipChanged { kind user { %s } } }`
		for _, field := range []string{
			`friendIds`, `friends { totalCount }`, `blockedIds`, `blocklist { totalCount }`, `hasBlocked(id: "ann")`, `friendship(with: "ann") { remark }`, `friendRequestPolicy`,
			`friendRequests(direction: INCOMING) { totalCount }`, `whitelist { enabled }`, `whitelist { entries { totalCount } }`, `devices { id }`,
		} {
			w.Subscriber(field, "ann", strings.Replace(of, "%s", field, 1), nil)
			blocking := step("blocking", "ann", block, input("targetIds", []string{"bob"}), items("addToBlocklist", "bob", "DONE"))
			blocking.WantEvents = map[string]any{field: []string{"FORBIDDEN"}}
			w.Run(blocking, step("unblocking", "ann", unblock, input("targetIds", []string{"bob"}), items("removeFromBlocklist", "bob", "DONE")))
		}
		w.Subscriber("all visible", "ann",
			strings.Replace(of, "%s", `id name avatarUrl state deactivatedAt ban { until } status { userId presence customStatus }`, 1), nil)
		w.Run(
			graphtest.Scenario{Name: "adding", As: server, Query: addFriend, Variables: input("userId", "ann", "friendId", "bob"),
				WantEvents: map[string]any{"all visible": 1}},
			graphtest.Scenario{Name: "deactivating", As: server, Query: `mutation { deactivateUsers(input: {userIds: ["bob"]}) { results { outcome } } }`,
				WantEvents: map[string]any{"all visible": []string{
					`{"relationshipChanged":{"kind":"FRIEND_REMOVED","user":{"id":"bob","name":"","avatarUrl":null,"state":"DEACTIVATED","deactivatedAt":"2026-11-20T08:15:30.123Z","ban":null,
						"status":{"userId":"bob","presence":"UNLOGINED","customStatus":""}}}}`}}},
		)
	})
}

func TestRelationshipChanged_OnlyForUsers(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		if r := w.Live("websocket", w.Bearer(server), changes, nil).Next(); r.Code() != "FORBIDDEN" {
			w.T.Errorf("the App Server received %s", r.Body)
		}
	})
}

// TestRelationshipChanged_OwnBlockHasNoStatus: a user that blocks and unblocks others does not read
// their statuses through the events.
func TestRelationshipChanged_OwnBlockHasNoStatus(t *testing.T) {
	const withStatus = `subscription { relationshipChanged { kind user { id status { presence } } } }`
	eachTransport(t, func(w *graphtest.World, transport string) {
		people(w, "ann", "bob", "cid")
		live := w.Live(transport, w.Bearer("ann"), withStatus, nil)
		plain := w.Live(transport, w.Bearer("ann"), changes, nil)
		do(w, "ann", block, input("targetIds", []string{"bob"}))
		do(w, server, unblock, input("userId", "ann", "targetIds", []string{"bob"}))
		for range 2 {
			if r := live.Next(); r.Code() != "FORBIDDEN" || bytes.Contains(r.Data, []byte("presence")) {
				w.T.Errorf("the event of a block: %s", r.Body)
			}
		}
		do(w, "bob", sendRequest, input("targetId", "ann"))
		if r := live.Next(); string(r.Data) != `{"relationshipChanged":{"kind":"FRIEND_REQUEST_RECEIVED","user":{"id":"bob","status":{"presence":"UNLOGINED"}}}}` {
			w.T.Errorf("the event of another's request: %s", r.Body)
		}
		do(w, "cid", sendRequest, input("targetId", "ann"))
		for _, want := range relationEvents(w, "BLOCK_ADDED bob", "BLOCK_REMOVED bob", "FRIEND_REQUEST_RECEIVED bob", "FRIEND_REQUEST_RECEIVED cid") {
			if r := plain.Next(); !graphtest.Match(w.T, want, r.Data) {
				w.T.Errorf("without the status: %s, want %s", r.Body, want)
			}
		}
	})
}

// TestRelationshipChanged_CarriesFriendshipsAndRequests: each event has what it is about, as its user
// sees it, over each transport.
func TestRelationshipChanged_CarriesFriendshipsAndRequests(t *testing.T) {
	const all = `subscription { relationshipChanged { kind friendship { id user { id } remark blocked } request { id from { id } to { id } message } } }`
	eachTransport(t, func(w *graphtest.World, transport string) {
		people(w, "ann", "bob")
		ann, bob := w.Live(transport, w.Bearer("ann"), all, nil), w.Live(transport, w.Bearer("bob"), all, nil)
		next := func(live *graphtest.Live, kind, friendship, request string) {
			w.T.Helper()
			want := `{"relationshipChanged":{"kind":"` + kind + `","friendship":` + friendship + `,"request":` + request + `}}`
			if r := live.Next(); !graphtest.Match(w.T, want, r.Data) {
				w.T.Errorf("%s\nwant %s", r.Body, want)
			}
		}
		do(w, "ann", sendRequest, input("targetId", "bob", "message", "hello"))
		asked := `{"id":"*","from":{"id":"ann"},"to":{"id":"bob"},"message":"hello"}`
		next(bob, "FRIEND_REQUEST_RECEIVED", "null", asked)
		do(w, server, addFriend, input("userId", "bob", "friendId", "ann", "remark", "Annie"))
		next(ann, "FRIEND_REQUEST_ACCEPTED", "null", asked)
		next(ann, "FRIEND_ADDED", `{"id":"friendship:ann:bob","user":{"id":"bob"},"remark":null,"blocked":false}`, "null")
		next(bob, "FRIEND_ADDED", `{"id":"friendship:bob:ann","user":{"id":"ann"},"remark":"Annie","blocked":false}`, "null")
		do(w, "ann", setRemark, input("friendId", "bob", "remark", "Bobby"))
		next(ann, "FRIEND_REMARK_CHANGED", `{"id":"friendship:ann:bob","user":{"id":"bob"},"remark":"Bobby","blocked":false}`, "null")
		do(w, "ann", block, input("targetIds", []string{"bob"}))
		next(ann, "BLOCK_ADDED", "null", "null")
	})
}
