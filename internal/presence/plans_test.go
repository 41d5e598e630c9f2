package presence

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/page"
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
				_, err := w.absent(ctx, moment{}, 0, []int64{w.users[1].ID, w.users[2].ID})
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
				return w.endEarlierRun(ctx)
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
			if plan := w.explain(s); strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "filesort") || strings.Contains(plan, "temporary") {
				t.Errorf("lingerers: %s\n%s", plan, s.sql)
			}
		}
	})
}

// statement is one that was run.
type statement struct {
	sql  string
	vars []any
}

// statements answers those that do runs, but for those that insert, and for those
// about the apps, who are few.
func (w *world) statements(do func() error) (list []statement) {
	w.t.Helper()
	note := func(tx *gorm.DB) {
		if sql := tx.Statement.SQL.String(); !strings.Contains(sql, "apps") {
			list = append(list, statement{sql, tx.Statement.Vars})
		}
	}
	var remove []func(string) error
	watch := func(db *gorm.DB) {
		c := db.Callback()
		for _, err := range []error{
			c.Query().Register("presence:note", note), c.Row().Register("presence:note", note),
			c.Delete().Register("presence:note", note), c.Update().Register("presence:note", note),
		} {
			if err != nil {
				w.t.Fatal(err)
			}
		}
		remove = append(remove, c.Query().Remove, c.Row().Remove, c.Delete().Remove, c.Update().Remove)
	}
	defer w.db.Watch(func(text string, args []any) { list = append(list, statement{text, args}) })()
	reader := w.db.Read(context.Background())
	watch(reader)
	if err := w.db.Tx(context.Background(), func(tx *gorm.DB) error {
		if tx.Callback() != reader.Callback() { // SQLite has one for each
			watch(tx)
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	if err := do(); err != nil {
		w.t.Fatal(err)
	}
	for _, remove := range remove {
		if err := remove("presence:note"); err != nil {
			w.t.Fatal(err)
		}
	}
	return list
}

// explain answers the database's plan as text, a line a table.
func (w *world) explain(s statement) string {
	w.t.Helper()
	prefix := "EXPLAIN "
	if w.db.Dialect() == database.SQLite {
		prefix = "EXPLAIN QUERY PLAN "
	}
	var rows []map[string]any
	if err := w.db.Read(context.Background()).Raw(prefix+s.sql, s.vars...).Scan(&rows).Error; err != nil {
		w.t.Fatal(err, s.sql)
	}
	plan := ""
	for _, row := range rows {
		if detail, ok := row["detail"]; ok {
			plan += fmt.Sprintln(detail)
		} else {
			plan += fmt.Sprintf("%s: type=%s key=%v rows=%v %s\n", row["table"], row["type"], row["key"], row["rows"], row["Extra"])
		}
	}
	return plan
}

// byIndex checks that a statement scans no table and sorts nothing.
func (w *world) byIndex(name string, s statement) {
	w.t.Helper()
	plan := w.explain(s)
	for _, bad := range []string{"SCAN ", "TEMP B-TREE FOR ORDER", "type=ALL", "type=index ", "filesort"} {
		if strings.Contains(plan, bad) {
			w.t.Errorf("%s:\n%s%.300s", name, plan, s.sql)
			return
		}
	}
}
