package database

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/go-sql-driver/mysql"
	"gorm.io/gorm"
)

type lateKey struct{}

// Late returns a context whose reads may be late: Read and Query.Each may read what the database was
// up to ReplicaOptions.MaxLag ago, from its replica. It is for what an operator looks at, and never
// for what decides something. A Coalescer does not pass the mark to its shared queries.
func Late(ctx context.Context) context.Context { return context.WithValue(ctx, lateKey{}, true) }

// lateReads returns where the reads of ctx go if they may be late and the replica can be used;
// otherwise nil.
func (db *DB) lateReads(ctx context.Context) *lateReads {
	if db.replica == nil || ctx.Value(lateKey{}) == nil || !db.replica.usable() {
		return nil
	}
	return &db.replica.reads
}

// lateReads is a gorm.ConnPool that reads at the replica, and once more at the primary if that fails.
type lateReads struct {
	replica *replica
	primary *sql.DB
}

// QueryContext implements gorm.ConnPool. All rows have arrived when it returns, see bufferedRows, so
// a replica that is lost between two rows is an error here.
func (l *lateReads) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := l.replica.pool.QueryContext(ctx, query, args...)
	if !l.again(ctx, err) {
		return rows, err
	}
	refusal := err
	rows, err = l.primary.QueryContext(ctx, query, args...)
	l.repeated(refusal, err)
	return rows, err
}

// QueryRowContext implements gorm.ConnPool.
func (l *lateReads) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	row := l.replica.pool.QueryRowContext(ctx, query, args...)
	if !l.again(ctx, row.Err()) {
		return row
	}
	refusal := row.Err()
	row = l.primary.QueryRowContext(ctx, query, args...)
	l.repeated(refusal, row.Err())
	return row
}

// again reports whether a read that ended with err must be repeated at the primary. One that took
// longer than it may is not: it would only burden the primary too.
func (l *lateReads) again(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil || TimedOut(err) {
		return false
	}
	l.replica.connector.lookNow()
	return true
}

// repeated notes that the replica ended a read with the error there, and the primary with here. A
// statement that only the replica refuses shows a fault of the replica, such as missing rights.
func (l *lateReads) repeated(there, here error) {
	if _, ok := errors.AsType[*mysql.MySQLError](there); ok && here == nil {
		l.replica.refusal.Store(&refusal{there, time.Now()})
		l.replica.connector.lookNow()
	}
}

// ExecContext implements gorm.ConnPool. It refuses changes.
func (*lateReads) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, errReadOnly
}

// PrepareContext implements gorm.ConnPool. It refuses statements that are not run at once.
func (*lateReads) PrepareContext(context.Context, string) (*sql.Stmt, error) { return nil, errReadOnly }

var _ gorm.ConnPool = (*lateReads)(nil)

// bufferedRows are the rows of a query that have all arrived.
type bufferedRows struct {
	columns []string
	rows    [][]driver.Value
}

// buffered reads all rows. Reads that may be late are pages and figures, which are short.
func buffered(rows driver.Rows) (_ driver.Rows, err error) {
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	b := &bufferedRows{columns: slices.Clone(rows.Columns())}
	for {
		row := make([]driver.Value, len(b.columns))
		if err := rows.Next(row); err == io.EOF {
			return b, nil
		} else if err != nil {
			return nil, err
		}
		for i, value := range row {
			if text, ok := value.([]byte); ok {
				row[i] = bytes.Clone(text) // the driver uses its memory again
			}
		}
		b.rows = append(b.rows, row)
	}
}

// Columns implements driver.Rows.
func (b *bufferedRows) Columns() []string { return b.columns }

// Close implements driver.Rows.
func (*bufferedRows) Close() error { return nil }

// Next implements driver.Rows.
func (b *bufferedRows) Next(row []driver.Value) error {
	if len(b.rows) == 0 {
		return io.EOF
	}
	copy(row, b.rows[0])
	b.rows = b.rows[1:]
	return nil
}
