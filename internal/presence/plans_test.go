package presence

import (
	"context"
	"slices"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestPlans checks that each statement finds its rows by an index, so that it costs as much with a
// million users as with a thousand.
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
		w.Hub.close() // from now on, only this test sends statements
		w.background.Wait()
		tests := []struct {
			name string
			do   func() error
		}{
			{"statuses", func() error {
				_, err := w.Statuses(ctx, app.ID, []string{"u1", "u2", "nobody"})
				return err
			}},
			{"statuses of an earlier run", func() error {
				if err := db.Exec(ctx, "UPDATE users SET presence = ? WHERE id = ?", models.PresenceOnline, owner.ID); err != nil {
					return err
				}
				return mirror.EndEarlierRun(ctx, db, w.now(), status.NoObserver{})
			}},
		}
		for _, test := range tests {
			statements := w.statements(test.do)
			if len(statements) == 0 {
				t.Fatalf("%s: no statement ran", test.name)
			}
			for _, s := range statements {
				w.byIndex(test.name, s)
			}
		}
	})
}

// statements returns the statements that do runs, except GORM's INSERTs and its reads of apps,
// which are few.
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
