package presence

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// cutOff is two nodes. The second one's connection to Redis, or Redis itself, fails. A watcher at
// each node records what it receives.
type cutOff struct {
	nodes nodes
	seen  [2]*recorder
}

// newOutage connects u0 and u1 to the nodes of these numbers, and at each node a watcher of u0 to
// u4.
func newOutage(t *testing.T, n nodes) *cutOff {
	o := &cutOff{nodes: n}
	for i, w := range n {
		o.seen[i] = new(recorder)
		w.WatchUsers([]status.Account{w.account(0), w.account(1), w.account(2), w.account(3), w.account(4)}, o.seen[i], false)
	}
	for i, w := range n {
		w.connect(i)
	}
	for i, w := range n {
		w.eventually(func() bool { return len(o.seen[i].statuses()) == 2 }, "the statuses of the users")
	}
	return o
}

// told waits until both watchers have received this as the user's last status.
func (o *cutOff) told(user int, want models.Presence) {
	for i, w := range o.nodes {
		w.t.Helper()
		w.eventually(func() bool {
			statuses := o.seen[i].statuses()[w.users[user].ID]
			return len(statuses) > 0 && statuses[len(statuses)-1].Presence == want
		}, "node %d to deliver that u%d is %s; it delivered %s", i, user, want, o.seen[i])
		w.wantPresence(user, want)
	}
	for i := range o.nodes {
		wantHistory(o.nodes[i].t, o.seen[i])
	}
}

// onMySQL runs a test of nodes on MySQL only, because it is about Redis.
func onMySQL(t *testing.T, test func(db *database.DB)) {
	t.Helper()
	test(testenv.Open(t, testenv.MySQLURL(t)))
}

// TestPartitionedNode checks that the others consider a node gone while it cannot reach Redis, and
// that all views are right when it is back.
func TestPartitionedNode(t *testing.T) {
	t.Parallel() // mostly waits
	onMySQL(t, func(db *database.DB) {
		testenv.NeedSingleRedis(t)
		url, service := testenv.RedisURL(t), testenv.Service()
		proxy := testenv.NewProxy(t, url[len("redis://"):])
		n := newNodesAt(t, db, service, []string{url, "redis://" + proxy.Address()}, 5)
		a, b := n[0], n[1]
		o := newOutage(t, n)
		banned, bannedLink := b.connect(4)
		proxy.Cut()
		seen := o.seen[0]
		a.eventually(func() bool {
			statuses := seen.statuses()[a.users[1].ID]
			return statuses[len(statuses)-1].Presence == models.PresenceOffline
		}, "the partitioned node's user to be OFFLINE")
		a.connect(2)
		until := models.TimeOf(a.clock.Now().Add(time.Hour))
		if err := exec(db, "UPDATE users SET banned_until = ?, banned_at = 1 WHERE id = ?", until, a.users[4].ID); err != nil {
			t.Fatal(err)
		}
		a.bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{User: a.row(4), Reason: bus.ReasonBanned})
		if _, err := b.Hub.StatusOf(context.Background(), b.row(0)); err == nil || fault.CodeOf(err) == fault.NotOnline {
			t.Fatalf("reading a status at the partitioned node returned %v", err)
		}
		proxy.Heal()
		healed := time.Now()
		o.told(0, models.PresenceOnline)
		o.told(1, models.PresenceOnline)
		o.told(2, models.PresenceOnline)
		bannedLink.wants(b, status.ReasonBanned)
		t.Logf("right after %s", time.Since(healed))
		banned.Gone()
		a.wantPresence(4, models.PresenceOffline)
		if devices := a.Devices(a.users[1].ID); len(devices) != 1 {
			t.Fatalf("the devices are %+v", devices)
		}
	})
}

// TestRedisAwayAndBackEmpty stops Redis for a time and starts it again without its data.
func TestRedisAwayAndBackEmpty(t *testing.T) {
	onMySQL(t, func(db *database.DB) {
		testenv.NeedServer(t)
		server, err := testenv.StartRedis()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { server.Stop() }()
		n := newNodesAt(t, db, testenv.Service(), []string{server.URL(), server.URL()}, 5)
		a, b := n[0], n[1]
		o := newOutage(t, n)
		if _, err := a.SetStatus(a.account(1), "here"); err != nil {
			t.Fatal(err)
		}
		leaving, _ := b.connect(2)
		o.told(2, models.PresenceOnline)
		b.eventually(func() bool { return len(o.seen[0].statuses()[b.users[1].ID]) == 2 }, "the custom status")
		goroutines := runtime.NumGoroutine()

		server.Stop()
		for _, w := range n {
			_, err := w.Connect(context.Background(), w.account(3), models.PlatformWeb, new(link), allowed)
			if err == nil || errors.Is(err, status.ErrClosed) {
				t.Fatalf("connecting without Redis returned %v", err)
			}
		}
		leaving.Gone()
		for range 20 {
			_, _ = a.Hub.StatusOf(context.Background(), a.row(0)) // fails, and must leave nothing behind
		}
		a.eventually(func() bool { return runtime.NumGoroutine() <= goroutines+10 }, "the goroutines to end")

		if server, err = testenv.StartRedisOn(server.Port()); err != nil {
			t.Fatal(err)
		}
		back := time.Now()
		o.told(2, models.PresenceOffline)
		o.told(0, models.PresenceOnline)
		o.told(1, models.PresenceOnline)
		a.connect(3)
		o.told(3, models.PresenceOnline)
		t.Logf("right after %s", time.Since(back))
		if got := b.StatusOf(b.row(1)).CustomStatus; got != "here" {
			t.Fatalf("the custom status is %q", got)
		}
		// No watcher received a change that did not happen.
		for i, w := range n {
			if got := len(o.seen[i].statuses()[w.users[0].ID]); got != 1 {
				t.Fatalf("node %d delivered %d changes of u0, want 1: %s", i, got, o.seen[i])
			}
		}
		b.wantRow(2, models.PresenceOffline)
	})
}

// TestRevokedWhileRedisIsAway checks that a user is OFFLINE for all watchers if it is banned or
// deactivated while Redis is unavailable, or after it is back empty, at the node with its devices
// or at another one.
func TestRevokedWhileRedisIsAway(t *testing.T) {
	t.Parallel() // mostly waits
	onMySQL(t, func(db *database.DB) {
		r := newRemoteNodes(t, db, 2, 6)
		a, b := r.nodes[0], r.nodes[1]
		o := newOutage(t, r.nodes)
		app := new(recorder)
		a.WatchApp(a.app.ID, app)
		links := make(map[int]*link)
		for _, user := range []int{2, 3, 4} {
			_, links[user] = b.connect(user) // its first connection ever
			o.told(user, models.PresenceOnline)
		}
		revoke := func(node *world, user int, column string, at models.Time, reason bus.Reason) {
			if err := exec(db, "UPDATE users SET "+column+" = ? WHERE id = ?", at, a.users[user].ID); err != nil {
				t.Fatal(err)
			}
			node.bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{User: a.row(user), Reason: reason})
		}
		anHour := models.TimeOf(a.clock.Now().Add(time.Hour))
		r.server.Stop()
		revoke(a, 2, "banned_until", anHour, bus.ReasonBanned)
		revoke(a, 3, "deactivated_at", 1, bus.ReasonDeactivated)
		revoke(b, 4, "deactivated_at", 1, bus.ReasonDeactivated)
		r.back(t)
		o.told(2, models.PresenceOffline)
		o.told(3, models.PresenceUnlogined)
		o.told(4, models.PresenceUnlogined)
		links[2].wants(b, status.ReasonBanned)
		links[3].wants(b, status.ReasonDeactivated)
		links[4].wants(b, status.ReasonDeactivated)
		b.wantRow(2, models.PresenceOffline)
		b.wantRow(3, models.PresenceUnlogined)
		b.wantRow(4, models.PresenceUnlogined)
		a.eventually(func() bool {
			statuses := app.statuses()[a.users[3].ID]
			return len(statuses) > 0 && statuses[len(statuses)-1].Presence == models.PresenceUnlogined
		}, "the app's watcher to receive u3's end; it received %s", app)
		for i := range r.nodes {
			for _, user := range []int{2, 3, 4} {
				if got := len(o.seen[i].statuses()[a.users[user].ID]); got != 2 {
					t.Errorf("node %d delivered %d changes of u%d, want 2: %s", i, got, user, o.seen[i])
				}
			}
		}

		// Redis is emptied before the node with the devices has seen the revocation.
		_, link := b.connect(5)
		a.wantRow(5, models.PresenceOnline)
		seen := new(recorder)
		a.WatchUsers([]status.Account{a.account(5)}, seen, false)
		a.followed()
		if err := a.redis.Do(context.Background(), a.redis.B().Flushall().Build()).Error(); err != nil {
			t.Fatal(err)
		}
		revoke(a, 5, "banned_until", anHour, bus.ReasonBanned)
		seen.hears(a, "u5:OFFLINE")
		link.wants(b, status.ReasonBanned)
		b.wantRow(5, models.PresenceOffline)
	})
}

// TestServiceKilled checks a service whose nodes were all killed and have left users ONLINE in the
// database.
func TestServiceKilled(t *testing.T) {
	t.Parallel() // mostly waits
	onMySQL(t, func(db *database.DB) {
		n := newNodes(t, db, 1, 3)
		w := n[0]
		at := models.TimeOf(w.clock.Now().Add(-time.Hour))
		if err := exec(db, "UPDATE users SET presence = ?, presence_at = ? WHERE id <> ?", models.PresenceOnline, at, w.users[2].ID); err != nil {
			t.Fatal(err)
		}
		w.connect(1)
		w.wantPresence(0, models.PresenceOffline)
		w.wantRow(0, models.PresenceOffline)
		w.wantRow(1, models.PresenceOnline)
		w.wantRow(2, models.PresenceUnlogined)
	})
}
