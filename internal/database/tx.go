package database

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/ncruces/go-sqlite3"
	"gorm.io/gorm"
)

// txAttempts bounds how often a transaction that lost to another is run again.
const txAttempts = 12

// Tx runs fn in one transaction: committed when fn answers nil, else undone. A
// transaction that the database gave up for another's sake (a deadlock, a lock
// time-out) is run again from the start, so fn must have no effect but on tx,
// and set what it answers anew each time.
//
// When ctx ends before fn has begun, its error is answered; then no longer: the
// transaction is carried out or fails by itself. On SQLite those who queue up for
// the writing connection share a commit, see writer.
func (db *DB) Tx(ctx context.Context, fn func(tx *gorm.DB) error) error {
	return again(ctx, func(alone bool) error { return db.once(ctx, alone, fn) })
}

// again carries a transaction out until it loses to no other; alone: it must share
// its commit with no other.
func again(ctx context.Context, do func(alone bool) error) error {
	alone := false
	for attempt := 1; ; attempt++ {
		err := do(alone)
		if err == nil || !lost(err) {
			return err
		}
		if attempt == txAttempts {
			return fmt.Errorf("transaction given up after %d attempts: %w", attempt, err)
		}
		alone = errors.Is(err, errGroup)
		// Those who collided must not collide again in step.
		pause := time.Duration(rand.Int64N(int64(attempt) * int64(2*time.Millisecond)))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// once runs fn in a transaction and answers what came of it; alone: it shares its
// commit with no other.
func (db *DB) once(ctx context.Context, alone bool, fn func(tx *gorm.DB) error) error {
	if db.writer != nil {
		return db.writer.run(ctx, alone, fn)
	}
	return db.onConn(ctx, func(session *gorm.DB) error { return session.Transaction(fn) })
}

// onConn runs fn on a connection of its own, not on SQLite.
func (db *DB) onConn(ctx context.Context, fn func(session *gorm.DB) error) error {
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// See Query.Each for what a context costs that can end.
	session := db.write.Session(&gorm.Session{NewDB: true, Context: context.WithoutCancel(ctx)})
	session.Statement.ConnPool = conn
	return fn(session)
}

// lost says whether the database undid a transaction only because of another.
func lost(err error) bool {
	var my *mysql.MySQLError
	if errors.As(err, &my) {
		switch my.Number {
		case 1213, // deadlock
			1205, // lock wait time-out
			1020: // row changed since it was read (MariaDB with snapshot isolation)
			return true
		}
	}
	return errors.Is(err, errGroup) || isBusy(err)
}

// isBusy says whether SQLite gave way to another connection.
func isBusy(err error) bool {
	// A pragma in the URL that fails comes as text.
	return errors.Is(err, sqlite3.BUSY) || strings.Contains(err.Error(), "database is locked")
}

// Exec runs one statement that changes rows, in a transaction of its own, as Tx
// does. Where the database commits by itself what comes outside a transaction,
// that is one statement and not three. It is hand-written: each argument stands for
// one question mark.
func (db *DB) Exec(ctx context.Context, sql string, args ...any) error {
	db.saw(sql, args)
	run := func(session *gorm.DB) error {
		_, err := session.Statement.ConnPool.ExecContext(session.Statement.Context, sql, args...)
		return translated(session, err)
	}
	if db.writer != nil {
		return db.Tx(ctx, run)
	}
	return again(ctx, func(bool) error { return db.onConn(ctx, run) })
}
