package graph_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rollcall/graph/graphtest"
)

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

const changes = `subscription { relationshipChanged { kind user { id } at } }`

// device is a connected device of a user with one subscription.
type device struct {
	t    *testing.T
	conn *websocket.Conn
}

// connect connects a device and answers when its subscription is running: an
// operation that came after it has been answered.
func connect(w *graphtest.World, as, subscription string) *device {
	w.T.Helper()
	d := dial(w, as)
	d.subscribe("changes", subscription)
	d.subscribe("ready", `{ __typename }`)
	d.await("next")
	d.await("complete")
	return d
}

// dial opens an acknowledged connection.
func dial(w *graphtest.World, as string) *device {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, w.URL, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = conn.CloseNow() })
	d := &device{w.T, conn}
	d.send(map[string]any{"type": "connection_init", "payload": map[string]any{"Authorization": w.Bearer(as), "platform": "WEB"}})
	d.await("connection_ack")
	return d
}

func (d *device) subscribe(id, query string) {
	d.t.Helper()
	d.send(map[string]any{"type": "subscribe", "id": id, "payload": map[string]any{"query": query}})
}

func (d *device) send(message map[string]any) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	text, err := json.Marshal(message)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.conn.Write(ctx, websocket.MessageText, text); err != nil {
		d.t.Fatal(err)
	}
}

// await answers the payload of the next message, which must be of that type.
func (d *device) await(kind string) json.RawMessage {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, text, err := d.conn.Read(ctx)
	if err != nil {
		d.t.Fatalf("waiting for %s: %v", kind, err)
	}
	var message struct {
		Type    string
		Payload json.RawMessage
	}
	if err := json.Unmarshal(text, &message); err != nil || message.Type != kind {
		d.t.Fatalf("got %s, want %s", text, kind)
	}
	return message.Payload
}

// until answers the events, "KIND user" each, up to the one about the user mark.
func (d *device) until(mark string) []string {
	d.t.Helper()
	var list []string
	for {
		payload := d.await("next")
		var event struct {
			Data struct {
				RelationshipChanged struct {
					Kind string
					User struct{ ID string }
					At   time.Time
				}
			}
		}
		if err := json.Unmarshal(payload, &event); err != nil || event.Data.RelationshipChanged.At.IsZero() {
			d.t.Fatalf("the event %s: %v", payload, err)
		}
		if event.Data.RelationshipChanged.User.ID == mark {
			return list
		}
		list = append(list, event.Data.RelationshipChanged.Kind+" "+event.Data.RelationshipChanged.User.ID)
	}
}

// TestRelationshipChanged: over real connections, by users and by the App Server,
// to all devices of exactly those who are concerned.
func TestRelationshipChanged(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid", "gone", "mark")
		devices := map[string]*device{}
		for name, as := range map[string]string{"ann": "ann", "ann's other": "ann", "bob": "bob", "cid": "cid"} {
			devices[name] = connect(w, as, changes)
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
				if got := devices[name].until("mark"); !slices.Equal(got, want) {
					w.T.Errorf("%s: %s's device was told %q, want %q", what, name, got, want)
				}
			}
			do(server, unblock, input("userId", "ann", "ids", []string{"mark"}))
			do(server, unblock, input("userId", "bob", "ids", []string{"mark"}))
			for _, name := range []string{"ann", "ann's other", "bob"} {
				devices[name].until("mark")
			}
		}
		do("ann", sendRequest, input("to", "bob"))
		do("ann", sendRequest, input("to", "bob"))
		expect("a request, and again", nil, []string{"FRIEND_REQUEST_RECEIVED ann", "FRIEND_REQUEST_RECEIVED ann"})
		do(server, addFriend, input("userId", "bob", "friendId", "ann", "remark", "Annie"))
		do(server, addFriend, input("userId", "bob", "friendId", "ann", "remark", "Annie"))
		expect("addFriend, and again", []string{"FRIEND_REQUEST_ACCEPTED bob", "FRIEND_ADDED bob"}, []string{"FRIEND_ADDED ann"})
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
		if got := devices["cid"].until("mark"); got != nil {
			w.T.Errorf("cid, whom nothing concerned, was told %q", got)
		}
	})
}

// TestEventsShowNoMore: what is in an event is seen with the same eyes as in any
// other answer.
func TestEventsShowNoMore(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob")
		const of = `subscription { relationshipChanged { kind user { %s } } }`
		for _, field := range []string{
			`friendIds`, `friends { totalCount }`, `blockedIds`, `blocklist { totalCount }`, `hasBlocked(id: "ann")`, `friendship(with: "ann") { remark }`,
			`friendRequests(direction: INCOMING) { totalCount }`, `whitelist { enabled }`, `whitelist { entries { totalCount } }`, `devices { id }`,
		} {
			d := connect(w, "ann", strings.Replace(of, "%s", field, 1))
			w.Run(step("blocking", "ann", block, input("ids", []string{"bob"}), items("addToBlocklist", "bob", "DONE")))
			var answer graphtest.Response
			if err := json.Unmarshal(d.await("next"), &answer); err != nil || answer.Code() != "FORBIDDEN" {
				w.T.Errorf("%s is answered %+v, %v", field, answer, err)
			}
			w.Run(step("unblocking", "ann", unblock, input("ids", []string{"bob"}), items("removeFromBlocklist", "bob", "DONE")))
		}
		d := connect(w, "ann", strings.Replace(of, "%s", `id name avatarUrl state deactivatedAt ban { until } status { userId presence customStatus }`, 1))
		w.Run(
			step("adding", server, addFriend, input("userId", "ann", "friendId", "bob"), ""),
			step("deactivating", server, `mutation { deactivateUsers(ids: ["bob"]) { outcome } }`, nil, ""),
		)
		d.await("next")
		want := `{"data":{"relationshipChanged":{"kind":"FRIEND_REMOVED","user":{"id":"bob","name":"","avatarUrl":null,"state":"DEACTIVATED","deactivatedAt":"2026-11-20T08:15:30.123Z","ban":null,
			"status":{"userId":"bob","presence":"UNLOGINED","customStatus":""}}}}}`
		if got := d.await("next"); !graphtest.Match(w.T, want, got) {
			w.T.Errorf("the end of a friend is told as %s", got)
		}
	})
}

func TestOnlyUsersHearOfRelations(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		d := dial(w, server)
		d.subscribe("changes", changes)
		if refusal := string(d.await("error")); !strings.Contains(refusal, `"code":"FORBIDDEN"`) {
			w.T.Errorf("the App Server is answered %s", refusal)
		}
	})
}
