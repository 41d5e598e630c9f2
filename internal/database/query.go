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

// statement is hand-written SQL that is run all the time: it does without GORM and
// is prepared once on each connection, where the database then has nothing left to
// parse.
type statement struct {
	db   *DB
	text string
	// limit is the time after which a server of MySQL's family ends a SELECT; 0: it does not.
	limit    time.Duration
	prepared atomic.Pointer[sql.Stmt]
}

// prepare answers the prepared statement. Several who come first may prepare it
// each; one of theirs stays.
func (s *statement) prepare() (*sql.Stmt, error) {
	if stmt := s.prepared.Load(); stmt != nil {
		return stmt, nil
	}
	stmt, err := s.db.pool.PrepareContext(context.Background(), s.sent())
	if err != nil {
		return nil, err
	}
	if !s.prepared.CompareAndSwap(nil, stmt) {
		_ = stmt.Close() // the other one is as good
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

// in answers the connection of a transaction, and the statement prepared for it;
// nil where it is to be run as text. It prepares nothing new, because that takes
// another connection, and all may be taken by transactions that want one more.
func (s *statement) in(tx *gorm.DB, args []any) (*sql.Tx, *sql.Stmt) {
	conn := tx.Statement.ConnPool.(*sql.Tx)
	s.db.saw(s.text, args)
	stmt := s.prepared.Load()
	if stmt == nil || s.db.dialect == SQLite { // whose writer is not of the pool
		return conn, nil
	}
	return conn, conn.Stmt(stmt)
}

// unprepared says whether a statement was refused only because it was prepared.
func unprepared(err error) bool {
	var my *mysql.MySQLError
	if !errors.As(err, &my) {
		return false
	}
	return my.Number == 1461 || // the server holds as many prepared statements as it may
		my.Number == 1615 // its table has changed too often meanwhile
}

// Query is a hand-written SELECT.
type Query struct{ statement }

// NewQuery answers a Query with that text. It is prepared when it is first run,
// and kept: there should be few of them, each with a text that stays the same.
func (db *DB) NewQuery(text string) *Query { return &Query{statement{db: db, text: text}} }

// NewBoundedQuery is NewQuery for a query whose rows are not all found by a key: the server ends
// it after ReadLimit.
func (db *DB) NewBoundedQuery(text string) *Query {
	q := db.NewQuery(text)
	q.limit = ReadLimit
	return q
}

// Each runs the query and, for each row, fills the targets, as sql.Rows.Scan has
// it, and calls take. The slice of the targets is the query's from then on.
//
// It takes no context. A context that can end has the driver watch it for each
// statement and drop the connection when it does, which costs more than the few
// rows that such a query reads; the connection's own time limits bound it. One that may read many
// rows must be a NewBoundedQuery.
func (q *Query) Each(args []any, targets []any, take func()) error {
	q.db.saw(q.text, args)
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

// ErrLocked says that another transaction has locked a row. See LockingUnlocked.
var ErrLocked = errors.New("another transaction has locked a row")

// EachIn is Each in a transaction. Errors: ErrLocked.
func (q *Query) EachIn(tx *gorm.DB, args []any, targets []any, take func()) error {
	conn, stmt := q.in(tx, args)
	var rows *sql.Rows
	var err error
	if stmt != nil {
		rows, err = stmt.Query(args...)
	}
	if stmt == nil || unprepared(err) {
		rows, err = conn.Query(q.sent(), args...)
	}
	err = each(rows, err, targets, take)
	var my *mysql.MySQLError
	if errors.As(err, &my) && (my.Number == 1205 || my.Number == 3572) { // MariaDB's number, and MySQL's
		return ErrLocked
	}
	return err
}

// queryText runs a hand-written SELECT that is not worth preparing.
func (db *DB) queryText(text string, args []any, targets []any, take func()) error {
	db.saw(text, args)
	rows, err := db.pool.Query(text, args...)
	return each(rows, err, targets, take)
}

// each reads all rows, unless there was an error.
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

// NewCommand answers a Command with that text.
func (db *DB) NewCommand(text string) *Command { return &Command{statement{db: db, text: text}} }

// Run runs the command in a transaction and answers how many rows it changed, on
// MySQL's family also those that were like that before.
func (c *Command) Run(tx *gorm.DB, args ...any) (int64, error) {
	conn, stmt := c.in(tx, args)
	var result sql.Result
	var err error
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

// translated answers a hand-written statement's error as those of GORM's own are.
func translated(tx *gorm.DB, err error) error {
	if t, ok := tx.Dialector.(gorm.ErrorTranslator); ok && err != nil {
		return t.Translate(err)
	}
	return err
}

// Prepare makes the statements of a transaction ready before it begins. One that
// cannot be prepared, because the server holds as many as it may, is run as text.
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
