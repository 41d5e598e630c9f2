package presence

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/internal/users"
	"rollcall/models"
)

const (
	modelUsers   = 50
	modelDevices = 200
	modelLimit   = 4 // subscriptions of one account
)

// model is what the rules require, in a few lines without concurrency. The test compares the hub
// with it.
type model struct {
	*world
	// nodes are all nodes of a service with several; world is the one in use.
	nodes   nodes
	random  *rand.Rand
	users   *users.Service
	people  [modelUsers]person
	devices []*modelDevice
	queries bool // the app's switches
	friends bool
	seq     int // number of the latest change
}

type person struct {
	status      string // in recorder's form
	custom      string
	changed     int // seq of the latest change
	friends     map[int]bool
	subscribed  []int // the earliest first
	deactivated bool
	// friendsOff and subscribedOff are the seq at which the list of the circle was turned off.
	friendsOff, subscribedOff int
	// lost are the seq at which a user left the circle because a switch was turned.
	lost map[int]int
}

// modelDevice is a device, and its statusChanged operation if it has one.
type modelDevice struct {
	owner  int
	at     *world
	device *status.Device
	seen   *recorder
	stop   func()
	began  int
	want   map[int]string // by user
}

func newModel(t *testing.T, db *database.DB, seed uint64) *model {
	return modelOf(newWorld(t, db, modelUsers), seed)
}

func modelOf(w *world, seed uint64) *model {
	m := &model{world: w, random: rand.New(rand.NewPCG(seed, seed))}
	m.limit(modelLimit)
	m.use(w)
	for i := range m.people {
		m.people[i] = person{lost: map[int]int{}, status: "UNLOGINED", friends: map[int]bool{}}
	}
	return m
}

// use makes the following steps happen at that node.
func (m *model) use(w *world) {
	m.t.Helper()
	m.world = w
	keys, err := token.OpenKeys(context.Background(), w.db, "", w.clock.Now)
	if err != nil {
		m.t.Fatal(err)
	}
	m.users = users.New(w.db, w.bus, keys, users.Erasers{w.relations(), w.Service}, users.Options{Clock: w.clock.Now})
}

func (m *model) watching(i int) (running []*modelDevice) {
	for _, d := range m.devices {
		if d.owner == i && d.seen != nil {
			running = append(running, d)
		}
	}
	return running
}

func (m *model) devicesOf(i int) (devices []*modelDevice) {
	for _, d := range m.devices {
		if d.owner == i {
			devices = append(devices, d)
		}
	}
	return devices
}

// follows reports whether the user's circle contains the other user.
func (m *model) follows(i, other int) bool {
	p := &m.people[i]
	return i == other || m.friends && p.friends[other] || m.queries && slices.Contains(p.subscribed, other)
}

// becomes changes a user's status, unless it is the same, and records which operations receive it.
func (m *model) becomes(i int, status, custom string) {
	p := &m.people[i]
	if p.status == status && p.custom == custom {
		return
	}
	p.status, p.custom = status, custom
	m.seq++
	p.changed = m.seq
	for _, d := range m.devices {
		if d.seen != nil && m.follows(d.owner, i) {
			d.receives(i, p)
		}
	}
}

func (d *modelDevice) receives(i int, p *person) {
	text := p.status
	if p.custom != "" {
		text += ":" + p.custom
	}
	d.want[i] = strings.TrimSpace(d.want[i] + " " + text)
}

// gone removes the user's devices from the model, after it has compared their operations.
func (m *model) gone(devices ...*modelDevice) {
	for _, d := range devices {
		m.devices = slices.DeleteFunc(m.devices, func(other *modelDevice) bool { return other == d })
		m.compare(d)
		if d.stop != nil {
			d.stop()
		}
	}
}

// compare compares what an operation received with what it should have received.
func (m *model) compare(d *modelDevice) {
	m.t.Helper()
	if d.seen == nil {
		return
	}
	if m.nodes != nil {
		var got map[int]string
		m.eventually(func() bool { got = m.received(d); return maps.Equal(got, d.want) },
			"a device of u%d to receive %v; it received %v", d.owner, d.want, mapOf{&got})
		return
	}
	m.followed()
	m.delivered()
	got := m.received(d)
	for i := range m.people {
		if got[i] != d.want[i] {
			m.t.Fatalf("a device of u%d received for u%d: %q, want %q", d.owner, i, got[i], d.want[i])
		}
	}
}

// received returns what an operation received, by user.
func (m *model) received(d *modelDevice) map[int]string {
	got := map[int]string{}
	for _, statuses := range d.seen.statuses() {
		for _, status := range statuses {
			var i int
			fmt.Sscanf(status.UserID, "u%d", &i)
			p := person{status: status.Presence.String(), custom: status.CustomStatus}
			(&modelDevice{want: got}).receives(i, &p)
		}
	}
	return got
}

// step makes one random step, in the hub and in the model.
func (m *model) step() {
	i, other := m.random.IntN(modelUsers), m.random.IntN(modelUsers)
	p := &m.people[i]
	devices := m.devicesOf(i)
	switch action := m.random.IntN(100); {
	case action < 35:
		if !p.deactivated && len(m.devices) < modelDevices {
			m.connects(i)
		}
	case action < 45: // the device's connection is lost
		if len(devices) > 0 {
			d := devices[m.random.IntN(len(devices))]
			d.device.Gone()
			if len(devices) == 1 {
				m.becomes(i, "OFFLINE", "")
			}
			m.gone(d)
		}
	case action < 50: // one device logs out, or all of them
		if p.deactivated {
			return
		}
		var own *status.Device
		leaving := devices
		if len(devices) > 0 && m.random.IntN(2) == 0 {
			own, leaving = devices[0].device, devices[:1]
			m.use(devices[0].at)
		}
		m.logout(i, own, false)
		if len(leaving) == len(devices) && p.changed != 0 {
			m.becomes(i, "UNLOGINED", "")
		}
		m.gone(leaving...)
	case action < 65: // the custom status is set or cleared
		text := []string{"", "busy", "away"}[m.random.IntN(3)]
		_, err := m.SetStatus(m.account(i), text)
		if (err == nil) != (len(devices) > 0) {
			m.t.Fatalf("setting the status of u%d with %d devices returned %v", i, len(devices), err)
		}
		if err == nil {
			m.becomes(i, p.status, text)
		}
	case action < 75:
		if i != other && !p.deactivated && !m.people[other].deactivated {
			m.befriend(i, other)
			p.friends[other], m.people[other].friends[i] = true, true
		}
	case action < 81:
		if i != other && !p.deactivated && !m.people[other].deactivated {
			m.unfriend(i, other)
			delete(p.friends, other)
			delete(m.people[other].friends, i)
		}
	case action < 90:
		if i != other && !p.deactivated && !m.people[other].deactivated {
			m.subscribes(i, other)
		}
	case action < 93:
		if !p.deactivated {
			n, err := m.Unsubscribe(context.Background(), m.appNow(), m.row(i), []string{fmt.Sprint("u", other)})
			if err != nil || (n == 1) != slices.Contains(p.subscribed, other) {
				m.t.Fatalf("unsubscribing returned %d, %v", n, err)
			}
			p.subscribed = slices.DeleteFunc(p.subscribed, func(target int) bool { return target == other })
		}
	case action < 95:
		m.activates(i)
	case m.nodes == nil:
		m.turns(m.random.IntN(4) > 0, m.random.IntN(4) > 0)
	}
}

func (m *model) connects(i int) {
	p := &m.people[i]
	d := &modelDevice{owner: i, at: m.world, want: map[int]string{}}
	d.device, _ = m.connect(i)
	m.becomes(i, "ONLINE", p.custom)
	if m.random.IntN(4) > 0 {
		if len(m.watching(i)) == 0 { // a new circle, without the lists that are off
			p.friendsOff, p.subscribedOff, p.lost = m.seq, m.seq, map[int]int{}
		}
		d.seen, d.began = new(recorder), m.seq
		d.stop = m.circle(i, d.seen)
	}
	m.devices = append(m.devices, d)
}

func (m *model) subscribes(i, other int) {
	p := &m.people[i]
	out := m.subscribe(i, other)
	p.subscribed = append(slices.DeleteFunc(p.subscribed, func(target int) bool { return target == other }), other)
	evicted := ""
	if len(p.subscribed) > modelLimit {
		evicted = fmt.Sprint("u", p.subscribed[0])
		p.subscribed = p.subscribed[1:]
	}
	if got := strings.Join(out.EvictedIDs, " "); got != evicted {
		m.t.Fatalf("subscribing evicted %q, want %q", got, evicted)
	}
	if got := out.Statuses[0]; got.Presence.String() != m.people[other].status || got.CustomStatus != m.people[other].custom {
		m.t.Fatalf("subscribing u%d returned %+v, want %+v", other, got, m.people[other])
	}
}

// activates deactivates a user, or reactivates a deactivated one.
func (m *model) activates(i int) {
	p, id := &m.people[i], []string{fmt.Sprint("u", i)}
	do := m.users.Deactivate
	if p.deactivated {
		do = m.users.Reactivate
	}
	results, err := do(context.Background(), m.appNow(), id, audit.AppServer)
	if err != nil || results[0].Outcome != models.OutcomeDone {
		m.t.Fatalf("u%d: %+v, %v", i, results, err)
	}
	p.deactivated = !p.deactivated
	if !p.deactivated {
		return
	}
	if p.status != "UNLOGINED" {
		m.becomes(i, "UNLOGINED", "")
	}
	m.gone(m.devicesOf(i)...)
	for other := range p.friends {
		delete(m.people[other].friends, i)
	}
	for other := range m.people {
		o := &m.people[other]
		o.subscribed = slices.DeleteFunc(o.subscribed, func(target int) bool { return target == i })
	}
	clear(p.friends)
	p.subscribed = nil
}

// turns sets the app's switches. A circle that contains a user again delivers its status if it has
// changed since the user left it.
func (m *model) turns(queries, friends bool) {
	m.delivered()
	before := *m
	m.turnHere(queries, friends)
	m.queries, m.friends = queries, friends
	for i := range m.people {
		p := &m.people[i]
		if before.friends && !friends {
			p.friendsOff = m.seq
		}
		if before.queries && !queries {
			p.subscribedOff = m.seq
		}
		for _, d := range m.watching(i) {
			for other := range m.people {
				o := &m.people[other]
				if before.follows(i, other) || !m.follows(i, other) {
					continue
				}
				missed := !before.friends && friends && p.friends[other] && o.changed > p.friendsOff ||
					!before.queries && queries && slices.Contains(p.subscribed, other) && o.changed > p.subscribedOff
				if missed && o.changed > p.lost[other] && o.changed > d.began {
					d.receives(other, o)
				}
			}
		}
		for other := range m.people {
			switch {
			case m.follows(i, other) || queries && friends:
				delete(p.lost, other)
			case before.follows(i, other):
				p.lost[other] = m.seq
			}
		}
	}
}

func seedOf(t *testing.T) uint64 {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with: go test ./internal/presence -run '%s' -seed %d", t.Name(), seed)
		}
	})
	return seed
}

// TestModel_OneNode makes random steps with 50 users and up to 200 devices, one after the other.
// Each operation must receive exactly what the rules require: one event for each change that
// concerns it, and no others.
func TestModel_OneNode(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		m := newModel(t, db, seedOf(t))
		m.turns(true, true)
		for range 1000 {
			m.step()
		}
		for _, d := range slices.Clone(m.devices) {
			m.compare(d)
		}
		for i := range m.people {
			p := &m.people[i]
			status := m.StatusOf(m.row(i))
			if status.Presence.String() != p.status || status.CustomStatus != p.custom {
				t.Errorf("u%d is %+v, want %s %q", i, status, p.status, p.custom)
			}
			list := slices.Clone(p.subscribed)
			slices.Reverse(list)
			var want []string
			for _, target := range list {
				want = append(want, fmt.Sprint("u", target))
			}
			if got := m.subscribed(i); !slices.Equal(got, want) {
				t.Errorf("u%d has subscribed to %v, want %v", i, got, want)
			}
		}
		m.gone(slices.Clone(m.devices)...)
	})
}

// TestCirclesUnderConcurrency lets several goroutines change devices, statuses, friendships,
// subscriptions and switches concurrently. No operation may receive an older status after a newer
// one, or a status twice. After that, a further change of every user must reach exactly the users
// that follow it according to the database.
func TestCirclesUnderConcurrency(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		seed := seedOf(t)
		const workers, steps, population = 8, 60, 24
		w := newWorld(t, db, population)
		w.limit(modelLimit)
		w.turn(true, true)
		app := w.appNow()
		links := w.relations()
		seen := make([]*recorder, population)
		for i := range seen {
			seen[i] = new(recorder)
			w.circle(i, seen[i])
		}
		var all sync.WaitGroup
		for n := range workers {
			all.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(n)))
				ctx := context.Background()
				for range steps {
					i, other := random.IntN(population), random.IntN(population-1)
					if other >= i {
						other++
					}
					a, b := w.users[i].ExternalID, w.users[other].ExternalID
					var err error
					switch random.IntN(10) {
					case 0, 1, 2:
						var d *status.Device
						if d, err = w.Connect(ctx, status.AccountOf(w.users[i]), models.PlatformWeb, new(link), allowed); err == nil {
							_, _ = w.SetStatus(status.AccountOf(w.users[i]), fmt.Sprint(random.IntN(3)))
							d.Gone()
						}
					case 3, 4:
						_, err = links.AddFriend(ctx, app, a, b, nil)
					case 5:
						_, err = links.RemoveFriend(ctx, app, a, b)
					case 6, 7:
						_, err = w.Subscribe(ctx, app, w.users[i], []string{b})
					case 8:
						_, err = w.Unsubscribe(ctx, app, w.users[i], []string{b})
					case 9:
						now := *app
						now.Settings.FriendStatusNotifyEnabled = random.IntN(2) == 0
						w.bus.PublishAppChanged(ctx, bus.AppChanged{App: &now})
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		w.bus.PublishAppChanged(context.Background(), bus.AppChanged{App: app})
		w.followed()
		w.delivered()
		for i, r := range seen {
			wantHistory(t, r)
			seen[i].mu.Lock()
			seen[i].events = nil
			seen[i].mu.Unlock()
		}
		for i := range w.users {
			d, _ := w.connect(i)
			if _, err := w.SetStatus(w.account(i), "last"); err != nil {
				t.Fatal(err)
			}
			d.Gone()
		}
		w.delivered()
		for i, r := range seen {
			want := map[string]bool{w.users[i].ExternalID: true}
			friends, err := links.FriendIDs(context.Background(), w.row(i))
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range append(friends, w.subscribed(i)...) {
				want[id] = true
			}
			got := map[string]bool{}
			for _, statuses := range r.statuses() {
				if len(statuses) != 3 {
					t.Errorf("u%d received %+v, want 3 changes", i, statuses)
				}
				got[statuses[0].UserID] = true
			}
			if !maps.Equal(got, want) {
				t.Errorf("u%d received changes of %v, want %v", i, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
			}
		}
	})
}

// wantHistory checks that no user's statuses were delivered out of order.
func wantHistory(t testing.TB, seen *recorder) {
	t.Helper()
	for _, statuses := range seen.statuses() {
		for i := 1; i < len(statuses); i++ {
			if *statuses[i-1].ChangedAt > *statuses[i].ChangedAt {
				t.Errorf("%+v was delivered after %+v", statuses[i], statuses[i-1])
			}
		}
	}
}

// TestModel_ThreeNodes does the same in a service of three nodes. Each step uses a random one. The
// switches stay on.
func TestModel_ThreeNodes(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		list := newNodes(t, db, 3, modelUsers)
		list[0].turn(true, true)
		m := modelOf(list[0], seedOf(t))
		m.nodes, m.queries, m.friends = list, true, true
		for range 250 {
			m.use(list[m.random.IntN(len(list))])
			m.step()
			m.agreed()
		}
		for _, w := range list {
			for i := range m.people {
				p := &m.people[i]
				status := w.StatusOf(w.row(i))
				if status.Presence.String() != p.status || status.CustomStatus != p.custom {
					t.Errorf("u%d is %+v, want %s %q", i, status, p.status, p.custom)
				}
			}
		}
		m.gone(slices.Clone(m.devices)...)
	})
}

// agreed waits until every node has followed the last step: all operations have received what they
// should, and every circle is as it should be.
func (m *model) agreed() {
	m.t.Helper()
	for _, d := range m.devices {
		m.compare(d)
	}
	for _, w := range m.nodes {
		for _, d := range m.devices {
			if d.seen == nil || d.at != w {
				continue
			}
			want := map[int64]bool{}
			for other := range m.people {
				if m.follows(d.owner, other) {
					want[w.users[other].ID] = true
				}
			}
			w.eventually(func() bool {
				got := map[int64]bool{}
				for _, id := range w.watched(d.owner) {
					got[id] = true
				}
				return maps.Equal(got, want)
			}, "the circle of u%d", d.owner)
		}
		w.following()
	}
}

// mapOf prints a map as it is when the message is formatted.
type mapOf struct{ m *map[int]string }

func (m mapOf) String() string { return fmt.Sprint(*m.m) }
