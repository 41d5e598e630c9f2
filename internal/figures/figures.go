// Package figures records the statistics that operators see as charts: what happened in an app in
// each minute of the last hours, and in each hour and each day of the last two years. Days are those
// of UTC; days of other time zones are read from hours.
//
// How figures are counted:
//
//   - Registrations and bans are counted from their rows by an index, a few minutes' worth at a time,
//     so that they cost the user's transaction nothing. The counts do not change when users are
//     deleted later.
//   - Users that are online are counted every few seconds.
//   - Active users are those that were online in the last 24 hours or 30 days. They are counted
//     exactly at the end of each hour, from users.presence and users.presence_at by an index. A day
//     of any time zone ends with an hour, so the last count in a day is the number of users that
//     were active in it, to half an hour in some zones.
//   - Decisions whether a message may be sent are counted in memory, and added to the buckets every
//     few seconds and at the end. A process that is killed loses those few seconds.
//
// Any number of nodes may record at the same time. For what is counted in the database, a bucket
// keeps the highest value of all nodes; what each node counts is added up.
package figures

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"rollcall/internal/database"
	"rollcall/models"
)

// Figure is one kind of statistics.
type Figure int

// The figures. The last ones count decisions whether a message may be sent; see ByReason.
const (
	Registrations Figure = iota
	// PeakOnline is the maximum number of users seen online at once.
	PeakOnline
	Bans
	// DailyActive and MonthlyActive are how many users were online in the last 24 hours and in the
	// last 30 days, at the last count in a bucket. 0 means that there was none: see Recorder.
	DailyActive
	MonthlyActive
	Allowed
	firstDenied

	firstDecision = Allowed
	count         = int(firstDenied) + 8
)

// merge is how a value is written to a bucket that exists.
type merge int

const (
	highest merge = iota // the higher value is kept
	latest               // the new value replaces the old one, unless it is 0
	added                // the new value is added
)

// kinds are the column and the properties of each figure.
var kinds = [count]struct {
	column string
	merge  merge
	// peak is true if the value of some buckets together is their maximum, not their sum.
	peak bool
}{
	Registrations: {column: "registrations"},
	PeakOnline:    {column: "peak_online", peak: true},
	Bans:          {column: "bans"},
	DailyActive:   {column: "daily_active", merge: latest, peak: true},
	MonthlyActive: {column: "monthly_active", merge: latest, peak: true},
	Allowed:       {column: "allowed", merge: added},

	firstDenied:     {column: "sender_not_found", merge: added},
	firstDenied + 1: {column: "sender_deactivated", merge: added},
	firstDenied + 2: {column: "sender_banned", merge: added},
	firstDenied + 3: {column: "recipient_not_found", merge: added},
	firstDenied + 4: {column: "recipient_deactivated", merge: added},
	firstDenied + 5: {column: "not_in_whitelist", merge: added},
	firstDenied + 6: {column: "blocked_by_recipient", merge: added},
	firstDenied + 7: {column: "not_friends", merge: added},
}

// ByReason returns the figure that counts the messages that were denied for that reason, a value of
// the API's enum. It panics if there is none.
func ByReason(reason string) Figure {
	for f := firstDenied; int(f) < count; f++ {
		if kinds[f].column == strings.ToLower(reason) {
			return f
		}
	}
	panic("figures: no figure counts " + reason)
}

// Values has the value of each figure.
type Values [count]int64

// Denied returns how many messages were denied.
func (v *Values) Denied() (sum int64) {
	for _, n := range v[firstDenied:] {
		sum += n
	}
	return sum
}

// Decided returns how many decisions were made whether a message may be sent.
func (v *Values) Decided() int64 { return v[Allowed] + v.Denied() }

// The spans of buckets, in milliseconds.
const (
	minute = int64(time.Minute / time.Millisecond)
	hour   = int64(time.Hour / time.Millisecond)
	day    = 24 * hour
)

const (
	// interval is how often the online users are counted and decisions are added to the buckets. A
	// peak between two counts is not recorded.
	interval = 10 * time.Second
	// lateness is how long after its time a user's or a ban's row may be committed and still be
	// counted.
	lateness = 2 * time.Minute
	// minutesKept is longer than the hours that are summed up from minutes, and than an hour with
	// the one before.
	minutesKept = 3 * time.Hour
	// kept is how long hours and days are kept: the longest range with the one before, in any time
	// zone.
	kept = (2*LongestRange + 2) * 24 * time.Hour
	// sweepInterval is how often old buckets are removed.
	sweepInterval = time.Hour
	// lastTime bounds the last write of a process that ends.
	lastTime = 2 * time.Second
)

// Sources are what is counted outside of this package. All are required.
type Sources struct {
	// Online returns how many users of the app with that apps.id are online on all nodes.
	Online func(ctx context.Context, appID int64) (int, error)
	// Bans returns how many bans were imposed in each bucket of that span since from.
	Bans func(ctx context.Context, span time.Duration, from models.Time) ([]models.BucketCount, error)
	// Decided calls add with how many decisions this process has made since it began. figure is
	// Allowed or one of ByReason.
	Decided func(add func(appID int64, figure Figure, total int64))
}

// Recorder writes and reads the figures of all apps. Its reading methods may be called from any
// goroutine.
//
// Active users are counted by the node that is first in an hour, for the hour that has ended and for
// the one that begins. If no node ran at the end of an hour, its number is missing, unless a node has
// begun in it.
type Recorder struct {
	db      *database.DB
	sources Sources
	clock   func() time.Time
	log     *slog.Logger
	queries queries

	// caughtUp means that what happened before this process started has been counted.
	caughtUp bool
	swept    models.Time
	// written are the newest minutes as last written by this process, without decisions.
	written map[key]Values
	// decided are the decisions of this process that are in the buckets.
	decided map[int64]Values
	// activeAt is the hour in which active users were last counted.
	activeAt models.Time
}

// key names a bucket of an app.
type key struct {
	app      int64
	beginsAt models.Time
}

// New returns a Recorder; clock is time.Now except in tests.
func New(db *database.DB, sources Sources, clock func() time.Time, log *slog.Logger) *Recorder {
	return &Recorder{
		db: db, sources: sources, clock: clock, log: log, queries: newQueries(db),
		written: map[key]Values{}, decided: map[int64]Values{},
	}
}

// Run records until ctx ends, and then once more adds the decisions. Failures are logged, and later
// runs make up for them.
func (r *Recorder) Run(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := r.Record(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("recording figures failed; retrying", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTime)
			defer cancel()
			apps, err := r.apps(ctx)
			if err == nil {
				err = r.write(ctx, r.undecided(apps, r.now()))
			}
			if err != nil {
				r.log.Error("recording the last figures failed", "error", err)
			}
			return
		}
	}
}

func (r *Recorder) now() models.Time { return models.TimeOf(r.clock()) }

// begin returns when the bucket of t began.
func begin(t models.Time, span int64) models.Time { return t - t%models.Time(span) }
