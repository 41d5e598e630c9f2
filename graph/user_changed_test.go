package graph_test

import (
	"testing"

	"rollcall/graph/graphtest"
)

const userChanged = `subscription($ids: [ID!]!) { userChanged(ids: $ids) { id name avatarUrl state } }`

func TestUserChanged(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		for _, id := range []string{"ann", "bob", "cid"} {
			w.Register(w.App, id)
		}
		w.Register(w.Other, "foreign")
		both := vars("ids", []string{"ann", "bob"})
		watchers := []*graphtest.Live{
			w.Live(transport, w.Bearer("ann"), userChanged, both),
			w.Live(transport, w.Bearer(graphtest.AppServer), userChanged, both),
		}
		for _, change := range []struct{ query, want string }{
			{`registerUser(input: {id: "cid", name: "Not watched"}) { created }`, ""},
			{`updateUser(input: {userId: "bob", name: "Bob", avatarUrl: "https://example.org/b.png"}) { user { id } }`,
				`{"id":"bob","name":"Bob","avatarUrl":"https://example.org/b.png","state":"ACTIVE"}`},
			{`registerUser(input: {id: "bob", name: "Bob"}) { created }`, ""},
			{`registerUser(input: {id: "ann", name: "Anna"}) { created }`, `{"id":"ann","name":"Anna","avatarUrl":null,"state":"ACTIVE"}`},
			{`banUsers(input: {userIds: ["bob"], minutes: 5}) { results { outcome } }`,
				`{"id":"bob","name":"Bob","avatarUrl":"https://example.org/b.png","state":"BANNED"}`},
			{`unbanUsers(input: {userIds: ["bob"]}) { results { outcome } }`,
				`{"id":"bob","name":"Bob","avatarUrl":"https://example.org/b.png","state":"ACTIVE"}`},
			{`banUsers(input: {userIds: ["bob"], permanent: true}) { results { outcome } }`,
				`{"id":"bob","name":"Bob","avatarUrl":"https://example.org/b.png","state":"BANNED"}`},
			{`unbanUsers(input: {userIds: ["bob"]}) { results { outcome } }`,
				`{"id":"bob","name":"Bob","avatarUrl":"https://example.org/b.png","state":"ACTIVE"}`},
			{`deactivateUsers(input: {userIds: ["bob"]}) { results { outcome } }`, `{"id":"bob","name":"","avatarUrl":null,"state":"DEACTIVATED"}`},
			{`reactivateUsers(input: {userIds: ["bob"]}) { results { outcome } }`, `{"id":"bob","name":"","avatarUrl":null,"state":"ACTIVE"}`},
		} {
			do(w, graphtest.AppServer, "mutation { "+change.query+" }", nil)
			for _, watcher := range watchers {
				if change.want == "" {
					if transport == "websocket" {
						watcher.Quiet()
					}
					continue
				}
				if r := watcher.Next(); !graphtest.Match(w.T, `{"userChanged":`+change.want+`}`, r.Data) {
					w.T.Fatalf("after %s: %s", change.query, r.Body)
				}
			}
		}
		for _, test := range []struct {
			as   string
			ids  []string
			code string
		}{
			{"ann", []string{"bob", "nobody"}, "USER_NOT_FOUND"},
			{graphtest.AppServer, []string{"foreign"}, "USER_NOT_FOUND"},
			{"ann", []string{"b b"}, "INVALID_ARGUMENT"},
			{graphtest.AppServer, many(201), "INVALID_ARGUMENT"},
		} {
			if r := w.Live(transport, w.Bearer(test.as), userChanged, vars("ids", test.ids)).Next(); r.Code() != test.code {
				w.T.Errorf("%s watching %.40v: %s", test.as, test.ids, r.Body)
			}
		}
	})
}

// What an event shows of a user is what its receiver may see.
func TestUserChanged_PrivateFields(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		for _, id := range []string{"ann", "bob"} {
			w.Register(w.App, id)
		}
		const private = `subscription { userChanged(ids: ["bob"]) { name friendIds status { userId } } }`
		watchers := map[string]*graphtest.Live{}
		for _, as := range []string{"ann", "bob", graphtest.AppServer} {
			watchers[as] = w.Live("websocket", w.Bearer(as), private, nil)
		}
		do(w, graphtest.AppServer, `mutation { updateUser(input: {userId: "bob", name: "Bob"}) { user { id } } }`, nil)
		for as, watcher := range watchers {
			want, code := `{"userChanged":{"name":"Bob","friendIds":[],"status":{"userId":"bob"}}}`, ""
			if as == "ann" {
				want, code = `{"userChanged":{"name":"Bob","friendIds":null,"status":{"userId":"bob"}}}`, "FORBIDDEN"
			}
			if r := watcher.Next(); r.Code() != code || !graphtest.Match(w.T, want, r.Data) {
				w.T.Errorf("%s received %s", as, r.Body)
			}
		}
	})
}
