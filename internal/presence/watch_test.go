package presence

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestWatchUsers(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		d, _ := w.connect(1)
		all, one, later := new(recorder), new(recorder), new(recorder)
		accs := []status.Account{w.account(2), w.account(1), w.account(0), w.account(2)}
		w.WatchUsers(accs, all, true)
		stop := w.WatchUsers(accs[2:3], one, false)
		w.WatchUsers(nil, one, true)()
		w.delivered()
		all.want(t, "u2:UNLOGINED u1:ONLINE u0:UNLOGINED")
		w.connect(0)
		w.delivered()
		stop()
		stop()
		d.Gone()
		w.delivered()
		w.logout(0, nil, false)
		w.WatchUsers([]status.Account{accs[1], accs[2]}, later, true)
		w.delivered()
		later.want(t, "u1:OFFLINE u0:UNLOGINED")
		one.want(t, "u0:ONLINE")
		all.want(t, "u2:UNLOGINED u1:ONLINE u0:UNLOGINED u0:ONLINE u1:OFFLINE u0:UNLOGINED")
	})
}

func TestWatchAppSeesItsOwn(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 1)
		own, foreign := new(recorder), new(recorder)
		stop := w.WatchApp(w.app.ID, own)
		w.WatchApp(w.app.ID+1, foreign)
		d, _ := w.connect(0)
		w.delivered()
		stop()
		d.Gone()
		w.delivered()
		own.want(t, "u0:ONLINE")
		foreign.want(t, "")
	})
}

// TestStoppedWatchersAreForgotten checks that watchers that have stopped leave nothing behind, in
// whatever order they stop.
func TestStoppedWatchersAreForgotten(t *testing.T) {
	w := newWorld(t, testenv.Open(t, testenv.SQLiteURL(t)), 100)
	accs := make([]status.Account, len(w.users))
	for i, u := range w.users {
		accs[i] = status.AccountOf(u)
	}
	random := rand.New(rand.NewPCG(1, 2))
	type watch struct {
		seen *recorder
		stop func()
	}
	var watches []watch
	for range 300 {
		seen := new(recorder)
		watches = append(watches, watch{seen, w.WatchUsers(accs[:1+random.IntN(len(accs))], seen, false)})
	}
	random.Shuffle(len(watches), func(i, j int) { watches[i], watches[j] = watches[j], watches[i] })
	for _, watch := range watches[1:] {
		watch.stop()
	}
	w.connect(0)
	w.delivered()
	for i, watch := range watches {
		if i == 0 {
			watch.seen.want(t, "u0:ONLINE")
		} else {
			watch.seen.want(t, "")
		}
	}
	watches[0].stop()
	w.delivered()
	if n := w.stats().topics; n != 0 {
		t.Fatalf("%d topics remain", n)
	}
}

// TestManyWatchersHearInOrder checks that an event whose watchers are split among processors does
// not overtake the previous one.
func TestManyWatchersHearInOrder(t *testing.T) {
	w := newWorld(t, testenv.Open(t, testenv.SQLiteURL(t)), 1)
	sinks := make([]recorder, 2567) // enough to be split
	acc := []status.Account{w.account(0)}
	for i := range sinks {
		w.WatchUsers(acc, &sinks[i], false)
	}
	const rounds = 10
	for range rounds {
		d, _ := w.connect(0)
		d.Gone()
	}
	w.delivered()
	for i := range sinks {
		if n := len(sinks[i].events); n != 2*rounds {
			t.Fatalf("watcher %d received %d changes, want %d", i, n, 2*rounds)
		}
		for n, ev := range sinks[i].events {
			want := models.PresenceOnline
			if n%2 == 1 {
				want = models.PresenceOffline
			}
			if ev.Value().(*models.UserStatus).Presence != want {
				t.Fatalf("change %d for watcher %d is %s", n, i, ev.Value().(*models.UserStatus).Presence)
			}
		}
	}
}

var seedFlag = flag.Uint64("seed", 0, "seed of the random operations; 0: the time")

// TestRandomOperations lets several goroutines do random things with users and devices, while
// watches begin and stop. In the end every watcher must have received a part of each user's history
// without gaps, and memory, watchers and database must agree.
func TestRandomOperations(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		seed := *seedFlag
		if seed == 0 {
			seed = uint64(time.Now().UnixNano())
		}
		defer func() {
			if t.Failed() {
				t.Logf("repeat with: go test ./internal/presence -run %s -seed %d", t.Name(), seed)
			}
		}()
		const users, workers, steps = 50, 8, 120
		w := newWorld(t, db, users)
		history := new(recorder)
		w.WatchApp(w.app.ID, history)

		var watches watchLog
		var wg sync.WaitGroup
		for n := range workers {
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			wg.Go(func() { w.misbehave(random, steps, &watches) })
		}
		wg.Wait()
		w.written()
		w.delivered()

		truth := history.statuses()
		for i, u := range w.users {
			status := w.StatusOf(u)
			row := w.row(i)
			if row.Presence != status.Presence || !sameTime(row.PresenceAt, status.ChangedAt) {
				t.Errorf("the row of u%d holds %s since %v, memory says %s since %v",
					i, row.Presence, row.PresenceAt, status.Presence, status.ChangedAt)
			}
			if (status.Presence == models.PresenceOnline) != (w.devicesOf(i) > 0) {
				t.Errorf("u%d is %s with %d devices", i, status.Presence, w.devicesOf(i))
			}
			checkHistory(t, truth[u.ID], status)
		}
		for _, watch := range watches.all {
			heard := watch.seen.statuses()
			for _, i := range watch.users {
				id := w.users[i].ID
				checkHeard(t, watch, i, heard[id], truth[id])
				delete(heard, id)
			}
			if len(heard) > 0 {
				t.Errorf("a watcher received changes of %d users that it does not watch", len(heard))
			}
		}
		w.closeHub(w.Hub)
		for i := range w.users {
			if got := w.row(i).Presence; got == models.PresenceOnline {
				t.Errorf("the row of u%d holds ONLINE after Close", i)
			}
		}
	})
}

// watchLog holds every watch that was begun.
type watchLog struct {
	mu  sync.Mutex
	all []*watchRecord
}

type watchRecord struct {
	users             []int
	seen              *recorder
	snapshot, stopped bool
}

// misbehave does random things to random users.
func (w *world) misbehave(random *rand.Rand, steps int, watches *watchLog) {
	ctx := context.Background()
	var devices []*status.Device
	var open []func()
	for range steps {
		i := random.IntN(len(w.users))
		acc := status.AccountOf(w.users[i]) // read before the hub started, without a login; valid forever
		switch random.IntN(12) {
		case 0, 1, 2, 3:
			d, err := w.Connect(ctx, acc, models.PlatformWeb, new(link), allowed)
			if err != nil {
				w.t.Error(err)
				continue
			}
			devices = append(devices, d)
		case 4, 5, 6:
			if len(devices) > 0 {
				devices[random.IntN(len(devices))].Gone()
			}
		case 7:
			if len(devices) > 0 {
				d := devices[random.IntN(len(devices))]
				if _, err := w.Logout(ctx, d.Account(), d, random.IntN(2) == 0); err != nil {
					w.t.Error(err)
				}
			}
		case 8:
			if _, err := w.Logout(ctx, acc, nil, false); err != nil {
				w.t.Error(err)
			}
		case 9:
			reason := []bus.Reason{bus.ReasonBanned, bus.ReasonDeactivated}[random.IntN(2)]
			w.bus.PublishAccessRevoked(ctx, bus.AccessRevoked{User: &models.User{ID: acc.ID, AppID: acc.AppID, ExternalID: acc.ExternalID}, Reason: reason})
		case 10:
			record := &watchRecord{users: random.Perm(len(w.users))[:1+random.IntN(len(w.users))], seen: new(recorder), snapshot: random.IntN(4) > 0}
			accs := make([]status.Account, len(record.users))
			for n, user := range record.users {
				accs[n] = status.AccountOf(w.users[user])
			}
			stop := w.WatchUsers(accs, record.seen, record.snapshot)
			watches.mu.Lock()
			watches.all = append(watches.all, record)
			watches.mu.Unlock()
			if random.IntN(3) == 0 {
				record.stopped = true
				open = append(open, stop)
			}
		case 11:
			for _, stop := range open {
				stop()
			}
			open = nil
		}
	}
	for _, stop := range open {
		stop()
	}
}

// checkHistory checks that each event is a real change, later than the previous one, and that the
// last one is the truth.
func checkHistory(t *testing.T, history []models.UserStatus, truth models.UserStatus) {
	t.Helper()
	before := models.UserStatus{Presence: models.PresenceUnlogined}
	for _, now := range history {
		if now.Presence == before.Presence || now.ChangedAt == nil || (before.ChangedAt != nil && *now.ChangedAt <= *before.ChangedAt) {
			t.Errorf("%s: event %s comes after %s", now.UserID, describe(now), describe(before))
		}
		before = now
	}
	if describe(before) != describe(truth) {
		t.Errorf("%s: the last event is %s, want the present status %s", truth.UserID, describe(before), describe(truth))
	}
}

// checkHeard checks that a watcher received a part of the history without gaps: from the snapshot
// on and, unless the watch was stopped, to the end.
func checkHeard(t *testing.T, watch *watchRecord, user int, heard, history []models.UserStatus) {
	t.Helper()
	if len(heard) == 0 {
		if watch.snapshot && !watch.stopped {
			t.Errorf("u%d: a watcher received no snapshot", user)
		}
		return
	}
	never := models.UserStatus{UserID: heard[0].UserID}
	whole := append([]models.UserStatus{never}, history...)
	first := slices.IndexFunc(whole, func(s models.UserStatus) bool { return describe(s) == describe(heard[0]) })
	if first < 0 || first+len(heard) > len(whole) {
		t.Errorf("u%d: a watcher received changes that did not happen: %v of %v", user, describeAll(heard), describeAll(whole))
		return
	}
	if first == 0 && !watch.snapshot {
		t.Errorf("u%d: a watcher received a snapshot that it had not requested", user)
	}
	if want := whole[first : first+len(heard)]; describeAll(heard) != describeAll(want) {
		t.Errorf("u%d: a watcher received %v, want %v", user, describeAll(heard), describeAll(want))
	}
	if !watch.stopped && first+len(heard) != len(whole) {
		t.Errorf("u%d: the last change of a watcher is %s, want %s", user, describe(heard[len(heard)-1]), describe(whole[len(whole)-1]))
	}
}

func describe(s models.UserStatus) string {
	if s.ChangedAt == nil {
		return s.Presence.String()
	}
	return fmt.Sprint(s.Presence, "@", int64(*s.ChangedAt))
}

func describeAll(all []models.UserStatus) string {
	var text []string
	for _, s := range all {
		text = append(text, describe(s))
	}
	return fmt.Sprint(text)
}

func sameTime(a, b *models.Time) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}
