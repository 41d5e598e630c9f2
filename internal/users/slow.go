package users

import (
	"context"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/admission"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/models"
)

// Searches, filtered lists and counts may read very many rows. They are bounded in number and in
// time, so that they leave the database free for reads by key.
const (
	// slowReads is how many run at the same time on a server of MySQL's family, and
	// slowReadsEach how many of one app.
	slowReads     = 8
	slowReadsEach = 2
	// slowReadsWaiting is how many of one app wait, and slowReadPatience for how long.
	slowReadsWaiting = 32
	slowReadPatience = 5 * time.Second
)

// operatorClass is the class of the slow reads of operators. That of an app's is its key, apps.id.
const operatorClass = 0

// slowReadLimits returns how many slow reads of db may run. SQLite works in this process, whose
// processors are needed for everything else, too.
func slowReadLimits(db *database.DB) admission.Limits {
	limits := admission.Limits{
		Running: slowReads, RunningEach: slowReadsEach,
		WaitingEach: slowReadsWaiting, Patience: slowReadPatience,
	}
	if db.Dialect() == database.SQLite {
		limits.Running = max(1, runtime.GOMAXPROCS(0)/2)
		limits.RunningEach = min(slowReadsEach, limits.Running)
	}
	return limits
}

// newSlowReads returns the gate of slow reads, whose classes are apps.id and operatorClass.
func newSlowReads(limits admission.Limits) *admission.Gate[int64] {
	return admission.New[int64](limits, admission.Kind{
		Metric: "rollcall_slow_reads", Help: "Searches and counts",
		Refusal: func(after time.Duration) error {
			ms := after.Milliseconds()
			return fault.New(fault.RateLimited, "too many searches and counts are running; try again in %d ms", ms).With("retryAfterMs", ms)
		},
	})
}

// ForOperators returns s for the console: its slow reads take no place from the apps that they read.
func (s *Service) ForOperators() *Service {
	out := *s
	out.forOperators = true
	return &out
}

// Observe registers the metrics of slow reads.
func (s *Service) Observe(r prometheus.Registerer) { s.slow.Observe(r) }

// slowly runs a read of the app's users that may be slow when there is a place for it, and bounds
// it in time. Returns RATE_LIMITED if there is no place in time.
func (s *Service) slowly(ctx context.Context, app *models.App, read func(ctx context.Context) error) error {
	class := app.ID
	if s.forOperators {
		class = operatorClass
	}
	leave, err := s.slow.Enter(ctx, class)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := s.db.Bounded(ctx)
	defer cancel()
	return read(ctx)
}
