package figures

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// world is two apps whose users and online counts a test sets.
type world struct {
	t      *testing.T
	db     *database.DB
	now    time.Time
	online map[int64]int
	users  int
}

func each(t *testing.T, test func(w *world)) {
	t.Helper()
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := &world{t: t, db: db, now: time.Date(2026, 11, 20, 8, 30, 5, 0, time.UTC), online: map[int64]int{}}
		for id := int64(1); id <= 2; id++ {
			app := &models.App{
				ID: id, Key: fmt.Sprint("key", id), Name: fmt.Sprint("app", id), SecretHash: []byte("x"),
				Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship, Settings: models.DefaultAppSettings(),
			}
			w.check(db.Tx(t.Context(), func(tx *gorm.DB) error { return tx.Create(app).Error }))
		}
		test(w)
	})
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	w.check(w.db.Exec(context.Background(), sql, args...))
}

// node returns another process that records.
func (w *world) node() *Recorder {
	return New(w.db, func(_ context.Context, app int64) (int, error) { return w.online[app], nil }, func() time.Time { return w.now }, slog.New(slog.DiscardHandler))
}

func (w *world) record(r *Recorder) {
	w.t.Helper()
	w.check(r.record(context.Background()))
}

// register creates n users of an app, registered that long ago.
func (w *world) register(app int64, n int, ago time.Duration) {
	w.t.Helper()
	for range n {
		w.users++
		at := models.TimeOf(w.now.Add(-ago))
		w.exec(`INSERT INTO users (app_id, external_id, name, search_name, created_at, updated_at, token_generation, tokens_valid_from, presence)
			VALUES (?, ?, '', '', ?, ?, 0, 0, 0)`, app, fmt.Sprint("u", w.users), at, at)
	}
}

// hour and days return the series of an app without the points in which nothing happened.
func (w *world) hour(r *Recorder, app int64) string {
	w.t.Helper()
	points, err := r.LastHour(context.Background(), app)
	w.check(err)
	if last := points[len(points)-1].BeginsAt.Time(); len(points) != 60 || last != w.now.UTC().Truncate(time.Minute) {
		w.t.Errorf("%d points, the last at %s", len(points), last)
	}
	return show(points, "15:04", time.UTC)
}

func (w *world) days(r *Recorder, app int64, zone *time.Location) string {
	w.t.Helper()
	points, err := r.LastDays(context.Background(), app, 30, zone)
	w.check(err)
	if len(points) != 30 {
		w.t.Errorf("%d points", len(points))
	}
	return show(points, "Jan 2 15:04", zone)
}

func show(points []Point, format string, zone *time.Location) (text string) {
	for _, p := range points {
		if p.Registrations+p.PeakOnline > 0 {
			text += fmt.Sprintf("[%s %d %d]", p.BeginsAt.Time().In(zone).Format(format), p.Registrations, p.PeakOnline)
		}
	}
	return text
}

func (w *world) want(got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("got %s, want %s", got, want)
	}
}

func TestMinutesAndDays(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		w.online[1] = 3
		w.register(1, 2, 0)
		w.record(r)
		w.online[1] = 5
		w.record(r)
		w.online[1] = 1
		w.register(1, 1, 0)
		w.record(r)
		w.want(w.hour(r, 1), "[08:30 3 5]")
		w.want(w.hour(r, 2), "")
		w.now = w.now.Add(time.Minute)
		w.register(1, 1, 0)
		w.register(2, 4, 0)
		w.register(1, 1, time.Minute) // committed late
		w.record(r)
		w.want(w.hour(r, 1), "[08:30 4 5][08:31 1 1]")
		w.want(w.hour(r, 2), "[08:31 4 0]")
		w.want(w.days(r, 1, time.UTC), "[Nov 20 00:00 5 5]")
		w.now = w.now.Add(time.Minute)
		w.want(w.hour(r, 1), "[08:30 4 5][08:31 1 1][08:32 0 1]") // not counted yet
		w.now = w.now.Add(time.Hour - time.Minute)
		w.record(r)
		w.want(w.hour(r, 1), "[09:31 0 1]")
		w.want(w.days(r, 1, time.UTC), "[Nov 20 00:00 5 5]")
	})
}

func TestDaysOfTheReader(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		w.register(1, 1, 0)                 // Nov 20 08:30 UTC
		w.register(1, 10, 14*time.Hour)     // Nov 19 18:30 UTC
		w.register(1, 100, 18*24*time.Hour) // Nov 2 08:30 UTC
		w.record(r)
		w.want(w.days(r, 1, time.UTC), "[Nov 2 00:00 100 0][Nov 19 00:00 10 0][Nov 20 00:00 1 0]")
		w.want(w.days(r, 1, time.FixedZone("+8", 8*3600)), "[Nov 2 00:00 100 0][Nov 20 00:00 11 0]")
		zone, err := time.LoadLocation("America/New_York") // the clocks went back on Nov 1
		w.check(err)
		w.want(w.days(r, 1, zone), "[Nov 2 00:00 100 0][Nov 19 00:00 10 0][Nov 20 00:00 1 0]")
	})
}

// TestCatchUp counts what happened while no node was recording.
func TestCatchUp(t *testing.T) {
	each(t, func(w *world) {
		w.register(1, 7, 29*24*time.Hour)
		w.register(1, 5, 60*24*time.Hour)
		w.register(1, 2, 10*time.Minute)
		r := w.node()
		w.record(r)
		w.want(w.days(r, 1, time.UTC), "[Oct 22 00:00 7 0][Nov 20 00:00 2 0]")
		w.want(w.hour(r, 1), "[08:20 2 0]")

		w.now = w.now.Add(2 * 24 * time.Hour)
		w.register(1, 1, 24*time.Hour)
		r = w.node()
		w.record(r)
		w.want(w.days(r, 1, time.UTC), "[Nov 20 00:00 2 0][Nov 21 00:00 1 0]")
	})
}

// TestDeletionChangesNoHistory: counts stay after users are deleted.
func TestDeletionChangesNoHistory(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		w.register(1, 3, 0)
		w.record(r)
		w.exec("DELETE FROM users")
		w.record(r)
		r = w.node()
		w.record(r)
		w.want(w.hour(r, 1), "[08:30 3 0]")
		w.want(w.days(r, 1, time.UTC), "[Nov 20 00:00 3 0]")
	})
}

func TestNodesDoNotCountTwice(t *testing.T) {
	each(t, func(w *world) {
		w.register(1, 3, 0)
		w.register(2, 2, 40*time.Minute)
		w.online[1] = 4
		nodes := []*Recorder{w.node(), w.node(), w.node(), w.node()}
		var all sync.WaitGroup
		for range 3 {
			for _, r := range nodes {
				all.Go(func() {
					if err := r.record(context.Background()); err != nil {
						w.t.Error(err)
					}
				})
			}
			all.Wait()
		}
		w.want(w.hour(nodes[0], 1), "[08:30 3 4]")
		w.want(w.days(nodes[1], 1, time.UTC), "[Nov 20 00:00 3 4]")
		w.want(w.days(nodes[2], 2, time.UTC), "[Nov 20 00:00 2 0]")
	})
}

// TestQuietAppsCostNoWrite: unchanged figures are not written again.
func TestQuietAppsCostNoWrite(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		w.online[2] = 1
		w.register(1, 1, 0)
		w.record(r)
		w.exec("DELETE FROM app_figures")
		w.record(r)
		w.online[2] = 0
		w.want(w.hour(r, 1)+w.hour(r, 2), "")
	})
}

func TestFigures_OldOnesAreDeleted(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		w.register(1, 1, 0)
		w.online[2] = 1
		w.record(r)
		buckets := func() (n int) {
			w.check(w.db.Read(context.Background()).Raw("SELECT COUNT(*) FROM app_figures").Scan(&n).Error)
			return n
		}
		w.online[2] = 0
		for _, step := range []struct {
			pass time.Duration
			left int
		}{{0, 4}, {minutesKept + time.Minute, 2}, {29 * 24 * time.Hour, 2}, {3 * 24 * time.Hour, 0}} {
			w.now = w.now.Add(step.pass)
			w.record(r)
			if n := buckets(); n != step.left {
				w.t.Errorf("after %s there are %d buckets, want %d", step.pass, n, step.left)
			}
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	db := testenv.Open(t, testenv.SQLiteURL(t))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		New(db, func(context.Context, int64) (int, error) { return 0, nil }, time.Now, slog.New(slog.DiscardHandler)).Run(ctx)
		close(done)
	}()
	cancel()
	<-done
}
