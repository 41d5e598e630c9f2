package subscriptions

import (
	"context"
	"errors"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/internal/userlock"
	"rollcall/internal/users"
	"rollcall/models"
)

// free reports whether a subscription to u0 and u1, and an erasure of them, could begin now.
func (w *world) free(app *models.App) (subscription, erasure bool) {
	w.t.Helper()
	acquired := func(acquire func(context.Context, *models.App, []string) (*userlock.Held, error)) bool {
		short, cancel := context.WithTimeout(context.Background(), 250*time.Millisecond)
		defer cancel()
		held, err := acquire(short, app, []string{"u0", "u1"})
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			w.t.Error(err)
		}
		if held != nil {
			held.Release()
		}
		return held != nil
	}
	return acquired(w.locks.users.AcquireShared), acquired(w.locks.users.Acquire)
}

// TestLocks_SubscriptionsAndErasures: until the change of a list has been received, neither its owner
// nor its target can be erased. Until an erasure has been received, no user can subscribe to the
// erased one.
func TestLocks_SubscriptionsAndErasures(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 2)
		app, owner := w.appNow(), w.row(0)
		changed, proceed := make(chan bus.SubscriptionsChanged), make(chan struct{})
		w.bus.OnSubscriptionsChanged(func(_ context.Context, ev bus.SubscriptionsChanged) {
			changed <- ev
			<-proceed
		})
		done := make(chan error)
		go func() {
			_, err := w.Subscribe(context.Background(), app, owner, []string{"u1"})
			done <- err
		}()
		<-changed
		w.wantList(0, "u1")
		if subscription, erasure := w.free(app); !subscription || erasure {
			t.Errorf("before a subscription is received, another may begin: %t, an erasure: %t", subscription, erasure)
		}
		close(proceed)
		w.check(<-done)
		if subscription, erasure := w.free(app); !subscription || !erasure {
			t.Error("the subscription has not released its locks")
		}

		revoked := false
		w.bus.OnAccessRevoked(func(context.Context, bus.AccessRevoked) {
			revoked = true
			if w.list(0) != "" {
				t.Error("the erasure was announced before the commit")
			}
			if subscription, erasure := w.free(app); subscription || erasure {
				t.Errorf("before an erasure is received, a subscription may begin: %t, an erasure: %t", subscription, erasure)
			}
		})
		go func() { <-changed }()
		rules := users.New(db, w.bus, nil, users.Erasers{w.Service}, users.Options{Clock: w.clock.Now})
		if _, err := rules.Deactivate(t.Context(), app, []string{"u0", "u1"}, audit.AppServer); err != nil {
			t.Fatal(err)
		}
		if !revoked {
			t.Error("no access was revoked")
		}
		if subscription, erasure := w.free(app); !subscription || !erasure {
			t.Error("the erasure has not released its locks")
		}
	})
}

// TestLocks_WaitingEndsInTime: a subscription that waits for calls that do not end is refused.
func TestLocks_WaitingEndsInTime(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 2)
		app, owner := w.appNow(), w.row(0)
		for name, acquire := range map[string]func(context.Context) (release func(), err error){
			"a change of its owner's list": func(ctx context.Context) (func(), error) { return w.locks.owner(ctx, owner.ID) },
			"an erasure of its target":     func(ctx context.Context) (func(), error) { return w.Hold(ctx, app, []string{"u1"}) },
		} {
			release, err := acquire(t.Context())
			w.check(err)
			short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_, err = w.Subscribe(short, app, owner, []string{"u1"})
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("waiting for %s returned %v", name, err)
			}
			release()
		}
		if _, err := w.Subscribe(t.Context(), app, owner, []string{"u1"}); err != nil {
			t.Error(err)
		}
	})
}
