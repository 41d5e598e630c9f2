package database_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

// endless returns a query that would take minutes. On MySQL and MariaDB it does not check whether
// its client is still connected, as SLEEP would.
func endless(db *database.DB) string {
	if db.Dialect() == database.MySQL {
		// The table has a dozen rows on TiDB and hundreds on the others. No database must look for the
		// best order of so many tables.
		const table, tables = "information_schema.collations", "abcdefghijkl"
		from, sum := table+" AS a", "a.id"
		for _, name := range tables[1:] {
			from += fmt.Sprintf(" STRAIGHT_JOIN %s AS %c", table, name)
			sum += fmt.Sprintf(" + %c.id", name)
		}
		return "SELECT COUNT(*) FROM " + from + " WHERE " + sum + " > 0"
	}
	return "SELECT (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n)"
}

// wantNoneRunning waits until the server runs none of the endless queries.
func wantNoneRunning(t *testing.T, db *database.DB) {
	t.Helper()
	if db.Dialect() == database.SQLite {
		return // it ran in the caller's goroutine
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var n int
		err := db.Read(context.Background()).Raw("SELECT COUNT(*) FROM information_schema.processlist " +
			"WHERE info LIKE '%information_schema.collations%' AND info NOT LIKE '%processlist%'").Scan(&n).Error
		switch {
		case err != nil:
			t.Fatal(err)
		case n == 0:
			return
		case time.Now().After(deadline):
			t.Fatalf("the server still runs %d statements whose calls have returned", n)
		}
	}
}

func TestRead_EndsOnTheServerAtTheDeadline(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		var n int
		err := db.Read(ctx).Raw(endless(db)).Scan(&n).Error
		if !database.Unavailable(err) && ctx.Err() == nil {
			t.Errorf("the query ended with %v; want an error of a time limit", err)
		}
		wantNoneRunning(t, db)
	})
}

// If a server continues a statement after its caller has left, the statement is still counted, and
// it does not outlast the deadline.
func TestBounded_LastsAsLongAsTheStatement(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		deadline := time.Now().Add(500 * time.Millisecond)
		calling, leave := context.WithDeadline(context.Background(), deadline)
		ctx, cancel := db.Bounded(calling)
		defer cancel()
		ended := make(chan error)
		go func() {
			var n int
			ended <- db.Read(ctx).Raw(endless(db)).Scan(&n).Error
		}()
		leave()
		if err := <-ended; err == nil {
			t.Error("the query did not end with an error")
		}
		if left := time.Until(deadline); db.Dialect() == database.MySQL && left > 2*50*time.Millisecond {
			t.Errorf("the call returned %s before the statement could end", left)
		}
		wantNoneRunning(t, db)
	})
}

func endedByServer(err error) bool {
	_, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && database.Unavailable(err)
}

func TestQuery_LimitEndsItOnTheServer(t *testing.T) {
	db := testenv.Open(t, testenv.MySQLURL(t))
	var n int
	q := db.NewQueryWithin(300*time.Millisecond, endless(db)+" AND 7 = ?")
	for range 2 { // the limit applies to each run
		if err := q.Each(t.Context(), []any{0}, []any{&n}, func() {}); err != nil {
			t.Fatal(err)
		}
		if err := q.Each(t.Context(), []any{7}, []any{&n}, func() {}); !endedByServer(err) {
			t.Fatalf("the query ended with %v; want an error of the server's time limit", err)
		}
	}
	wantNoneRunning(t, db)
}
