package presence

import (
	"context"
	"errors"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/internal/turn"
	"rollcall/internal/users"
)

// TestSubscribersAndErasersTakeTurns: until a circle has followed a new
// subscription, neither its owner nor its target is erased; until the circles have
// followed an erasure, nobody subscribes the user anew.
func TestSubscribersAndErasersTakeTurns(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 2)
		w.turn(true, true)
		app, owner := w.appNow(), w.row(0)
		w.circle(0, new(recorder))
		// free says who could come now: another who subscribes u0 or u1, and one who
		// erases them.
		free := func() (subscriber, eraser bool) {
			subscriber, eraser = true, true
			for _, life := range w.turns.livesOf(app, []string{"u0", "u1"}) {
				if life.TryAcquire(turn.Shared) {
					life.Release(turn.Shared)
				} else {
					subscriber = false
				}
				if life.TryAcquire(turn.Exclusive) {
					life.Release(turn.Exclusive)
				} else {
					eraser = false
				}
			}
			return subscriber, eraser
		}

		c := w.circleOf(0)
		c.mu.Lock() // so it cannot follow
		done := make(chan error)
		go func() {
			_, err := w.Subscribe(context.Background(), app, owner, []string{"u1"})
			done <- err
		}()
		w.eventually(func() bool { return w.subscriptions(0) == "u1" }, "the subscription to be committed")
		if subscriber, eraser := free(); !subscriber || eraser {
			t.Errorf("before the circle follows, subscribers may come: %t, erasers: %t", subscriber, eraser)
		}
		c.mu.Unlock()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if subscriber, eraser := free(); !subscriber || !eraser {
			t.Error("the turns were not given back")
		}

		told := false
		w.bus.OnAccessRevoked(func(context.Context, bus.AccessRevoked) {
			told = true
			if w.subscriptions(0) != "" {
				t.Error("it is told before the commit")
			}
			if subscriber, eraser := free(); subscriber || eraser {
				t.Errorf("before the circles follow an erasure, subscribers may come: %t, erasers: %t", subscriber, eraser)
			}
		})
		rules := users.New(db, w.bus, nil, users.Erasers{w.relations(), w.Hub}, w.clock.Now)
		if _, err := rules.Deactivate(context.Background(), app, []string{"u0", "u1"}, audit.AppServer); err != nil {
			t.Fatal(err)
		}
		if !told {
			t.Error("nothing was told")
		}
		if subscriber, eraser := free(); !subscriber || !eraser {
			t.Error("the turns were not given back")
		}
	})
}

// TestTurns_WaitingEndsInTime: a subscription that waits for others that do not end is refused.
func TestTurns_WaitingEndsInTime(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 2)
		w.turn(true, true)
		app, owner := w.appNow(), w.row(0)
		holds := map[string]func(ctx context.Context) (release func(), err error){
			"of its owner": func(ctx context.Context) (func(), error) { return w.turns.take(ctx, owner.ID) },
			"erased user":  func(ctx context.Context) (func(), error) { return w.Hold(ctx, app, []string{"u1"}) },
		}
		for name, hold := range holds {
			release, err := hold(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			_, err = w.Subscribe(short, app, owner, []string{"u1"})
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: error %v", name, err)
			}
			release()
		}
		if _, err := w.Subscribe(context.Background(), app, owner, []string{"u1"}); err != nil {
			t.Error(err)
		}
	})
}
