package presence

import (
	"context"
	"testing"

	"rollcall/internal/apps"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/testenv"
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
			for _, place := range w.turns.places(app, []string{"u0", "u1"}) {
				life := &w.turns.lives[place]
				if life.TryRLock() {
					life.RUnlock()
				} else {
					subscriber = false
				}
				if life.TryLock() {
					life.Unlock()
				} else {
					eraser = false
				}
			}
			return subscriber, eraser
		}

		c := w.audience.circle(owner.ID)
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
		if _, err := rules.Deactivate(context.Background(), app, []string{"u0", "u1"}, apps.AppServer); err != nil {
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
