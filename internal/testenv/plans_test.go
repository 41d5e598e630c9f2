package testenv_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

// TestPlans: no statement is missed, and good plans are distinguished from bad ones. Otherwise no
// test of plans could fail.
func TestPlans(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		type thing struct{ ID, A, B int64 }
		ctx, read := context.Background(), db.Read(context.Background())
		one := thing{ID: 1, A: 1}
		do := func(fn func(tx *gorm.DB) *gorm.DB) error {
			return db.Tx(ctx, func(tx *gorm.DB) error { return fn(tx).Error })
		}
		var n int64
		steps := []func() error{
			func() error {
				return db.Exec(ctx, "CREATE TABLE things (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER)")
			},
			func() error {
				return do(func(tx *gorm.DB) *gorm.DB { return tx.Exec("CREATE INDEX things_a ON things (a)") })
			},
			func() error { return do(func(tx *gorm.DB) *gorm.DB { return tx.Create(&one) }) },
			func() error { return do(func(tx *gorm.DB) *gorm.DB { return tx.Model(&one).Update("b", 2) }) },
			func() error { return do(func(tx *gorm.DB) *gorm.DB { return tx.Delete(&thing{ID: 9}) }) },
			func() error { return read.Where("id IN (?)", read.Model(&one).Select("a")).Find(&one).Error },
			func() error { return read.Raw("SELECT COUNT(*) FROM things").Scan(&n).Error },
			func() error { return db.NewQuery("SELECT 2").Each(t.Context(), nil, []any{&n}, func() {}) },
		}
		for i, verb := range strings.Fields("CREATE CREATE INSERT UPDATE DELETE SELECT SELECT SELECT") {
			var err error
			heard := testenv.Statements(t, db, func() { err = steps[i]() })
			if err != nil || len(heard) != 1 || !strings.HasPrefix(heard[0].SQL, verb) {
				t.Fatalf("recorded %q, want one %s; %v", heard, verb, err)
			}
		}

		more := make([]thing, 99)
		for i := range more {
			more[i].ID = int64(2 + i)
		}
		if err := do(func(tx *gorm.DB) *gorm.DB { return tx.Create(&more) }); err != nil {
			t.Fatal(err)
		}
		testenv.Analyse(t, db, "things")
		from := "SELECT * FROM " + db.Using("things", "things_a")
		for _, test := range []struct {
			sql  string
			want testenv.Step
			rows int
		}{
			{"SELECT * FROM things WHERE id = ?", testenv.Step{Table: "things", Index: "PRIMARY"}, 1},
			{from + " WHERE a = ?", testenv.Step{Table: "things", Index: "things_a"}, 1},
			{from + " WHERE a = ? ORDER BY b", testenv.Step{Table: "things", Index: "things_a", Sorts: true}, 1},
			{"SELECT a FROM things x WHERE a <> ? + 1 - a ORDER BY a", testenv.Step{Table: "x", Index: "things_a", Scans: true}, 100},
			{"SELECT * FROM things WHERE b = ?", testenv.Step{Table: "things", Scans: true}, 100},
		} {
			s := testenv.Statement{SQL: test.sql, Vars: []any{1}}
			plan := testenv.Explain(t, db, s)
			got := plan[0]
			got.Sorts = slices.ContainsFunc(plan, func(step testenv.Step) bool { return step.Sorts })
			got.Rows, got.Text = 0, ""
			n, ok := testenv.RowsRead(t, db, s)
			if got != test.want || ok && (n < test.rows || n > test.rows+2) {
				t.Errorf("%s: %d rows read%s\n%+v, want %+v", test.sql, n, plan, got, test.want)
			}
			if ok != (db.Dialect() == database.MySQL) {
				t.Errorf("rows are counted: %v", ok)
			}
		}
	})
}
