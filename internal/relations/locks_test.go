package relations

import (
	"context"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/fault"
	"rollcall/internal/outage"
	"rollcall/internal/userlock"
	"rollcall/internal/users"
	"rollcall/models"
)

// held reports whether another change holds the user's lock.
func (w *world) held(id string) bool {
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	held, err := w.relations.locks.Acquire(short, w.app, []string{id})
	if err != nil {
		return true
	}
	held.Release()
	return false
}

// TestLocks_HeldUntilEventsArePublished: an erasure of a user, and a change of its relations, hold
// the user's lock while rows change and until the last event is published. Events therefore have the
// order of the commits.
func TestLocks_HeldUntilEventsArePublished(t *testing.T) {
	changes := []struct {
		name string
		do   func(w *world) error
		// events is how many events on the bus the change publishes.
		events int
	}{
		{"befriended", func(w *world) error {
			_, err := w.relations.AddFriend(ctx, w.app, "x", "cid", nil)
			return err
		}, 2},
		{"deactivated", func(w *world) error {
			_, err := w.users.Deactivate(ctx, w.app, []string{"x", "nobody"}, audit.AppServer)
			return err
		}, 3},
		{"deleted", func(w *world) error {
			_, err := w.users.Delete(ctx, w.app, []string{"nobody", "x"}, models.Actor{Name: "op"})
			return err
		}, 3},
	}
	for _, change := range changes {
		t.Run(change.name, func(t *testing.T) {
			each(t, func(w *world) {
				events := new(bus.Bus)
				w.relations = New(w.db, events, w.secret, w.clock)
				w.users = users.New(w.db, events, nil, w.relations, users.Options{Clock: w.clock})
				w.befriend("x", "ann", "bob")

				ann, bob := w.user("ann").ID, w.user("bob").ID
				var writer *gorm.DB
				published, written := 0, 0
				wantHeld := func(when string) {
					if !w.held("x") {
						w.t.Errorf("the user's lock is free %s", when)
					}
				}
				events.OnAccessRevoked(func(context.Context, bus.AccessRevoked) {
					published++
					wantHeld("when its devices are disconnected")
				})
				events.OnFriendshipChanged(func(_ context.Context, ev bus.FriendshipChanged) {
					if ev.Friends || ev.UserID == ann || ev.UserID == bob {
						published++
						wantHeld("when a friendship's event is published")
					}
				})
				w.ok(w.db.Tx(ctx, func(tx *gorm.DB) error { writer = tx; return nil }))
				callbacks := writer.Callback()
				note := func(*gorm.DB) { written++; wantHeld("when rows are written") }
				w.ok(callbacks.Create().Before("*").Register("locks:held", note))
				w.ok(callbacks.Delete().Before("*").Register("locks:held", note))
				stop := w.db.Watch(func(text string, _ []any) {
					if !strings.HasPrefix(text, "SELECT") {
						note(nil)
					}
				})
				w.ok(change.do(w))
				stop()
				w.ok(callbacks.Create().Remove("locks:held"))
				w.ok(callbacks.Delete().Remove("locks:held"))
				if published != change.events || written == 0 {
					w.t.Errorf("%d events, want %d; %d statements wrote", published, change.events, written)
				}
				if w.held("x") {
					w.t.Error("the lock was not released")
				}
			}, "x", "ann", "bob", "cid")
		})
	}
}

// TestLocks_OfOneApp: the same ID in another app has another lock, and a batch takes each lock once.
func TestLocks_OfOneApp(t *testing.T) {
	s := &Service{locks: userlock.NewLocks()}
	hold := func(app int64, ids ...string) (release func()) {
		t.Helper()
		release, err := s.Hold(ctx, &models.App{ID: app}, ids)
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	release := hold(1, "x", "y", "x")
	hold(2, "x")()
	release()
	hold(1, "y", "x")()
}

// TestLocks_WaitIsBounded checks that a change is refused if another change of the same user holds
// the lock for too long, and that it is not made later.
func TestLocks_WaitIsBounded(t *testing.T) {
	each(t, func(w *world) {
		release, err := w.relations.Hold(ctx, w.app, []string{"x"})
		w.ok(err)
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		for name, change := range map[string]func() error{
			"befriend": func() error {
				_, err := w.relations.AddFriend(short, w.app, "x", "ann", nil)
				return err
			},
			"block": func() error {
				_, err := w.relations.AddToBlocklist(short, w.app, "ann", []string{"x"})
				return err
			},
			"deactivate": func() error {
				_, err := w.users.Deactivate(short, w.app, []string{"x"}, audit.AppServer)
				return err
			},
		} {
			if err := change(); outage.CodeOf(err) != fault.Unavailable {
				w.t.Errorf("%s: %v", name, err)
			}
		}
		release()
		w.befriend("x", "ann")
	}, "x", "ann")
}
