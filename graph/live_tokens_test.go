package graph_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/internal/users"
	"rollcall/models"
)

// short is the lifetime of a token that expires on a live connection.
const short = time.Second

// TestTokenExpiry_ClosesConnections: a connection ends when the token that opened it expires. A user
// all of whose devices had such tokens, at whichever node, is OFFLINE.
func TestTokenExpiry_ClosesConnections(t *testing.T) {
	test := func(t *testing.T, nodes []*graphtest.World) {
		w, other := nodes[0], nodes[len(nodes)-1]
		r, err := w.Users.Register(t.Context(), w.App.App, users.Registration{ID: "ann", Name: "Ann", TokenTTL: short})
		if err != nil {
			t.Fatal(err)
		}
		token, _, err := w.Apps.IssueToken(t.Context(), w.App.Key, w.App.Secret, short)
		if err != nil {
			t.Fatal(err)
		}
		user, server := "Bearer "+r.Token, "Bearer "+token
		sockets := map[string]*graphtest.Socket{"user": w.Socket(user), "App Server": w.Socket(server)}
		streams := map[string]*graphtest.Live{
			"user":       other.Live("sse", user, `subscription { statusChanged { presence } }`, nil),
			"App Server": other.Live("sse", server, `subscription { appStatusChanged { presence } }`, nil),
		}
		outlives := other.Socket(w.Bearer("ben"))
		w.Clock.Pass(short)
		for name, s := range sockets {
			if code, reason := s.CloseReason(); code != 4401 || reason != "UNAUTHENTICATED" {
				t.Errorf("the %s's WebSocket was closed with %d %q", name, code, reason)
			}
		}
		for name, l := range streams {
			last := l.Next()
			for last.Code() == "" {
				last = l.Next()
			}
			if last.Code() != "UNAUTHENTICATED" {
				t.Errorf("the %s's event stream ended with %s", name, last.Body)
			}
		}
		until(t, "the user whose token has expired to be OFFLINE", func() bool {
			r := w.Do(w.Bearer(graphtest.AppServer), `{ user(id: "ann") { status { presence } } }`, nil)
			return graphtest.Match(t, `{"user":{"status":{"presence":"OFFLINE"}}}`, r.Data)
		})
		if code, reason := other.Refusal(user); code != 4401 || reason != "UNAUTHENTICATED" {
			t.Errorf("the expired token is refused with %d %q", code, reason)
		}
		outlives.Want(`{ me { id } }`, `{"me":{"id":"ben"}}`)
	}
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		t.Run("one node", func(t *testing.T) { test(t, []*graphtest.World{graphtest.New(t, db)}) })
	})
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		t.Run("two nodes", func(t *testing.T) { test(t, graphtest.NewNodes(t, db, 2)) })
	})
}

// TestTokenExpiry_RefusesOperations: an operation is refused although the connection is still open.
func TestTokenExpiry_RefusesOperations(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		server := w.Socket(w.Bearer(graphtest.AppServer)) // valid for an hour by a clock that stands still
		server.Want(`{ app { name } }`, `{"app":{"name":"app"}}`)
		w.Clock.Pass(time.Hour)
		if r := server.Do(`mutation { registerUser(input: {id: "ann", name: "Ann"}) { token } }`, nil); r.Code() != "UNAUTHENTICATED" {
			t.Errorf("an operation with an expired token: %s", r.Body)
		}
		if code := server.CloseCode(); code != 4401 {
			t.Errorf("closed with %d", code)
		}
	})
}

// TestRotation_ClosesAppServersConnections: immediately on this node; by its own checks on a node
// that receives no event of the rotation, such as one by a command.
func TestRotation_ClosesAppServersConnections(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		// Another process, whose events no node here receives.
		keys, err := token.OpenKeys(t.Context(), w.DB, "", w.Clock.Now)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := apps.New(w.DB, &bus.Bus{}, keys, w.Clock.Now)
		app, other, ann := w.Bearer(graphtest.AppServer), w.Bearer(graphtest.OtherServer), w.Bearer("ann")
		w.Bearer("bob")
		device := w.Socket(ann)
		events := device.Subscribe(`subscription { userStatus(ids: ["bob"]) { presence } }`, nil)
		events.Next()
		foreign := w.Socket(other)
		sockets := []*graphtest.Socket{w.Socket(app), w.Socket(app)}
		stream := w.Live("sse", app, `subscription { appStatusChanged { presence } }`, nil)
		if _, _, err := elsewhere.RotateSecret(t.Context(), w.App.Key, 0, audit.AppServer); err != nil {
			t.Fatal(err)
		}
		for _, s := range sockets {
			if code := s.CloseCode(); code != 4401 {
				t.Errorf("an App Server's WebSocket was closed with %d", code)
			}
		}
		last := stream.Next()
		for last.Code() == "" {
			last = stream.Next()
		}
		if last.Code() != "UNAUTHENTICATED" {
			t.Errorf("the App Server's event stream ended with %s", last.Body)
		}
		foreign.Want(`{ app { name } }`, `{"app":{"name":"other"}}`)
		if r := device.Do(`mutation { setStatus(input: {customStatus: "busy"}) { status { customStatus } } }`, nil); r.Code() != "UNAUTHENTICATED" {
			t.Errorf("an operation on a user's connection: %s", r.Body)
		}
		bob, err := w.Users.ByID(t.Context(), w.App.ID, "bob")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Presence.Connect(t.Context(), status.AccountOf(bob), models.PlatformOther, nowhere{}, noCheck); err != nil {
			t.Fatal(err)
		}
		if r := events.Next(); r.Code() != "" { // the connection stays for its events
			t.Errorf("a user's event: %s", r.Body)
		}
	})
}

// TestRotation_WithOverlap: until the overlap ends, both secrets and their tokens are valid, on a
// node that receives no event of the rotation, and after a restart. Then what was issued under the
// old secret ends, and what was issued under the new one stays.
func TestRotation_WithOverlap(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		keys, err := token.OpenKeys(t.Context(), w.DB, "", w.Clock.Now)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := apps.New(w.DB, &bus.Bus{}, keys, w.Clock.Now) // another process
		old := w.App
		before := w.Bearer(graphtest.AppServer)
		_, secret, err := elsewhere.RotateSecret(t.Context(), w.App.Key, 30*time.Minute, audit.AppServer)
		if err != nil {
			t.Fatal(err)
		}
		w.App.Secret = secret
		w.Clock.Pass(time.Second)
		during, after := "Bearer "+w.AppToken(old), w.Bearer(graphtest.AppServer)
		issued := func(by, id string) string {
			t.Helper()
			r := w.Do(by, register, input("id", id, "name", id))
			if r.Code() != "" {
				t.Fatalf("%s", r.Body)
			}
			return "Bearer " + between(string(r.Data), `"token":"`, `"`)
		}
		ended := map[string]string{"before": before, "during": during, "user before": issued(before, "ann"), "user during": issued(during, "ann")}
		lives := map[string]string{"app": after, "user": issued(after, "bob")}
		state := func(tokens map[string]string, want string) {
			t.Helper()
			for name, bearer := range tokens {
				// The second query confirms an App Server by the statement that reads the user.
				for _, query := range []string{`{ __typename }`, `{ user(id: "bob") { id } }`} {
					if r := w.Do(bearer, query, nil); r.Code() != want {
						t.Errorf("%s, %s: %s, want %q", name, query, r.Body, want)
					}
				}
			}
		}
		state(ended, "")
		state(lives, "")
		w.Restart()
		state(ended, "")
		state(lives, "")

		device, stays := w.Socket(ended["user before"]), w.Socket(after)
		events := device.Subscribe(`subscription { userStatus(ids: ["bob"]) { presence } }`, nil)
		events.Next()
		sockets := []*graphtest.Socket{w.Socket(before), w.Socket(during)}
		stream := w.Live("sse", during, `subscription { appStatusChanged { presence } }`, nil)
		w.Clock.Pass(30*time.Minute - time.Second)
		for _, s := range sockets {
			if code, reason := s.CloseReason(); code != 4401 {
				t.Errorf("an App Server's WebSocket was closed with %d %q", code, reason)
			}
		}
		last := stream.Next()
		for last.Code() == "" {
			last = stream.Next()
		}
		if last.Code() != "UNAUTHENTICATED" {
			t.Errorf("the App Server's event stream ended with %s", last.Body)
		}
		state(ended, "UNAUTHENTICATED")
		state(lives, "")
		stays.Want(`{ app { name } }`, `{"app":{"name":"app"}}`)
		if r := device.Do(`{ me { id } }`, nil); r.Code() != "UNAUTHENTICATED" {
			t.Errorf("an operation on a user's connection: %s", r.Body)
		}
		bob := w.Socket(lives["user"])
		if r := events.Next(); string(r.Data) != `{"userStatus":{"presence":"ONLINE"}}` {
			t.Errorf("a user's event: %s", r.Body)
		}
		bob.Close()
		w.Restart()
		state(ended, "UNAUTHENTICATED")
		state(lives, "")
	})
}

// TestTokenKeyRetired_ClosesConnections: on a node that only reads the keys while another process
// rotates them.
func TestTokenKeyRetired_ClosesConnections(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		user, server := w.Bearer("ann"), w.Bearer(graphtest.AppServer)
		sockets := map[string]*graphtest.Socket{"user": w.Socket(user), "App Server": w.Socket(server)}
		streams := map[string]*graphtest.Live{
			"user":       w.Live("sse", user, `subscription { statusChanged { presence } }`, nil),
			"App Server": w.Live("sse", server, `subscription { appStatusChanged { presence } }`, nil),
		}
		following, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.Keys.Follow(following, slog.New(slog.DiscardHandler), w.CheckTokens)
		}()
		defer func() { cancel(); <-done }()
		elsewhere := apps.New(w.DB, &bus.Bus{}, nil, w.Clock.Now)
		var overlap time.Duration
		if _, err := elsewhere.RotateTokenKey(t.Context(), &overlap, audit.CommandLine); err != nil {
			t.Fatal(err)
		}
		for name, s := range sockets {
			if code := s.CloseCode(); code != 4401 {
				t.Errorf("the %s's WebSocket was closed with %d", name, code)
			}
		}
		for name, l := range streams {
			last := l.Next()
			for last.Code() == "" {
				last = l.Next()
			}
			if last.Code() != "UNAUTHENTICATED" {
				t.Errorf("the %s's event stream ended with %s", name, last.Body)
			}
		}
		if r := w.Do(user, `{ me { id } }`, nil); r.Code() != "UNAUTHENTICATED" {
			t.Errorf("a request with the token: %s", r.Body)
		}
		again, err := w.Users.Register(t.Context(), w.App.App, users.Registration{ID: "ann", Name: "Ann"})
		if err != nil {
			t.Fatal(err)
		}
		w.Socket("Bearer "+again.Token).Want(`{ me { id } }`, `{"me":{"id":"ann"}}`)
	})
}

// TestTokenKeyRetired_RefusesOperations: an operation is refused although the connection is still
// open.
func TestTokenKeyRetired_RefusesOperations(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		ann := w.Socket(w.Bearer("ann"))
		ann.Want(`{ me { id } }`, `{"me":{"id":"ann"}}`)
		overlap := time.Hour
		if _, err := w.Apps.RotateTokenKey(t.Context(), &overlap, audit.CommandLine); err != nil {
			t.Fatal(err)
		}
		following, cancel := context.WithCancel(t.Context())
		done, ended := make(chan struct{}), make(chan struct{}, 1)
		go func() {
			defer close(done)
			w.Keys.Follow(following, slog.New(slog.DiscardHandler), func() { ended <- struct{}{} })
		}()
		defer func() { cancel(); <-done }()
		ann.Want(`{ me { id } }`, `{"me":{"id":"ann"}}`)
		w.Clock.Pass(time.Hour)
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Fatal("the key does not end")
		}
		if r := ann.Do(`{ me { id } }`, nil); r.Code() != "UNAUTHENTICATED" {
			t.Errorf("an operation with a token of a retired key: %s", r.Body)
		}
		if code := ann.CloseCode(); code != 4401 {
			t.Errorf("closed with %d", code)
		}
	})
}
