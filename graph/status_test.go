package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/bus"
)

const (
	changed       = `subscription { statusChanged { userId presence customStatus } }`
	appChanged    = `subscription { appStatusChanged { userId presence customStatus } }`
	userStatus    = `subscription($ids: [ID!]!) { userStatus(ids: $ids) { userId presence customStatus } }`
	statuses      = `query($ids: [ID!]!) { userStatuses(ids: $ids) { userId presence customStatus } }`
	setStatus     = `mutation($text: String!) { setStatus(input: {customStatus: $text}) { status { userId presence customStatus } } }`
	subscribe     = `mutation($ids: [ID!]!) { subscribeStatus(input: {targetIds: $ids}) { statuses { userId presence } evictedIds } }`
	unsub         = `mutation($ids: [ID!], $all: Boolean) { unsubscribeStatus(input: {targetIds: $ids, all: $all}) { endedCount } }`
	makeFriends   = `mutation($a: ID!, $b: ID!) { addFriend(input: {userId: $a, friendId: $b}) { created } }`
	unfriend      = `mutation($a: ID!, $b: ID!) { removeFriend(input: {userId: $a, friendId: $b}) { outcome } }`
	banAMinute    = `mutation($id: ID!) { banUsers(input: {userIds: [$id], minutes: 1}) { results { outcome } } }`
	closeAccounts = `mutation($id: ID!) { deactivateUsers(input: {userIds: [$id]}) { results { outcome } } }`
	cutOff        = `mutation($id: ID!) { disconnectUser(input: {userId: $id, allDevices: true}) { disconnectedCount } }`
)

// eachTransport runs test over WebSocket and SSE on both databases.
func eachTransport(t *testing.T, test func(w *graphtest.World, transport string)) {
	eachOf(t, graphtest.Transports, test)
}

// eachWay runs test over plain HTTP too.
func eachWay(t *testing.T, test func(w *graphtest.World, way string)) {
	eachOf(t, graphtest.Ways, test)
}

func eachOf(t *testing.T, names []string, test func(w *graphtest.World, name string)) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			graphtest.Each(t, func(w *graphtest.World) { test(w, name) })
		})
	}
}

// do sends an operation that must succeed.
func do(w *graphtest.World, as, query string, variables map[string]any) *graphtest.Response {
	w.T.Helper()
	r := w.Do(w.Bearer(as), query, variables)
	if r.Code() != "" {
		w.T.Fatalf("%s: %s", query, r.Body)
	}
	return r
}

func vars(pairs ...any) map[string]any { return input(pairs...)["input"].(map[string]any) }

// watching connects a device of the user that watches statusChanged.
func watching(w *graphtest.World, transport, id string) *graphtest.Live {
	w.T.Helper()
	return w.Live(transport, w.Bearer(id), changed, nil)
}

// everyone watches the app's statuses as its App Server.
func everyone(w *graphtest.World) *graphtest.Live {
	w.T.Helper()
	return w.Live("websocket", w.Bearer(graphtest.AppServer), appChanged, nil)
}

func TestStatus_FollowsDevices(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		all := everyone(w)
		first := watching(w, transport, "ann")
		all.Want("ann ONLINE")
		second := watching(w, transport, "ann")
		r := do(w, "ann", `{ me { status { presence } devices { platform } } }`, nil)
		if !graphtest.Match(w.T, `{"me":{"status":{"presence":"ONLINE"},"devices":[{"platform":"WEB"},{"platform":"WEB"}]}}`, r.Data) {
			w.T.Fatalf("two devices: %s", r.Body)
		}
		if r := do(w, graphtest.AppServer, `{ app { onlineUserCount } }`, nil); !graphtest.Match(w.T, `{"app":{"onlineUserCount":1}}`, r.Data) {
			w.T.Fatalf("one user is online: %s", r.Body)
		}
		// Closing one of two keeps the user ONLINE.
		first.Close()
		eventually(w, func() bool {
			r := do(w, "ann", `{ me { devices { id } status { presence } } }`, nil)
			return graphtest.Match(w.T, `{"me":{"devices":[{"id":"*"}],"status":{"presence":"ONLINE"}}}`, r.Data)
		})
		second.Close()
		all.Want("ann OFFLINE")
		// A quick reconnect ends ONLINE.
		last := watching(w, transport, "ann")
		for range 5 {
			next := watching(w, transport, "ann")
			last.Close()
			last = next
		}
		all.Want("ann ONLINE")
		all.Quiet()
		if r := do(w, graphtest.AppServer, statuses, vars("ids", []string{"ann", "nobody"})); !graphtest.Match(w.T,
			`{"userStatuses":[{"userId":"ann","presence":"ONLINE","customStatus":""},null]}`, r.Data) {
			w.T.Fatalf("after reconnecting: %s", r.Body)
		}
	})
}

func eventually(w *graphtest.World, happened func() bool) {
	w.T.Helper()
	for deadline := time.Now().Add(20 * time.Second); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.T.Fatal("timed out")
		}
	}
}

func TestLogout_OverWebSocket(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		all := everyone(w)
		first, second := w.Socket(w.Bearer("ann")), w.Socket(w.Bearer("ann"))
		all.Want("ann ONLINE")
		if r := first.Do(`mutation { logout(input: {}) { loggedOutCount } }`, nil); string(r.Data) != `{"logout":{"loggedOutCount":1}}` {
			w.T.Fatalf("the response to logout is %s", r.Body)
		}
		if code := first.CloseCode(); code != 4401 {
			w.T.Fatalf("closed with %d, want 4401", code)
		}
		second.Do(`mutation { setStatus(input: {customStatus: "still here"}) { status { presence } } }`, nil)
		all.Want("ann ONLINE still here")
		third := w.Socket(w.Bearer("ann"))
		if r := third.Do(`mutation { logout(input: {allDevices: true}) { loggedOutCount } }`, nil); string(r.Data) != `{"logout":{"loggedOutCount":2}}` {
			w.T.Fatalf("the response to logout is %s", r.Body)
		}
		if code := second.CloseCode(); code != 4401 {
			w.T.Fatalf("the other device was closed with %d, want 4401", code)
		}
		all.Want("ann UNLOGINED")
		all.Quiet()
	})
}

func TestLogout_OverHTTPEndsAllDevices(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		all := everyone(w)
		ann := watching(w, transport, "ann")
		do(w, "ann", `mutation { logout(input: {}) { loggedOutCount } }`, nil)
		all.Want("ann ONLINE", "ann UNLOGINED")
		if ann.Socket != nil {
			if code := ann.Socket.CloseCode(); code != 4401 {
				w.T.Fatalf("closed with %d, want 4401", code)
			}
		} else {
			// The stream may deliver the user's own change before it ends.
			got := ann.Status()
			if got == "ann UNLOGINED" {
				got = ann.Status()
			}
			if got != "UNAUTHENTICATED" {
				w.T.Fatalf("the stream ended with %q", got)
			}
		}
		do(w, "ann", `mutation { logout(input: {}) { loggedOutCount } }`, nil) // with none connected
		watching(w, transport, "ann")
		all.Want("ann ONLINE")
	})
}

// However the last device is taken away, there is one event, and the custom status is cleared.
func TestStatus_DevicesAreTakenAway(t *testing.T) {
	for _, test := range []struct {
		name, query, want string
		code              int
		over              string // how an SSE stream ends
	}{
		{"disconnectUser", cutOff, "ann OFFLINE", 4403, "FORBIDDEN"},
		{"ban", banAMinute, "ann OFFLINE", 4401, "USER_BANNED"},
		{"deactivation", closeAccounts, "ann UNLOGINED", 4401, "USER_DEACTIVATED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachTransport(t, func(w *graphtest.World, transport string) {
				all := everyone(w)
				first, second := watching(w, transport, "ann"), watching(w, transport, "ann")
				all.Want("ann ONLINE")
				do(w, "ann", setStatus, vars("text", "busy"))
				all.Want("ann ONLINE busy")
				do(w, graphtest.AppServer, test.query, vars("id", "ann"))
				all.Want(test.want)
				for _, d := range []*graphtest.Live{first, second} {
					if d.Socket != nil {
						if code := d.Socket.CloseCode(); code != test.code {
							t.Errorf("closed with %d, want %d", code, test.code)
						}
						continue
					}
					got := d.Status()
					for strings.HasPrefix(got, "ann ") {
						got = d.Status()
					}
					if got != test.over {
						t.Errorf("the stream ended with %q, want %s", got, test.over)
					}
				}
				if test.query == closeAccounts {
					do(w, graphtest.AppServer, `mutation { reactivateUsers(input: {userIds: ["ann"]}) { results { outcome } } }`, nil)
				}
				if got := "ann " + presenceOf(w, "ann"); got != test.want {
					t.Errorf("at the end %s, want %s", got, test.want)
				}
				all.Quiet()
			})
		})
	}
}

func TestCustomStatus(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		text := strings.Repeat("丽", 33) + "x" // 100 bytes
		refused := func(name, text string) graphtest.Scenario {
			return graphtest.Scenario{Name: name, As: "ann", Query: setStatus, Variables: vars("text", text),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.customStatus", "nocontrol")}
		}
		w.Run(graphtest.Scenario{Name: "without a device", As: "ann", Query: setStatus, Variables: vars("text", "x"), WantCode: "NOT_ONLINE"})
		first, second := watching(w, transport, "ann"), watching(w, transport, "ann")
		w.Run(
			graphtest.Scenario{Name: "100 bytes", As: "ann", Query: setStatus, Variables: vars("text", text),
				WantData: `{"setStatus":{"status":{"userId":"ann","presence":"ONLINE","customStatus":"` + text + `"}}}`},
			graphtest.Scenario{Name: "the same again", As: "ann", Query: setStatus, Variables: vars("text", text),
				WantData: `{"setStatus":{"status":{"userId":"ann","presence":"ONLINE","customStatus":"` + text + `"}}}`},
			graphtest.Scenario{Name: "101 bytes", As: "ann", Query: setStatus, Variables: vars("text", text+"y"),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.customStatus", "maxbytes")},
			refused("a line break", "a\nb"),
			refused("NUL", "\x00"),
			refused("DEL", "a\x7f"),
			refused("a C1 control character", "\u0085b"),
			graphtest.Scenario{Name: "what others see", As: graphtest.AppServer, Query: `{ user(id: "ann") { status { customStatus } } }`,
				WantData: `{"user":{"status":{"customStatus":"` + text + `"}}}`},
		)
		// Truncated within a character.
		if got := postRaw(w, "ann", `{"query":"mutation { setStatus(input: {customStatus: \"`+text[:99]+`\xe4\"}) { status { presence } } }"}`); got != http.StatusBadRequest {
			w.T.Errorf("a text truncated within a character: status %d", got)
		}
		// Half of a surrogate pair, in a variable and in a document.
		for _, body := range []string{
			`{"query":"mutation($text: String!) { setStatus(input: {customStatus: $text}) { status { presence } } }","variables":{"text":"a\ud83d"}}`,
			`{"query":"mutation { setStatus(input: {customStatus: \"a\\ud83d\"}) { status { presence } } }"}`,
		} {
			if got := postRaw(w, "ann", body); got != http.StatusBadRequest {
				w.T.Errorf("half a character: status %d for %s", got, body)
			}
		}
		for _, d := range []*graphtest.Live{first, second} {
			got := d.Status()
			if got == "ann ONLINE" { // the event of the second device's connect may be omitted
				got = d.Status()
			}
			if got != "ann ONLINE "+text {
				w.T.Fatalf("told %q", got)
			}
		}
		// Only now: a reader that is behind may miss the events in between.
		w.Run(graphtest.Scenario{Name: "cleared", As: "ann", Query: setStatus, Variables: vars("text", ""),
			WantData: `{"setStatus":{"status":{"userId":"ann","presence":"ONLINE","customStatus":""}}}`})
		for _, d := range []*graphtest.Live{first, second} {
			d.Want("ann ONLINE")
			d.Quiet()
		}
	})
}

func postRaw(w *graphtest.World, as, body string) (status int) {
	w.T.Helper()
	req, err := http.NewRequest(http.MethodPost, w.URL, strings.NewReader(body))
	if err != nil {
		w.T.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", w.Bearer(as))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

var disabled = map[string]any{"number": 72001}

func TestStatus_QueriesNeedTheSwitch(t *testing.T) {
	eachWay(t, func(w *graphtest.World, way string) {
		w.Register(w.App, "bob")
		refused := func(name, query string, ids ...string) graphtest.Scenario {
			return graphtest.Scenario{Name: name, As: "ann", Query: query, Variables: vars("ids", ids),
				WantCode: "FEATURE_DISABLED", WantExtensions: disabled}
		}
		friends := `query { me { friends { nodes { user { status { presence } } } } } }`
		do(w, graphtest.AppServer, makeFriends, vars("a", "bob", "b", registered(w, "ann")))
		w.Run(graphtest.Scenario{Name: "on", As: "ann", Query: friends, WantData: `{"me":{"friends":{"nodes":[{"user":{"status":{"presence":"UNLOGINED"}}}]}}}`})
		w.Set(map[string]string{"statusQueryEnabled": "false"})
		w.RunOver(way,
			refused("others", statuses, "ann", "bob"),
			refused("another's field", `query($ids: [ID!]!) { users(ids: $ids) { status { presence } } }`, "bob"),
			refused("a friend's field", friends),
			refused("subscribing", subscribe, "bob"),
			refused("unsubscribing", unsub, "bob"),
			graphtest.Scenario{Name: "oneself", As: "ann", Query: statuses, Variables: vars("ids", []string{"ann"}),
				WantData: `{"userStatuses":[{"userId":"ann","presence":"*","customStatus":""}]}`},
			graphtest.Scenario{Name: "one's own field", As: "ann", Query: `{ me { status { presence } } }`, WantData: `{"me":{"status":{"presence":"*"}}}`},
			graphtest.Scenario{Name: "nobody", As: "ann", Query: statuses, Variables: vars("ids", []string{}), WantData: `{"userStatuses":[]}`},
			graphtest.Scenario{Name: "the App Server", As: graphtest.AppServer, Query: statuses, Variables: vars("ids", []string{"bob"}),
				WantData: `{"userStatuses":[{"userId":"bob","presence":"UNLOGINED","customStatus":""}]}`},
		)
	})
}

// Without the switch, everything but the statuses is returned, with one error for each of them and at
// most 100 in all.
func TestStatus_RefusedFieldsLeaveTheirNeighbours(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		const friends = 99 // an app in development has at most 100 users
		for i := range friends {
			id := fmt.Sprintf("f%03d", i)
			w.Register(w.App, id)
			do(w, graphtest.AppServer, makeFriends, vars("a", registered(w, "ann"), "b", id))
		}
		w.Set(map[string]string{"statusQueryEnabled": "false"})
		const query = `query($first: Int) { me { name friends(first: $first, orderBy: OLDEST_FIRST) { nodes { user { id name status { presence } } } } } }`
		for _, first := range []int{10, friends} {
			r := w.Do(w.Bearer("ann"), query, vars("first", first))
			var data struct {
				Me struct {
					Name    string
					Friends struct {
						Nodes []struct {
							User struct {
								ID, Name string
								Status   any
							}
						}
					}
				}
			}
			if err := json.Unmarshal(r.Data, &data); err != nil || len(data.Me.Friends.Nodes) != first || data.Me.Name == "" || len(r.Errors) != first {
				w.T.Fatalf("the response is %.2000s", r.Body)
			}
			paths := make(map[string]bool)
			for i, node := range data.Me.Friends.Nodes {
				if u := node.User; u.ID != fmt.Sprintf("f%03d", i) || u.Name == "" || u.Status != nil {
					w.T.Fatalf("a friend is %+v", u)
				}
				paths[fmt.Sprintf("[me friends nodes %d user status]", i)] = true
			}
			for _, err := range r.Errors {
				path := fmt.Sprint(err.Path)
				if err.Extensions["code"] != "FEATURE_DISABLED" || !paths[path] {
					w.T.Fatalf("an error is %+v", err)
				}
				delete(paths, path)
			}
		}
		r := w.Do(w.Bearer("ann"), `{ a: me { friends(first: 100) { nodes { user { status { presence } } } } } b: me { id friends(first: 2) { nodes { user { id status { presence } } } } } }`, nil)
		if len(r.Errors) != 101 || r.Errors[100].Extensions["code"] != "QUERY_TOO_COMPLEX" || !strings.Contains(string(r.Data), `"b":{"id":"ann"`) {
			w.T.Fatalf("with 101 refused fields the response has %d errors: %.500s", len(r.Errors), r.Body)
		}
		w.Run(graphtest.Scenario{Name: "neighbours of a refused root field", As: "ann", Query: `{ userStatuses(ids: ["f000"]) { presence } me { id } }`,
			WantCode: "FEATURE_DISABLED", WantData: `{"userStatuses":null,"me":{"id":"ann"}}`})
	})
}

// In the order of the IDs, with null for users that the app does not have.
func TestUserStatuses(t *testing.T) {
	eachWay(t, func(w *graphtest.World, way string) {
		for _, id := range []string{"bob", "gone"} {
			w.Register(w.App, id)
		}
		w.Register(w.Other, "foreign")
		watching(w, "websocket", "bob")
		do(w, "bob", setStatus, vars("text", "busy"))
		do(w, graphtest.AppServer, closeAccounts, vars("id", "gone"))
		ask := func(name, as, want string, ids ...string) graphtest.Scenario {
			return graphtest.Scenario{Name: name + " as " + as, As: as, Query: statuses, Variables: vars("ids", ids), WantData: want}
		}
		bad := func(name, as, field, rule string, ids ...string) graphtest.Scenario {
			return graphtest.Scenario{Name: name + " as " + as, As: as, Query: statuses, Variables: vars("ids", ids),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks(field, rule)}
		}
		const bob = `{"userId":"bob","presence":"ONLINE","customStatus":"busy"}`
		for _, as := range []string{"ann", graphtest.AppServer} {
			w.RunOver(way,
				ask("known, unknown and foreign", as, `{"userStatuses":[null,`+bob+`,null,null,{"userId":"gone","presence":"UNLOGINED","customStatus":""},`+bob+`]}`,
					"nobody", "bob", "foreign", "Bob", "gone", "bob"),
				ask("none", as, `{"userStatuses":[]}`, []string{}...),
				ask("500", as, "", many(500)...),
				bad("501", as, "ids", "max", many(501)...),
				ask("ill-formed", as, `{"userStatuses":[`+bob+`,null,null,null,null]}`, "bob", "b b", "", "bob ", "丽"),
			)
		}
	})
}

func TestUserStatus_NeedsTheSwitch(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		w.Register(w.App, "bob")
		w.Set(map[string]string{"statusQueryEnabled": "false"})
		bob := vars("ids", []string{"bob"})
		w.RunOver(transport, graphtest.Scenario{Name: "a user", As: "ann", Query: userStatus, Variables: bob,
			WantCode: "FEATURE_DISABLED", WantExtensions: disabled})
		w.Live(transport, w.Bearer("ann"), userStatus, vars("ids", []string{"ann"})).Want("ann ONLINE")
		one := w.Live(transport, w.Bearer(graphtest.AppServer), userStatus, bob)
		all := w.Live(transport, w.Bearer(graphtest.AppServer), appChanged, nil)
		watching(w, transport, "bob")
		one.Want("bob UNLOGINED", "bob ONLINE")
		all.Want("bob ONLINE")
	})
}

// First each user's present status, then changes.
func TestUserStatus(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		for _, id := range []string{"ann", "bob", "cid"} {
			w.Register(w.App, id)
		}
		w.Register(w.Other, "foreign")
		bob := watching(w, transport, "bob")
		do(w, "bob", setStatus, vars("text", "busy"))
		for _, as := range []string{"ann", graphtest.AppServer} {
			seen := w.Live(transport, w.Bearer(as), userStatus, vars("ids", []string{"bob"}))
			seen.Want("bob ONLINE busy")
			do(w, "bob", setStatus, vars("text", ""))
			seen.Want("bob ONLINE")
			do(w, "bob", setStatus, vars("text", "busy"))
			seen.Want("bob ONLINE busy")
			seen.Close()
		}
		twice := w.Live(transport, w.Bearer(graphtest.AppServer), userStatus, vars("ids", []string{"bob", "cid", "bob"}))
		first := []string{twice.Status(), twice.Status()}
		slices.Sort(first)
		if !slices.Equal(first, []string{"bob ONLINE busy", "cid UNLOGINED"}) {
			w.T.Errorf("two users, one of them asked for twice, are reported as %q", first)
		}
		bob.Close()
		twice.Want("bob OFFLINE")
		watch := func(name, as, code string, extensions map[string]any, ids ...string) graphtest.Scenario {
			return graphtest.Scenario{Name: name, As: as, Query: userStatus, Variables: vars("ids", ids), WantCode: code, WantExtensions: extensions}
		}
		for _, as := range []string{"ann", graphtest.AppServer} {
			w.RunOver(transport,
				watch("unknown to "+as, as, "USER_NOT_FOUND", map[string]any{"userId": "nobody"}, "bob", "nobody"),
				watch("foreign to "+as, as, "USER_NOT_FOUND", map[string]any{"userId": "foreign"}, "foreign"),
				watch("another case for "+as, as, "USER_NOT_FOUND", map[string]any{"userId": "Bob"}, "Bob"),
				watch("ill-formed for "+as, as, "INVALID_ARGUMENT", breaks("ids.1", "userid"), "bob", "b b"),
				watch("200 for "+as, as, "USER_NOT_FOUND", nil, many(200)...),
				watch("201 for "+as, as, "INVALID_ARGUMENT", breaks("ids", "max"), many(201)...),
			)
		}
	})
}

func TestUserStatus_EndsWithTheSwitch(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		for _, id := range []string{"ann", "bob"} {
			w.Register(w.App, id)
		}
		both := vars("ids", []string{"ann", "bob"})
		user := w.Live(transport, w.Bearer("ann"), userStatus, both)
		user.Want("ann ONLINE", "bob UNLOGINED")
		own := w.Live(transport, w.Bearer("ann"), userStatus, vars("ids", []string{"ann"}))
		own.Want("ann ONLINE")
		server := w.Live(transport, w.Bearer(graphtest.AppServer), userStatus, both)
		server.Want("ann ONLINE", "bob UNLOGINED")

		w.Set(map[string]string{"statusQueryEnabled": "false"})
		r := user.Next()
		if r.Code() != "FEATURE_DISABLED" || fmt.Sprint(r.Errors[0].Extensions["number"]) != "72001" {
			w.T.Fatalf("the operation ended with %s", r.Body)
		}
		watching(w, transport, "bob")
		server.Want("bob ONLINE")
		do(w, "ann", setStatus, vars("text", "here"))
		server.Want("ann ONLINE here")
		own.Want("ann ONLINE here")
		if transport == "websocket" {
			user.Quiet()
		}
		w.Set(map[string]string{"statusQueryEnabled": "true"})
		again := w.Live(transport, w.Bearer("ann"), userStatus, both)
		again.Want("ann ONLINE here", "bob ONLINE")
		// Like another process.
		elsewhere := apps.New(w.DB, new(bus.Bus), nil, w.Clock.Now)
		if _, err := elsewhere.Set(context.Background(), w.App.Key, map[string]string{"statusQueryEnabled": "false"}, audit.AppServer); err != nil {
			w.T.Fatal(err)
		}
		again.Want("FEATURE_DISABLED")
	})
}

func TestSubscribeStatus(t *testing.T) {
	eachWay(t, func(w *graphtest.World, way string) {
		for _, id := range []string{"ann", "bob", "cid", "dan", "eve"} {
			w.Register(w.App, id)
		}
		w.Register(w.Other, "foreign")
		w.Set(map[string]string{"statusSubscriptionLimit": "3"})
		many := make([]string, 101)
		for i := range many {
			many[i] = fmt.Sprint("x", i)
		}
		const list = `query($after: String) { me { statusSubscriptions(first: 2, after: $after) { nodes { user { id } subscribedAt } pageInfo { hasNextPage } totalCount } } }`
		sub := func(name string, want string, ids ...string) graphtest.Scenario {
			return graphtest.Scenario{Name: name, As: "ann", Query: subscribe, Variables: vars("ids", ids), WantData: want}
		}
		refused := func(name, code string, extensions map[string]any, ids ...string) graphtest.Scenario {
			return graphtest.Scenario{Name: name, As: "ann", Query: subscribe, Variables: vars("ids", ids), WantCode: code, WantExtensions: extensions}
		}
		w.RunOver(way,
			sub("three, one of them twice", `{"subscribeStatus":{"statuses":[{"userId":"bob","presence":"UNLOGINED"},{"userId":"cid","presence":"UNLOGINED"},{"userId":"dan","presence":"UNLOGINED"}],"evictedIds":[]}}`, "bob", "cid", "bob", "dan"),
			sub("one of them again", `{"subscribeStatus":{"statuses":[{"userId":"bob","presence":"UNLOGINED"}],"evictedIds":[]}}`, "bob"),
			sub("a fourth", `{"subscribeStatus":{"statuses":[{"userId":"eve","presence":"UNLOGINED"}],"evictedIds":["cid"]}}`, "eve"),
			graphtest.Scenario{Name: "making one of them a friend", As: graphtest.AppServer, Query: makeFriends, Variables: vars("a", "ann", "b", "cid")},
			sub("a friend counts too", `{"subscribeStatus":{"statuses":[{"userId":"cid","presence":"UNLOGINED"}],"evictedIds":["dan"]}}`, "cid"),
			graphtest.Scenario{Name: "the list", As: "ann", Query: list,
				WantData: `{"me":{"statusSubscriptions":{"nodes":[{"user":{"id":"cid"},"subscribedAt":"2026-11-20T08:15:30.123Z"},{"user":{"id":"eve"},"subscribedAt":"*"}],"pageInfo":{"hasNextPage":true},"totalCount":3}}}`},
			graphtest.Scenario{Name: "another's list", As: "bob", Query: `{ user(id: "ann") { statusSubscriptions { totalCount } } }`, WantCode: "FORBIDDEN"},
			graphtest.Scenario{Name: "the App Server sees it", As: graphtest.AppServer, Query: `{ user(id: "ann") { statusSubscriptions { totalCount } } }`,
				WantData: `{"user":{"statusSubscriptions":{"totalCount":3}}}`},
			graphtest.Scenario{Name: "a cursor of no list", As: "ann", Query: list, Variables: vars("after", "AAAA"),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("after", "cursor")},
			refused("oneself", "SELF_REFERENCE", nil, "bob", "ann"),
			refused("unknown", "USER_NOT_FOUND", map[string]any{"userId": "nobody"}, "bob", "nobody"),
			refused("foreign", "USER_NOT_FOUND", map[string]any{"userId": "foreign"}, "foreign"),
			refused("ill-formed", "INVALID_ARGUMENT", breaks("input.targetIds.1", "userid"), "bob", "b b"),
			refused("none", "INVALID_ARGUMENT", breaks("input.targetIds", "min"), []string{}...),
			refused("101", "INVALID_ARGUMENT", breaks("input.targetIds", "max"), many...),
			graphtest.Scenario{Name: "unsubscribing one", As: "ann", Query: unsub, Variables: vars("ids", []string{"bob", "dan"}), WantData: `{"unsubscribeStatus":{"endedCount":1}}`},
			graphtest.Scenario{Name: "unsubscribing 101", As: "ann", Query: unsub, Variables: vars("ids", many), WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.targetIds", "max")},
			graphtest.Scenario{Name: "unsubscribing neither", As: "ann", Query: unsub, Variables: vars("ids", []string{}, "all", false), WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.targetIds", "either")},
			graphtest.Scenario{Name: "unsubscribing both", As: "ann", Query: unsub, Variables: vars("ids", []string{"cid"}, "all", true), WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.targetIds", "either")},
			graphtest.Scenario{Name: "unsubscribing all", As: "ann", Query: unsub, Variables: vars("all", true), WantData: `{"unsubscribeStatus":{"endedCount":2}}`},
			graphtest.Scenario{Name: "unsubscribing all of none", As: "ann", Query: unsub, Variables: vars("all", true, "ids", []string{}), WantData: `{"unsubscribeStatus":{"endedCount":0}}`},
		)
	})
}

// An App Server acts for a user that it names, without rate limits; a user acts only for itself.
func TestStatus_OnBehalfOfAUser(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		for _, id := range []string{"ann", "bob", "gone"} {
			w.Register(w.App, id)
		}
		w.Register(w.Other, "foreign")
		do(w, graphtest.AppServer, closeAccounts, vars("id", "gone"))
		ann := watching(w, "websocket", "ann")
		const (
			set   = `mutation($id: ID) { setStatus(input: {userId: $id, customStatus: "busy"}) { status { userId customStatus } } }`
			sub   = `mutation($id: ID) { subscribeStatus(input: {userId: $id, targetIds: ["bob"]}) { statuses { userId } evictedIds } }`
			unsub = `mutation($id: ID) { unsubscribeStatus(input: {userId: $id, targetIds: ["bob"]}) { endedCount } }`
			count = `{ user(id: "ann") { statusSubscriptions { totalCount } } }`
		)
		for _, query := range []string{set, sub, unsub} {
			refused := func(name, as, code string, extensions map[string]any, variables map[string]any) graphtest.Scenario {
				return graphtest.Scenario{Name: name + ": " + query, As: as, Query: query, Variables: variables, WantCode: code, WantExtensions: extensions,
					WantEvents: map[string]any{"*": 0}}
			}
			w.Run(
				refused("without a user", graphtest.AppServer, "INVALID_ARGUMENT", breaks("input.userId", "required"), nil),
				refused("an empty user", graphtest.AppServer, "INVALID_ARGUMENT", breaks("input.userId", "required"), vars("id", "")),
				refused("an unknown user", graphtest.AppServer, "USER_NOT_FOUND", map[string]any{"userId": "nobody"}, vars("id", "nobody")),
				refused("a user of another app", graphtest.AppServer, "USER_NOT_FOUND", map[string]any{"userId": "foreign"}, vars("id", "foreign")),
				refused("a deactivated user", graphtest.AppServer, "USER_DEACTIVATED", map[string]any{"userId": "gone"}, vars("id", "gone")),
				refused("an ill-formed user", graphtest.AppServer, "INVALID_ARGUMENT", breaks("input.userId", "userid"), vars("id", "a b")),
				refused("a user for another", "bob", "FORBIDDEN", nil, vars("id", "ann")),
			)
		}
		w.Run(
			graphtest.Scenario{Name: "setting", As: graphtest.AppServer, Query: set, Variables: vars("id", "ann"),
				WantData: `{"setStatus":{"status":{"userId":"ann","customStatus":"busy"}}}`},
			graphtest.Scenario{Name: "setting without a device", As: graphtest.AppServer, Query: set, Variables: vars("id", "bob"), WantCode: "NOT_ONLINE"},
			graphtest.Scenario{Name: "a user that names itself", As: "ann", Query: set, Variables: vars("id", "ann"),
				WantData: `{"setStatus":{"status":{"userId":"ann","customStatus":"busy"}}}`},
			graphtest.Scenario{Name: "a user that names nobody", As: "ann", Query: set, Variables: vars("id", ""),
				WantData: `{"setStatus":{"status":{"userId":"ann","customStatus":"busy"}}}`},
			graphtest.Scenario{Name: "subscribing", As: graphtest.AppServer, Query: sub, Variables: vars("id", "ann"),
				WantData: `{"subscribeStatus":{"statuses":[{"userId":"bob"}],"evictedIds":[]}}`},
		)
		ann.Want("ann ONLINE busy")
		bob := watching(w, "websocket", "bob")
		ann.Want("bob ONLINE")
		w.Run(
			graphtest.Scenario{Name: "unsubscribing", As: graphtest.AppServer, Query: unsub, Variables: vars("id", "ann"),
				WantData: `{"unsubscribeStatus":{"endedCount":1}}`},
			graphtest.Scenario{Name: "the list", As: graphtest.AppServer, Query: count, WantData: `{"user":{"statusSubscriptions":{"totalCount":0}}}`},
		)
		bob.Close()
		for range 80 {
			do(w, graphtest.AppServer, unsub, vars("id", "ann"))
			do(w, graphtest.AppServer, set, vars("id", "ann"))
		}
		ann.Quiet()
		w.Set(map[string]string{"statusQueryEnabled": "false"})
		for _, query := range []string{sub, unsub} {
			w.Run(graphtest.Scenario{Name: "with the switch off: " + query, As: graphtest.AppServer, Query: query, Variables: vars("id", "ann"),
				WantCode: "FEATURE_DISABLED", WantExtensions: disabled})
		}
	})
}

// A refused mutation leaves the responses of its neighbours in the document.
func TestStatus_MutationsInOneDocument(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "bob")
		ann := watching(w, "websocket", "ann")
		r := w.Do(w.Bearer("ann"), `mutation {
			set: setStatus(input: {customStatus: "busy"}) { status { customStatus } }
			self: subscribeStatus(input: {targetIds: ["ann"]}) { evictedIds }
			neither: unsubscribeStatus(input: {}) { endedCount }
			other: subscribeStatus(input: {targetIds: ["bob"]}) { statuses { userId } }
		}`, nil)
		if len(r.Errors) != 2 || !graphtest.Match(w.T, `{"set":{"status":{"customStatus":"busy"}},"self":null,"neither":null,"other":{"statuses":[{"userId":"bob"}]}}`, r.Data) {
			w.T.Fatalf("the response is %s", r.Body)
		}
		ann.Want("ann ONLINE busy")
	})
}

func TestSubscribeStatus_EndsAfterTheLastDevice(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		for _, id := range []string{"ann", "bob", "cid"} {
			w.Register(w.App, id)
		}
		count := func(id string) string {
			return string(do(w, graphtest.AppServer, fmt.Sprintf(`{ user(id: %q) { statusSubscriptions { totalCount } } }`, id), nil).Data)
		}
		const none = `{"user":{"statusSubscriptions":{"totalCount":0}}}`
		ann := watching(w, transport, "ann")
		watching(w, transport, "bob")
		for _, id := range []string{"ann", "bob"} {
			do(w, id, subscribe, vars("ids", []string{"cid"}))
		}
		all := everyone(w)
		ann.Close()
		all.Want("ann OFFLINE")
		w.Clock.Pass(399 * time.Second)
		if count("ann") == none {
			w.T.Fatal("the subscriptions ended too early")
		}
		w.Clock.Pass(2 * time.Second)
		eventually(w, func() bool { return count("ann") == none })
		if count("bob") == none {
			w.T.Fatal("the subscriptions of an ONLINE user ended")
		}
	})
}

func TestStatusChanged_Sources(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		for _, id := range []string{"ann", "bob", "cid", "dan", "eve"} {
			w.Register(w.App, id)
		}
		befriend := func(a, b string) { do(w, graphtest.AppServer, makeFriends, vars("a", a, "b", b)) }
		// tell makes each of them change, one after the other.
		devices := map[string]*graphtest.Live{}
		tell := func(text string, ids ...string) {
			for _, id := range ids {
				if devices[id] == nil {
					devices[id] = watching(w, transport, id)
				}
				do(w, id, setStatus, vars("text", text))
			}
		}
		befriend("ann", "bob")
		befriend("cid", "ann")
		ann, tablet := watching(w, transport, "ann"), watching(w, transport, "ann")
		do(w, "ann", subscribe, vars("ids", []string{"cid", "dan"}))
		want := func(want ...string) {
			w.T.Helper()
			ann.Want(want...)
			tablet.Want(want...)
		}
		tell("1", "bob")
		want("bob ONLINE", "bob ONLINE 1")
		tell("1", "cid") // a friend who is subscribed too: one event
		want("cid ONLINE", "cid ONLINE 1")
		tell("1", "dan")
		want("dan ONLINE", "dan ONLINE 1")
		tell("1", "eve", "ann")
		want("ann ONLINE 1")
		do(w, "ann", unsub, vars("ids", []string{"cid"}))
		tell("2", "cid")
		want("cid ONLINE 2")
		do(w, graphtest.AppServer, unfriend, vars("a", "cid", "b", "ann"))
		tell("3", "cid")
		befriend("eve", "ann")
		tell("2", "eve")
		want("eve ONLINE 2")

		w.Set(map[string]string{"friendStatusNotifyEnabled": "false"})
		tell("3", "bob", "eve")
		tell("2", "dan")
		want("dan ONLINE 2")
		w.Set(map[string]string{"statusQueryEnabled": "false"})
		tell("3", "dan", "ann")
		want("ann ONLINE 3")
		w.Set(map[string]string{"statusQueryEnabled": "true"})
		want("dan ONLINE 3") // its present status, because it has changed
		tell("4", "dan")
		want("dan ONLINE 4")

		do(w, graphtest.AppServer, closeAccounts, vars("id", "dan"))
		want("dan UNLOGINED")
		do(w, graphtest.AppServer, `mutation { reactivateUsers(input: {userIds: ["dan"]}) { results { outcome } } }`, nil)
		devices["dan"] = nil
		tell("5", "dan", "ann")
		want("ann ONLINE 5")
		ann.Quiet()
		tablet.Quiet()
	})
}

// A user that subscribes first and then queries misses nothing, also after a reconnect.
func TestStatusChanged_NoGap(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		for _, id := range []string{"ann", "bob"} {
			w.Register(w.App, id)
		}
		do(w, graphtest.AppServer, makeFriends, vars("a", "ann", "b", "bob"))
		bob := w.Bearer("bob")
		w.Live(transport, bob, changed, nil)
		const rounds, changes = 4, 20
		for round := range rounds {
			done := make(chan struct{})
			go func() {
				defer close(done)
				for i := range changes {
					w.Do(bob, setStatus, vars("text", fmt.Sprintf("%02d-%02d", round, i)))
				}
			}()
			ann := w.Live(transport, w.Bearer("ann"), changed, nil)
			r := do(w, "ann", `{ user(id: "bob") { status { customStatus } } }`, nil)
			asked := strings.Split(string(r.Data), `"`)[7]
			<-done
			final := fmt.Sprintf("%02d-%02d", round, changes-1)
			for last := ""; asked != final && last != final; {
				told := strings.TrimPrefix(ann.Status(), "bob ONLINE ")
				if told <= last {
					w.T.Fatalf("told %s after %s", told, last)
				}
				last = told
			}
			ann.Close()
			w.Clock.Pass(10 * time.Second) // the rate limit
		}
	})
}

func TestStatus_Rates(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		for _, id := range []string{"bob", "cid"} {
			w.Register(w.App, id)
		}
		ann := w.Bearer("ann")
		device := w.Live("websocket", ann, changed, nil).Socket
		// call expects an operation to succeed, or to be refused with that retryAfterMs. It
		// alternates between HTTP and a WebSocket.
		calls := 0
		call := func(name, query string, variables map[string]any, wantRetry int) {
			w.T.Helper()
			var r graphtest.Response
			if calls++; calls%2 == 0 {
				r = device.Do(query, variables)
			} else {
				r = *w.Do(ann, query, variables)
			}
			if wantRetry == 0 && r.Code() != "" || wantRetry != 0 && r.Code() != "RATE_LIMITED" {
				w.T.Fatalf("%s: %s", name, r.Body)
			}
			if wantRetry != 0 && fmt.Sprint(r.Errors[0].Extensions["retryAfterMs"]) != fmt.Sprint(wantRetry) {
				w.T.Fatalf("%s: %s, want retryAfterMs %d", name, r.Body, wantRetry)
			}
		}
		ids := func(ids ...string) map[string]any { return vars("ids", ids) }
		several := `{ a: user(id: "bob") { status { presence } } b: users(ids: ["bob", "cid", "ann"]) { status { presence } } me { status { presence } } }`
		call("1 of 20", statuses, ids("bob", "cid", "ann"), 0)
		w.Clock.Pass(time.Second)
		for range 8 {
			call("2 to 17", several, nil, 0)
		}
		call("18", `{ me { id } userStatuses(ids: ["bob"]) { presence } }`, nil, 0)
		w.Live("websocket", ann, userStatus, ids("bob")).Want("bob UNLOGINED")
		w.Live("sse", ann, userStatus, ids("bob", "ann")).Want("bob UNLOGINED", "ann ONLINE")
		w.Clock.Pass(time.Second)
		call("21", statuses, ids("bob"), 3000)
		call("21", several, nil, 3000)
		for _, transport := range graphtest.Transports {
			r := w.Live(transport, ann, userStatus, ids("bob")).Next()
			if r.Code() != "RATE_LIMITED" || fmt.Sprint(r.Errors[0].Extensions["retryAfterMs"]) != "3000" {
				w.T.Fatalf("the 21st call, a subscription over %s, returned %s", transport, r.Body)
			}
			w.Live(transport, ann, userStatus, ids("ann")).Want("ann ONLINE")
		}
		// Not counted: the user's own status, setting it, fields that reach no status, and calls of
		// others.
		for range 30 {
			call("own", `query($ids: [ID!]!) { me { status { presence } } user(id: "ann") { status { presence } } userStatuses(ids: $ids) { presence } bob: user(id: "bob") { name } }`, ids("ann"), 0)
			call("setting", setStatus, vars("text", "x"), 0)
			do(w, graphtest.AppServer, statuses, ids("bob"))
		}
		do(w, "bob", statuses, ids("ann"))
		w.Clock.Pass(3*time.Second - time.Millisecond)
		call("too early", statuses, ids("bob"), 1)
		w.Clock.Pass(time.Millisecond)
		call("21, later", statuses, ids("bob"), 0)
		call("22", statuses, ids("bob"), 1000)

		for range 20 {
			call("subscribing", subscribe, ids("bob"), 0)
		}
		for range 20 {
			call("unsubscribing", unsub, ids("bob"), 0)
		}
		call("subscribing too often", subscribe, ids("bob"), 5000)
		call("unsubscribing too often", unsub, ids("bob"), 5000)
		// Two aliases are two calls.
		w.Clock.Pass(5 * time.Second)
		for range 19 {
			call("19", statuses, ids("bob"), 0)
		}
		for range 19 {
			call("subscribing", subscribe, ids("bob"), 0)
		}
		for range 19 {
			call("unsubscribing", unsub, ids("bob"), 0)
		}
		for _, two := range []string{
			`{ a: userStatuses(ids: ["bob"]) { presence } b: userStatuses(ids: ["cid"]) { presence } }`,
			`mutation { a: subscribeStatus(input: {targetIds: ["bob"]}) { evictedIds } b: subscribeStatus(input: {targetIds: ["cid"]}) { evictedIds } }`,
			`mutation { a: unsubscribeStatus(input: {targetIds: ["bob"]}) { endedCount } b: unsubscribeStatus(input: {all: true}) { endedCount } }`,
		} {
			if r := w.Do(ann, two, nil); r.Code() != "RATE_LIMITED" || len(r.Errors) != 1 {
				w.T.Fatalf("the response to %s is %s", two, r.Body)
			}
		}
	})
}

func TestSubscriptions_Auth(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		w.Register(w.App, "bob")
		for _, test := range []struct{ as, query, code string }{
			{"ann", appChanged, "FORBIDDEN"},
			{graphtest.AppServer, changed, "FORBIDDEN"},
			{graphtest.OtherServer, userStatus, "USER_NOT_FOUND"},
		} {
			r := w.Live(transport, w.Bearer(test.as), test.query, vars("ids", []string{"bob"})).Next()
			if r.Code() != test.code {
				w.T.Errorf("%s as %s returned %s, want %s", test.query, test.as, r.Body, test.code)
			}
		}
		if transport == "sse" {
			r := w.Live(transport, "", changed, nil).Next()
			if r.Code() != "UNAUTHENTICATED" {
				w.T.Errorf("a guest received %s", r.Body)
			}
		}
	})
}

// An event of another subscription contains a status only according to the switch's present state.
func TestRelationshipChanged_FollowsTheSwitch(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		w.Register(w.App, "bob")
		ann := w.Live(transport, w.Bearer("ann"), `subscription { relationshipChanged { kind user { id status { presence } } } }`, nil)
		do(w, graphtest.AppServer, makeFriends, vars("a", "ann", "b", "bob"))
		if r := ann.Next(); !graphtest.Match(w.T, `{"relationshipChanged":{"kind":"FRIEND_ADDED","user":{"id":"bob","status":{"presence":"UNLOGINED"}}}}`, r.Data) {
			w.T.Fatalf("told %s", r.Body)
		}
		w.Set(map[string]string{"statusQueryEnabled": "false"})
		do(w, graphtest.AppServer, unfriend, vars("a", "ann", "b", "bob"))
		if r := ann.Next(); r.Code() != "FEATURE_DISABLED" {
			w.T.Fatalf("told %s", r.Body)
		}
	})
}

// registered registers a user and returns its ID.
func registered(w *graphtest.World, id string) string {
	w.T.Helper()
	w.Register(w.App, id)
	return id
}

// TestStatus_SocketStorm has the devices of all users lose their connections and reconnect at once,
// over real WebSockets.
func TestStatus_SocketStorm(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		const users, each = 90, 3
		bearers := make([]string, users)
		for i := range bearers {
			bearers[i] = w.Bearer(fmt.Sprintf("user%02d", i))
			if i > 0 {
				do(w, graphtest.AppServer, makeFriends, vars("a", fmt.Sprintf("user%02d", i), "b", fmt.Sprintf("user%02d", i-1)))
			}
		}
		before := runtime.NumGoroutine()
		devices := make([]*graphtest.Live, users*each)
		for range 2 {
			var all sync.WaitGroup
			for i := range devices {
				all.Go(func() {
					if devices[i] != nil {
						devices[i].Close()
					}
					devices[i] = w.Live("websocket", bearers[i%users], changed, nil)
				})
			}
			all.Wait()
		}
		online := func(want int) func() bool {
			return func() bool {
				r := do(w, graphtest.AppServer, `{ app { onlineUserCount } userList(first: 100) { nodes { devices { id } } } }`, nil)
				var data struct {
					App      struct{ OnlineUserCount int }
					UserList struct {
						Nodes []struct{ Devices []struct{ ID string } }
					}
				}
				if err := json.Unmarshal(r.Data, &data); err != nil {
					w.T.Fatal(err)
				}
				if data.App.OnlineUserCount != want {
					return false
				}
				for _, u := range data.UserList.Nodes {
					if len(u.Devices)*users != want*each {
						return false // the loss of a device may not have been noticed yet
					}
				}
				return true
			}
		}
		eventually(w, online(users))
		do(w, "user00", setStatus, vars("text", "calm"))
		for _, d := range []*graphtest.Live{devices[0], devices[users], devices[1], devices[users+1]} {
			for got := ""; got != "user00 ONLINE calm"; {
				got = d.Status()
			}
		}
		for _, d := range devices {
			d.Close()
		}
		eventually(w, online(0))
		eventually(w, func() bool {
			http.DefaultClient.CloseIdleConnections()
			return runtime.NumGoroutine() <= before+20
		})
	})
}
