package presence

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// subscriptions answers the user's list, the newest first, as "u1 u2".
func (w *world) subscriptions(i int) string {
	w.t.Helper()
	var all []string
	request := page.Request{First: 2}
	for {
		c, err := w.Subscriptions(context.Background(), w.users[i], request)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, s := range c.Nodes() {
			all = append(all, s.User.ExternalID)
		}
		if !c.PageInfo().HasNextPage {
			return strings.Join(all, " ")
		}
		request.After = c.PageInfo().EndCursor
	}
}

func (w *world) wantSubscriptions(i int, want string) {
	w.t.Helper()
	if got := w.subscriptions(i); got != want {
		w.t.Fatalf("u%d has subscribed %q, want %q", i, got, want)
	}
	c, err := w.Subscriptions(context.Background(), w.users[i], page.Request{First: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	if n, err := c.TotalCount(context.Background()); n != len(strings.Fields(want)) || err != nil {
		w.t.Fatalf("the list counts %d, %v, want %q", n, err, want)
	}
}

// limit sets the app's statusSubscriptionLimit.
func (w *world) limit(n int) {
	w.t.Helper()
	err := w.db.Tx(context.Background(), func(tx *gorm.DB) error {
		return tx.Model(&models.App{}).Where("id = ?", w.app.ID).Update("status_subscription_limit", n).Error
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

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
				t.Errorf("subscribing %v answered %q, want %q", step.targets, got, step.statuses)
			}
			if got := strings.Join(out.EvictedIDs, " "); got != step.evicted || out.EvictedIDs == nil {
				t.Errorf("subscribing %v evicted %q, want %q", step.targets, got, step.evicted)
			}
			w.wantSubscriptions(0, step.list)
		}
		w.limit(0)
		if out := w.subscribe(0, 1); strings.Join(out.EvictedIDs, " ") != "u3 u4 u5 u7 u1" {
			t.Errorf("a limit of 0 evicted %v", out.EvictedIDs)
		}
		w.wantSubscriptions(0, "")
	})
}

func TestSubscribeRefused(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		w.subscribe(0, 2)
		err := db.Exec(context.Background(), "UPDATE users SET deactivated_at = 1 WHERE id = ?", w.users[1].ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			ids  []string
			code fault.Code
			who  any
		}{
			{[]string{"u2", "u0"}, fault.SelfReference, nil},
			{[]string{"u2", "nobody"}, fault.UserNotFound, "nobody"},
			{[]string{"u2", "U2"}, fault.UserNotFound, "U2"},
			{[]string{"ü"}, fault.UserNotFound, "ü"},
			{[]string{"u2", "u1"}, fault.UserDeactivated, "u1"},
		} {
			_, err := w.Subscribe(context.Background(), w.appNow(), w.row(0), test.ids)
			refusal, _ := err.(*fault.Error)
			if refusal == nil || refusal.Code != test.code || refusal.Extensions["userId"] != test.who {
				t.Errorf("subscribing %v answered %v, want %s", test.ids, err, test.code)
			}
		}
		w.wantSubscriptions(0, "u2")
		owner := w.row(1)
		owner.DeactivatedAt = nil // as the request still saw it
		if _, err := w.Subscribe(context.Background(), w.appNow(), owner, []string{"u2"}); fault.CodeOf(err) != fault.UserDeactivated {
			t.Errorf("a deactivated user's subscription answered %v", err)
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
			{[]string{}, 2, ""},
			{nil, 0, ""},
		} {
			n, err := w.Unsubscribe(context.Background(), w.appNow(), w.row(0), step.ids)
			if n != step.want || err != nil {
				t.Errorf("unsubscribing %v answered %d, %v, want %d", step.ids, n, err, step.want)
			}
			w.wantSubscriptions(0, step.list)
		}
		w.wantSubscriptions(1, "u2")
	})
}

// However many subscribe at once, the limit holds and the answers name exactly
// who went.
func TestSubscribeConcurrently(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		const targets, limit = 40, 10
		w := newWorld(t, db, targets+1)
		w.turn(true, true)
		w.limit(limit)
		seen := new(recorder)
		w.circle(0, seen)
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
		list := strings.Fields(w.subscriptions(0))
		if len(list) != limit || evicted != targets-limit {
			t.Fatalf("%d are subscribed and %d were evicted, want %d and %d", len(list), evicted, limit, targets-limit)
		}
		for i := 1; i <= targets; i++ {
			w.connect(i)
		}
		w.delivered()
		var told []string
		for _, statuses := range seen.statuses() {
			told = append(told, statuses[0].UserID)
		}
		slices.Sort(told)
		slices.Sort(list)
		if !slices.Equal(told, list) {
			t.Fatalf("told of %v, subscribed %v", told, list)
		}
	})
}

func TestSubscriptionsLinger(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 6)
		clear := func() {
			t.Helper()
			if err := w.clearSubscriptions(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		online, _ := w.connect(0)
		gone, _ := w.connect(1)
		back, _ := w.connect(2)
		for i := range 4 { // u3 has no device
			w.subscribe(i, 4)
		}
		gone.Gone()
		back.Gone()
		w.clock.Advance(w.subscriptionLinger / 2)
		w.subscribe(3, 5)
		w.connect(2)
		clear()
		for i, want := range []string{"u4", "u4", "u4", "u5 u4"} {
			w.wantSubscriptions(i, want)
		}
		w.clock.Advance(w.subscriptionLinger/2 + 1e9)
		clear()
		for i, want := range []string{"u4", "", "u4", "u5 u4"} {
			w.wantSubscriptions(i, want)
		}
		w.clock.Advance(w.subscriptionLinger)
		clear()
		for i, want := range []string{"u4", "", "u4", ""} {
			w.wantSubscriptions(i, want)
		}
		// It counts from the last device, not from the subscription.
		online.Gone()
		clear()
		w.wantSubscriptions(0, "u4")
		w.clock.Advance(w.subscriptionLinger + 1e9)
		clear()
		w.wantSubscriptions(0, "")
		w.wantSubscriptions(2, "u4")
		if n := len(w.lingerers.since); n != 0 {
			t.Fatalf("%d accounts are remembered", n)
		}
	})
}

// A process that is killed leaves subscriptions that count from the restart for
// those who were connected, and on for those who were not.
func TestSubscriptionsLingerAcrossRestart(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 4)
		d, _ := w.connect(0)
		w.subscribe(0, 3)
		d.Gone()
		w.written()
		w.connect(1)
		w.subscribe(1, 3)
		w.clock.Advance(w.subscriptionLinger / 2)
		w.subscribe(2, 3)
		w.crash()
		w.clock.Advance(w.subscriptionLinger/2 + 1e9)
		w.start()
		w.eventually(func() bool { return w.subscriptions(0) == "" }, "the subscriptions to be cleared")
		w.wantSubscriptions(1, "u3")
		w.wantSubscriptions(2, "u3")
		w.clock.Advance(w.subscriptionLinger / 2)
		w.eventually(func() bool { return w.subscriptions(2) == "" }, "the subscriptions to be cleared")
		w.wantSubscriptions(1, "u3")
		w.clock.Advance(w.subscriptionLinger/2 + 1e9)
		w.eventually(func() bool { return w.subscriptions(1) == "" }, "the subscriptions to be cleared")
	})
}

// Whoever comes back and subscribes at the last moment keeps what it subscribes.
func TestSubscribeWhileCleared(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		w.subscribe(0, 1)
		for range 20 {
			w.clock.Advance(w.subscriptionLinger + 1e9)
			var both sync.WaitGroup
			both.Go(func() {
				if err := w.clearSubscriptions(context.Background()); err != nil {
					t.Error(err)
				}
			})
			app, owner := w.appNow(), w.row(0)
			both.Go(func() {
				if _, err := w.Subscribe(context.Background(), app, owner, []string{"u2"}); err != nil {
					t.Error(err)
				}
			})
			both.Wait()
			if got := w.subscriptions(0); !strings.HasPrefix(got, "u2") {
				t.Fatalf("%q is subscribed after subscribing u2", got)
			}
		}
	})
}

func TestErase(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		w.turn(true, true)
		w.subscribe(0, 1, 2)
		w.subscribe(1, 0, 2)
		seen := new(recorder)
		w.circle(0, seen)
		var announce func()
		err := db.Tx(context.Background(), func(tx *gorm.DB) (err error) {
			announce, err = w.Erase(tx, []*models.User{w.users[1]})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		w.blink(1) // before it is announced
		announce()
		w.blink(1)
		w.blink(2)
		w.delivered()
		seen.want(t, "u1:ONLINE u1:OFFLINE u2:ONLINE u2:OFFLINE")
		w.wantSubscriptions(0, "u2")
		w.wantSubscriptions(1, "")
	})
}
