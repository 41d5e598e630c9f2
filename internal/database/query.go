package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"gorm.io/gorm"
)

// statement is hand-written SQL that is run often. It does not use GORM and is prepared once on
// each connection, so that the database need not parse it again.
type statement struct {
	db   *DB
	text string
	// limit is the time after which a MySQL or MariaDB server ends a SELECT, or 0 for no limit.
	limit    time.Duration
	prepared atomic.Pointer[sql.Stmt]
}

// prepare returns the prepared statement. Several concurrent first callers may each prepare it; one
// of the results is kept.
func (s *statement) prepare() (*sql.Stmt, error) {
	if stmt := s.prepared.Load(); stmt != nil {
		return stmt, nil
	}
	stmt, err := s.db.pool.PrepareContext(context.Background(), s.sent())
	if err != nil {
		return nil, err
	}
	if !s.prepared.CompareAndSwap(nil, stmt) {
		_ = stmt.Close() // the other one is equivalent
	}
	return s.prepared.Load(), nil
}

// sent returns the text as it is sent to the database.
func (s *statement) sent() string {
	if s.limit > 0 && s.db.dialect == MySQL {
		return endingAfter(s.limit, s.text)
	}
	return s.text
}

// in returns the connection of a transaction, and the statement prepared for it, or nil if the
// statement must be run as text. It prepares nothing new, because that needs another connection,
// and all connections may be in use by transactions that need one more.
func (s *statement) in(tx *gorm.DB, args []any) (*sql.Tx, *sql.Stmt) {
	conn := tx.Statement.ConnPool.(*sql.Tx)
	s.db.saw(s.text, args)
	stmt := s.prepared.Load()
	if stmt == nil || s.db.dialect == SQLite { // the writer is not part of the pool
		return conn, nil
	}
	return conn, conn.Stmt(stmt)
}

// unprepared reports whether a statement was refused only because it was prepared.
func unprepared(err error) bool {
	var my *mysql.MySQLError
	if !errors.As(err, &my) {
		return false
	}
	return my.Number == 1461 || // the server has reached its limit of prepared statements
		my.Number == 1615 // its table has been changed too often
}

// Query is a hand-written SELECT.
type Query struct{ statement }

// NewQuery returns a Query with that text. It is prepared when it is first run, and kept. There
// should be few of them, each with a constant text.
func (db *DB) NewQuery(text string) *Query { return &Query{statement{db: db, text: text}} }

// NewBoundedQuery is NewQuery for a query that does not find all its rows by a key. The server ends
// it after ReadLimit.
func (db *DB) NewBoundedQuery(text string) *Query {
	q := db.NewQuery(text)
	q.limit = ReadLimit
	return q
}

// Each runs the query. For each row it scans the columns into the targets, as sql.Rows.Scan does,
// and calls take. The caller must not use the slice of the targets afterwards.
//
// The query does not end with ctx, which only has the span that it belongs to. For a context that can
// end, the driver starts a watch for each statement and closes the connection when it ends, which
// costs more than the few rows that such a query reads. The connection's own time limits apply. A
// query that may read many rows must be a NewBoundedQuery.
func (q *Query) Each(ctx context.Context, args []any, targets []any, take func()) (err error) {
	q.db.saw(q.text, args)
	span := q.db.beginSpan(ctx, q.text)
	defer func() { endSpan(span, err) }()
	if reads := q.db.lateReads(ctx); reads != nil {
		rows, err := reads.QueryContext(context.Background(), q.sent(), args...)
		return each(rows, err, targets, take)
	}
	stmt, err := q.prepare()
	var rows *sql.Rows
	if err == nil {
		rows, err = stmt.Query(args...)
	}
	if unprepared(err) {
		rows, err = q.db.pool.Query(q.sent(), args...)
	}
	return each(rows, err, targets, take)
}

// ErrLocked means that another transaction has locked a row. See LockingUnlocked.
var ErrLocked = errors.New("another transaction has locked a row")

// EachIn is Each in a transaction. Returns ErrLocked if a row is locked.
func (q *Query) EachIn(tx *gorm.DB, args []any, targets []any, take func()) (err error) {
	conn, stmt := q.in(tx, args)
	span := q.db.beginSpan(tx.Statement.Context, q.text)
	defer func() { endSpan(span, err) }()
	var rows *sql.Rows
	if stmt != nil {
		rows, err = stmt.Query(args...)
	}
	if stmt == nil || unprepared(err) {
		rows, err = conn.Query(q.sent(), args...)
	}
	err = each(rows, err, targets, take)
	var my *mysql.MySQLError
	if errors.As(err, &my) && (my.Number == 1205 || my.Number == 3572) { // the numbers of MariaDB and MySQL
		return ErrLocked
	}
	return err
}

// queryText runs a hand-written SELECT that is not worth preparing.
func (db *DB) queryText(ctx context.Context, text string, args []any, targets []any, take func()) (err error) {
	db.saw(text, args)
	span := db.beginSpan(ctx, text)
	defer func() { endSpan(span, err) }()
	if reads := db.lateReads(ctx); reads != nil {
		rows, err := reads.QueryContext(context.Background(), text, args...)
		return each(rows, err, targets, take)
	}
	rows, err := db.pool.Query(text, args...)
	return each(rows, err, targets, take)
}

// each reads all rows, unless err is not nil.
func each(rows *sql.Rows, err error, targets []any, take func()) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	direct(targets)
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return fmt.Errorf("scanning: %w", err)
		}
		take()
	}
	return rows.Err()
}

// Command is a hand-written statement that changes rows.
type Command struct{ statement }

// NewCommand returns a Command with that text.
func (db *DB) NewCommand(text string) *Command { return &Command{statement{db: db, text: text}} }

// Run runs the command in a transaction and returns how many rows it changed. On MySQL and MariaDB
// the number includes rows that already had the new values.
func (c *Command) Run(tx *gorm.DB, args ...any) (changed int64, err error) {
	conn, stmt := c.in(tx, args)
	span := c.db.beginSpan(tx.Statement.Context, c.text)
	defer func() { endSpan(span, err) }()
	var result sql.Result
	if stmt != nil {
		result, err = stmt.Exec(args...)
	}
	if stmt == nil || unprepared(err) {
		result, err = conn.Exec(c.text, args...)
	}
	if err != nil {
		return 0, translated(tx, err)
	}
	return result.RowsAffected()
}

// translated converts the error of a hand-written statement as GORM does for its own.
func translated(tx *gorm.DB, err error) error {
	if t, ok := tx.Dialector.(gorm.ErrorTranslator); ok && err != nil {
		return t.Translate(err)
	}
	return err
}

// Prepare prepares the statements of a transaction before it begins. One that cannot be prepared,
// because the server has reached its limit, is run as text.
func Prepare(statements ...interface{ ready() error }) error {
	for _, s := range statements {
		if err := s.ready(); err != nil && !unprepared(err) {
			return err
		}
	}
	return nil
}

func (s *statement) ready() error {
	_, err := s.prepare()
	return err
}
