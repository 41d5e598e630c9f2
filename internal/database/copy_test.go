package database_test

import (
	"slices"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// fillTables inserts three rows into each table of an SQLite database, whatever columns it has: with NULL where
// that is allowed, quotes, zero bytes, and bytes that are not UTF-8. It returns how many tables there are.
func fillTables(t *testing.T, db *database.DB) int {
	t.Helper()
	var tables []string
	rows(t, db, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%'`, &tables)
	for _, table := range tables {
		var columns []struct {
			Name, Type  string
			Notnull, Pk int
		}
		if err := db.Read(t.Context()).Raw("SELECT * FROM pragma_table_info(?)", table).Scan(&columns).Error; err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			var names, marks []string
			var values []any
			for _, c := range columns {
				var value any
				switch {
				case i == 2 && c.Notnull == 0 && c.Pk == 0: // NULL
				case c.Type == "BOOLEAN":
					value = i % 2
				case c.Type == "INTEGER":
					value = i + 1
				case c.Type == "TEXT":
					value = []string{"a'", `b\`, ""}[i]
				default:
					value = [][]byte{{0, 0xff, '\''}, {'\\', '"'}, {}}[i]
				}
				names, marks, values = append(names, "`"+c.Name+"`"), append(marks, "?"), append(values, value)
			}
			if err := db.Exec(t.Context(), "INSERT INTO "+table+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(marks, ", ")+")", values...); err != nil {
				t.Fatalf("%s: %v", table, err)
			}
		}
	}
	return len(tables)
}

// TestCopyTo_EveryTable copies a row in every column of every table of the schema, from SQLite to MariaDB and
// back, and a table that no release has. A key that was assigned to a deleted row is not assigned again.
func TestCopyTo_EveryTable(t *testing.T) {
	ctx := t.Context()
	one := testenv.Open(t, testenv.SQLiteURL(t))
	two := testenv.Open(t, testenv.MySQLURL(t))
	three := testenv.Open(t, testenv.SQLiteURL(t))
	for _, db := range []*database.DB{one, two, three} {
		if err := db.Exec(ctx, "CREATE TABLE a_new_table (id INTEGER PRIMARY KEY, name TEXT)"); err != nil {
			t.Fatal(err)
		}
	}
	tables := fillTables(t, one)
	for _, statement := range []string{"UPDATE a_new_table SET id = -5, name = 'Ärger 😀' WHERE id = 1", "DELETE FROM users WHERE id = 3"} {
		if err := one.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	first, err := one.CopyTo(ctx, two)
	if err != nil {
		t.Fatal(err)
	}
	second, err := two.CopyTo(ctx, three)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(first, second) || len(first) != tables || tables < 30 {
		t.Errorf("the copies of %d tables differ:\n%+v\n%+v", tables, first, second)
	}
	for _, copied := range first {
		want := int64(3)
		if copied.Name == "users" {
			want = 2
		}
		if copied.Rows != want {
			t.Errorf("%s: %d rows, want %d", copied.Name, copied.Rows, want)
		}
	}
	for _, db := range []*database.DB{two, three} {
		next := models.User{AppID: 9, ExternalID: "new"}
		if err := db.Tx(ctx, func(tx *gorm.DB) error { return tx.Create(&next).Error }); err != nil || next.ID < 4 {
			t.Errorf("%s assigns the key %d, which it has assigned before: %v", db, next.ID, err)
		}
	}
}

func TestCopyTo_Refuses(t *testing.T) {
	ctx := t.Context()
	from := testenv.Open(t, testenv.SQLiteURL(t))
	target := func(statement string) *database.DB {
		t.Helper()
		db := testenv.Open(t, testenv.SQLiteURL(t))
		if err := db.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
		return db
	}
	empty, err := database.Open(ctx, testenv.SQLiteURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	for want, to := range map[string]*database.DB{
		"is at version 0":                  empty,
		"run `rollcall migrate up`":        target("DELETE FROM goose_db_version WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version)"),
		"its table service_nodes has rows": target("INSERT INTO service_nodes (id, name, place, version, stopping, devices, database_micros, redis_micros, started_at, seen_at) VALUES (1, '', '', '', 0, 0, 0, 0, 1, 1)"),
		"differ, although":                 target("CREATE TABLE another (id INTEGER PRIMARY KEY)"),
		"has the type REAL":                target("CREATE TABLE another (id INTEGER PRIMARY KEY, part REAL)"),
		"has no primary key":               target("CREATE TABLE another (id INTEGER)"),
	} {
		if _, err := from.CopyTo(ctx, to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
	if err := from.Exec(ctx, "INSERT INTO service_nodes (id, name, place, version, stopping, devices, database_micros, redis_micros, started_at, seen_at) VALUES (1, x'00', '', '', 0, 0, 0, 0, 'soon', 1)"); err != nil {
		t.Fatal(err)
	}
	if _, err := from.CopyTo(ctx, testenv.Open(t, testenv.SQLiteURL(t))); err == nil || !strings.Contains(err.Error(), "started_at has a value of the type string, which is not a number") {
		t.Errorf("a text in a column of numbers: %v", err)
	}
}
