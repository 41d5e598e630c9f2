package presence

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/presence/cluster"
	"rollcall/internal/presence/status"
	"rollcall/internal/redis"
	"rollcall/internal/testenv"
	"rollcall/models"
)

var roundsFlag = flag.Int("outage.rounds", 1, "rounds of each kind in TestOutage_CutsOnlyRevokedDevices")

// redisDelay is the latency to Redis, in each direction, in tests that depend on it.
const redisDelay = 2 * time.Millisecond

// remoteNodes are nodes that reach a Redis of their own through connections that the test controls.
type remoteNodes struct {
	nodes
	server *testenv.Redis
	links  []*testenv.Proxy
	args   []string
}

// newRemoteNodes starts a Redis with these arguments, and nodes on one database.
func newRemoteNodes(t *testing.T, db *database.DB, count, users int, args ...string) *remoteNodes {
	t.Helper()
	testenv.NeedServer(t)
	server, err := testenv.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	r := &remoteNodes{server: server, args: args}
	t.Cleanup(func() { r.server.Stop() })
	if len(args) > 0 {
		server.Stop()
		r.back(t)
	}
	urls := make([]string, count)
	for i := range urls {
		link := testenv.NewProxy(t, r.server.Address())
		link.Delay(redisDelay)
		r.links = append(r.links, link)
		urls[i] = "redis://" + link.Address()
	}
	r.nodes = newNodesAt(t, db, testenv.Service(), urls, users)
	return r
}

// back starts the stopped Redis again.
func (r *remoteNodes) back(t *testing.T) {
	t.Helper()
	server, err := testenv.StartRedisOn(r.server.Port(), r.args...)
	if err != nil {
		t.Fatal(err)
	}
	r.server = server
}

// command sends a command to a Redis.
func command(t *testing.T, server *testenv.Redis, words ...string) string {
	t.Helper()
	client, err := redis.Open(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	out, err := client.Do(context.Background(), client.B().Arbitrary(words...).Build()).ToString()
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(words, " "), err)
	}
	return out
}

// repaired waits until each node holds its leases, has nothing to repair, and has renewed each lease
// twice since.
func (n nodes) repaired() {
	for _, w := range n {
		w.t.Helper()
		var last cluster.Stats
		renewals := -1
		w.eventually(func() bool {
			s := w.node().Stats()
			switch {
			case s.Repairing || !slices.Equal(s.Names, last.Names):
				last, renewals = s, 0
			case renewedAll(last, s):
				last = s
				renewals++
			}
			return renewals >= 2
		}, "the node to have repaired everything")
	}
}

// renewedAll reports whether all leases have been renewed between two Stats.
func renewedAll(before, after cluster.Stats) bool {
	for i, end := range before.LeaseEnds {
		if after.LeaseEnds[i] == end {
			return false
		}
	}
	return true
}

// holdRestore keeps the node from writing the user's devices again until release is called.
func (w *world) holdRestore(i int) (release func()) {
	return w.node().Hold(w.account(i))
}

// last returns the last status of the user that the recorder received, in text's form.
func (r *recorder) last(w *world, user int) string {
	statuses := r.statuses()[w.users[user].ID]
	if len(statuses) == 0 {
		return ""
	}
	return text(statuses[len(statuses)-1])
}

// endsWith waits until all recorders have received want as the user's last status, and each node
// returns it.
func (n nodes) endsWith(seen []*recorder, user int, want string) {
	for i, w := range n {
		w.t.Helper()
		w.eventually(func() bool { return seen[i].last(w, user) == want },
			"node %d to deliver that u%d is %s; it delivered %s", i, user, want, seen[i])
		w.eventually(func() bool { return text(w.StatusOf(w.row(user))) == want }, "node %d to return that u%d is %s", i, user, want)
		wantHistory(w.t, seen[i])
	}
}

// watchAll watches the first users at each node, without snapshots of what happened before.
func (n nodes) watchAll(count int) (seen []*recorder) {
	for _, w := range n {
		w.heard()
		w.delivered()
		accs := make([]status.Account, count)
		for i := range accs {
			accs[i] = w.account(i)
		}
		r := new(recorder)
		w.WatchUsers(accs, r, false)
		seen = append(seen, r)
	}
	return seen
}

func (l *link) cuts() []status.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.reasons)
}

// text returns the status in recorder's form.
func text(status models.UserStatus) string {
	return strings.TrimSuffix(status.Presence.String()+":"+status.CustomStatus, ":")
}

// outages are the ways in which Redis, or a node's connection to it, fails and comes back.
var outages = map[string]func(t *testing.T, r *remoteNodes){
	"killed and back empty":         killed,
	"killed and back with its data": killed,
	"paused": func(t *testing.T, r *remoteNodes) {
		if err := r.server.Pause(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4700 * time.Millisecond)
		if err := r.server.Resume(); err != nil {
			t.Fatal(err)
		}
	},
	"one node cut off": func(t *testing.T, r *remoteNodes) {
		r.links[1].Cut()
		time.Sleep(1500*time.Millisecond + rand.N(2500*time.Millisecond))
		r.nodes[0].Disconnect(context.Background(), r.nodes[0].account(disconnectedUser), nil)
		r.links[1].Heal()
	},
}

func killed(t *testing.T, r *remoteNodes) {
	r.server.Stop()
	time.Sleep(1500*time.Millisecond + rand.N(2100*time.Millisecond))
	r.back(t)
}

// bannedUser and disconnectedUser have devices at the second node.
const bannedUser, disconnectedUser = 7, 9

// TestOutage_CutsOnlyRevokedDevices checks that whatever happens to Redis, only devices of users
// that were banned, or disconnected by another node, during the outage are cut, and that no status
// is lost.
func TestOutage_CutsOnlyRevokedDevices(t *testing.T) {
	const users = 200
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // mostly waits
			onMySQL(t, func(db *database.DB) {
				var args []string
				if strings.Contains(name, "data") {
					args = []string{"--dir", t.TempDir(), "--appendonly", "yes"}
				}
				want := map[int]status.Reason{bannedUser: status.ReasonBanned}
				if strings.Contains(name, "node") {
					want[disconnectedUser] = status.ReasonDisconnected
				}
				r := newRemoteNodes(t, db, 2, users, args...)
				links, devices := make([]*link, users), make([]*status.Device, users)
				connect := func(i int) {
					at, l := r.nodes[i%2], new(link)
					d, err := at.Connect(context.Background(), status.AccountOf(at.users[i]), models.PlatformWeb, l, allowed)
					if err == nil {
						_, err = at.SetStatus(status.AccountOf(at.users[i]), fmt.Sprint("status ", i))
					}
					if err != nil {
						t.Error(err)
					}
					links[i], devices[i] = l, d
				}
				var connects sync.WaitGroup
				for i := range users {
					connects.Go(func() { connect(i) })
				}
				connects.Wait()
				total := 0
				for round := range *roundsFlag {
					start, ban := time.Now(), r.nodes[0].users[bannedUser].ID
					until := models.TimeOf(r.nodes[0].clock.Now().Add(time.Hour))
					if err := exec(db, "UPDATE users SET banned_until = ?, banned_at = 1 WHERE id = ?", until, ban); err != nil {
						t.Fatal(err)
					}
					seen := r.watchAll(users)
					outage(t, r)
					r.repaired()
					wrong := 0
					for i, l := range links {
						cut := l.cuts()
						if reason, ok := want[i]; ok {
							if len(cut) != 1 || cut[0] != reason {
								t.Errorf("the device of u%d was cut for %v, want %s", i, cut, reason)
							}
							devices[i].Gone()
						} else if len(cut) > 0 {
							wrong++
						}
					}
					total += wrong
					for i := range users {
						expected := fmt.Sprint("ONLINE:status ", i)
						if _, ok := want[i]; ok {
							expected = "OFFLINE"
						}
						if got := text(r.nodes[i%2].StatusOf(r.nodes[0].row(i))); got != expected {
							t.Errorf("u%d is %s, want %s", i, got, expected)
						}
						for n, w := range r.nodes {
							told := seen[n].last(w, i)
							if told != "" && told != expected {
								t.Errorf("node %d delivered that u%d is %s, want %s", n, i, told, expected)
							}
							// If no node is swept, only the expected changes have happened.
							if told != "" && want[i] == 0 && want[disconnectedUser] == 0 {
								t.Errorf("node %d delivered %+v, though nothing has changed", n, seen[n].statuses()[w.users[i].ID])
							}
						}
					}
					t.Logf("round %d: %d devices were wrongly cut, after %s", round, wrong, time.Since(start).Round(time.Millisecond))
					if err := exec(db, "UPDATE users SET banned_until = NULL, banned_at = NULL WHERE id = ?", ban); err != nil {
						t.Fatal(err)
					}
					for i := range want {
						connect(i)
					}
					for i := range links { // a device that was wrongly cut counts once
						if len(links[i].cuts()) > 0 {
							devices[i].Gone()
							connect(i)
						}
					}
				}
				if total > 0 {
					t.Errorf("%d devices were wrongly cut in %d rounds", total, *roundsFlag)
				}
			})
		})
	}
}

// TestRolledBackData_IsCorrected checks a Redis that comes back with older data. Users that left
// since then end OFFLINE, or UNLOGINED after a logout. Users that came stay ONLINE with their
// sockets open. Every watcher receives these statuses, even one that began while Redis returned the
// older data.
func TestRolledBackData_IsCorrected(t *testing.T) {
	// A way in which data is rolled back. checkpoint is called in the state to which turn then brings
	// Redis back.
	type way struct {
		args             func(t *testing.T) []string
		checkpoint, turn func(t *testing.T, r *remoteNodes)
	}
	snapshot := way{
		args:       func(t *testing.T) []string { return []string{"--dir", t.TempDir()} },
		checkpoint: func(t *testing.T, r *remoteNodes) { command(t, r.server, "SAVE") },
		turn: func(t *testing.T, r *remoteNodes) {
			r.server.Stop()
			r.back(t)
		},
	}
	withoutInfo := snapshot
	withoutInfo.args = func(t *testing.T) []string {
		return []string{"--dir", t.TempDir(), "--user", "default", "on", "nopass", "~*", "&*", "+@all", "-info"}
	}
	var replica *testenv.Redis
	var replication *testenv.Proxy
	lagging := way{
		args: func(*testing.T) []string { return replicated },
		checkpoint: func(t *testing.T, r *remoteNodes) {
			replica, replication = newReplica(t, r)
			inSync(t, r.server, replica)
			replication.Cut()
		},
		turn: func(t *testing.T, r *remoteNodes) {
			r.server.Stop()
			promote(t, r, replica)
		},
	}
	for name, w := range map[string]way{
		"snapshot loaded": snapshot, "snapshot loaded without the right to INFO": withoutInfo, "lagging replica promoted": lagging,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // mostly waits
			onMySQL(t, func(db *database.DB) {
				const users = 10
				r := newRemoteNodes(t, db, 3, users, w.args(t)...)
				a, b, c := r.nodes[0], r.nodes[1], r.nodes[2]
				live := r.nodes[:2]
				seen := live.watchAll(users)
				app := new(recorder)
				a.WatchApp(a.app.ID, app)
				_, stays := a.connect(0)
				leaves, _ := b.connect(1)
				b.connect(2) // logs out
				_, changes := b.connect(3)
				c.connect(4) // its node dies
				_, second := a.connect(5)
				for i := range 6 {
					live.endsWith(seen, i, "ONLINE")
				}
				// These were connected before, and left in the two ways.
				for _, i := range []int{7, 8, 9} {
					d, _ := b.connect(i)
					d.Gone()
				}
				a.logout(9, nil, true)
				live.endsWith(seen, 9, "UNLOGINED")
				w.checkpoint(t, r)

				leaves.Gone()
				b.logout(2, nil, true)
				if _, err := a.SetStatus(a.account(3), "new"); err != nil {
					t.Fatal(err)
				}
				_, came := a.connect(6)
				_, again := b.connect(5)
				a.connect(7)
				a.logout(7, nil, true)
				blinks, _ := a.connect(9)
				blinks.Gone()
				c.connect(8) // dies with Redis
				c.connect(4)
				live.endsWith(seen, 3, "ONLINE:new")
				live.endsWith(seen, 8, "ONLINE")
				live.endsWith(seen, 7, "UNLOGINED")
				live.endsWith(seen, 9, "OFFLINE")
				live.endsWith(seen, 2, "UNLOGINED")
				live.endsWith(seen, 1, "OFFLINE")
				b.wantRow(1, models.PresenceOffline)
				b.wantRow(2, models.PresenceUnlogined)
				b.wantRow(7, models.PresenceUnlogined)
				b.wantRow(9, models.PresenceOffline)
				c.crash()

				release := a.holdRestore(6)
				w.turn(t, r)
				// A watcher receives what Redis has.
				late := new(recorder)
				b.eventually(func() bool {
					_, err := b.Hub.WatchUsers(context.Background(), []status.Account{b.account(6)}, late, true)
					return err == nil
				}, "Redis to answer")
				b.eventually(func() bool { return late.text() != "" }, "a snapshot")
				if got := late.text(); got != "u6:UNLOGINED" && got != "u6:OFFLINE" {
					t.Fatalf("the data was not rolled back: %s", got)
				}
				release()

				for i, want := range []string{
					"ONLINE", "OFFLINE", "UNLOGINED", "ONLINE:new", "OFFLINE", "ONLINE", "ONLINE", "UNLOGINED", "OFFLINE", "OFFLINE",
				} {
					live.endsWith(seen, i, want)
				}
				b.eventually(func() bool { return strings.HasSuffix(late.text(), " u6:ONLINE") },
					"the late watcher to be corrected; it received %s", late)
				for i, want := range map[int]string{1: "OFFLINE", 2: "UNLOGINED", 3: "ONLINE:new", 4: "OFFLINE", 6: "ONLINE", 8: "OFFLINE"} {
					a.eventually(func() bool { return app.last(a, i) == want },
						"the app's watcher to receive that u%d is %s; it received %s", i, want, app)
				}
				live.repaired()
				for _, l := range []*link{stays, changes, second, came, again} {
					l.want(t)
				}
				if got := a.Devices(a.users[5].ID); len(got) != 2 {
					t.Errorf("u5 has the devices %+v, want 2", got)
				}
				b.wantRow(2, models.PresenceUnlogined)
				b.wantRow(4, models.PresenceOffline)
				b.wantRow(6, models.PresenceOnline)
				b.wantRow(8, models.PresenceOffline)
				if got := a.OnlineCount(a.app.ID); got != 4 {
					t.Errorf("%d users are online, want 4", got)
				}
				// According to Redis, u9 has already logged out.
				a.logout(9, nil, true)
				live.endsWith(seen, 9, "UNLOGINED")
			})
		})
	}
}

// replicated are the arguments for a Redis that a replica follows at once.
var replicated = []string{"--repl-diskless-sync-delay", "0"}

// newReplica starts a replica of the nodes' Redis, over a link of its own.
func newReplica(t *testing.T, r *remoteNodes) (*testenv.Redis, *testenv.Proxy) {
	t.Helper()
	testenv.NeedServer(t)
	replica, err := testenv.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(replica.Stop)
	link := testenv.NewProxy(t, r.server.Address())
	host, port, _ := strings.Cut(link.Address(), ":")
	command(t, replica, "REPLICAOF", host, port)
	return replica, link
}

// inSync waits until the replica has everything that was written to the server before.
func inSync(t *testing.T, server, replica *testenv.Redis) {
	t.Helper()
	field := func(of *testenv.Redis, name string) string {
		_, rest, _ := strings.Cut(command(t, of, "INFO", "replication"), name+":")
		value, _, _ := strings.Cut(rest, "\r\n")
		return value
	}
	offset := func(of *testenv.Redis, name string) int64 {
		n, err := strconv.ParseInt(field(of, name), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	written := offset(server, "master_repl_offset")
	for deadline := time.Now().Add(patience); field(replica, "master_link_status") != "up" || offset(replica, "slave_repl_offset") < written; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the replica does not catch up")
		}
	}
}

// promote makes the replica the nodes' Redis.
func promote(t *testing.T, r *remoteNodes, replica *testenv.Redis) {
	t.Helper()
	command(t, replica, "REPLICAOF", "NO", "ONE")
	for _, link := range r.links {
		link.Retarget(replica.Address())
	}
}

// TestPlannedFailover_ChangesNothing checks that a failover without loss changes nothing for any
// watcher.
func TestPlannedFailover_ChangesNothing(t *testing.T) {
	t.Parallel() // mostly waits
	onMySQL(t, func(db *database.DB) {
		r := newRemoteNodes(t, db, 2, 3, replicated...)
		a, b := r.nodes[0], r.nodes[1]
		replica, _ := newReplica(t, r)
		_, first := a.connect(0)
		_, second := b.connect(1)
		if _, err := a.SetStatus(a.account(1), "here"); err != nil {
			t.Fatal(err)
		}
		seen := r.watchAll(3)
		app := new(recorder)
		a.WatchApp(a.app.ID, app)
		born := a.node().Stats().Born
		inSync(t, r.server, replica) // so that everything written from here on is replicated
		command(t, r.server, "CLIENT", "PAUSE", "10000", "WRITE")
		inSync(t, r.server, replica)
		promote(t, r, replica)
		for _, w := range r.nodes {
			w.eventually(func() bool {
				return !slices.ContainsFunc(w.node().Stats().Born, func(b int64) bool { return slices.Contains(born, b) })
			}, "the node to notice the failover")
		}
		r.repaired()
		first.want(t)
		second.want(t)
		for i, s := range append(seen, app) {
			if s.text() != "" {
				t.Errorf("watcher %d received %s, though nothing has changed", i, s)
			}
		}
		if got := text(b.StatusOf(b.row(1))); got != "ONLINE:here" {
			t.Errorf("u1 is %s", got)
		}
		a.connect(2)
		r.endsWith(seen, 2, "ONLINE")
	})
}

// TestEmptyRedis_CorrectsEarlierReads checks that a status that was read, or a watch that began,
// while Redis was empty is corrected when the devices are written again. Watchers that knew the
// status before do not receive it again.
func TestEmptyRedis_CorrectsEarlierReads(t *testing.T) {
	onMySQL(t, func(db *database.DB) {
		n := newNodes(t, db, 2, 3)
		a, b := n[0], n[1]
		seen := n.watchAll(3)
		app := new(recorder)
		b.WatchApp(b.app.ID, app)
		for i := range 3 {
			a.connect(i)
			n.endsWith(seen, i, "ONLINE")
		}
		b.eventually(func() bool { return len(app.statuses()) == 3 }, "the app's watcher to receive 3 users")
		released := []func(){a.holdRestore(0), a.holdRestore(1)}
		a.loseData()
		watcher := new(recorder)
		b.WatchUsers([]status.Account{b.account(0)}, watcher, true)
		watcher.hears(b, "u0:OFFLINE")
		b.wantPresence(1, models.PresenceOffline)
		for _, release := range released {
			release()
		}
		watcher.hears(b, "u0:OFFLINE u0:ONLINE")
		b.eventually(func() bool { return len(seen[1].statuses()[b.users[1].ID]) == 2 }, "the status that was read to be corrected")
		b.eventually(func() bool { return len(app.statuses()[b.users[0].ID]) == 2 && len(app.statuses()[b.users[1].ID]) == 2 },
			"the app's watcher to be corrected; it received %s", app)
		n.repaired()
		for i, w := range n {
			w.wantPresence(2, models.PresenceOnline)
			if got := len(seen[i].statuses()[w.users[2].ID]); got != 1 {
				t.Errorf("node %d delivered %d changes of u2, want 1: %s", i, got, seen[i])
			}
		}
	})
}

// keys returns the service's keys in Redis.
func (w *world) keys() []string {
	w.t.Helper()
	var keys []string
	for _, server := range w.redis.Nodes() { // more than one in a cluster
		some, err := server.Do(context.Background(), server.B().Keys().Pattern("*"+strings.TrimSuffix(w.redis.SpreadKey(""), ":")+"*").Build()).AsStrSlice()
		if err != nil {
			w.t.Fatal(err)
		}
		keys = append(keys, some...)
	}
	return keys
}

// TestSweptNode_CustomStatusesComeBack checks a node that is cut off for longer than its lease, and
// is swept. Its devices come back with their users' custom statuses, including those set during
// that time.
func TestSweptNode_CustomStatusesComeBack(t *testing.T) {
	t.Parallel() // waits for a lease to lapse
	onMySQL(t, func(db *database.DB) {
		r := newRemoteNodes(t, db, 2, 4)
		a, b := r.nodes[0], r.nodes[1]
		set := func(i int, text string) {
			t.Helper()
			if _, err := a.SetStatus(a.account(i), text); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 4 {
			b.connect(i)
			set(i, fmt.Sprint("before ", i))
		}
		seen := r.nodes[:1].watchAll(4)
		b.heard()
		r.links[1].Cut()
		set(1, "after the cut")
		for i := range 4 {
			a.eventually(func() bool { return seen[0].last(a, i) == "OFFLINE" }, "u%d to be swept", i)
		}
		// During that time two users connect to the other node, and one of them sets a new custom
		// status there.
		a.connect(2)
		a.connect(3)
		set(3, "newer")
		r.links[1].Heal()
		for i, want := range []string{"before 0", "after the cut", "before 2", "newer"} {
			r.nodes[:1].endsWith(seen, i, "ONLINE:"+want)
		}
		if got := seen[0].statuses()[a.users[0].ID]; len(got) != 2 {
			t.Errorf("the watcher received %+v, want OFFLINE, and then ONLINE with the custom status in one event", got)
		}
	})
}

// TestSweptNode_EndedCustomStatusStaysAway checks that a custom status that ended with the user's
// last device does not come back when a device that connected later is written again.
func TestSweptNode_EndedCustomStatusStaysAway(t *testing.T) {
	t.Parallel() // waits for a lease to lapse
	onMySQL(t, func(db *database.DB) {
		r := newRemoteNodes(t, db, 2, 1)
		a, b := r.nodes[0], r.nodes[1]
		first, _ := b.connect(0)
		if _, err := a.SetStatus(a.account(0), "ended"); err != nil {
			t.Fatal(err)
		}
		first.Gone()
		b.connect(0)
		seen := r.nodes[:1].watchAll(1)
		r.links[1].Cut()
		a.eventually(func() bool { return seen[0].last(a, 0) == "OFFLINE" }, "the user to be swept")
		r.links[1].Heal()
		r.nodes[:1].endsWith(seen, 0, "ONLINE")
		r.repaired()
		r.nodes[:1].endsWith(seen, 0, "ONLINE")
	})
}

// TestSweptNode_ComesBackToEmptyRedis checks a node that was swept and finds Redis empty when it is
// back. It learns from the database that it was swept, so watchers that received the users' OFFLINE
// also receive their return.
func TestSweptNode_ComesBackToEmptyRedis(t *testing.T) {
	t.Parallel() // waits for a lease to lapse
	onMySQL(t, func(db *database.DB) {
		r := newRemoteNodes(t, db, 2, 1)
		a, b := r.nodes[0], r.nodes[1]
		b.connect(0)
		if _, err := b.SetStatus(b.account(0), "here"); err != nil {
			t.Fatal(err)
		}
		b.heard()
		seen := r.nodes[:1].watchAll(1)
		app := new(recorder)
		a.WatchApp(a.app.ID, app)
		r.links[1].Cut()
		a.eventually(func() bool { return seen[0].last(a, 0) == "OFFLINE" && app.last(a, 0) == "OFFLINE" }, "the user to be swept")
		a.wantRow(0, models.PresenceOffline)
		command(t, r.server, "FLUSHALL")
		r.links[1].Heal()
		r.nodes[:1].endsWith(seen, 0, "ONLINE:here")
		a.eventually(func() bool { return app.last(a, 0) == "ONLINE:here" }, "the app's watcher to receive the return; it received %s", app)
		b.wantRow(0, models.PresenceOnline)
	})
}

// TestFrozenRedis_NoUserGoesOffline checks that no lease lapses while Redis does not respond to any
// node.
func TestFrozenRedis_NoUserGoesOffline(t *testing.T) {
	t.Parallel() // waits for a lease to lapse
	onMySQL(t, func(db *database.DB) {
		r := newRemoteNodes(t, db, 3, 3)
		for i, w := range r.nodes {
			w.connect(i)
			if _, err := w.SetStatus(w.account(i), "here"); err != nil {
				t.Fatal(err)
			}
		}
		seen := r.watchAll(3)
		if err := r.server.Pause(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(cluster.LeaseLength + time.Second)
		if err := r.server.Resume(); err != nil {
			t.Fatal(err)
		}
		r.repaired()
		for i, w := range r.nodes {
			if got := text(w.StatusOf(w.row(i))); got != "ONLINE:here" {
				t.Errorf("u%d is %s", i, got)
			}
			if got := seen[i].text(); got != "" {
				t.Errorf("node %d delivered %s, though nothing has changed", i, got)
			}
		}
	})
}

// TestCutOffNode_LearnsWhatWasDisconnected checks that devices that are disconnected or logged out
// elsewhere while a node is cut off end when it is back, whether or not the node was swept before,
// and that no others do.
func TestCutOffNode_LearnsWhatWasDisconnected(t *testing.T) {
	t.Parallel() // waits for a lease to lapse
	onMySQL(t, func(db *database.DB) {
		r := newRemoteNodes(t, db, 2, 5)
		a, b := r.nodes[0], r.nodes[1]
		devices, links := make([]*status.Device, 5), make([]*link, 5)
		for i := range 5 {
			devices[i], links[i] = b.connect(i)
		}
		_, stays := b.connect(0)
		seen := r.nodes[:1].watchAll(5)
		r.links[1].Cut()
		a.Disconnect(context.Background(), a.account(0), []string{devices[0].Info().ID})
		a.Disconnect(context.Background(), a.account(1), nil)
		for i := range 5 {
			a.eventually(func() bool { return seen[0].last(a, i) == "OFFLINE" }, "u%d to be swept", i)
		}
		a.Disconnect(context.Background(), a.account(2), nil)
		a.logout(3, nil, true)
		_, later := a.connect(2)
		r.links[1].Heal()
		r.repaired()
		for i, want := range [][]status.Reason{{status.ReasonDisconnected}, {status.ReasonDisconnected}, {status.ReasonDisconnected}, {status.ReasonLoggedOut}, nil} {
			links[i].want(t, want...)
		}
		stays.want(t)
		later.want(t)
		for i, want := range []string{"ONLINE", "OFFLINE", "ONLINE", "UNLOGINED", "ONLINE"} {
			r.nodes[:1].endsWith(seen, i, want)
		}
		if got := a.Devices(a.users[0].ID); len(got) != 1 {
			t.Errorf("u0 has the devices %+v, want 1", got)
		}
	})
}
