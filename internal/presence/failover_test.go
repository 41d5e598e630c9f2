package presence

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestSentinelFailover_KeepsDevicesAndChanges checks that a failover by Sentinel cuts no device, and
// that watchers receive what changes during it, once, and nothing else.
func TestSentinelFailover_KeepsDevicesAndChanges(t *testing.T) {
	t.Parallel() // mostly waits
	onMySQL(t, func(db *database.DB) {
		r := testenv.NewReplicatedRedis(t, 2, 1)
		n := newNodesAt(t, db, testenv.Service(), []string{r.URL(), r.URL()}, 5)
		a, b := n[0], n[1]
		_, first := a.connect(0)
		_, second := b.connect(1)
		leaves, _ := b.connect(2)
		_, banned := b.connect(3)
		if _, err := a.SetStatus(a.account(1), "here"); err != nil {
			t.Fatal(err)
		}
		seen := n.watchAll(5)
		app := new(recorder)
		a.WatchApp(a.app.ID, app)
		r.InSync(r.Servers[1])

		r.Servers[0].Stop()
		leaves.Gone()
		if _, err := a.Connect(context.Background(), a.account(4), models.PlatformWeb, new(link), allowed); err == nil {
			t.Fatal("a device connected without a primary")
		}
		if err := exec(db, "UPDATE users SET banned_until = ?, banned_at = 1 WHERE id = ?", models.TimeOf(a.clock.Now())+3_600_000, a.users[3].ID); err != nil {
			t.Fatal(err)
		}
		banned.wants(b, status.ReasonBanned) // within 5 s, by the database

		r.Primary(r.Servers[0])
		n.repaired()
		b.connect(4)
		for i, want := range []string{"", "", "OFFLINE", "OFFLINE", "ONLINE"} {
			if want != "" {
				n.endsWith(seen, i, want)
				a.eventually(func() bool { return app.last(a, i) == want }, "the app's watcher to receive u%d; it received %s", i, app)
			}
		}
		for i, recorder := range append(seen, app) {
			for user, statuses := range recorder.statuses() {
				if len(statuses) != 1 || user == a.users[0].ID || user == a.users[1].ID {
					t.Errorf("watcher %d received %s", i, recorder)
				}
			}
		}
		for _, w := range n {
			if got := text(w.StatusOf(w.row(1))); got != "ONLINE:here" {
				t.Errorf("u1 is %s", got)
			}
			if got := w.redis.Primaries(); len(got) != 1 || got[0] != r.Servers[1].Address() {
				t.Errorf("the primary is %s", got)
			}
		}
		first.want(t)
		second.want(t)
		if got := a.OnlineCount(a.app.ID); got != 3 {
			t.Errorf("%d users are online, want 3", got)
		}
	})
}

// TestSentinelFailovers_UnderLoad checks, over several failovers, that all statuses are right
// afterwards and that no device is cut.
func TestSentinelFailovers_UnderLoad(t *testing.T) {
	testenv.NeedEngines(t)
	onMySQL(t, func(db *database.DB) {
		const users = 30
		r := testenv.NewReplicatedRedis(t, 3, 3)
		n := newNodesAt(t, db, testenv.Service(), []string{r.URL(), r.URL(), r.URL()}, users)
		seen := n.watchAll(users)
		type connected struct {
			device *status.Device
			link   *link
		}
		devices := make([]*connected, users)
		// churn connects and ends devices, those that it can.
		churn := func(steps int) {
			for range steps {
				i := rand.N(users)
				if c := devices[i]; c != nil {
					c.device.Gone()
					devices[i] = nil
					continue
				}
				w, l := n[rand.N(len(n))], new(link)
				d, err := w.Connect(context.Background(), w.account(i), models.PlatformWeb, l, allowed)
				if err == nil {
					devices[i] = &connected{d, l}
				}
			}
		}
		churn(60)
		for _, how := range []string{"stop", "pause", "planned"} {
			former := r.Primary(nil)
			t.Logf("%s %s", how, former.Address())
			switch how {
			case "stop":
				former.Stop()
			case "pause":
				if err := former.Pause(); err != nil {
					t.Fatal(err)
				}
			case "planned":
				n[0].eventually(func() bool { return r.Try(r.Sentinels[0], "SENTINEL", "FAILOVER", "main") == nil }, "the failover to begin")
			}
			churn(10)
			r.Primary(former)
			switch how {
			case "stop":
				r.Restart(former)
			case "pause":
				if err := former.Resume(); err != nil {
					t.Fatal(err)
				}
			}
			r.Healthy() // there may have been a second election
			n.repaired()
			churn(30)
			for i, c := range devices {
				want := "OFFLINE"
				if c != nil {
					want = "ONLINE"
					c.link.want(t)
				}
				if text(n[0].StatusOf(n[0].row(i))) != "UNLOGINED" { // it has connected before
					n.endsWith(seen, i, want)
				}
			}
			for _, w := range n {
				w.eventually(func() bool { return slices.Contains(w.redis.Primaries(), r.Primary(nil).Address()) }, "the node to use the new primary")
			}
		}
	})
}
