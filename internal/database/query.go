package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/go-sql-driver/mysql"
)

// Query is a hand-written SELECT for what is read all the time: it does without
// GORM and is prepared once on each connection, where the database then has
// nothing left to parse.
type Query struct {
	db       *DB
	text     string
	prepared atomic.Pointer[sql.Stmt]
}

// NewQuery answers a Query with that text. It is prepared when it is first run,
// and kept: there should be few of them, each with a text that stays the same.
func (db *DB) NewQuery(text string) *Query { return &Query{db: db, text: text} }

// Each runs the query and, for each row, fills the targets, as sql.Rows.Scan has
// it, and calls take.
//
// It takes no context. A context that can end has the driver watch it for each
// statement and drop the connection when it does, which costs more than the few
// rows that such a query reads; the connection's own time limits bound it.
func (q *Query) Each(args []any, targets []any, take func()) error {
	q.db.saw(q.text, args)
	stmt, err := q.prepare()
	var rows *sql.Rows
	if err == nil {
		rows, err = stmt.Query(args...)
	}
	if unprepared(err) {
		rows, err = q.db.pool.Query(q.text, args...)
	}
	if err != nil {
		return err
	}
	return each(rows, targets, take)
}

// prepare answers the prepared statement. Several who come first may prepare it
// each; one of theirs stays.
func (q *Query) prepare() (*sql.Stmt, error) {
	if stmt := q.prepared.Load(); stmt != nil {
		return stmt, nil
	}
	stmt, err := q.db.pool.PrepareContext(context.Background(), q.text)
	if err != nil {
		return nil, err
	}
	if !q.prepared.CompareAndSwap(nil, stmt) {
		_ = stmt.Close() // the other one is as good
	}
	return q.prepared.Load(), nil
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

// each reads all rows.
func each(rows *sql.Rows, targets []any, take func()) error {
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return fmt.Errorf("scanning: %w", err)
		}
		take()
	}
	return rows.Err()
}

// queryText runs a hand-written SELECT that is not worth preparing.
func (db *DB) queryText(text string, args []any, targets []any, take func()) error {
	db.saw(text, args)
	rows, err := db.pool.Query(text, args...)
	if err != nil {
		return err
	}
	return each(rows, targets, take)
}
