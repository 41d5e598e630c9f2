package database

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	// ReadLimit limits a read that may be slow. It also ends on the server.
	ReadLimit = 10 * time.Second
	// limitLead is how long before the end of its context the server ends a statement, so that the
	// connection is not closed because of it.
	limitLead = 50 * time.Millisecond
)

// Bounded returns a context for a read that may be slow, which ends after ReadLimit. Errors of such
// a read are Unavailable.
//
// On SQLite it also ends with ctx. On MySQL and MariaDB it does not: the driver would close the
// connection, but the server would continue the statement, which would no longer be counted as
// running. It does end at ctx's deadline, at which the server itself ends the statement.
func (db *DB) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline := time.Now().Add(ReadLimit)
	if db.dialect == MySQL {
		if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
			deadline = end
		}
		ctx = context.WithoutCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline)
}

// endingWith returns the query changed so that the server ends it shortly before the end of ctx. It
// returns the query unchanged if it is not a SELECT or if ctx has no deadline.
func endingWith(ctx context.Context, query string) string {
	deadline, ok := ctx.Deadline()
	if !ok {
		return query
	}
	left := time.Until(deadline)
	return endingAfter(max(left-limitLead, left/2), query)
}

// endingAfter is like endingWith for a statement that may take this long. MariaDB has a variable
// for it, which only MariaDB reads from such a comment. MySQL and TiDB have a hint, which MariaDB
// ignores or understands.
func endingAfter(limit time.Duration, query string) string {
	rest, ok := strings.CutPrefix(query, "SELECT ")
	if !ok || limit < time.Millisecond {
		return query // the driver notices that ctx has ended
	}
	return fmt.Sprintf("/*M! SET STATEMENT max_statement_time = %.3f FOR */ SELECT /*+ MAX_EXECUTION_TIME(%d) */ %s",
		limit.Seconds(), limit.Milliseconds(), rest)
}
