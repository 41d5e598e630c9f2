package mirror

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/database"
	"rollcall/internal/outage"
	"rollcall/internal/presence/status"
)

const (
	// Chunk is how many rows one statement updates at most. SQLite compiles a CASE in quadratic time,
	// so more would be slower there.
	Chunk = 100
	// writeTimeout bounds one write, so that callers that wait for it get a result.
	writeTimeout = 15 * time.Second
)

// After a failure the next attempt comes after RetryFirst, then after twice that and so on up to
// RetryMost.
const (
	RetryFirst = 50 * time.Millisecond
	RetryMost  = time.Second
)

// Columns are users.presence and users.presence_at in the database.
type Columns struct {
	DB *database.DB
	// Seconds observes how long each write took, and Failures counts those that failed.
	Seconds  prometheus.Observer
	Failures prometheus.Counter
	Log      *outage.Log
	// Forward makes a row that holds something newer keep it. It is set if several nodes write,
	// because their writes may overtake each other.
	Forward bool
}

// Row is the state to write to a user's row.
type Row struct {
	ID    int64 // users.id
	State status.State
}

// Write updates the rows, at most Chunk, in one statement; users that do not exist are skipped. Write
// logs and counts a failure, after which the rows may have been written or not. It sorts rows.
func (c *Columns) Write(ctx context.Context, rows []Row) error {
	// Rows are locked in the order of their keys, as everywhere else.
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.ID, b.ID) })
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	statement, args := update(rows, c.Forward)
	start := time.Now()
	err := c.DB.Exec(ctx, statement, args...)
	c.Seconds.Observe(time.Since(start).Seconds())
	if err != nil {
		err = fmt.Errorf("updating the presence of %d users: %w", len(rows), err)
		c.Failures.Inc()
		c.Log.Warn(ctx, "writing statuses failed; retrying", "users", len(rows), "error", err)
	}
	return err
}

// update returns one UPDATE that gives each row a value of its own: a commit, not a row, is what
// costs.
func update(rows []Row, forward bool) (statement string, args []any) {
	n := len(rows)
	arms := strings.Repeat(" WHEN ? THEN ?", n)
	statement = "UPDATE users SET presence = CASE id" + arms + " END, presence_at = CASE id" + arms + " END" +
		" WHERE id IN (?" + strings.Repeat(", ?", n-1) + ")"
	args = make([]any, 0, 7*n)
	for _, r := range rows {
		args = append(args, r.ID, int64(r.State.Presence))
	}
	times := func() {
		for _, r := range rows {
			var at any // NULL
			if r.State.Since != 0 {
				at = int64(r.State.Since)
			}
			args = append(args, r.ID, at)
		}
	}
	times()
	for _, r := range rows {
		args = append(args, r.ID)
	}
	if forward {
		statement += " AND (presence_at IS NULL OR presence_at <= CASE id" + arms + " END)"
		times()
	}
	return statement, args
}
