// Package figures records the statistics that operators see as charts: how many users were
// registered in an app, and how many were online at once, in each minute of the last hours and in
// each hour of the last month.
//
// Registering a user costs nothing extra: a Recorder counts the rows of users by an index, a few
// minutes' worth at a time. The counts do not change when users are deleted later. Any number of
// nodes may record at the same time: a bucket keeps the highest value of all nodes.
package figures

import (
	"context"
	"log/slog"
	"time"

	"rollcall/internal/database"
	"rollcall/models"
)

// The spans of buckets, in milliseconds.
const (
	minute = int64(time.Minute / time.Millisecond)
	hour   = int64(time.Hour / time.Millisecond)
)

const (
	// interval is how often the online users are counted. A peak between two counts is not
	// recorded.
	interval = 10 * time.Second
	// lateness is how long after its created_at a user's row may be committed and still be counted.
	lateness = 2 * time.Minute
	// minutesKept is longer than the hours that are summed up from minutes.
	minutesKept = 3 * time.Hour
	// hoursKept is longer than LongestSeries in any time zone.
	hoursKept = (LongestSeries + 2) * 24 * time.Hour
	// sweepInterval is how often old buckets are removed.
	sweepInterval = time.Hour
)

// Recorder writes and reads the figures of all apps. Its reading methods may be called from any
// goroutine.
type Recorder struct {
	db     *database.DB
	online func(ctx context.Context, appID int64) (int, error)
	clock  func() time.Time
	log    *slog.Logger

	// caughtUp means that the users registered before this process started have been counted.
	caughtUp bool
	swept    models.Time
	// written are the newest minutes as last written by this process.
	written map[key]models.AppFigures
}

// key names a minute of an app.
type key struct {
	app      int64
	beginsAt models.Time
}

// New returns a Recorder. online returns how many users of the app with that apps.id are online on
// all nodes; clock is time.Now except in tests.
func New(db *database.DB, online func(ctx context.Context, appID int64) (int, error), clock func() time.Time, log *slog.Logger) *Recorder {
	return &Recorder{db: db, online: online, clock: clock, log: log, written: map[key]models.AppFigures{}}
}

// Run records until ctx ends. Failures are logged, and later runs make up for them.
func (r *Recorder) Run(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := r.record(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("recording figures failed; retrying", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// begin returns when the bucket of t began.
func begin(t models.Time, span int64) models.Time { return t - t%models.Time(span) }
