package presence

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/presence/memory"
	"rollcall/internal/testenv"
)

// blink connects and disconnects a user, and waits until both changes have been delivered: the
// changes of different users have no order.
func (w *world) blink(i int) {
	w.t.Helper()
	d, _ := w.connect(i)
	d.Gone()
	w.delivered()
}

// TestCircle_ThreeReasons: a user is watched as the account itself, as a friend or as the target of a
// subscription, and once if it is both of the last.
func TestCircle_ThreeReasons(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 5)
		w.turn(true, true)
		w.befriend(0, 1)
		w.subscribe(0, 2)
		w.befriend(0, 3)
		w.subscribe(0, 3) // each change of a user that two sources select is delivered once
		seen := new(recorder)
		stop := w.circle(0, seen)
		for i := range w.users {
			w.blink(i)
		}
		w.delivered()
		seen.want(t, "u0:ONLINE u0:OFFLINE u1:ONLINE u1:OFFLINE u2:ONLINE u2:OFFLINE u3:ONLINE u3:OFFLINE")
		stop()
		stop()
		w.blink(1)
		w.delivered()
		seen.want(t, "u0:ONLINE u0:OFFLINE u1:ONLINE u1:OFFLINE u2:ONLINE u2:OFFLINE u3:ONLINE u3:OFFLINE")
		left := w.stats()
		if left.topics != 0 {
			t.Fatalf("%d topics remain", left.topics)
		}
		if left.circles != 0 || left.apps != 0 {
			t.Fatal("a circle remains")
		}
	})
}

func TestCircle_FollowsFriendsAndSubscriptions(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		w.turn(true, true)
		seen := new(recorder)
		w.circle(0, seen)
		want := ""
		step := func(do func(), more string) {
			t.Helper()
			do()
			w.blink(1)
			w.delivered()
			want = strings.TrimSpace(want + " " + more)
			seen.want(t, want)
		}
		const told = "u1:ONLINE u1:OFFLINE"
		step(func() {}, "")
		step(func() { w.befriend(1, 0) }, told)
		step(func() { w.subscribe(0, 1) }, told)
		step(func() { w.unfriend(0, 1) }, told)
		step(func() {
			if n, err := w.UnsubscribeAll(context.Background(), w.row(0)); n != 1 || err != nil {
				t.Fatalf("unsubscribing returned %d, %v", n, err)
			}
		}, "")
		step(func() { w.subscribe(1, 0) }, "")
		step(func() { w.befriend(0, 1) }, told)
		step(func() { w.unfriend(1, 0) }, "")
	})
}

// TestCircle_SharedByDevices: the devices of an account share a circle. An operation receives only
// changes that happened after it began.
func TestCircle_SharedByDevices(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 2)
		w.turn(true, true)
		w.befriend(0, 1)
		first, second := new(recorder), new(recorder)
		stop := w.circle(0, first)
		d, _ := w.connect(1)
		w.circle(0, second)
		if n := w.stats().circles; n != 1 {
			t.Fatalf("there are %d circles", n)
		}
		d.Gone()
		w.delivered()
		stop()
		w.blink(1)
		w.delivered()
		first.want(t, "u1:ONLINE u1:OFFLINE")
		second.want(t, "u1:OFFLINE u1:ONLINE u1:OFFLINE")
	})
}

func TestCircle_FollowsSwitches(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 4)
		w.befriend(0, 1)
		w.subscribe(0, 2)
		seen := new(recorder)
		w.circle(0, seen) // both switches are off
		w.blink(1)
		w.connect(2)
		w.delivered()
		seen.want(t, "")
		w.turnHere(false, true)
		w.delivered()
		seen.want(t, "u1:OFFLINE") // its present status, because it has changed
		w.turnHere(true, true)
		w.delivered()
		seen.want(t, "u1:OFFLINE u2:ONLINE")
		w.turnHere(false, false)
		w.turnHere(true, true)
		w.delivered()
		seen.want(t, "u1:OFFLINE u2:ONLINE") // nothing has changed

		w.turnHere(true, false)
		d, _ := w.connect(1)
		w.delivered()
		seen.want(t, "u1:OFFLINE u2:ONLINE")
		w.befriend(0, 3) // while the switch is off
		w.turnHere(true, true)
		w.connect(3)
		w.delivered()
		d.Gone()
		w.delivered()
		seen.want(t, "u1:OFFLINE u2:ONLINE u1:ONLINE u3:ONLINE u1:OFFLINE")
	})
}

// TestCircle_FollowsSwitchesOfOtherProcesses: circles and operations here follow switches that another
// process changes.
func TestCircle_FollowsSwitchesOfOtherProcesses(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 2)
		w.turn(true, true)
		w.befriend(0, 1)
		seen := new(recorder)
		w.circle(0, seen)
		ended := make(chan struct{})
		w.WhileQueried(w.appNow(), sync.OnceFunc(func() { close(ended) }))
		stopOther := w.WhileQueried(w.appNow(), func() { t.Error("an operation that had ended was ended again") })
		stopOther()
		stopOther()
		w.turn(false, false)
		w.eventually(func() bool { return !w.friendsOn() && !w.subscriptionsOn() }, "the switches to go off")
		<-ended
		w.connect(1)
		w.delivered()
		seen.want(t, "")
		w.turn(false, true)
		w.eventually(func() bool { return w.friendsOn() && !w.subscriptionsOn() }, "the switch to go on")
		w.followed()
		w.delivered()
		seen.want(t, "u1:ONLINE")
	})
}

// TestCircle_SwitchOnAfterALongTime: the changes while a list was off are found in the database if the
// registry has forgotten them.
func TestCircle_SwitchOnAfterALongTime(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		w.befriend(0, 1)
		w.befriend(0, 2)
		w.blink(2)
		w.written()
		w.clock.Advance(2 * memory.Linger)
		w.memory().Sweep()
		seen := new(recorder)
		w.circle(0, seen)
		w.blink(1)
		w.written()
		w.clock.Advance(2 * memory.Linger)
		w.memory().Sweep()
		w.turnHere(true, true)
		w.delivered()
		seen.want(t, "u1:OFFLINE")
	})
}

// TestCircle_RetriesReading: a list that could not be read when its switch went on is read again.
func TestCircle_RetriesReading(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 2)
		w.befriend(0, 1)
		seen := new(recorder)
		app, acc := w.appNow(), w.account(0)
		stop, err := w.WatchCircle(context.Background(), app, acc, seen)
		if err != nil {
			t.Fatal(err)
		}
		rename := func(from, to string) {
			if err := w.db.Exec(context.Background(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
				t.Fatal(err)
			}
		}
		rename("friendships", "friendships_away")
		w.turn(false, true)
		w.bus.PublishAppChanged(context.Background(), bus.AppChanged{App: w.appNow()})
		w.followed()
		stop()
		app = w.appNow()
		if _, err := w.WatchCircle(context.Background(), app, acc, seen); err == nil {
			t.Fatal("a circle began without its friends")
		}
		if w.stats().circles != 0 {
			t.Fatal("the circle that could not be loaded remains")
		}
		w.turn(false, false)
		w.circle(0, seen)
		w.turn(false, true)
		w.bus.PublishAppChanged(context.Background(), bus.AppChanged{App: w.appNow()})
		w.followed()
		rename("friendships_away", "friendships")
		w.eventually(func() bool { return slices.Contains(w.watched(0), w.users[1].ID) }, "the friends to be read")
		w.blink(1)
		w.delivered()
		seen.want(t, "u1:ONLINE u1:OFFLINE")
	})
}

// TestCircle_Queries: a circle begins with one query, however many friends there are, and with none if
// another device of the account has it already.
func TestCircle_Queries(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		const friends = 1000
		queries := queryCount(t, db)
		w := newWorld(t, db, friends+1)
		w.turn(true, true)
		err := db.Tx(context.Background(), func(tx *gorm.DB) error {
			for i := 1; i <= friends; i++ {
				if err := tx.Exec("INSERT INTO friendships (user_id, created_at, friend_id) VALUES (?, ?, ?)",
					w.users[0].ID, i, w.users[i].ID).Error; err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 200; i++ {
			if i%100 == 0 {
				targets := make([]int, 100)
				for n := range targets {
					targets[n] = i - n
				}
				w.subscribe(0, targets...)
			}
		}
		app, acc := w.appNow(), w.account(0)
		seen := new(recorder)
		begin := func(want int64) {
			t.Helper()
			before := queries.Load()
			if _, err := w.WatchCircle(context.Background(), app, acc, seen); err != nil {
				t.Fatal(err)
			}
			if n := queries.Load() - before; n != want {
				t.Fatalf("beginning took %d queries, want %d", n, want)
			}
		}
		begin(1)
		begin(0)
		w.blink(friends)
		w.delivered()
		if n := len(seen.events); n != 4 {
			t.Fatalf("two operations received %d changes, want 4", n)
		}
	})
}

// queryCount counts the statements that db sends from now on, with GORM and without, except for the
// switches. It is called before a world uses db, because GORM's callbacks have no lock.
func queryCount(t *testing.T, db *database.DB) *atomic.Int64 {
	t.Helper()
	return countWhere(t, db, func(sql string) bool {
		return !strings.Contains(sql, "FROM `apps`") // the switches, once a second for all
	})
}

// countWhere is queryCount for the statements for which wanted returns true.
func countWhere(t *testing.T, db *database.DB, wanted func(sql string) bool) *atomic.Int64 {
	t.Helper()
	n := new(atomic.Int64)
	see := func(sql string, _ []any) {
		if wanted(sql) {
			n.Add(1)
		}
	}
	t.Cleanup(db.Watch(see))
	count := func(tx *gorm.DB) { see(tx.Statement.SQL.String(), nil) }
	for _, register := range []func(string, func(*gorm.DB)) error{
		db.Read(context.Background()).Callback().Query().After("gorm:query").Register,
		db.Read(context.Background()).Callback().Raw().After("gorm:raw").Register,
		db.Read(context.Background()).Callback().Row().After("gorm:row").Register,
	} {
		if err := register("count", count); err != nil {
			t.Fatal(err)
		}
	}
	return n
}
