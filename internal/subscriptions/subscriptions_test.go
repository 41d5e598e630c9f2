package subscriptions

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestSubscribe(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 8)
		w.limit(4)
		w.connect(2)
		for _, step := range []struct {
			targets  []int
			statuses string
			evicted  string
			list     string
		}{
			{[]int{1, 2, 3}, "u1:UNLOGINED u2:ONLINE u3:UNLOGINED", "", "u3 u2 u1"},
			{[]int{2}, "u2:ONLINE", "", "u2 u3 u1"},
			{[]int{4, 4, 1, 4}, "u4:UNLOGINED u1:UNLOGINED", "", "u1 u4 u2 u3"},
			{[]int{5, 6}, "u5:UNLOGINED u6:UNLOGINED", "u3 u2", "u6 u5 u1 u4"},
			{[]int{1, 2, 3, 4, 5, 7}, "u1:UNLOGINED u2:ONLINE u3:UNLOGINED u4:UNLOGINED u5:UNLOGINED u7:UNLOGINED", "u6 u1 u2", "u7 u5 u4 u3"},
		} {
			out := w.subscribe(0, step.targets...)
			var statuses []string
			for _, status := range out.Statuses {
				statuses = append(statuses, status.UserID+":"+status.Presence.String())
			}
			if got := strings.Join(statuses, " "); got != step.statuses {
				t.Errorf("subscribing to %v returned %q, want %q", step.targets, got, step.statuses)
			}
			if got := strings.Join(out.EvictedIDs, " "); got != step.evicted || out.EvictedIDs == nil {
				t.Errorf("subscribing to %v evicted %q, want %q", step.targets, got, step.evicted)
			}
			w.wantList(0, step.list)
		}
		w.limit(0)
		if out := w.subscribe(0, 1); strings.Join(out.EvictedIDs, " ") != "u3 u4 u5 u7 u1" {
			t.Errorf("a limit of 0 evicted %v", out.EvictedIDs)
		}
		w.wantList(0, "")
	})
}

func TestSubscribe_Refused(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		w.subscribe(0, 2)
		w.check(db.Exec(t.Context(), "UPDATE users SET deactivated_at = 1 WHERE id = ?", w.users[1].ID))
		for _, test := range []struct {
			ids    []string
			code   fault.Code
			userID any
		}{
			{[]string{"u2", "u0"}, fault.SelfReference, nil},
			{[]string{"u2", "nobody"}, fault.UserNotFound, "nobody"},
			{[]string{"u2", "U2"}, fault.UserNotFound, "U2"},
			{[]string{"ü"}, fault.UserNotFound, "ü"},
			{[]string{"u2", "u1"}, fault.UserDeactivated, "u1"},
		} {
			_, err := w.Subscribe(t.Context(), w.appNow(), w.row(0), test.ids)
			refusal, _ := err.(*fault.Error)
			if refusal == nil || refusal.Code != test.code || refusal.Extensions["userId"] != test.userID {
				t.Errorf("subscribing to %v returned %v, want %s", test.ids, err, test.code)
			}
		}
		w.wantList(0, "u2")
		owner := w.row(1)
		owner.DeactivatedAt = nil // as a request reads it that began before the deactivation
		if _, err := w.Subscribe(t.Context(), w.appNow(), owner, []string{"u2"}); fault.CodeOf(err) != fault.UserDeactivated {
			t.Errorf("a deactivated user's subscription returned %v", err)
		}
	})
}

func TestUnsubscribe(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 5)
		w.subscribe(0, 1, 2, 3, 4)
		w.subscribe(1, 2)
		for _, step := range []struct {
			ids  []string
			want int
			list string
		}{
			{[]string{"nobody", "u0"}, 0, "u4 u3 u2 u1"},
			{[]string{"u2", "nobody", "u2", "u4"}, 2, "u3 u1"},
			{[]string{"u2"}, 0, "u3 u1"},
			{nil, 0, "u3 u1"},
		} {
			n, err := w.Unsubscribe(t.Context(), w.appNow(), w.row(0), step.ids)
			if n != step.want || err != nil {
				t.Errorf("unsubscribing from %v returned %d, %v, want %d", step.ids, n, err, step.want)
			}
			w.wantList(0, step.list)
		}
		for _, want := range []int{2, 0} {
			if n, err := w.UnsubscribeAll(t.Context(), w.row(0)); n != want || err != nil {
				t.Errorf("unsubscribing from all returned %d, %v, want %d", n, err, want)
			}
			w.wantList(0, "")
		}
		w.wantList(1, "u2")
	})
}

// TestSubscribe_Concurrently: the limit holds, each removed user is reported once, and the owner
// receives exactly the changes of the users on its list.
func TestSubscribe_Concurrently(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		const targets, limit = 40, 10
		w := newWorld(t, db, targets+1)
		w.limit(limit)
		received := w.follow(0)
		app, owner := w.appNow(), w.row(0)
		var mu sync.Mutex
		evicted := 0
		var all sync.WaitGroup
		for i := range targets / 4 {
			all.Go(func() {
				var ids []string
				for n := range 4 {
					ids = append(ids, fmt.Sprint("u", 1+(i*4+n)%targets))
				}
				out, err := w.Subscribe(context.Background(), app, owner, ids)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				evicted += len(out.EvictedIDs)
				mu.Unlock()
			})
		}
		all.Wait()
		list := strings.Fields(w.list(0))
		if len(list) != limit || evicted != targets-limit {
			t.Fatalf("%d are subscribed and %d were evicted, want %d and %d", len(list), evicted, limit, targets-limit)
		}
		everything := w.followAll()
		for i := 1; i <= targets; i++ {
			w.connect(i)
		}
		w.wantCount(everything, targets)
		users := strings.Fields(strings.ReplaceAll(received.text(), ":ONLINE", ""))
		slices.Sort(users)
		slices.Sort(list)
		if !slices.Equal(users, list) {
			t.Fatalf("received changes of %v, subscribed to %v", users, list)
		}
	})
}

func TestErase(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		w.subscribe(0, 1, 2)
		w.subscribe(1, 0, 2)
		received, everything := w.follow(0), w.followAll()
		changes := 0
		reconnect := func(i int, want string) {
			t.Helper()
			w.connect(i).Gone()
			changes += 2
			w.wantCount(everything, changes)
			if got := received.text(); got != want {
				t.Fatalf("received %q, want %q", got, want)
			}
		}
		var announce func()
		err := db.Tx(t.Context(), func(tx *gorm.DB) (err error) {
			announce, err = w.Erase(tx, []*models.User{w.users[1]})
			return err
		})
		w.check(err)
		reconnect(1, "u1:ONLINE u1:OFFLINE") // before it is announced
		announce()
		reconnect(1, "u1:ONLINE u1:OFFLINE")
		reconnect(2, "u1:ONLINE u1:OFFLINE u2:ONLINE u2:OFFLINE")
		w.wantList(0, "u2")
		w.wantList(1, "")
	})
}

// TestEvents: each change of a list publishes the users added and removed, and a call that changes
// nothing publishes nothing.
func TestEvents(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 5)
		w.limit(2)
		var published []string
		names := func(keys []int64) (ids []string) {
			for _, u := range w.users {
				if slices.Contains(keys, u.ID) {
					ids = append(ids, u.ExternalID)
				}
			}
			return ids
		}
		w.bus.OnSubscriptionsChanged(func(_ context.Context, ev bus.SubscriptionsChanged) {
			published = append(published, fmt.Sprint(names([]int64{ev.UserID}), " +", names(ev.Added), " -", names(ev.Removed)))
		})
		for _, step := range []struct {
			name string
			do   func() error
			want []string
		}{
			{"subscribing", func() error { w.subscribe(0, 1, 2); return nil }, []string{"[u0] +[u1 u2] -[]"}},
			{"exceeding the limit", func() error { w.subscribe(0, 3); return nil }, []string{"[u0] +[u3] -[u1]"}},
			{"a refusal", func() error {
				if _, err := w.Subscribe(t.Context(), w.appNow(), w.row(0), []string{"nobody"}); err == nil {
					t.Error("subscribing to nobody succeeded")
				}
				return nil
			}, nil},
			{"unsubscribing", func() error {
				_, err := w.Unsubscribe(t.Context(), w.appNow(), w.row(0), []string{"u3", "u4"})
				return err
			}, []string{"[u0] +[] -[u3]"}},
			{"unsubscribing again", func() error {
				_, err := w.Unsubscribe(t.Context(), w.appNow(), w.row(0), []string{"u3"})
				return err
			}, nil},
			{"erasing a target", func() error {
				var announce func()
				err := db.Tx(t.Context(), func(tx *gorm.DB) (err error) {
					announce, err = w.Erase(tx, []*models.User{w.users[2]})
					return err
				})
				if len(published) > 0 {
					t.Error("an erasure was published before it was announced")
				}
				announce()
				return err
			}, []string{"[u0] +[] -[u2]"}},
			{"expiry", func() error {
				w.subscribe(0, 4)
				published = nil
				w.clock.Advance(w.linger + time.Second)
				return w.expire(t.Context())
			}, []string{"[u0] +[] -[u4]"}},
			{"expiry again", func() error { return w.expire(t.Context()) }, nil},
		} {
			published = nil
			if err := step.do(); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			if !slices.Equal(published, step.want) {
				t.Errorf("%s published %q, want %q", step.name, published, step.want)
			}
		}
	})
}
