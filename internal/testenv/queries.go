package testenv

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
)

// reads has what Open's databases call for each statement that GORM runs for reading: a *readers by
// *database.DB.
var reads sync.Map

// readers are the counters of one database.
type readers struct {
	mu   sync.Mutex
	list []*atomic.Int64
}

// countReads prepares db for Queries. It runs before anything else uses db, because GORM's callbacks
// have no lock.
func countReads(tb testing.TB, db *database.DB) {
	tb.Helper()
	r := new(readers)
	count := func(tx *gorm.DB) {
		if ofTimers(tx.Statement.SQL.String()) {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, n := range r.list {
			n.Add(1)
		}
	}
	callbacks := db.Read(context.Background()).Callback()
	if err := callbacks.Query().Register("testenv:count", count); err != nil {
		tb.Fatal(err)
	}
	if err := callbacks.Row().Register("testenv:count", count); err != nil { // Raw and Rows
		tb.Fatal(err)
	}
	reads.Store(db, r)
	tb.Cleanup(func() { reads.Delete(db) })
}

// ofTimers reports whether a statement is one that the timers of a running node repeat every few
// seconds: they look for webhooks to send and for disabled apps, report the node, and look for other
// nodes that ended.
func ofTimers(text string) bool {
	for _, name := range []string{"webhook_", "connection_nodes", "service_nodes", "disabled_at > 0", "deleting_at > 0", "chain_number"} {
		if strings.Contains(text, name) {
			return true
		}
	}
	return false
}

// Queries counts the statements that db, which Open returned, runs for reading from now on, by GORM
// and hand-written ones. Those of timers do not count, because they run beside any test.
func Queries(tb testing.TB, db *database.DB) *atomic.Int64 {
	tb.Helper()
	r, ok := reads.Load(db)
	if !ok {
		tb.Fatalf("%s is not from testenv.Open", db)
	}
	n := new(atomic.Int64)
	counters := r.(*readers)
	counters.mu.Lock()
	defer counters.mu.Unlock()
	counters.list = append(counters.list, n)
	tb.Cleanup(db.Watch(func(text string, _ []any) {
		if !ofTimers(text) {
			n.Add(1)
		}
	}))
	return n
}
