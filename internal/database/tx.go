package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/ncruces/go-sqlite3"
	"gorm.io/gorm"

	"rollcall/internal/tracing"
)

const (
	// writePatience limits how long a transaction waits for its turn, and for how long after its
	// start it is run again. Together with the last run, which may wait for locks, the caller has a
	// result within 30 s.
	writePatience = 10 * time.Second
	// pauseStep is the increment of the maximum pause before a transaction is run again.
	pauseStep = 2 * time.Millisecond
	pauseMost = 100 * time.Millisecond
)

// ErrOvertaken is for the function of a transaction that finds that another one has changed the same
// rows: Tx then runs it again.
var ErrOvertaken = errors.New("another transaction has changed the same rows")

// errNoTurn is returned for a transaction whose turn did not come in time.
var errNoTurn = errors.New("the database was busy with other changes for too long")

// Tx runs fn in one transaction, which it commits if fn returns nil and rolls back otherwise. It
// runs a transaction again from the start if the database has rolled it back for a temporary reason
// (see undone), for up to writePatience. So fn must have no effects except through tx, and must set
// all of its results each time.
//
// Returns ctx's error if ctx ends before fn has begun. After that, the transaction is completed or
// fails by itself. On SQLite, transactions that wait for the writing connection share a commit; see
// writer.
func (db *DB) Tx(ctx context.Context, fn func(tx *gorm.DB) error) (err error) {
	// It includes the time in which the transaction waits for its turn, for locks and for the commit.
	ctx, span := tracing.BeginCall(ctx, "transaction")
	defer func() { endSpan(span, err) }()
	commits := commitsOf(ctx)
	if commits == nil {
		return db.again(ctx, func(a attempt) error { return db.try(ctx, a, fn) })
	}
	return db.again(ctx, func(a attempt) error {
		followed, end := commits.follow(fn)
		err := db.try(ctx, a, followed)
		end(err)
		return err
	})
}

// try runs fn in one transaction, once.
func (db *DB) try(ctx context.Context, a attempt, fn func(tx *gorm.DB) error) error {
	if db.writer != nil {
		return db.writer.run(ctx, a.deadline, a.alone, fn)
	}
	return db.onConn(ctx, a.deadline, func(session *gorm.DB) error {
		var failed error
		err := session.Transaction(func(tx *gorm.DB) error {
			failed = fn(tx)
			return failed
		})
		if failed == nil && err != nil {
			return commitError{err}
		}
		return err
	})
}

// Exec runs one statement that changes rows, in a transaction of its own, like Tx. On MySQL that is
// one statement and not three, because the server commits a statement outside a transaction by
// itself. It is hand-written: each argument replaces one question mark.
func (db *DB) Exec(ctx context.Context, sql string, args ...any) (err error) {
	db.saw(sql, args)
	span := db.beginSpan(ctx, sql)
	defer func() { endSpan(span, err) }()
	run := func(session *gorm.DB) error {
		_, err := session.Statement.ConnPool.ExecContext(session.Statement.Context, sql, args...)
		return translated(session, err)
	}
	if db.writer != nil {
		return db.Tx(ctx, run)
	}
	return db.again(ctx, func(a attempt) error {
		return db.onConn(ctx, a.deadline, func(session *gorm.DB) error {
			commits := commitsOf(ctx)
			if err := commits.begin(); err != nil {
				return err
			}
			err := run(session)
			if err != nil {
				err = commitError{err}
			}
			commits.end(err)
			return err
		})
	})
}

// attempt is one run of a transaction.
type attempt struct {
	// deadline is the time after which it must not begin.
	deadline time.Time
	// alone means that it must not share its commit with another.
	alone bool
}

// again runs a transaction until it is committed, fails for a reason of its own, or the deadline
// has passed.
func (db *DB) again(ctx context.Context, do func(attempt) error) (err error) {
	end := db.writes.start()
	defer func() { end(err) }()
	a := attempt{deadline: time.Now().Add(db.patience)}
	for pause := pauseStep; ; pause = min(pause+pauseStep, pauseMost) {
		err = do(a)
		if err == nil || !undone(err) {
			return err
		}
		if time.Now().After(a.deadline) {
			return fmt.Errorf("giving up a transaction after %s: %w", db.patience, err)
		}
		a.alone = errors.Is(err, errGroup)
		// Transactions that collided must not collide again in step.
		select {
		case <-time.After(rand.N(pause)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// onConn runs fn on a connection of its own, except on SQLite. Returns errNoTurn if there is none
// before the deadline.
func (db *DB) onConn(ctx context.Context, deadline time.Time, fn func(session *gorm.DB) error) error {
	waiting, cancel := context.WithDeadlineCause(ctx, deadline, errNoTurn)
	defer cancel()
	select {
	case db.places <- struct{}{}:
		defer func() { <-db.places }()
	case <-waiting.Done():
		return context.Cause(waiting)
	}
	conn, err := db.pool.Conn(waiting)
	if err != nil {
		if waiting.Err() != nil && errors.Is(err, waiting.Err()) {
			return context.Cause(waiting)
		}
		return beginError{err}
	}
	defer conn.Close()
	// See Query.Each for the cost of a context that can end.
	session := db.write.Session(&gorm.Session{NewDB: true, Context: context.WithoutCancel(ctx)})
	session.Statement.ConnPool = conn
	return fn(session)
}

// commitError is an error of COMMIT, or of a statement that commits by itself.
type commitError struct{ error }

func (e commitError) Unwrap() error { return e.error }

// beginError is an error of connecting to the server.
type beginError struct{ error }

func (e beginError) Unwrap() error { return e.error }

// undone reports whether err means that a transaction has certainly changed nothing, and may
// succeed if it is run again at once.
func undone(err error) bool {
	if errors.Is(err, errGroup) || errors.Is(err, ErrOvertaken) || isBusy(err) {
		return true
	}
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		_, committing := errors.AsType[commitError](err)
		switch {
		case isMySQL(my, collided...), isMySQL(my, tooManyConnections...), isWriteConflict(my):
			return true
		case isMySQL(my, readOnly...):
			return errors.Is(err, driver.ErrBadConn)
		case isMySQL(my, useless...):
			return errors.Is(err, driver.ErrBadConn) && !committing
		case isMySQL(my, broken...):
			return !committing
		}
		return false
	}
	if errors.Is(err, driver.ErrBadConn) {
		return true // nothing was sent
	}
	if _, committing := errors.AsType[commitError](err); committing {
		return false // the response to COMMIT was lost
	}
	if _, beginning := errors.AsType[beginError](err); beginning {
		return false // the server is unreachable
	}
	// The connection broke before COMMIT.
	_, network := errors.AsType[*net.OpError](err)
	return network || errors.Is(err, mysql.ErrInvalidConn)
}

// isBusy reports whether another connection has SQLite's lock.
func isBusy(err error) bool {
	// An error of a pragma in the URL is only text.
	return errors.Is(err, sqlite3.BUSY) || strings.Contains(err.Error(), "database is locked")
}
