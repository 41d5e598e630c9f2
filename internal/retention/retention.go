// Package retention deletes rows when their time has passed. Other packages declare Rules for
// their tables, and one Sweeper carries them out.
//
// Several nodes may sweep a database at the same time: each deletes what it finds.
package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/outage"
	"rollcall/internal/tracing"
	"rollcall/models"
)

const (
	// interval is the time between two sweeps.
	interval = time.Minute
	// chunk is how many rows one transaction deletes at most.
	chunk = 500
)

// Rule says which rows of a table have outlived their time.
type Rule struct {
	// Rows names the rows in log lines and errors.
	Rows string
	// Table is an empty row, and Key the table's integer primary key.
	Table any
	Key   string
	// Column holds a moment. Rows are deleted when it is longer ago than Age.
	Column string
	Age    time.Duration
	// Unless, if set, is a condition in SQL. Rows that satisfy it stay.
	Unless string
	// Delete, if set, deletes the rows in place of the fields from Table to Column and Unless: up to
	// most rows, the oldest first, whose time is not after end. It returns how many there were.
	Delete func(ctx context.Context, end models.Time, most int) (deleted int, err error)
}

// Sweeper deletes the rows of its rules.
type Sweeper struct {
	db    *database.DB
	clock func() time.Time
	log   *slog.Logger
	rules []Rule
}

// New returns a Sweeper; clock is time.Now outside tests.
func New(db *database.DB, clock func() time.Time, log *slog.Logger, rules ...Rule) *Sweeper {
	return &Sweeper{db: db, clock: clock, log: log, rules: rules}
}

// Run sweeps once a minute until ctx ends.
func (s *Sweeper) Run(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if _, err := s.Sweep(ctx); err != nil && !outage.CallerGone(ctx, err) {
			s.log.WarnContext(ctx, "deleting old rows failed; retrying", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Sweep deletes all rows that have outlived their time now, some hundred in a transaction, and
// returns how many there were. A rule that fails does not keep the others from being carried out.
func (s *Sweeper) Sweep(ctx context.Context) (deleted int, err error) {
	ctx, span := tracing.Task(ctx, "delete expired rows")
	defer func() { span.End(err) }()
	var errs []error
	for _, r := range s.rules {
		n, err := s.sweep(ctx, r)
		deleted += n
		if err != nil {
			errs = append(errs, fmt.Errorf("deleting %s: %w", r.Rows, err))
		}
	}
	return deleted, errors.Join(errs...)
}

func (s *Sweeper) sweep(ctx context.Context, r Rule) (deleted int, err error) {
	for {
		n, err := s.deleteChunk(ctx, r)
		deleted += n
		if err != nil || n < chunk {
			return deleted, err
		}
	}
}

// deleteChunk deletes up to a chunk of rows, the oldest first, and returns how many.
func (s *Sweeper) deleteChunk(ctx context.Context, r Rule) (int, error) {
	end := models.TimeOf(s.clock()).Add(-r.Age)
	if r.Delete != nil {
		return r.Delete(ctx, end, chunk)
	}
	old := r.Column + " <= ?"
	if r.Unless != "" {
		old += " AND NOT " + r.Unless
	}
	var keys []int64
	err := s.db.Read(ctx).Model(r.Table).Where(old, end).Order(r.Column).Limit(chunk).Pluck(r.Key, &keys).Error
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	slices.Sort(keys) // the order in which all nodes lock them
	var deleted int64
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		// A row that was renewed since it was read stays.
		result := tx.Where(r.Key+" IN ? AND "+old, keys, end).Delete(r.Table)
		deleted = result.RowsAffected
		return result.Error
	})
	return int(deleted), err
}
