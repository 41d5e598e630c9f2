package graph_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/graph/graphtest"
)

const changes = `subscription { relationshipChanged { kind user { id } at } }`

// upTo returns the events of relationshipChanged, in the form "KIND user", up to the one about the
// user mark.
func upTo(w *graphtest.World, live *graphtest.Live, mark string) []string {
	w.T.Helper()
	var list []string
	for {
		r := live.Next()
		var event struct {
			RelationshipChanged struct {
				Kind string
				User struct{ ID string }
				At   time.Time
			}
		}
		if err := json.Unmarshal(r.Data, &event); err != nil || r.Code() != "" || event.RelationshipChanged.At.IsZero() {
			w.T.Fatalf("the event %s: %v", r.Body, err)
		}
		if event.RelationshipChanged.User.ID == mark {
			return list
		}
		list = append(list, event.RelationshipChanged.Kind+" "+event.RelationshipChanged.User.ID)
	}
}

// TestRelationshipChanged: changes by users and by the App Server, over real connections, reach all
// devices of exactly the users that they concern.
func TestRelationshipChanged(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid", "gone", "mark")
		devices := map[string]*graphtest.Live{}
		for name, as := range map[string]string{"ann": "ann", "ann's other": "ann", "bob": "bob", "cid": "cid"} {
			devices[name] = w.Live("websocket", w.Bearer(as), changes, nil)
		}
		do := func(as, query string, variables map[string]any) {
			w.T.Helper()
			if r := w.Do(w.Bearer(as), query, variables); r.Code() != "" {
				w.T.Fatalf("%s as %s: %s", query, as, r.Body)
			}
		}
		expect := func(what string, ann, bob []string) {
			w.T.Helper()
			do(server, block, input("userId", "ann", "ids", []string{"mark"}))
			do(server, block, input("userId", "bob", "ids", []string{"mark"}))
			for name, want := range map[string][]string{"ann": ann, "ann's other": ann, "bob": bob} {
				if got := upTo(w, devices[name], "mark"); !slices.Equal(got, want) {
					w.T.Errorf("%s: %s's device received %q, want %q", what, name, got, want)
				}
			}
			do(server, unblock, input("userId", "ann", "ids", []string{"mark"}))
			do(server, unblock, input("userId", "bob", "ids", []string{"mark"}))
			for _, name := range []string{"ann", "ann's other", "bob"} {
				upTo(w, devices[name], "mark")
			}
		}
		do("ann", sendRequest, input("to", "bob"))
		do("ann", sendRequest, input("to", "bob"))
		w.Clock.Pass(time.Hour)
		do("ann", sendRequest, input("to", "bob"))
		expect("a request, repeated, and repeated after an hour", nil, []string{"FRIEND_REQUEST_RECEIVED ann", "FRIEND_REQUEST_RECEIVED ann"})
		do(server, addFriend, input("userId", "bob", "friendId", "ann", "remark", "Annie"))
		do(server, addFriend, input("userId", "bob", "friendId", "ann", "remark", "Annie"))
		expect("addFriend, twice", []string{"FRIEND_REQUEST_ACCEPTED bob", "FRIEND_ADDED bob"}, []string{"FRIEND_ADDED ann"})
		do("ann", setRemark, input("friendId", "bob", "remark", "Bobby"))
		do(server, setRemark, input("userId", "ann", "friendId", "bob", "remark", "Bobby"))
		do(server, setRemark, input("userId", "ann", "friendId", "bob", "remark", ""))
		expect("remarks", []string{"FRIEND_REMARK_CHANGED bob", "FRIEND_REMARK_CHANGED bob"}, nil)
		do("ann", block, input("ids", []string{"bob", "bob"}))
		do("bob", `{ messagePermission(from: "bob", to: "ann") { reason } }`, nil)
		do("ann", unblock, input("ids", []string{"bob"}))
		do("ann", unblock, input("ids", []string{"bob"}))
		expect("a block", []string{"BLOCK_ADDED bob", "BLOCK_REMOVED bob"}, nil)
		do("bob", removeFriend, input("friendId", "ann"))
		do(server, removeFriend, input("userId", "ann", "friendId", "bob"))
		expect("removing", []string{"FRIEND_REMOVED bob"}, []string{"FRIEND_REMOVED ann"})
		do("bob", decline, request(sends(w, "ann", "bob")))
		do("ann", cancel, request(sends(w, "ann", "bob")))
		do("bob", accept, request(sends(w, "ann", "bob")))
		do("ann", removeFriend, input("friendId", "bob"))
		expect("answers",
			[]string{"FRIEND_REQUEST_DECLINED bob", "FRIEND_REQUEST_ACCEPTED bob", "FRIEND_ADDED bob", "FRIEND_REMOVED bob"},
			[]string{"FRIEND_REQUEST_RECEIVED ann", "FRIEND_REQUEST_RECEIVED ann", "FRIEND_REQUEST_CANCELLED ann", "FRIEND_REQUEST_RECEIVED ann", "FRIEND_ADDED ann", "FRIEND_REMOVED ann"})
		do("ann", sendRequest, input("to", "bob"))
		do("bob", sendRequest, input("to", "ann"))
		expect("a crossing", []string{"FRIEND_REQUEST_ACCEPTED bob", "FRIEND_ADDED bob"}, []string{"FRIEND_REQUEST_RECEIVED ann", "FRIEND_ADDED ann"})
		do(server, addFriend, input("userId", "ann", "friendId", "gone"))
		do(server, block, input("userId", "bob", "ids", []string{"gone"}))
		do("gone", block, input("ids", []string{"ann"}))
		do(server, `mutation { deactivateUsers(ids: ["gone"]) { outcome } }`, nil)
		expect("deactivation", []string{"FRIEND_ADDED gone", "FRIEND_REMOVED gone"}, []string{"BLOCK_ADDED gone", "BLOCK_REMOVED gone"})
		do(server, block, input("userId", "cid", "ids", []string{"mark"}))
		if got := upTo(w, devices["cid"], "mark"); got != nil {
			w.T.Errorf("cid, who is not concerned, received %q", got)
		}
	})
}

// TestRelationshipChanged_ShowsNoMore: the fields in an event are visible under the same rules as
// in other responses.
func TestRelationshipChanged_ShowsNoMore(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob")
		const of = `subscription { relationshipChanged { kind user { %s } } }`
		for _, field := range []string{
			`friendIds`, `friends { totalCount }`, `blockedIds`, `blocklist { totalCount }`, `hasBlocked(id: "ann")`, `friendship(with: "ann") { remark }`,
			`friendRequests(direction: INCOMING) { totalCount }`, `whitelist { enabled }`, `whitelist { entries { totalCount } }`, `devices { id }`,
		} {
			live := w.Live("websocket", w.Bearer("ann"), strings.Replace(of, "%s", field, 1), nil)
			w.Run(step("blocking", "ann", block, input("ids", []string{"bob"}), items("addToBlocklist", "bob", "DONE")))
			if r := live.Next(); r.Code() != "FORBIDDEN" {
				w.T.Errorf("the response to %s is %s", field, r.Body)
			}
			w.Run(step("unblocking", "ann", unblock, input("ids", []string{"bob"}), items("removeFromBlocklist", "bob", "DONE")))
		}
		live := w.Live("websocket", w.Bearer("ann"),
			strings.Replace(of, "%s", `id name avatarUrl state deactivatedAt ban { until } status { userId presence customStatus }`, 1), nil)
		w.Run(
			step("adding", server, addFriend, input("userId", "ann", "friendId", "bob"), ""),
			step("deactivating", server, `mutation { deactivateUsers(ids: ["bob"]) { outcome } }`, nil, ""),
		)
		live.Next()
		want := `{"relationshipChanged":{"kind":"FRIEND_REMOVED","user":{"id":"bob","name":"","avatarUrl":null,"state":"DEACTIVATED","deactivatedAt":"2026-11-20T08:15:30.123Z","ban":null,
			"status":{"userId":"bob","presence":"UNLOGINED","customStatus":""}}}}`
		if r := live.Next(); !graphtest.Match(w.T, want, r.Data) {
			w.T.Errorf("the event of a deleted friend is %s", r.Body)
		}
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
		do(w, "ann", block, input("ids", []string{"bob"}))
		do(w, server, unblock, input("userId", "ann", "ids", []string{"bob"}))
		for range 2 {
			if r := live.Next(); r.Code() != "FORBIDDEN" || bytes.Contains(r.Data, []byte("presence")) {
				w.T.Errorf("the event of a block: %s", r.Body)
			}
		}
		do(w, "bob", sendRequest, input("to", "ann"))
		if r := live.Next(); string(r.Data) != `{"relationshipChanged":{"kind":"FRIEND_REQUEST_RECEIVED","user":{"id":"bob","status":{"presence":"UNLOGINED"}}}}` {
			w.T.Errorf("the event of another's request: %s", r.Body)
		}
		do(w, "cid", sendRequest, input("to", "ann"))
		if got := upTo(w, plain, "cid"); fmt.Sprint(got) != "[BLOCK_ADDED bob BLOCK_REMOVED bob FRIEND_REQUEST_RECEIVED bob]" {
			w.T.Errorf("without the status: %q", got)
		}
	})
}
