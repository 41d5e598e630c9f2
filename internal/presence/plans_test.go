package presence

import (
	"context"
	"slices"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestPlans: whatever is asked of the database is found by an index, so that it
// costs as much with a million users as with a thousand.
func TestPlans(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		const users, targets = 2000, 30
		w := newWorld(t, db, users)
		ctx := context.Background()
		err := db.Tx(ctx, func(tx *gorm.DB) error {
			var friends []models.Friendship
			var subscribed []models.StatusSubscription
			for i, u := range w.users {
				for n := 1; n <= targets; n++ {
					other := w.users[(i+n)%users].ID
					friends = append(friends, models.Friendship{UserID: u.ID, CreatedAt: models.Time(n), FriendID: other})
					subscribed = append(subscribed, models.StatusSubscription{UserID: u.ID, Position: int64(n), TargetID: other, SubscribedAt: 1})
				}
			}
			if err := tx.CreateInBatches(friends, 1000).Error; err != nil {
				return err
			}
			return tx.CreateInBatches(subscribed, 1000).Error
		})
		if err != nil {
			t.Fatal(err)
		}
		app, owner := w.appNow(), w.row(0)
		w.Hub.close() // nobody but this test asks from now on
		w.background.Wait()
		list := func(r page.Request) error {
			c, err := w.Subscriptions(ctx, owner, r)
			if err == nil {
				_, err = c.TotalCount(ctx)
			}
			return err
		}
		load := func(i int) error {
			_, _, err := w.loaders[i].Get(ctx, owner.ID)
			return err
		}
		asks := []struct {
			name string
			do   func() error
		}{
			{"the subscriptions", func() error { return list(page.Request{First: 10}) }},
			{"further subscriptions", func() error {
				c, err := w.Subscriptions(ctx, owner, page.Request{First: 10})
				if err != nil {
					return err
				}
				return list(page.Request{First: 10, After: c.PageInfo().EndCursor})
			}},
			{"a circle's friends", func() error { return load(0) }},
			{"a circle's subscriptions", func() error { return load(1) }},
			{"a circle's beginning", func() error { _, _, err := w.beginnings.Get(ctx, owner.ID); return err }},
			{"who changed in an absence", func() error {
				_, err := w.absent(ctx, status.Moment{}, 0, []int64{w.users[1].ID, w.users[2].ID})
				return err
			}},
			{"statuses", func() error {
				_, err := w.Statuses(ctx, app.ID, []string{"u1", "u2", "nobody"})
				return err
			}},
			{"subscribing", func() error { _, err := w.Subscribe(ctx, app, owner, []string{"u1", "u100"}); return err }},
			{"unsubscribing", func() error { _, err := w.Unsubscribe(ctx, app, owner, []string{"u1"}); return err }},
			{"erasing", func() error {
				return db.Tx(ctx, func(tx *gorm.DB) error { _, err := w.Erase(tx, w.users[5:6]); return err })
			}},
			{"clearing", func() error {
				w.lingerers.note(w.users[7].ID, 1)
				return w.clearOf(ctx, w.users[7].ID, 1)
			}},
			{"who has subscriptions to clear", func() error {
				w.lingerers.note(w.users[8].ID, 1)
				return w.clearSubscriptions(ctx)
			}},
			{"an earlier run's", func() error {
				if err := db.Exec(ctx, "UPDATE users SET presence = ? WHERE id = ?", models.PresenceOnline, owner.ID); err != nil {
					return err
				}
				return mirror.EndEarlierRun(ctx, db, w.now())
			}},
		}
		for _, ask := range asks {
			statements := w.statements(ask.do)
			if len(statements) == 0 {
				t.Fatalf("%s: no statement was seen", ask.name)
			}
			for _, s := range statements {
				w.byIndex(ask.name, s)
			}
		}
		// At a start all owners are read, in the order of the index and a chunk at a
		// time; nothing is sorted.
		for _, s := range w.statements(func() error { return w.findLingerers(ctx) }) {
			plan := testenv.Explain(t, db, s)
			if slices.ContainsFunc(plan, func(step testenv.Step) bool { return step.Sorts }) {
				t.Errorf("lingerers: %s\n%s", plan, s.SQL)
			}
		}
	})
}

// statements answers those that do runs, but for GORM's that insert and GORM's about
// the apps, who are few.
func (w *world) statements(do func() error) []testenv.Statement {
	w.t.Helper()
	list := testenv.Statements(w.t, w.db, func() {
		if err := do(); err != nil {
			w.t.Fatal(err)
		}
	})
	return slices.DeleteFunc(list, func(s testenv.Statement) bool {
		return strings.HasPrefix(s.SQL, "INSERT INTO `") || strings.Contains(s.SQL, "`apps`")
	})
}

// byIndex checks that a statement scans no table and sorts nothing.
func (w *world) byIndex(name string, s testenv.Statement) {
	w.t.Helper()
	plan := testenv.Explain(w.t, w.db, s)
	if slices.ContainsFunc(plan, func(step testenv.Step) bool { return step.Scans || step.Sorts }) {
		w.t.Errorf("%s:%s\n%.300s", name, plan, s.SQL)
	}
}
