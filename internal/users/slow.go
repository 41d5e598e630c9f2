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

// Searches, filtered lists and counts may read very many rows. Their number and their time are
// limited, so that the database stays free for reads by key.
const (
	// slowReads is how many slow reads run at the same time on MySQL or MariaDB, and slowReadsEach
	// how many of one app.
	slowReads     = 8
	slowReadsEach = 2
	// slowReadsWaiting is how many slow reads of one app may wait, and slowReadPatience for how
	// long.
	slowReadsWaiting = 32
	slowReadPatience = 5 * time.Second
)

// operatorClass is the class of operators' slow reads. The class of an app's slow reads is its
// apps.id.
const operatorClass = 0

// slowReadLimits returns how many slow reads of db may run. SQLite runs in this process, which
// needs its processors for everything else too.
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

// newSlowReads returns the gate for slow reads, whose classes are apps.id and operatorClass.
func newSlowReads(limits admission.Limits) *admission.Gate[int64] {
	return admission.New[int64](limits, admission.Kind{
		Metric: "rollcall_slow_reads", Help: "Searches and counts",
		Refusal: func(after time.Duration) error {
			ms := after.Milliseconds()
			return fault.New(fault.RateLimited, "too many searches and counts are running; try again in %d ms", ms).With("retryAfterMs", ms)
		},
	})
}

// ForOperators returns a Service for the console, whose slow reads do not count as those of the
// apps that they read.
func (s *Service) ForOperators() *Service {
	out := *s
	out.forOperators = true
	return &out
}

// Observe registers the metrics of slow reads.
func (s *Service) Observe(r prometheus.Registerer) { s.slow.Observe(r) }

// slowly runs a possibly slow read of the app's users once there is a place for it, and limits its
// time. Returns RATE_LIMITED if no place is free in time.
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
