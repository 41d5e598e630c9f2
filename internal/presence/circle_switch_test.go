package presence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/presence/memory"
	"rollcall/internal/testenv"
)

// TestCircle_ChangesBesideSwitches: a user changes continually while the list that it is on is turned
// off and on. Each status is delivered at most once, in order, and the one that was present when the
// list came back is not missing.
func TestCircle_ChangesBesideSwitches(t *testing.T) {
	for _, seed := range []uint64{1, 2, rand.Uint64()} {
		testenv.Each(t, func(t *testing.T, db *database.DB) {
			const turns = 100
			w := newWorld(t, db, 2)
			w.turn(false, true)
			w.befriend(0, 1)
			seen := new(recorder)
			w.circle(0, seen)
			w.connect(1)
			acc := w.account(1)
			stop, done := make(chan struct{}), make(chan int)
			go func() {
				for n := 1; ; n++ {
					if _, err := w.SetStatus(acc, fmt.Sprint(n)); err != nil {
						t.Error(err)
					}
					select {
					case <-stop:
						done <- n
						return
					default:
						runtime.Gosched()
					}
				}
			}()
			random := rand.New(rand.NewPCG(seed, 0))
			for range turns {
				w.turn(false, false)
				w.bus.PublishAppChanged(context.Background(), bus.AppChanged{App: w.appNow()})
				for range random.IntN(50) {
					runtime.Gosched()
				}
				w.turnHere(false, true)
			}
			close(stop)
			last := <-done
			w.delivered()
			told := 0
			for _, status := range seen.statuses()[w.users[1].ID][1:] {
				var n int
				if _, err := fmt.Sscan(status.CustomStatus, &n); err != nil || n <= told {
					t.Fatalf("seed %d: delivered %q after %d (%v)", seed, status.CustomStatus, told, err)
				}
				told = n
			}
			if told != last {
				t.Fatalf("seed %d: delivered %d last, want %d", seed, told, last)
			}
		})
	}
}

// TestCircle_UserLeavesWhileListIsOff: a user on two lists, one of them off, leaves the other. Its
// changes were delivered until then, so the list that comes back delivers only newer ones.
func TestCircle_UserLeavesWhileListIsOff(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		w.turn(true, true)
		for i := 1; i <= 2; i++ {
			w.befriend(0, i)
		}
		w.subscribe(0, 1, 2)
		seen := new(recorder)
		w.circle(0, seen)
		w.turnHere(false, true)
		w.connect(1)
		w.delivered()
		w.connect(2)
		w.delivered()
		w.unfriend(0, 1)
		w.unfriend(0, 2)
		if _, err := w.SetStatus(w.account(2), "new"); err != nil {
			t.Fatal(err)
		}
		w.delivered()
		seen.want(t, "u1:ONLINE u2:ONLINE")
		w.turnHere(true, true)
		w.delivered()
		seen.want(t, "u1:ONLINE u2:ONLINE u2:ONLINE:new")
	})
}

// TestCircle_SwitchOnAfterClockWasSetBack: a change that was delivered before the list went off is not
// delivered again, even if the registry has forgotten it and it is newer by the clock.
func TestCircle_SwitchOnAfterClockWasSetBack(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		w.turn(false, true)
		w.befriend(0, 1)
		w.befriend(0, 2)
		seen := new(recorder)
		w.circle(0, seen)
		w.blink(1)
		w.blink(2)
		w.clock.Advance(-10 * time.Second)
		w.turnHere(false, false)
		w.blink(2)
		w.written()
		w.clock.Advance(2 * memory.Linger)
		w.memory().Sweep()
		w.turnHere(false, true)
		w.delivered()
		seen.want(t, "u1:ONLINE u1:OFFLINE u2:ONLINE u2:OFFLINE u2:OFFLINE")
	})
}
