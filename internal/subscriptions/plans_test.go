package subscriptions

import (
	"slices"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestPlans: each statement finds its rows by an index, so that it costs as much with a million users
// as with a thousand.
func TestPlans(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		const users, targets = 2000, 30
		w := newWorld(t, db, users)
		ctx := t.Context()
		var rows []models.StatusSubscription
		for i, u := range w.users {
			for n := 1; n <= targets; n++ {
				rows = append(rows, models.StatusSubscription{
					UserID: u.ID, Position: int64(n), TargetID: w.users[(i+n)%users].ID, SubscribedAt: 1,
				})
			}
		}
		w.check(db.Tx(ctx, func(tx *gorm.DB) error { return tx.CreateInBatches(rows, 1000).Error }))
		app, owner := w.appNow(), w.row(0)
		page1, err := w.List(ctx, owner, page.Request{First: 10})
		w.check(err)
		list := func(r page.Request) error {
			c, err := w.List(ctx, owner, r)
			if err == nil {
				_, err = c.TotalCount(ctx)
			}
			return err
		}
		for _, test := range []struct {
			name string
			do   func() error
		}{
			{"the list", func() error { return list(page.Request{First: 10}) }},
			{"the next page", func() error { return list(page.Request{First: 10, After: page1.PageInfo().EndCursor}) }},
			{"subscribing", func() error { _, err := w.Subscribe(ctx, app, owner, []string{"u1", "u100"}); return err }},
			{"unsubscribing", func() error { _, err := w.Unsubscribe(ctx, app, owner, []string{"u1"}); return err }},
			{"erasing", func() error {
				return db.Tx(ctx, func(tx *gorm.DB) error { _, err := w.Erase(tx, w.users[5:6]); return err })
			}},
			{"deleting an expired list", func() error {
				w.inactive.note(w.users[7].ID, 1)
				return w.expireList(ctx, w.users[7].ID, 1)
			}},
			{"finding expired lists", func() error {
				w.inactive.note(w.users[8].ID, 1)
				return w.expire(ctx)
			}},
		} {
			statements := w.statements(test.do)
			if len(statements) == 0 {
				t.Fatalf("%s: no statement was seen", test.name)
			}
			for _, s := range statements {
				plan := testenv.Explain(t, db, s)
				if slices.ContainsFunc(plan, func(step testenv.Step) bool { return step.Scans || step.Sorts }) {
					t.Errorf("%s: %s\n%.300s", test.name, plan, s.SQL)
				}
			}
		}
		// At the start, all owners are read in the order of the index, which sorts nothing.
		for _, s := range w.statements(func() error { return w.readOwners(ctx) }) {
			plan := testenv.Explain(t, db, s)
			if slices.ContainsFunc(plan, func(step testenv.Step) bool { return step.Sorts }) {
				t.Errorf("reading the owners: %s\n%s", plan, s.SQL)
			}
		}
	})
}

// statements returns the statements that do sends, except GORM's insertions and its reads of apps,
// which are few.
func (w *world) statements(do func() error) []testenv.Statement {
	w.t.Helper()
	list := testenv.Statements(w.t, w.db, func() { w.check(do()) })
	return slices.DeleteFunc(list, func(s testenv.Statement) bool {
		return strings.HasPrefix(s.SQL, "INSERT INTO `") || strings.Contains(s.SQL, "`apps`")
	})
}
