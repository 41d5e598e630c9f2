package subscriptions

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestExpire(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 6)
		expire := func() {
			t.Helper()
			w.check(w.expire(t.Context()))
		}
		online := w.connect(0)
		gone := w.connect(1)
		back := w.connect(2)
		for i := range 4 { // u3 has no device
			w.subscribe(i, 4)
		}
		gone.Gone()
		back.Gone()
		w.clock.Advance(w.linger / 2)
		w.subscribe(3, 5)
		w.connect(2)
		expire()
		for i, want := range []string{"u4", "u4", "u4", "u5 u4"} {
			w.wantList(i, want)
		}
		w.clock.Advance(w.linger/2 + 1e9)
		expire()
		for i, want := range []string{"u4", "", "u4", "u5 u4"} {
			w.wantList(i, want)
		}
		w.clock.Advance(w.linger)
		expire()
		for i, want := range []string{"u4", "", "u4", ""} {
			w.wantList(i, want)
		}
		// The linger begins with the last device's departure, not with the subscription.
		online.Gone()
		expire()
		w.wantList(0, "u4")
		w.clock.Advance(w.linger + 1e9)
		expire()
		w.wantList(0, "")
		w.wantList(2, "u4")
		if n := len(w.inactive.since); n != 0 {
			t.Fatalf("%d users are still noted", n)
		}
	})
}

// TestExpire_AcrossRestart: after a process was killed, the linger begins with the restart for users
// that were connected, and continues for those that were not.
func TestExpire_AcrossRestart(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 4)
		w.Start()
		killed := w.Service
		d := w.connect(0)
		w.subscribe(0, 3)
		d.Gone()
		w.eventually(func() bool { return w.row(0).Presence.String() == "OFFLINE" }, "the row of u0")
		w.connect(1)
		w.subscribe(1, 3)
		w.clock.Advance(w.linger / 2)
		w.subscribe(2, 3)
		killed.Close()
		w.clock.Advance(w.linger/2 + 1e9)
		w.start()
		w.Start()
		defer w.Close()
		w.eventually(func() bool { return w.list(0) == "" }, "the list of u0 to expire")
		w.wantList(1, "u3")
		w.wantList(2, "u3")
		w.clock.Advance(w.linger / 2)
		w.eventually(func() bool { return w.list(2) == "" }, "the list of u2 to expire")
		w.wantList(1, "u3")
		w.clock.Advance(w.linger/2 + 1e9)
		w.eventually(func() bool { return w.list(1) == "" }, "the list of u1 to expire")
	})
}

// TestExpire_BesideSubscribe: a user that subscribes in the moment in which its list expires keeps
// the new subscription.
func TestExpire_BesideSubscribe(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		w.subscribe(0, 1)
		for range 20 {
			w.clock.Advance(w.linger + 1e9)
			var both sync.WaitGroup
			both.Go(func() {
				if err := w.expire(context.Background()); err != nil {
					t.Error(err)
				}
			})
			app, owner := w.appNow(), w.row(0)
			both.Go(func() {
				if _, err := w.Subscribe(context.Background(), app, owner, []string{"u2"}); err != nil {
					t.Error(err)
				}
			})
			both.Wait()
			if got := w.list(0); !strings.HasPrefix(got, "u2") {
				t.Fatalf("the list is %q after subscribing to u2", got)
			}
		}
	})
}

// away is the presence of nodes without devices.
type away struct{ Presence }

func (away) Networked() bool { return true }

func (away) LastConnected(context.Context, int64) (bool, models.Time, error) { return false, 0, nil }

// TestExpire_OneNodeReadsTheOwners: of nodes that start together, one reads the owners in the database,
// and after the end of a node, one of the others.
func TestExpire_OneNodeReadsTheOwners(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		url, service := testenv.RedisURL(t), testenv.Service()
		w := newWorld(t, db, ownersPerQuery+2)
		for i := range w.users[1:] {
			w.subscribe(i+1, 0)
		}
		w.clock.Advance(w.linger + 1e9)
		var nodes []*Service
		for range 3 {
			n := New(db, new(bus.Bus), away{}, Options{
				Clock: w.clock.Now, Logger: slog.New(slog.DiscardHandler), Redis: testenv.OpenRedis(t, url, service),
			})
			w.check(n.owners.Want(t.Context()))
			nodes = append(nodes, n)
		}
		// wantNoted checks how many owners each node has noted after all looked whether to read them.
		wantNoted := func(counts ...int) {
			t.Helper()
			for _, n := range nodes {
				if again, err := n.readWhenWanted(t.Context()); !again || err != nil {
					t.Fatalf("again %t, %v", again, err)
				}
			}
			for i, n := range nodes {
				if got := len(n.inactive.since); got != counts[i] {
					t.Errorf("node %d has noted %d owners, want %d", i, got, counts[i])
				}
			}
		}
		owners := len(w.users) - 1
		wantNoted(owners, 0, 0)
		wantNoted(owners, 0, 0)
		// The node that has noted them dies. Another one sweeps its devices, and dies too before it reads.
		nodes[1].bus.PublishNodeSwept(t.Context(), bus.NodeSwept{})
		nodes = nodes[2:]
		wantNoted(owners)
		w.check(nodes[0].expire(t.Context()))
		w.wantList(1, "")
		w.wantList(owners, "")
	})
}
