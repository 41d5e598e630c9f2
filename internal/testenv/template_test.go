package testenv

import (
	"context"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/database"
)

// TestOpen_CopiesTheMigratedSchema compares databases from Open, of which the second is a copy, with
// one that the product's own migrations made.
func TestOpen_CopiesTheMigratedSchema(t *testing.T) {
	EachURL(t, func(t *testing.T, url string) {
		another := SQLiteURL
		if strings.HasPrefix(url, "mysql:") {
			another = MySQLURL
		}
		migrated, err := database.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer migrated.Close()
		if err := migrated.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := schemaOf(t, migrated)
		if len(want) < 17 {
			t.Fatalf("only %d statements: %q", len(want), want)
		}
		for range 2 {
			if got := schemaOf(t, Open(t, another(t))); !slices.Equal(got, want) {
				t.Errorf("the schema is\n%q\nwant\n%q", got, want)
			}
		}
	})
}

// schemaOf returns the statements that create all tables and indexes, and the migrations applied.
func schemaOf(t *testing.T, db *database.DB) []string {
	t.Helper()
	var list, versions []string
	var err error
	if db.Dialect() == database.MySQL {
		list, err = describe(db)
		list = slices.DeleteFunc(list, func(s string) bool { return strings.HasPrefix(s, "INSERT INTO goose_db_version") })
	} else {
		err = db.Read(context.Background()).Raw("SELECT sql FROM sqlite_master WHERE sql <> ''").Scan(&list).Error
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Read(context.Background()).Raw("SELECT version_id FROM goose_db_version ORDER BY id").Scan(&versions).Error; err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return append(list, versions...)
}
