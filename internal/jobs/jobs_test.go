package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/batch"
	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/internal/retention"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var ann = models.Actor{Name: "ann", Address: "192.0.2.1"}

// world is a Service on a database with a clock that the test moves.
type world struct {
	*Service
	t   *testing.T
	app *models.App
	log bytes.Buffer

	mu  sync.Mutex
	now time.Time
}

func each(t *testing.T, test func(w *world)) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := &world{t: t, app: &models.App{ID: 1}, now: time.UnixMilli(1_790_000_000_000)}
		w.Service = New(db, slog.New(slog.NewTextHandler(&w.log, nil)), func() time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.now
		})
		test(w)
	})
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) start(work Work) int64 {
	w.t.Helper()
	job, err := w.Start(context.Background(), w.app, models.JobDelete, 30, ann, work)
	if err != nil {
		w.t.Fatal(err)
	}
	return job.ID
}

// wait returns when no job is running.
func (w *world) wait() {
	running := func() int {
		w.Service.mu.Lock()
		defer w.Service.mu.Unlock()
		return len(w.running)
	}
	for running() > 0 {
		time.Sleep(time.Millisecond)
	}
}

func (w *world) job(id int64) *models.Job {
	w.t.Helper()
	job, err := w.ByID(context.Background(), w.app, id)
	if err != nil || job == nil {
		w.t.Fatal(job, err)
	}
	return job
}

// want fails the test unless the job has that state and these numbers.
func (w *world) want(id int64, state models.JobState, handled, changed int) {
	w.t.Helper()
	job := w.job(id)
	if job.State != state || job.Handled != handled || job.Changed != changed || job.Total != 30 || job.Kind != models.JobDelete || job.Actor != "ann" {
		w.t.Errorf("%+v, want %s, %d handled, %d changed", job, state, handled, changed)
	}
}

func TestEnds(t *testing.T) {
	each(t, func(w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		twoChunks := func(end error) Work {
			return func(_ context.Context, progress Progress) error {
				for range 2 {
					if err := progress(10, 9); err != nil {
						return err
					}
				}
				return end
			}
		}
		done := w.start(twoChunks(nil))
		failed := w.start(twoChunks(errors.New("no such luck")))
		panicked := w.start(func(_ context.Context, progress Progress) error {
			if err := progress(10, 9); err != nil {
				return err
			}
			panic("out of cheese")
		})
		// The request that started it ends.
		job, err := w.Start(ctx, w.app, models.JobDelete, 30, ann, func(ctx context.Context, progress Progress) error {
			cancel()
			return errors.Join(ctx.Err(), progress(1, 1))
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.wait()
		w.want(done, models.JobDone, 20, 18)
		w.want(failed, models.JobFailed, 20, 18)
		w.want(panicked, models.JobFailed, 10, 9)
		w.want(job.ID, models.JobDone, 1, 1)
		for _, words := range []string{"no such luck", "out of cheese"} {
			if !strings.Contains(w.log.String(), words) {
				w.t.Errorf("the log lacks %q", words)
			}
		}
		if stranger, err := w.ByID(context.Background(), &models.App{ID: 2}, done); stranger != nil || err != nil {
			w.t.Errorf("for another app: %+v, %v", stranger, err)
		}
	})
}

// TestClose: a node that stops ends its jobs after their current chunks.
func TestClose(t *testing.T) {
	each(t, func(w *world) {
		begun, goOn := make(chan struct{}), make(chan struct{})
		id := w.start(func(_ context.Context, progress Progress) error {
			close(begun)
			<-goOn
			for {
				if err := progress(10, 9); err != nil {
					return err
				}
			}
		})
		<-begun
		impatient, cancel := context.WithCancel(context.Background())
		cancel()
		if err := w.Close(impatient); !errors.Is(err, context.Canceled) {
			w.t.Errorf("closed with a job under way: %v", err)
		}
		w.want(id, models.JobRunning, 0, 0)
		close(goOn)
		if err := w.Close(context.Background()); err != nil {
			w.t.Fatal(err)
		}
		w.want(id, models.JobInterrupted, 10, 9)
		late, err := w.Start(context.Background(), w.app, models.JobDelete, 30, ann, func(context.Context, Progress) error {
			w.t.Error("begun on a node that stops")
			return nil
		})
		if late != nil || !errors.Is(err, ErrStopped) {
			w.t.Errorf("%+v, %v", late, err)
		}
	})
}

// A node whose drain time-out has passed before it closes the jobs must not report that it cut some.
func TestClose_WithoutJobsAfterTimeout(t *testing.T) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for range 100 {
		if err := New(nil, slog.New(slog.DiscardHandler), time.Now).Close(over); err != nil {
			t.Fatalf("no job was running: %v", err)
		}
	}
}

// TestSilence: a job whose node is gone is considered interrupted, on every node and after a
// restart, and as running again once it reports.
func TestSilence(t *testing.T) {
	each(t, func(w *world) {
		next, went := make(chan struct{}), make(chan struct{})
		id := w.start(func(_ context.Context, progress Progress) error {
			for range next {
				if err := progress(10, 10); err != nil {
					return err
				}
				went <- struct{}{}
			}
			return nil
		})
		next <- struct{}{}
		<-went
		restarted := New(w.db, slog.New(slog.DiscardHandler), w.clock)
		sees := func(want models.JobState) {
			w.t.Helper()
			list, err := restarted.List(context.Background(), w.app, page.Request{First: 10})
			if err != nil || len(list.Nodes()) != 1 || list.Nodes()[0].State != want {
				w.t.Errorf("%+v, %v; want %s", list.Nodes(), err, want)
			}
		}
		w.pass(silence)
		sees(models.JobRunning)
		w.pass(time.Millisecond)
		sees(models.JobInterrupted)
		w.want(id, models.JobInterrupted, 10, 10)
		next <- struct{}{}
		<-went
		sees(models.JobRunning)
		close(next)
		w.wait()
		w.pass(time.Hour)
		sees(models.JobDone)
	})
}

func TestExpiring(t *testing.T) {
	each(t, func(w *world) {
		nothing := func(context.Context, Progress) error { return nil }
		w.start(nothing)
		w.pass(time.Millisecond)
		kept := w.start(nothing)
		w.pass(memory - time.Millisecond)
		w.start(nothing)
		w.wait()
		if n, err := retention.New(w.db, w.clock, slog.New(slog.DiscardHandler), Expiring()...).Sweep(context.Background()); n != 1 || err != nil {
			w.t.Errorf("%d jobs were deleted, %v", n, err)
		}
		list, err := w.List(context.Background(), w.app, page.Request{First: 10})
		if err != nil || len(list.Nodes()) != 2 || list.Nodes()[1].ID != kept {
			w.t.Errorf("%+v, %v", list.Nodes(), err)
		}
		if n, err := list.TotalCount(context.Background()); n != 2 || err != nil {
			w.t.Errorf("%d, %v", n, err)
		}
	})
}

func TestEach(t *testing.T) {
	var ids, seen []string
	for i := range 25 {
		ids = append(ids, fmt.Sprint(i))
	}
	do := func(_ context.Context, some []string) ([]*batch.Result, error) {
		if slices.Contains(some, "24") && len(seen) > 40 {
			return nil, errors.New("the second time")
		}
		seen = append(seen, some...)
		results := make([]*batch.Result, len(some))
		for i := range some {
			results[i] = &batch.Result{Outcome: models.OutcomeDone}
		}
		results[0].Outcome = models.OutcomeNotFound
		return results, nil
	}
	var steps [][2]int
	note := func(handled, changed int) error { steps = append(steps, [2]int{handled, changed}); return nil }
	err := Each(ids, do)(context.Background(), note)
	if err != nil || !slices.Equal(seen, ids) || !slices.Equal(steps, [][2]int{{10, 9}, {10, 9}, {5, 4}}) {
		t.Errorf("%v, %v, %v", seen, steps, err)
	}
	if err := Each(ids, do)(context.Background(), note); err == nil || len(seen) != 45 {
		t.Errorf("after an error: %d, %v", len(seen), err)
	}
	stop := errors.New("stop")
	if err := Each(ids, do)(context.Background(), func(int, int) error { return stop }); !errors.Is(err, stop) || len(seen) != 55 {
		t.Errorf("after progress's error: %d, %v", len(seen), err)
	}
}

// TestDisabledApp_EndsJobs: a job ends after its current chunk, and no other begins.
func TestDisabledApp_EndsJobs(t *testing.T) {
	each(t, func(w *world) {
		disable := func(at models.Time) {
			err := w.db.Tx(context.Background(), func(tx *gorm.DB) error {
				return tx.Model(w.app).Update("disabled_at", at).Error
			})
			if err != nil {
				w.t.Error(err)
			}
		}
		w.app = &models.App{Key: "key", Name: "app", SecretHash: []byte("x")}
		if err := w.db.Tx(context.Background(), func(tx *gorm.DB) error { return tx.Create(w.app).Error }); err != nil {
			w.t.Fatal(err)
		}
		id := w.start(func(_ context.Context, progress Progress) error {
			if err := progress(10, 9); err != nil {
				return err
			}
			disable(1)
			return errors.Join(progress(10, 9), errors.New("it goes on"))
		})
		w.wait()
		w.want(id, models.JobInterrupted, 20, 18)
		w.app.DisabledAt = 1
		if _, err := w.Start(context.Background(), w.app, models.JobDelete, 30, ann, nil); !errors.Is(err, ErrAppDisabled) {
			w.t.Errorf("a job was started: %v", err)
		}
	})
}
