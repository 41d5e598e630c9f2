package presence

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/presence/circles"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestFailingDatabase(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		accs := []status.Account{w.account(0), w.account(1), w.account(2)}
		seen := new(recorder)
		w.WatchApp(w.app.ID, seen)
		online, _ := w.connect(0)
		w.delivered() // two users' events may overtake each other
		w.connect(1)

		repair := w.breakDatabase()
		defer repair()
		if _, err := w.Connect(context.Background(), accs[2], models.PlatformWeb, new(link), allowed); err == nil || !strings.Contains(err.Error(), "recording the login") {
			t.Fatalf("Connect returned %v", err)
		}
		if w.devicesOf(2) != 0 {
			t.Fatal("the device of a failed Connect remains")
		}
		if _, err := w.Logout(context.Background(), accs[1], nil, true); err == nil || !strings.Contains(err.Error(), "recording the logout") {
			t.Fatalf("Logout returned %v", err)
		}
		w.delivered()
		online.Gone()
		w.delivered()
		seen.want(t, "u0:ONLINE u1:ONLINE u1:UNLOGINED u0:OFFLINE")

		repair()
		w.wantRow(0, models.PresenceOffline)
		w.wantRow(1, models.PresenceUnlogined)
		w.written()
		w.wantRow(2, models.PresenceUnlogined)
		w.connect(2)
		w.wantRow(2, models.PresenceOnline)
	})
}

func TestClosedDatabase(t *testing.T) {
	db, err := database.Open(context.Background(), testenv.SQLiteURL(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	hub := New(db, new(bus.Bus), circles.Interests{}, Options{Logger: slog.New(slog.DiscardHandler)})
	if err := hub.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	acc := status.Account{ID: 1, AppID: 1, ExternalID: "a"}
	if _, err := hub.Connect(context.Background(), acc, models.PlatformWeb, new(link), allowed); err == nil {
		t.Fatal("Connect succeeded without a database")
	}
	if n := len(must(hub.Devices(context.Background(), acc.ID))(t)) + must(hub.OnlineCount(context.Background(), acc.AppID))(t); n != 0 {
		t.Fatal("the device of a failed Connect remains")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := hub.Close(ctx); err == nil || !strings.Contains(err.Error(), "before 1 users' statuses were written") {
		t.Fatalf("Close returned %v", err)
	}
	if err := hub.Start(context.Background()); err == nil {
		t.Fatal("Start succeeded without a database")
	}
}

// TestLoginsShareWrites checks that logins that arrive during a write share the next ones.
func TestLoginsShareWrites(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		const users = 1 + 2*mirror.Chunk
		w := newWorld(t, db, users)
		metrics := prometheus.NewRegistry()
		metrics.MustRegister(w.metrics.writeSeconds)
		accs := make([]status.Account, users)
		for i := range accs {
			accs[i] = status.AccountOf(w.users[i])
		}
		release := w.hold(0)
		defer release()
		var connects sync.WaitGroup
		connect := func(i int) {
			connects.Go(func() {
				if _, err := w.Connect(context.Background(), accs[i], models.PlatformWeb, new(link), allowed); err != nil {
					t.Error(err)
				}
			})
			w.eventually(func() bool { return w.devicesOf(i) == 1 }, "the device of u%d", i)
		}
		connect(0)
		w.eventually(func() bool {
			return w.memory().Unwritten() == 0
		}, "the first write")
		for i := 1; i < users; i++ {
			connect(i)
		}
		release()
		connects.Wait()
		if n := w.OnlineCount(w.app.ID); n != users {
			t.Fatalf("%d users are online, want %d", n, users)
		}
		families, err := metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() != "rollcall_presence_write_seconds" {
				continue
			}
			if n := f.GetMetric()[0].GetHistogram().GetSampleCount(); n != 3 {
				t.Fatalf("%d logins took %d writes, want 3", users, n)
			}
		}
	})
}

func TestLogoutOutlivesPendingWrites(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 1)
		for range 20 {
			acc := w.account(0)
			d, _ := w.connect(0)
			release := w.hold(0)
			d.Gone() // OFFLINE is being written, or waits
			loggedOut := make(chan error, 1)
			go func() {
				_, err := w.Logout(context.Background(), acc, nil, true)
				loggedOut <- err
			}()
			w.eventually(func() bool { return w.StatusOf(w.users[0]).Presence == models.PresenceUnlogined }, "the logout")
			release()
			if err := <-loggedOut; err != nil {
				t.Fatal(err)
			}
			if got := w.row(0).Presence; got != models.PresenceUnlogined {
				t.Fatalf("the row holds %s after the call", got)
			}
			w.written()
			if got := w.row(0).Presence; got != models.PresenceUnlogined {
				t.Fatalf("the row holds %s in the end", got)
			}
		}
	})
}

func TestCrashLeavesOffline(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 4)
		w.connect(0)
		d, _ := w.connect(1)
		d.Gone()
		w.connect(2)
		w.logout(2, nil, false)
		w.crash()

		w.start()
		for i, want := range []models.Presence{
			models.PresenceOffline, models.PresenceOffline, models.PresenceUnlogined, models.PresenceUnlogined,
		} {
			if got := w.row(i).Presence; got != want {
				t.Errorf("the row of u%d holds %s, want %s", i, got, want)
			}
			w.wantPresence(i, want)
		}
		if row := w.row(0); row.PresenceAt == nil || w.clock.ms.Load() < int64(*row.PresenceAt) {
			t.Errorf("u0 is OFFLINE since %v", row.PresenceAt)
		}
		w.connect(0)
		w.wantPresence(0, models.PresenceOnline)
	})
}

// TestStartTakesAll starts with more users than one transaction of a start handles, one of them
// deactivated.
func TestStartTakesAll(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		const users = mirror.RestartChunk + 5
		w := newWorld(t, db, users)
		w.crash()
		tx := func(statement string, args ...any) {
			t.Helper()
			if err := exec(db, statement, args...); err != nil {
				t.Fatal(err)
			}
		}
		tx("UPDATE users SET presence = ?, presence_at = 1", models.PresenceOnline)
		tx("UPDATE users SET deactivated_at = 2 WHERE id = ?", w.users[3].ID)
		w.start()
		var left int64
		if err := db.Read(context.Background()).Model(&models.User{}).
			Where("presence <> ?", models.PresenceOffline).Count(&left).Error; err != nil {
			t.Fatal(err)
		}
		if left != 1 || w.row(3).Presence != models.PresenceUnlogined {
			t.Fatalf("%d users are not OFFLINE, u3 is %s", left, w.row(3).Presence)
		}
	})
}

func TestCloseWritesAndStops(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 100)
		seen := new(recorder)
		w.WatchApp(w.app.ID, seen)
		for i := range w.users {
			w.connect(i)
		}
		w.closeHub(w.Hub)
		w.closeHub(w.Hub)
		for i := range w.users {
			if got := w.row(i).Presence; got != models.PresenceOffline {
				t.Fatalf("the row of u%d holds %s", i, got)
			}
		}
		if n := len(seen.events); n != 200 {
			t.Fatalf("%d events were delivered, want 200", n)
		}
		buf := make([]byte, 1<<20)
		for _, frame := range []string{"mirror.(*Mirror)", "memory.(*shard)", "fanout.(*Queue)", "sweepRegularly"} {
			if stacks := string(buf[:runtime.Stack(buf, true)]); strings.Contains(stacks, frame) {
				t.Fatalf("a goroutine remains:\n%s", stacks)
			}
		}
	})
}
