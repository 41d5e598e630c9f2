package presence

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/presence/memory"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/internal/users"
	"rollcall/models"
)

// moments checks that the changedAt of a user increases with each change, while steps change the
// user's status on nodes whose clocks do not advance.
type moments struct {
	t     *testing.T
	nodes nodes
	// device is what the last connect returned.
	device *status.Device
	last   models.UserStatus
	// seen are what the running nodes have delivered since they started.
	seen []*recorder
	now  map[*world]*recorder
}

// step is one change and the status after it, in recorder's form.
type step struct {
	name string
	do   func(m *moments)
	want string
}

// at returns node i, after setting its clock back by an hour.
func (m *moments) at(i int) *world {
	w := m.nodes[i%len(m.nodes)]
	w.clock.Advance(-time.Hour)
	return w
}

// users returns the rules for users, which publish their changes on b.
func (m *moments) users(w *world, b *bus.Bus) *users.Service {
	keys, err := token.OpenKeys(context.Background(), w.db, "", w.clock.Now)
	if err != nil {
		m.t.Fatal(err)
	}
	return users.New(w.db, b, keys, users.Erasers{w.relations(), w.Service}, users.Options{Clock: w.clock.Now})
}

// watch records what each node delivers from now on.
func (m *moments) watch() {
	for _, w := range m.nodes {
		seen := new(recorder)
		w.WatchApp(w.app.ID, seen)
		m.seen = append(m.seen, seen)
		m.now[w] = seen
	}
}

// check compares the status, and its time with the previous one.
func (m *moments) check(s step) {
	m.t.Helper()
	for i, w := range m.nodes {
		status := w.StatusOf(w.row(0))
		got := status.Presence.String()
		if status.CustomStatus != "" {
			got += ":" + status.CustomStatus
		}
		if got != s.want {
			m.t.Fatalf("%s: node %d has %s, want %s", s.name, i, got, s.want)
		}
		if i > 0 {
			if *status.ChangedAt != *m.last.ChangedAt {
				m.t.Errorf("%s: node %d has %v, want %v", s.name, i, *status.ChangedAt, *m.last.ChangedAt)
			}
			continue
		}
		if m.last.ChangedAt != nil && *status.ChangedAt <= *m.last.ChangedAt {
			m.t.Errorf("%s: changed at %v, before at %v", s.name, *status.ChangedAt, *m.last.ChangedAt)
		}
		m.last = status
	}
}

func connects(node int) func(*moments) {
	return func(m *moments) { m.device, _ = m.at(node).connect(0) }
}

func sets(node int, text string) func(*moments) {
	return func(m *moments) {
		w := m.at(node)
		if _, err := w.SetStatus(w.account(0), text); err != nil {
			m.t.Fatal(err)
		}
	}
}

func goes(m *moments) {
	m.at(0)
	m.device.Gone()
}

func logsOut(node int) func(*moments) {
	return func(m *moments) { m.at(node).logout(0, nil, true) }
}

func cut(node int, reason bus.Reason) func(*moments) {
	return func(m *moments) {
		w := m.at(node)
		w.bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{User: w.row(0), Reason: reason})
	}
}

func deactivates(node int) func(*moments) {
	return func(m *moments) { w := m.at(node); m.deactivate(w, w.bus) }
}

func (m *moments) deactivate(w *world, b *bus.Bus) {
	m.t.Helper()
	if _, err := m.users(w, b).Deactivate(context.Background(), w.appNow(), []string{"u0"}, audit.AppServer); err != nil {
		m.t.Fatal(err)
	}
}

func reactivates(m *moments) {
	w := m.at(0)
	if _, err := m.users(w, w.bus).Reactivate(context.Background(), w.appNow(), []string{"u0"}, audit.AppServer); err != nil {
		m.t.Fatal(err)
	}
}

// changes are the steps that do not depend on the number of nodes.
var changes = []step{
	{"first login", connects(0), "ONLINE"},
	{"custom status", sets(1, "a"), "ONLINE:a"},
	{"another custom status", sets(0, "b"), "ONLINE:b"},
	{"no custom status", sets(1, ""), "ONLINE"},
	{"custom status again", sets(1, "c"), "ONLINE:c"},
	{"device gone", goes, "OFFLINE"},
	{"login after a loss", connects(1), "ONLINE"},
	{"logout", logsOut(0), "UNLOGINED"},
	{"login after a logout", connects(1), "ONLINE"},
	{"custom status before a logout", sets(0, "d"), "ONLINE:d"},
	{"logout with a custom status", logsOut(1), "UNLOGINED"},
	{"login before a ban", connects(0), "ONLINE"},
	{"ban", cut(1, bus.ReasonBanned), "OFFLINE"},
	{"logout without a device", logsOut(1), "UNLOGINED"},
	{"login before a deactivation", connects(1), "ONLINE"},
	{"custom status before a deactivation", sets(1, "e"), "ONLINE:e"},
	{"deactivation", deactivates(0), "UNLOGINED"},
	{"login after a deactivation", func(m *moments) { reactivates(m); connects(1)(m) }, "ONLINE"},
	{"device gone again", goes, "OFFLINE"},
}

// forgotten are steps after which only the database knows the user.
func forgotten(forget func(*moments)) []step {
	return []step{
		{"login from the row", func(m *moments) { forget(m); connects(0)(m) }, "ONLINE"},
		{"device gone", goes, "OFFLINE"},
		{"logout from the row", func(m *moments) { forget(m); logsOut(0)(m) }, "UNLOGINED"},
		{"login", connects(0), "ONLINE"},
		{"device gone again", goes, "OFFLINE"},
		{"deactivation from the row", func(m *moments) { forget(m); deactivates(0)(m) }, "UNLOGINED"},
		{"login after a deactivation", func(m *moments) { reactivates(m); forget(m); connects(0)(m) }, "ONLINE"},
		{"device gone for the last time", goes, "OFFLINE"},
	}
}

func TestChangedAt_Grows(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		for _, test := range []struct {
			name  string
			start func(t *testing.T) nodes
			steps []step
		}{
			{"one node", func(t *testing.T) nodes { return nodes{newWorld(t, db, 1)} }, changes},
			{"one node that forgets", func(t *testing.T) nodes { return nodes{newWorld(t, db, 1)} }, forgotten(func(m *moments) {
				w := m.nodes[0]
				w.written()
				w.clock.Advance(2 * memory.Linger)
				w.memory().Sweep()
				w.clock.Advance(-2 * memory.Linger)
			})},
			{"one node that restarts", func(t *testing.T) nodes { return nodes{newWorld(t, db, 1)} }, append(forgotten(func(m *moments) {
				m.restart(func(w *world) { w.closeHub(w.Hub) })
			}), []step{
				{"login", connects(0), "ONLINE"},
				{"crash", func(m *moments) { m.restart((*world).crash) }, "OFFLINE"},
				{"login after a crash", connects(0), "ONLINE"},
				{"custom status", sets(0, "a"), "ONLINE:a"},
				{"restart with a custom status", func(m *moments) { m.restart(func(w *world) { w.closeHub(w.Hub) }) }, "OFFLINE"},
				{"deactivation before a crash", func(m *moments) { m.deactivate(m.at(0), new(bus.Bus)) }, "UNLOGINED"},
				{"login after all", func(m *moments) { reactivates(m); connects(0)(m) }, "ONLINE"},
			}...)},
			{"two nodes", func(t *testing.T) nodes { return skewedNodes(t, db) }, append(slices.Clone(changes), []step{
				{"login at a node that crashes", connects(0), "ONLINE"},
				{"custom status before a crash", sets(0, "f"), "ONLINE:f"},
				{"crash of a node", func(m *moments) {
					gone := m.at(0)
					gone.crash()
					m.nodes = m.nodes[1:]
					left := m.at(0).node()
					if err := left.Sweep(context.Background(), gone.node().Stats().Names); err != nil {
						m.t.Fatal(err)
					}
				}, "OFFLINE"},
				{"login at the other node", connects(0), "ONLINE"},
			}...)},
			{"two nodes and a Redis that forgets", func(t *testing.T) nodes { return skewedNodes(t, db) }, forgotten(func(m *moments) {
				w := m.nodes[0]
				w.eventually(func() bool {
					row := w.row(0)
					return row.PresenceAt == nil || m.last.ChangedAt != nil && *row.PresenceAt == *m.last.ChangedAt
				}, "the status to be written")
				for _, key := range w.keys() {
					if !strings.HasSuffix(key, ":user:"+strconv.FormatInt(w.users[0].ID, 10)) {
						continue
					}
					if err := w.redis.Do(context.Background(), w.redis.B().Del().Key(key).Build()).Error(); err != nil {
						m.t.Fatal(err)
					}
				}
			})},
		} {
			t.Run(test.name, func(t *testing.T) {
				m := &moments{t: t, nodes: test.start(t), now: make(map[*world]*recorder)}
				m.watch()
				for _, s := range test.steps {
					s.do(m)
					m.check(s)
				}
				for i, w := range m.nodes {
					w.eventually(func() bool {
						all := m.now[w].statuses()[w.users[0].ID]
						return len(all) > 0 && *all[len(all)-1].ChangedAt == *m.last.ChangedAt
					}, "the last change to be delivered at node %d", i)
				}
				for _, seen := range m.seen {
					wantOrder(t, seen)
				}
			})
			drop(t, db)
		}
	})
}

// TestChangedAt_GrowsFromTheRow checks a deactivation that Redis was not notified of. Its row is
// newer than the login, and not older than a custom status that it does not know.
func TestChangedAt_GrowsFromTheRow(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		m := &moments{t: t, nodes: skewedNodes(t, db)}
		for _, s := range []step{
			{"login", connects(0), "ONLINE"},
			{"custom status", sets(0, "a"), "ONLINE:a"},
			{"deactivation", func(m *moments) { m.deactivate(m.at(0), new(bus.Bus)) }, "UNLOGINED"},
		} {
			s.do(m)
			m.check(s)
		}
	})
}

// restart ends the only node by end and starts it again.
func (m *moments) restart(end func(*world)) {
	w := m.at(0)
	end(w)
	w.start()
	m.watch()
}

// skewedNodes returns two nodes whose clocks differ by a day.
func skewedNodes(t *testing.T, db *database.DB) nodes {
	t.Helper()
	url, service := testenv.RedisURL(t), testenv.Service()
	list := newNodesAt(t, db, service, []string{url}, 1)
	behind := &world{t: t, db: db, clock: newClock(), log: list[0].log, app: list[0].app, users: list[0].users}
	behind.clock.Advance(-24 * time.Hour)
	behind.redis = testenv.OpenRedis(t, url, service)
	behind.start()
	return append(list, behind)
}
