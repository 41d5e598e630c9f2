// Package jobs carries out work on many users that continues after its request. It works in chunks,
// each of which is atomic and audited by the rule that does it. The progress of a job is stored in
// the database, so that every node can show it, also after a restart.
//
// A job is not continued by another node, after a restart or after its app was disabled: it has
// recorded what it did, and an operator decides whether to start it again.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"

	"rollcall/internal/batch"
	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/internal/tracing"
	"rollcall/models"
)

const (
	// heartbeat is how often a node reports that it is running its jobs.
	heartbeat = 5 * time.Second
	// silence is how long after its last report a job is considered interrupted: its node has
	// stopped, or has lost the database.
	silence = 6 * heartbeat
	// memory is how long jobs are kept after they have ended.
	memory = 30 * 24 * time.Hour
	// chunk is the number of users in one step of Each.
	chunk = 10
)

// ErrStopped ends a job whose node stops. Start returns it once Close was called.
var ErrStopped = errors.New("the node is stopping")

// ErrAppDisabled ends the jobs of an app that is disabled.
var ErrAppDisabled = errors.New("the app is disabled")

// Progress records, after a chunk, how many users it handled and how many of these it changed. If
// it returns an error, the job must end with that error.
type Progress func(handled, changed int) error

// Work is what a job does. It calls progress after each chunk; ctx does not end during a chunk.
type Work func(ctx context.Context, progress Progress) error

// Service starts jobs and reads their progress.
type Service struct {
	db    *database.DB
	log   *slog.Logger
	clock func() time.Time

	mu sync.Mutex
	// running are the times when the jobs of this node began.
	running map[*time.Time]struct{}
	stopped bool
	// ended is closed after a call of Close, once no job is running.
	ended chan struct{}
}

// New returns a Service; clock is time.Now except in tests.
func New(db *database.DB, log *slog.Logger, clock func() time.Time) *Service {
	return &Service{db: db, log: log, clock: clock, running: make(map[*time.Time]struct{}), ended: make(chan struct{})}
}

func (s *Service) now() models.Time { return models.TimeOf(s.clock()) }

// Observe registers the metrics: the jobs that this node runs, and for how long it has run the oldest.
func (s *Service) Observe(r prometheus.Registerer) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_jobs", Help: "Jobs of the console that run in this process.",
	}, func() float64 {
		n, _ := s.load()
		return float64(n)
	}), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_job_oldest_seconds", Help: "How long the oldest of these jobs has run; 0 if there is none.",
	}, func() float64 {
		_, oldest := s.load()
		return oldest.Seconds()
	}))
}

// load returns how many jobs run, and for how long the oldest has.
func (s *Service) load() (running int, oldest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for began := range s.running {
		oldest = max(oldest, time.Since(*began))
	}
	return len(s.running), oldest
}

// Start starts a job for total users of the app and returns it at once. The work continues after
// ctx has ended. Returns ErrStopped after Close, and ErrAppDisabled for a disabled app.
func (s *Service) Start(ctx context.Context, app *models.App, kind models.JobKind, total int, by models.Actor, work Work) (*models.Job, error) {
	if app.Disabled() {
		return nil, ErrAppDisabled
	}
	began := s.enter()
	if began == nil {
		return nil, ErrStopped
	}
	now := s.now()
	job := &models.Job{
		AppID: app.ID, Kind: kind, Actor: by.Name, State: models.JobRunning, Total: total, StartedAt: now, SeenAt: now,
	}
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		job.ID = 0
		return tx.Create(job).Error
	})
	if err != nil {
		s.leave(began)
		return nil, fmt.Errorf("starting a job: %w", err)
	}
	answer := *job
	go func() {
		defer s.leave(began)
		s.run(context.WithoutCancel(ctx), job, work)
	}()
	return &answer, nil
}

// enter adds a running job. It returns nil if the node is stopping.
func (s *Service) enter() (began *time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	began = new(time.Now())
	s.running[began] = struct{}{}
	return began
}

// leave undoes enter.
func (s *Service) leave(began *time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, began)
	if s.stopped && len(s.running) == 0 {
		close(s.ended)
	}
}

// run does the work and records how it ends.
func (s *Service) run(ctx context.Context, job *models.Job, work Work) {
	stopBeating := s.beat(ctx, job.ID)
	working, span := tracing.Continue(ctx, "job "+string(job.Kind))
	err := s.attempt(working, job, work)
	span.End(err)
	stopBeating()
	state := models.JobDone
	switch {
	case errors.Is(err, ErrStopped), errors.Is(err, ErrAppDisabled):
		state = models.JobInterrupted
	case err != nil:
		state = models.JobFailed
		s.log.ErrorContext(ctx, "job failed", "job", job.ID, "kind", job.Kind, "error", err)
	}
	if err := s.update(ctx, job.ID, map[string]any{"state": state}); err != nil {
		// It will be considered interrupted, because it no longer reports.
		s.log.ErrorContext(ctx, "recording the end of a job failed", "job", job.ID, "kind", job.Kind, "state", state, "error", err)
	}
}

// attempt does the work. A panic in it is an error of the job and does not end the node.
func (s *Service) attempt(ctx context.Context, job *models.Job, work Work) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	return work(ctx, func(handled, changed int) error {
		err := s.update(ctx, job.ID, map[string]any{
			"handled": gorm.Expr("handled + ?", handled), "changed": gorm.Expr("changed + ?", changed),
		})
		if err == nil && s.stops() {
			return ErrStopped
		}
		if err == nil {
			err = s.checkApp(ctx, job.AppID)
		}
		return err
	})
}

// checkApp returns ErrAppDisabled if the app is disabled.
func (s *Service) checkApp(ctx context.Context, appID int64) error {
	var disabled int64
	err := s.db.Read(ctx).Model(&models.App{}).Where("id = ? AND disabled_at > 0", appID).Count(&disabled).Error
	if err != nil {
		return fmt.Errorf("reading a job's app: %w", err)
	}
	if disabled > 0 {
		return ErrAppDisabled
	}
	return nil
}

// stops reports whether Close was called.
func (s *Service) stops() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// beat reports periodically that the job is running, until stop is called: a chunk may take longer
// than silence.
func (s *Service) beat(ctx context.Context, id int64) (stop func()) {
	done := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() {
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if err := s.update(ctx, id, map[string]any{}); err != nil {
					s.log.WarnContext(ctx, "recording that a job is running failed", "job", id, "error", err)
				}
			}
		}
	})
	return func() { close(done); beating.Wait() }
}

// update writes columns of the job, and the time of the report.
func (s *Service) update(ctx context.Context, id int64, columns map[string]any) error {
	columns["seen_at"] = s.now()
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Model(&models.Job{}).Where("id = ?", id).Updates(columns).Error
	})
	if err != nil {
		return fmt.Errorf("writing a job's progress: %w", err)
	}
	return nil
}

// Close stops the jobs of this node after their current chunks. It returns when they have been
// recorded as interrupted, or with ctx's error if ctx ends while one is running.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	if !s.stopped {
		s.stopped = true
		if len(s.running) == 0 {
			close(s.ended)
		}
	}
	s.mu.Unlock()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
	}
	// If both have happened, select takes either.
	select {
	case <-s.ended:
		return nil
	default:
		return ctx.Err()
	}
}

// ByID returns the app's job with that ID, or nil if there is none.
func (s *Service) ByID(ctx context.Context, app *models.App, id int64) (*models.Job, error) {
	job := &models.Job{}
	err := s.db.Read(ctx).Where("app_id = ? AND id = ?", app.ID, id).Take(job).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a job: %w", err)
	}
	s.hear(job)
	return job, nil
}

// List returns a page of the app's jobs, newest first. Returns INVALID_ARGUMENT if the cursor is
// not of this list.
func (s *Service) List(ctx context.Context, app *models.App, r page.Request) (*page.Connection[*models.Job], error) {
	query := func(ctx context.Context) *gorm.DB {
		return s.db.Read(ctx).Model(&models.Job{}).Table(s.db.Using("jobs", "jobs_app_started")).Where("app_id = ?", app.ID)
	}
	order := page.Order{List: "jobs", Owner: app.ID, At: "started_at", ID: "id"}
	rows, err := order.Limit(query(ctx), r)
	if err != nil {
		return nil, err
	}
	var list []*models.Job
	if err := rows.Find(&list).Error; err != nil {
		return nil, fmt.Errorf("listing jobs: %w", err)
	}
	keys := make([]page.Key, len(list))
	for i, job := range list {
		s.hear(job)
		keys[i] = page.Key{At: job.StartedAt, ID: job.ID}
	}
	return page.Of(order, r, list, keys, func(ctx context.Context) (int, error) {
		var n int64
		err := query(ctx).Count(&n).Error
		return int(n), err
	}), nil
}

// hear sets the state of a job to interrupted if it has not reported for too long.
func (s *Service) hear(job *models.Job) {
	if job.State == models.JobRunning && s.now() > job.SeenAt.Add(silence) {
		job.State = models.JobInterrupted
	}
}

// Each returns work that calls do for the users with these IDs, some at a time.
func Each(ids []string, do func(ctx context.Context, ids []string) ([]*batch.Result, error)) Work {
	return func(ctx context.Context, progress Progress) error {
		for some := range slices.Chunk(ids, chunk) {
			results, err := do(ctx, some)
			if err != nil {
				return err
			}
			changed := 0
			for _, r := range results {
				if r.Outcome == models.OutcomeDone {
					changed++
				}
			}
			if err := progress(len(some), changed); err != nil {
				return err
			}
		}
		return nil
	}
}
