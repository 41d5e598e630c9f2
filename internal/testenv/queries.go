package testenv

import (
	"context"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
)

// Queries counts the statements that db runs for reading from now on, by GORM and hand-written
// ones.
func Queries(tb testing.TB, db *database.DB) *atomic.Int64 {
	tb.Helper()
	n := new(atomic.Int64)
	count := func(*gorm.DB) { n.Add(1) }
	callbacks := db.Read(context.Background()).Callback()
	if err := callbacks.Query().Register("testenv:count", count); err != nil {
		tb.Fatal(err)
	}
	if err := callbacks.Row().Register("testenv:count", count); err != nil { // Raw and Rows
		tb.Fatal(err)
	}
	tb.Cleanup(db.Watch(func(string, []any) { n.Add(1) }))
	return n
}
