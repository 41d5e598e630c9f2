package presence

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

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
		f := failover{url: r.URL(), service: testenv.Service(), former: r.Servers[0], next: r.Servers[1], refuses: true}
		f.synced = func() { r.InSync(r.Servers[1]) }
		f.replaced = func() { r.Primary(r.Servers[0]) }
		f.keepsDevicesAndChanges(t, db)
	})
}

// TestRedisClusterFailover_KeepsDevicesAndChanges is the same for a master of a Redis Cluster and its
// replica.
func TestRedisClusterFailover_KeepsDevicesAndChanges(t *testing.T) {
	testenv.NeedEngines(t)
	t.Parallel() // mostly waits
	onMySQL(t, func(db *database.DB) {
		c := testenv.NewRedisCluster(t, 3, 1)
		f := failover{url: c.URL(), service: clusterService(t, c, 0), former: c.Masters[0], next: c.Replicas[0], cluster: c}
		f.synced = func() { c.InSync(t, c.Replicas[0]) }
		f.replaced = func() { c.Promoted(t, c.Replicas[0]) }
		f.keepsDevicesAndChanges(t, db)
	})
}

// clusterService returns a unique name of a service whose messages between nodes that master has. The
// masters share its users.
func clusterService(t *testing.T, c *testenv.RedisCluster, master int) string {
	t.Helper()
	for {
		name := testenv.Service()
		if owner, _ := c.Owner(t, testenv.OpenRedis(t, c.URL(), name).Key("")); owner == master {
			return name
		}
	}
}

// failover is a primary whose replica replaces it.
type failover struct {
	url, service string
	former, next *testenv.Redis
	// synced waits until the replica has all data, and replaced until it is the primary.
	synced, replaced func()
	// refuses reports whether steps fail without a primary, instead of waiting for one.
	refuses bool
	// cluster is the cluster of which former is the first master; nil if there is none.
	cluster *testenv.RedisCluster
}

// master returns the place of the master that has the user's keys at the start.
func master(t *testing.T, c *testenv.RedisCluster, w *world, user int) int {
	t.Helper()
	owner, _ := c.Owner(t, w.redis.Parts(status.Buckets)[status.BucketOf(w.users[user].ID)].Key(""))
	return owner
}

// slotsOf returns the slots with users' keys that a master has at the start.
func slotsOf(t *testing.T, c *testenv.RedisCluster, w *world, master int) (slots []int) {
	t.Helper()
	for _, part := range w.redis.Parts(status.Buckets) {
		if owner, slot := c.Owner(t, part.Key("")); owner == master {
			slots = append(slots, slot)
		}
	}
	return slots
}

func (f *failover) keepsDevicesAndChanges(t *testing.T, db *database.DB) {
	t.Helper()
	const users = 5
	all := users
	if f.cluster != nil {
		all *= 12 // among them enough with keys at each master
	}
	n := newNodesAt(t, db, f.service, []string{f.url, f.url}, all)
	a, b := n[0], n[1]
	var elsewhere []*models.User // of other masters
	if f.cluster != nil {
		var here []*models.User
		for i, u := range a.users {
			if master(t, f.cluster, a, i) == 0 {
				here = append(here, u)
			} else {
				elsewhere = append(elsewhere, u)
			}
		}
		for _, w := range n {
			w.users = append(here[:users:users], elsewhere[:2]...)
		}
		b.connect(users)
	}
	_, first := a.connect(0)
	_, second := b.connect(1)
	leaves, _ := b.connect(2)
	_, banned := b.connect(3)
	if _, err := a.SetStatus(a.account(1), "here"); err != nil {
		t.Fatal(err)
	}
	seen := n.watchAll(users)
	app, others := new(recorder), new(recorder)
	a.WatchApp(a.app.ID, app)
	f.synced()

	f.former.Stop()
	if f.cluster != nil { // what the other masters have continues
		began := time.Now()
		a.connect(users + 1)
		if _, err := b.SetStatus(b.account(users), "still here"); err != nil {
			t.Errorf("setting a status at another master: %v", err)
		}
		if got := text(a.StatusOf(a.row(users))); got != "ONLINE:still here" {
			t.Errorf("a user of another master is %s", got)
		}
		a.WatchUsers([]status.Account{a.account(users), a.account(users + 1)}, others, true)
		a.eventually(func() bool { return len(others.statuses()) == 2 }, "the snapshot of other masters")
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("steps at the other masters took %s", took)
		}
	}
	leaves.Gone()
	if f.refuses {
		if _, err := a.Connect(context.Background(), a.account(4), models.PlatformWeb, new(link), allowed); err == nil {
			t.Fatal("a device connected without a primary")
		}
	}
	if err := exec(db, "UPDATE users SET banned_until = ?, banned_at = 1 WHERE id = ?", models.TimeOf(a.clock.Now())+3_600_000, a.users[3].ID); err != nil {
		t.Fatal(err)
	}
	banned.wants(b, status.ReasonBanned) // within 5 s, by the database

	f.replaced()
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
			if slices.ContainsFunc(elsewhere, func(u *models.User) bool { return u.ID == user }) {
				continue
			}
			if len(statuses) != 1 || user == a.users[0].ID || user == a.users[1].ID {
				t.Errorf("watcher %d received %s", i, recorder)
			}
		}
	}
	for _, w := range n {
		if got := text(w.StatusOf(w.row(1))); got != "ONLINE:here" {
			t.Errorf("u1 is %s", got)
		}
		w.eventually(func() bool {
			got := w.redis.Primaries()
			return slices.Contains(got, f.next.Address()) && !slices.Contains(got, f.former.Address())
		}, "%s to be in use", f.next.Address())
	}
	first.want(t)
	second.want(t)
	want := 3
	if f.cluster != nil {
		want += 2
		if got := others.statuses()[a.users[users].ID]; len(got) != 1 {
			t.Errorf("u%d of another master changed %d times", users, len(got))
		}
	}
	if got := a.OnlineCount(a.app.ID); got != want {
		t.Errorf("%d users are online, want %d", got, want)
	}
}

// TestRedisClusterReshard_KeepsDevicesAndChanges checks that a move of a master's slots to another one
// cuts no device, and that every watcher ends with what has changed during it.
func TestRedisClusterReshard_KeepsDevicesAndChanges(t *testing.T) {
	testenv.NeedEngines(t)
	t.Parallel() // mostly waits
	onMySQL(t, func(db *database.DB) {
		const users = 12
		c := testenv.NewRedisCluster(t, 3, 0)
		service := testenv.Service()
		n := newNodesAt(t, db, service, []string{c.URL(), c.URL()}, users)
		seen := n.watchAll(users)
		devices, links := make([]*status.Device, users), make([]*link, users)
		for i := range users {
			devices[i], links[i] = n[i%2].connect(i)
		}
		owner := master(t, c, n[0], 0)
		var finish []func()
		for _, slot := range slotsOf(t, c, n[0], owner) {
			finish = append(finish, c.Move(t, slot, c.Masters[owner], c.Masters[(owner+1)%3]))
		}
		var changes sync.WaitGroup
		for i := range 6 { // these wait for the end of the move
			changes.Go(func() {
				if i < 3 {
					devices[i].Gone()
				} else if _, err := n[i%2].SetStatus(n[0].account(i), "moving"); err != nil {
					t.Errorf("setting a status of u%d during the move: %v", i, err)
				}
			})
		}
		for i := range users { // reads do not wait
			if i < 6 && master(t, c, n[0], i) != owner {
				n.endsWith(seen, i, []string{"OFFLINE", "ONLINE:moving"}[i/3]) // nor do changes elsewhere
			} else if got := text(n[0].StatusOf(n[0].row(i))); got != "ONLINE" {
				t.Errorf("u%d is %s during the move", i, got)
			}
		}
		for _, end := range finish {
			end()
		}
		changes.Wait()
		n.repaired()
		for i := range users {
			switch {
			case i < 3:
				n.endsWith(seen, i, "OFFLINE")
			case i < 6:
				n.endsWith(seen, i, "ONLINE:moving")
			default:
				n.endsWith(seen, i, "ONLINE")
			}
			if i >= 3 {
				links[i].want(t)
			}
		}
		if got := n[1].OnlineCount(n[1].app.ID); got != users-3 {
			t.Errorf("%d users are online, want %d", got, users-3)
		}
	})
}

// TestSentinelFailovers_UnderLoad checks, over several failovers, that all statuses are right
// afterwards and that no device is cut.
func TestSentinelFailovers_UnderLoad(t *testing.T) {
	testenv.NeedEngines(t)
	onMySQL(t, func(db *database.DB) {
		r := testenv.NewReplicatedRedis(t, 3, 3)
		l := newLoad(t, newNodesAt(t, db, testenv.Service(), []string{r.URL(), r.URL(), r.URL()}, loadUsers))
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
				l.nodes[0].eventually(func() bool { return r.Try(r.Sentinels[0], "SENTINEL", "FAILOVER", "main") == nil }, "the failover to begin")
			}
			l.churn(10)
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
			l.wantRight()
			for _, w := range l.nodes {
				w.eventually(func() bool { return w.redis.Primaries()[0] == r.Primary(nil).Address() }, "the node to use the new primary")
			}
		}
	})
}

// TestRedisClusterFailovers_UnderLoad is the same for a Redis Cluster, in which slots of the service
// also move to another master and back.
func TestRedisClusterFailovers_UnderLoad(t *testing.T) {
	testenv.NeedEngines(t)
	onMySQL(t, func(db *database.DB) {
		c := testenv.NewRedisCluster(t, 3, 1)
		l := newLoad(t, newNodesAt(t, db, clusterService(t, c, 0), []string{c.URL(), c.URL(), c.URL()}, loadUsers))
		slots := slotsOf(t, c, l.nodes[0], 0)
		primary, replica, other := c.Masters[0], c.Replicas[0], c.Masters[1]
		for _, way := range [][2]*testenv.Redis{{primary, other}, {other, primary}} {
			t.Logf("moving slots to %s", way[1].Address())
			var churning sync.WaitGroup
			var finish []func()
			for _, slot := range slots {
				finish = append(finish, c.Move(t, slot, way[0], way[1]))
			}
			churning.Go(func() { l.churn(10) })
			for _, end := range finish {
				end()
			}
			churning.Wait()
			l.wantRight()
		}
		for _, how := range []string{"planned", "pause", "stop"} {
			t.Logf("%s %s", how, primary.Address())
			switch how {
			case "planned":
				c.Failover(t, replica)
			case "pause":
				if err := primary.Pause(); err != nil {
					t.Fatal(err)
				}
			case "stop":
				primary.Stop()
			}
			l.churn(10)
			c.Promoted(t, replica)
			if how == "pause" {
				if err := primary.Resume(); err != nil {
					t.Fatal(err)
				}
			}
			if how != "stop" {
				c.InSync(t, primary)
			}
			l.wantRight()
			primary, replica = replica, primary
		}
	})
}

// loadUsers is how many users a load has.
const loadUsers = 30

// load is nodes whose users' devices connect and leave at random.
type load struct {
	nodes
	seen    []*recorder
	devices [loadUsers]*loadDevice
}

type loadDevice struct {
	*status.Device
	link *link
}

func newLoad(t *testing.T, n nodes) *load {
	t.Helper()
	l := &load{nodes: n, seen: n.watchAll(loadUsers)}
	l.churn(2 * loadUsers)
	return l
}

// churn connects and ends devices, those that it can.
func (l *load) churn(steps int) {
	for range steps {
		i := rand.N(loadUsers)
		if d := l.devices[i]; d != nil {
			d.Gone()
			l.devices[i] = nil
			continue
		}
		w, link := l.nodes[rand.N(len(l.nodes))], new(link)
		d, err := w.Connect(context.Background(), w.account(i), models.PlatformWeb, link, allowed)
		if err == nil {
			l.devices[i] = &loadDevice{d, link}
		}
	}
}

// wantRight waits until the nodes have repaired everything, and checks, after more load, that all
// statuses are right and that no device was cut.
func (l *load) wantRight() {
	w := l.nodes[0]
	w.t.Helper()
	l.repaired()
	l.churn(loadUsers)
	for i, d := range l.devices {
		want := "OFFLINE"
		if d != nil {
			want = "ONLINE"
			d.link.want(w.t)
		}
		if text(w.StatusOf(w.row(i))) != "UNLOGINED" { // it has connected before
			l.endsWith(l.seen, i, want)
		}
	}
}
