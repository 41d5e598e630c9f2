package graph_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/graph/transport"
	"rollcall/internal/appconnections"
	"rollcall/internal/database"
	paging "rollcall/internal/page"
	"rollcall/internal/testenv"
	"rollcall/models"
)

var operator = models.Actor{Name: "admin"}

// record makes the nodes record connections of App Servers. Other tests leave that off: it reads
// the database periodically, and some tests count the reads.
func record(nodes ...*graphtest.World) {
	for _, w := range nodes {
		w.Adjust = func(cfg *transport.Config) { cfg.Connections = appconnections.NewNode(w.DB, "node") }
		w.Restart()
	}
}

// connected waits until the app has n recorded connections, and returns them, the newest first.
func connected(w *graphtest.World, n int) []*appconnections.Open {
	w.T.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		found, err := w.Connections.List(context.Background(), w.App.App, paging.Request{First: 100})
		if err != nil {
			w.T.Fatal(err)
		}
		if list := found.Nodes(); len(list) == n {
			return list
		} else if time.Now().After(deadline) {
			w.T.Fatalf("%d connections, want %d", len(list), n)
		}
	}
}

// wantClosed fails the test unless an operator has closed the WebSocket.
func wantClosed(t *testing.T, s *graphtest.Socket) {
	t.Helper()
	if code := s.CloseCode(); code != 4401 {
		t.Errorf("a WebSocket was closed with %d", code)
	}
}

// wantEnded fails the test unless an operator has ended the event stream.
func wantEnded(t *testing.T, l *graphtest.Live) {
	t.Helper()
	last := l.Next()
	for last.Code() == "" {
		last = l.Next()
	}
	if last.Code() != "UNAUTHENTICATED" || !strings.Contains(string(last.Body), "an operator has closed the connection") {
		t.Errorf("an event stream ended with %s", last.Body)
	}
}

// TestCloseAppConnections_OnAnotherNode: one node lists and closes what is connected to another.
func TestCloseAppConnections_OnAnotherNode(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		nodes := graphtest.NewNodes(t, db, 2)
		record(nodes...)
		here, there := nodes[0], nodes[1]
		app, ctx := here.Bearer(graphtest.AppServer), t.Context()
		const events = `subscription { appStatusChanged { presence } }`
		const query, name = `{ app { name } }`, `{"app":{"name":"app"}}`
		device, foreign := there.Socket(here.Bearer("ann")), there.Socket(here.Bearer(graphtest.OtherServer))
		first := there.Socket(app)
		first.Want(query, name) // the connection is noted by then
		here.Clock.Pass(time.Second)
		stream := there.Live("sse", app, events, nil)
		stays := there.Socket(app)
		list := connected(here, 3)
		var transports []string
		for _, o := range list {
			transports = append(transports, o.Transport)
			if o.Address != "127.0.0.1" || o.UserAgent == "" || o.IsClosing(here.App.App) {
				t.Errorf("listed as %+v", o)
			}
		}
		if slices.Sort(transports); !slices.Equal(transports, []string{"sse", "websocket", "websocket"}) {
			t.Errorf("listed %q", transports)
		}

		// One by one.
		for _, o := range list {
			if o.Transport == "sse" || o == list[2] {
				if done, err := here.Connections.Close(ctx, here.App.App, o.ID, operator); !done || err != nil {
					t.Fatal(done, err)
				}
			}
		}
		wantClosed(t, first)
		wantEnded(t, stream)
		connected(here, 1)
		stays.Want(query, name)

		// The token is still valid. Then all connections at once.
		sockets := []*graphtest.Socket{stays, here.Socket(app), there.Socket(app)}
		stream = there.Live("sse", app, events, nil)
		if done, err := here.Connections.CloseAll(ctx, here.App.App, operator); !done || err != nil {
			t.Fatal(done, err)
		}
		for _, s := range sockets {
			wantClosed(t, s)
		}
		wantEnded(t, stream)
		connected(here, 0)
		foreign.Want(query, `{"app":{"name":"other"}}`)
		device.Want(`{ me { id } }`, `{"me":{"id":"ann"}}`)
		there.Socket(app).Want(query, name)
	})
}

// TestCloseAllAppConnections_ReachesUnrecorded: closing also reaches connections that were just
// opened, or are not recorded yet because many were opened at once. This node records nothing.
func TestCloseAllAppConnections_ReachesUnrecorded(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	s := w.Socket(w.Bearer(graphtest.AppServer))
	if done, err := w.Connections.CloseAll(t.Context(), w.App.App, operator); !done || err != nil {
		t.Fatal(done, err)
	}
	wantClosed(t, s)
}

// TestAppConnections_GoWithTheirNode: a server that stops leaves no records.
func TestAppConnections_GoWithTheirNode(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		record(w)
		w.Socket(w.Bearer(graphtest.AppServer))
		connected(w, 1)
		w.Restart()
		connected(w, 0)
		var left int64
		if err := w.DB.Read(t.Context()).Table("connection_nodes").Count(&left).Error; err != nil || left != 0 {
			t.Errorf("%d nodes are left, %v", left, err)
		}
	})
}
