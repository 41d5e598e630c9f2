package presence

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// nodes are worlds whose hubs are one service, with the same app and users.
type nodes []*world

// newNodes starts nodes on one database and one Redis.
func newNodes(t testing.TB, db *database.DB, count, users int) nodes {
	t.Helper()
	return newObservedNodes(t, db, count, users, nil)
}

// newObservedNodes is newNodes with an observer of all of them.
func newObservedNodes(t testing.TB, db *database.DB, count, users int, observer status.Observer) nodes {
	t.Helper()
	url, service := testenv.RedisURL(t), testenv.Service()
	urls := make([]string, count)
	for i := range urls {
		urls[i] = url
	}
	return startNodes(t, db, service, urls, users, observer)
}

// newNodesAt is newNodes with a Redis URL for each node.
func newNodesAt(t testing.TB, db *database.DB, service string, urls []string, users int) nodes {
	t.Helper()
	return startNodes(t, db, service, urls, users, nil)
}

func startNodes(t testing.TB, db *database.DB, service string, urls []string, users int, observer status.Observer) nodes {
	t.Helper()
	list := make(nodes, len(urls))
	for i, url := range urls {
		w := &world{t: t, db: db, clock: newClock(), log: slog.New(slog.DiscardHandler), observer: observer, name: fmt.Sprint("node", i)}
		if i == 0 {
			w.register(users)
		} else {
			w.app, w.users, w.clock = list[0].app, list[0].users, list[0].clock
		}
		w.redis = testenv.OpenRedis(t, url, service)
		w.start()
		list[i] = w
	}
	return list
}

// hears waits until the recorder has received exactly want.
func (r *recorder) hears(w *world, want string) {
	w.t.Helper()
	w.eventually(func() bool { return r.text() == want }, "%q to be delivered; it was %q", want, r)
}

func TestNodes_AreOneService(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) { newNodes(t, db, 3, 2).areOneService(t) })
}

func TestRedisCluster_NodesAreOneService(t *testing.T) {
	t.Parallel() // mostly waits for the cluster
	onMySQL(t, func(db *database.DB) {
		url := testenv.NewRedisCluster(t, 3, 0).URL()
		newNodesAt(t, db, testenv.Service(), []string{url, url, url}, 2).areOneService(t)
	})
}

// areOneService checks that three nodes with two users decide together.
func (n nodes) areOneService(t *testing.T) {
	t.Helper()
	a, b, c := n[0], n[1], n[2]
	users, app := new(recorder), new(recorder)
	c.WatchUsers([]status.Account{c.account(0)}, users, true)
	c.WatchApp(c.app.ID, app)
	first, _ := a.connect(0)
	second, secondLink := b.connect(0)
	for _, w := range n {
		w.wantPresence(0, models.PresenceOnline)
		if got := w.OnlineCount(w.app.ID); got != 1 {
			t.Fatalf("%d users are online, want 1", got)
		}
		if got := w.Devices(w.users[0].ID); len(got) != 2 || got[0] != first.Info() || got[1] != second.Info() {
			t.Fatalf("the devices are %+v", got)
		}
	}
	if _, err := c.SetStatus(c.account(0), "busy"); err != nil {
		t.Fatal(err)
	}
	if got := a.StatusOf(a.row(0)); got.CustomStatus != "busy" {
		t.Fatalf("the status is %+v", got)
	}
	first.Gone()
	a.wantPresence(0, models.PresenceOnline)
	if n := c.logout(0, nil, true); n != 1 {
		t.Errorf("%d devices were logged out, want the one at another node", n)
	}
	secondLink.wants(b, status.ReasonLoggedOut)
	for _, w := range n {
		w.wantPresence(0, models.PresenceUnlogined)
	}
	if got := a.row(0).Presence; got != models.PresenceUnlogined {
		t.Fatalf("the row holds %s after the call", got)
	}
	if _, err := a.SetStatus(a.account(0), "x"); fault.CodeOf(err) != fault.NotOnline {
		t.Fatalf("setting a status without a device returned %v", err)
	}
	want := "u0:ONLINE u0:ONLINE:busy u0:UNLOGINED"
	users.hears(c, "u0:UNLOGINED "+want)
	app.hears(c, want)
}

func TestNodes_CutDevicesElsewhere(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		for _, test := range []struct {
			reason bus.Reason
			until  *models.Time
			cut    status.Reason
			leaves models.Presence
		}{
			{bus.ReasonBanned, new(models.Time(1_764_417_600_123)), status.ReasonBanned, models.PresenceOffline},
			{bus.ReasonBanned, nil, status.ReasonBanned, models.PresenceOffline},
			{bus.ReasonDeactivated, nil, status.ReasonDeactivated, models.PresenceUnlogined},
			{bus.ReasonDeleted, nil, status.ReasonDeleted, models.PresenceUnlogined},
		} {
			n := newNodes(t, db, 2, 1)
			seen := new(recorder)
			n[1].WatchApp(n[1].app.ID, seen)
			_, here := n[0].connect(0)
			d, there := n[1].connect(0)
			n[0].bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{User: n[0].users[0], Reason: test.reason, BannedUntil: test.until})
			here.want(t, test.cut)
			there.wants(n[1], test.cut)
			for _, l := range []*link{here, there} {
				if l.bannedUntil == nil != (test.until == nil) || test.until != nil && *l.bannedUntil != *test.until {
					t.Errorf("%s until %v: a link was cut for a ban until %v", test.cut, test.until, l.bannedUntil)
				}
			}
			d.Gone()
			n[1].wantPresence(0, test.leaves)
			seen.hears(n[1], "u0:ONLINE u0:"+test.leaves.String())
			drop(t, db)
		}
	})
}

// drop empties the tables of a database that several services use in turn.
func drop(t *testing.T, db *database.DB) {
	t.Helper()
	for _, table := range []string{"users", "apps"} {
		if err := exec(db, "DELETE FROM "+table); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBanElsewhereBeatsConnect checks that a device that another node does not know yet loses to a
// ban there.
func TestBanElsewhereBeatsConnect(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		n := newNodes(t, db, 2, 2)
		_, last := n[1].connect(1)
		seen := new(recorder)
		n[0].WatchApp(n[0].app.ID, seen)
		l, checks := new(link), 0
		acc, row := n[1].account(0), n[0].row(0)
		refused := fault.New(fault.UserBanned, "banned")
		_, err := n[1].Connect(context.Background(), acc, models.PlatformWeb, l, func(context.Context) error {
			if checks++; checks > 1 {
				return refused
			}
			n[0].bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{User: row, Reason: bus.ReasonBanned})
			return nil
		})
		if fault.CodeOf(err) != fault.UserBanned || checks != 2 {
			t.Fatalf("Connect returned %v after %d checks", err, checks)
		}
		n[1].wantPresence(0, models.PresenceUnlogined)
		// The ban has ended, and all events of it have arrived: the next login comes after it.
		n[0].bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{User: n[0].row(1), Reason: bus.ReasonBanned})
		last.wants(n[1], status.ReasonBanned)
		n[1].connect(0)
		seen.hears(n[0], "u1:OFFLINE u0:ONLINE")
	})
}

func TestDisconnectElsewhere(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		n := newNodes(t, db, 2, 1)
		d, there := n[1].connect(0)
		_, other := n[1].connect(0)
		if count := n[0].Disconnect(context.Background(), n[0].account(0), []string{d.Info().ID, "unknown"}); count != 1 {
			t.Fatalf("%d devices were disconnected, want 1", count)
		}
		there.wants(n[1], status.ReasonDisconnected)
		n[0].wantPresence(0, models.PresenceOnline)
		if count := n[0].Disconnect(context.Background(), n[0].account(0), nil); count != 1 {
			t.Fatalf("%d devices were disconnected, want 1", count)
		}
		other.wants(n[1], status.ReasonDisconnected)
		n[0].wantPresence(0, models.PresenceOffline)
		n[0].wantRow(0, models.PresenceOffline)
	})
}

// TestCirclesFollowOtherNodes checks that a circle follows changes made at another node: of
// friends, subscriptions and switches.
func TestCirclesFollowOtherNodes(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		n := newNodes(t, db, 2, 3)
		a, b := n[0], n[1]
		a.turn(true, true)
		seen := new(recorder)
		b.circle(0, seen)
		follows := func(i int, want bool) {
			t.Helper()
			b.eventually(func() bool {
				return slices.Contains(b.watched(0), b.users[i].ID) == want
			}, "the circle to follow u%d: %v", i, want)
			b.following()
		}
		a.befriend(0, 1)
		follows(1, true)
		a.blink(1)
		seen.hears(b, "u1:ONLINE u1:OFFLINE")
		a.unfriend(0, 1)
		follows(1, false)
		a.subscribe(0, 2)
		follows(2, true)
		a.blink(1)
		a.blink(2)
		seen.hears(b, "u1:ONLINE u1:OFFLINE u2:ONLINE u2:OFFLINE")
		if _, err := a.UnsubscribeAll(context.Background(), a.row(0)); err != nil {
			t.Fatal(err)
		}
		follows(2, false)
	})
}

// TestStoppedNode checks that a node that stops removes its devices immediately.
func TestStoppedNode(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		n := newNodes(t, db, 2, 2)
		seen := new(recorder)
		n[0].WatchApp(n[0].app.ID, seen)
		n[1].connect(0)
		n[1].connect(1)
		n[0].connect(1)
		n[1].closeHub(n[1].Hub)
		// Changes of two users may overtake each other.
		n[0].eventually(func() bool { return len(seen.statuses()[n[0].users[0].ID]) == 2 }, "u0 to come and go")
		n[0].delivered()
		if got := len(seen.statuses()[n[0].users[1].ID]); got != 1 {
			t.Fatalf("u1, which stayed, changed %d times: %s", got, seen)
		}
		n[0].wantPresence(0, models.PresenceOffline)
		n[0].wantRow(0, models.PresenceOffline)
		n[0].wantPresence(1, models.PresenceOnline)
	})
}

// TestKilledNode checks that another node sweeps a node that was killed.
func TestKilledNode(t *testing.T) {
	t.Parallel() // waits for a lease to lapse
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		o := new(observed)
		n := newObservedNodes(t, db, 3, 3, o)
		seen := new(recorder)
		n[0].WatchApp(n[0].app.ID, seen)
		for i := range 3 {
			n[2].connect(i)
		}
		n[1].connect(2)
		if _, err := n[0].SetStatus(n[0].account(0), "here"); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		n[2].crash()
		n[0].eventually(func() bool {
			return n[0].presence(0) == models.PresenceOffline && n[0].presence(1) == models.PresenceOffline
		}, "the users to be OFFLINE")
		t.Logf("OFFLINE after %s", time.Since(killed))
		n[0].wantRow(0, models.PresenceOffline)
		n[0].wantRow(1, models.PresenceOffline)
		n[0].wantPresence(2, models.PresenceOnline)
		if got := n[0].StatusOf(n[0].row(0)).CustomStatus; got != "" {
			t.Fatalf("the custom status is %q", got)
		}
		n[0].eventually(func() bool { return len(seen.statuses()[n[0].users[0].ID]) == 3 }, "the end of u0")
		if got, want := o.take(), "u0 ONLINE, u0 ONLINE here, u0 OFFLINE, u1 ONLINE, u1 OFFLINE, u2 ONLINE"; got != want {
			t.Errorf("the nodes notify of %s, want %s", got, want)
		}
	})
}

// TestCircle_LeavesTheChannelsOfFormerFriends checks that a node stops receiving the changes of a
// user when the last circle with it removes it.
func TestCircle_LeavesTheChannelsOfFormerFriends(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newNodes(t, db, 1, 4)[0]
		w.turn(true, true)
		w.befriend(0, 1)
		w.befriend(0, 2)
		w.subscribe(0, 3)
		stop := w.circle(0, new(recorder))
		w.following()
		w.wantFollowed(0, 1, 2, 3)
		w.unfriend(0, 1)
		w.wantFollowed(0, 2, 3)
		w.turnHere(true, false)
		w.wantFollowed(0, 3)
		w.turnHere(true, true)
		w.wantFollowed(0, 2, 3)
		stop()
		w.wantFollowed()
	})
}

// wantFollowed checks which users' changes the node receives.
func (w *world) wantFollowed(want ...int) {
	w.t.Helper()
	users := w.node().Stats().Users
	got := []int{}
	for i, u := range w.users {
		if users[u.ID] {
			got = append(got, i)
		}
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("the node follows the users %v, want %v", got, want)
	}
}
