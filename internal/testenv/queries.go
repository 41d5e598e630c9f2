package testenv

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
)

// watchers has what Open's databases call for each statement that GORM runs: a *watcher by *database.DB.
var watchers sync.Map

// watcher has the functions of one database that receive GORM's statements.
type watcher struct {
	mu   sync.Mutex
	next int
	fns  map[int]func(gormStatement)
}

// gormStatement is a statement that GORM has run. reads is true for SELECT.
type gormStatement struct {
	Statement
	reads bool
}

// watch makes fn receive all statements until stop is called.
func (w *watcher) watch(fn func(gormStatement)) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := w.next
	w.next++
	w.fns[key] = fn
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.fns, key)
	}
}

// tell calls the functions with a statement of GORM.
func (w *watcher) tell(tx *gorm.DB, reads bool) {
	if tx.DryRun { // it is a part of another statement
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, fn := range w.fns {
		fn(gormStatement{Statement{tx.Statement.SQL.String(), slices.Clone(tx.Statement.Vars)}, reads})
	}
}

// watchGORM prepares db for Queries and Statements. It runs before anything else uses db, because GORM's
// callbacks have no lock.
func watchGORM(tb testing.TB, db *database.DB) {
	tb.Helper()
	w := &watcher{fns: make(map[int]func(gormStatement))}
	handles := []*gorm.DB{db.Read(context.Background())}
	err := db.Tx(context.Background(), func(tx *gorm.DB) error {
		if tx.Callback() != handles[0].Callback() { // SQLite has one for each
			handles = append(handles[:1], tx)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	type processor interface {
		Register(name string, fn func(*gorm.DB)) error
	}
	for i, handle := range handles {
		c := handle.Callback()
		for _, p := range []processor{c.Create(), c.Query(), c.Update(), c.Delete(), c.Row(), c.Raw()} {
			reads := i == 0 && (p == processor(c.Query()) || p == processor(c.Row())) // Raw and Rows
			if err := p.Register("testenv:watch", func(tx *gorm.DB) { w.tell(tx, reads) }); err != nil {
				tb.Fatal(err)
			}
		}
	}
	watchers.Store(db, w)
	tb.Cleanup(func() { watchers.Delete(db) })
}

// watcherOf returns the watcher of a database that Open returned.
func watcherOf(tb testing.TB, db *database.DB) *watcher {
	tb.Helper()
	w, ok := watchers.Load(db)
	if !ok {
		tb.Fatalf("%s is not from testenv.Open", db)
	}
	return w.(*watcher)
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
	n := new(atomic.Int64)
	count := func(text string) {
		if !ofTimers(text) {
			n.Add(1)
		}
	}
	tb.Cleanup(watcherOf(tb, db).watch(func(s gormStatement) {
		if s.reads {
			count(s.SQL)
		}
	}))
	tb.Cleanup(db.Watch(func(text string, _ []any) { count(text) }))
	return n
}
