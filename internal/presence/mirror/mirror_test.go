package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/outage"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// world is the columns of some users on a database.
type world struct {
	*Columns
	t   *testing.T
	ids []int64
}

func newWorld(t *testing.T, db *database.DB, users int) *world {
	t.Helper()
	w := &world{t: t, Columns: &Columns{
		DB: db, Log: outage.NewLog(slog.New(slog.DiscardHandler)),
		Seconds:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "seconds"}),
		Failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "failures"}),
	}}
	app := models.App{
		Key: "key", Name: "app", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship,
		SecretHash: []byte("hash"), Settings: models.DefaultAppSettings(), CreatedAt: 1,
	}
	rows := make([]*models.User, users)
	err := db.Tx(context.Background(), func(tx *gorm.DB) error {
		if err := tx.Create(&app).Error; err != nil {
			return err
		}
		for i := range rows {
			rows[i] = &models.User{AppID: app.ID, ExternalID: fmt.Sprint("u", i), Name: "name", CreatedAt: 1, UpdatedAt: 1}
		}
		return tx.Create(rows).Error
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range rows {
		w.ids = append(w.ids, u.ID)
	}
	return w
}

// run starts a mirror on the world. It stops at the test's end.
func (w *world) run() *Mirror {
	m := New(w.Columns, nil)
	closing, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { m.Run(closing, context.Background()) })
	w.t.Cleanup(func() {
		end()
		running.Wait()
	})
	return m
}

func (w *world) row(i int) status.State {
	w.t.Helper()
	var u models.User
	if err := w.DB.Read(context.Background()).Take(&u, w.ids[i]).Error; err != nil {
		w.t.Fatal(err)
	}
	return status.StateOf(&u)
}

func (w *world) want(i int, want status.State) {
	w.t.Helper()
	if got := w.row(i); got != want {
		w.t.Errorf("the row of u%d holds %+v, want %+v", i, got, want)
	}
}

func (w *world) wants(i int, want status.State) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); w.row(i) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("the row of u%d holds %+v, want %+v", i, w.row(i), want)
		}
	}
}

// rename makes writes fail, and succeed again.
func (w *world) rename(from, to string) {
	w.t.Helper()
	if err := w.DB.Exec(context.Background(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
		w.t.Fatal(err)
	}
}

func online(at models.Time) status.State {
	return status.State{Presence: models.PresenceOnline, Since: at}
}
func offline(at models.Time) status.State {
	return status.State{Presence: models.PresenceOffline, Since: at}
}

func TestColumns_ForwardKeepsNewerRows(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w, ctx := newWorld(t, db, 4), context.Background()
		write := func(forward bool, states ...status.State) {
			t.Helper()
			rows := make([]Row, len(states))
			for i, s := range states {
				rows[len(rows)-1-i] = Row{ID: w.ids[i], State: s} // in any order
			}
			w.Forward = forward
			if err := w.Write(ctx, rows); err != nil {
				t.Fatal(err)
			}
		}
		write(true, online(5), online(5), online(5))
		write(true, offline(4), offline(5), offline(6))
		w.want(0, online(5))
		w.want(1, offline(5))
		w.want(2, offline(6))
		w.want(3, status.State{})
		write(false, offline(4), status.State{})
		w.want(0, offline(4))
		w.want(1, status.State{})
		w.Forward = true
		if err := w.Write(ctx, []Row{{ID: 1 << 40, State: online(9)}, {ID: w.ids[3], State: online(9)}}); err != nil {
			t.Errorf("a user that does not exist: %v", err)
		}
		w.want(3, online(9))
	})
}

func TestMirror_NewestWins(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w, ctx := newWorld(t, db, 2), context.Background()
		m := New(w.Columns, nil)
		m.Keep(w.ids[0], offline(7))
		m.Keep(w.ids[0], online(5))
		m.Keep(w.ids[1], online(3))
		if n := m.Unwritten(); n != 2 {
			t.Errorf("%d accounts are unwritten, want 2", n)
		}
		closing, end := context.WithCancel(ctx)
		end()
		m.Run(closing, ctx) // writes what there is
		w.want(0, offline(7))
		w.want(1, online(3))
		if n := m.Unwritten(); n != 0 {
			t.Errorf("%d accounts are unwritten at the end", n)
		}
		m = w.run()
		if err := m.Login(w.ids[1], online(4)).Wait(ctx); err != nil {
			t.Fatal(err)
		}
		w.want(1, online(4))
		if err := m.Keep(w.ids[1], offline(6)).Wait(ctx); err != nil {
			t.Fatal(err)
		}
		w.want(1, offline(6))
	})
}

// What fails is written later, except for logins, whose callers have given up.
func TestMirror_FailedLoginsAreDropped(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w, ctx := newWorld(t, db, 3), context.Background()
		m := w.run()
		w.rename("users", "users_away")
		if err := m.Login(w.ids[0], online(5)).Wait(ctx); err == nil {
			t.Error("a login was recorded without a table")
		}
		if err := m.Keep(w.ids[1], offline(5)).Wait(ctx); err == nil {
			t.Error("a state was recorded without a table")
		}
		m.Keep(w.ids[2], offline(6))
		if n := testutil.ToFloat64(w.Failures); n < 2 {
			t.Errorf("%v failures were counted", n)
		}
		w.rename("users_away", "users")
		w.wants(1, offline(5))
		w.wants(2, offline(6))
		w.want(0, status.State{})
	})
}

// Set takes the place of a queued login, and overwrites a row that holds a login which was reported as
// failed.
func TestMirror_SetUndoesLogins(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w, ctx := newWorld(t, db, 2), context.Background()
		written := make(map[int64]status.State)
		m := New(w.Columns, func(userID int64, s status.State) { written[userID] = s })
		if err := w.Write(ctx, []Row{{ID: w.ids[0], State: online(9)}}); err != nil {
			t.Fatal(err)
		}
		m.Set(w.ids[0], offline(4))
		login := m.Login(w.ids[1], online(7))
		m.Set(w.ids[1], status.State{})
		closing, end := context.WithCancel(ctx)
		end()
		m.Run(closing, ctx)
		w.want(0, offline(4))
		w.want(1, status.State{})
		if err := login.Wait(ctx); err != nil {
			t.Errorf("the login that was replaced: %v", err)
		}
		if written[w.ids[0]] != offline(4) || written[w.ids[1]] != (status.State{}) {
			t.Errorf("reported as written: %+v", written)
		}
	})
}

// steps are columns that fail while broken is set.
type steps struct {
	mu     sync.Mutex
	broken bool
	writes [][]Row
}

func (s *steps) Write(_ context.Context, rows []Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, rows)
	if s.broken && rows[0].ID == 1 {
		return errors.New("no response")
	}
	return nil
}

// The pause after a failure is for the rows that failed, not for others.
func TestMirror_FailureDelaysNoOthers(t *testing.T) {
	s, ctx := &steps{broken: true}, t.Context()
	m := New(s, nil)
	var running sync.WaitGroup
	closing, end := context.WithCancel(ctx)
	running.Go(func() { m.Run(closing, ctx) })
	if err := m.Keep(1, offline(5)).Wait(ctx); err == nil {
		t.Error("the failure was not reported")
	}
	if err := m.Login(2, online(5)).Wait(ctx); err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	s.broken = false
	s.mu.Unlock()
	end()
	running.Wait() // returns when nothing is left
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.writes[len(s.writes)-1]; len(last) != 1 || last[0] != (Row{ID: 1, State: offline(5)}) {
		t.Errorf("the writes were %+v", s.writes)
	}
}

// A caller that no longer waits does not end the write.
func TestMirror_WaitEndsWithTheContext(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 1)
		m := New(w.Columns, nil) // which does not run
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := m.Keep(w.ids[0], offline(5)).Wait(ctx); err != context.Canceled {
			t.Errorf("waiting returned %v", err)
		}
		if n := m.Unwritten(); n != 1 {
			t.Errorf("%d accounts are unwritten, want 1", n)
		}
	})
}
