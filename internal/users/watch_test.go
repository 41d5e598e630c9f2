package users

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/fault"
	"rollcall/internal/outage"
	"rollcall/internal/relations"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/models"
)

// profiles is a sink that records the users that it receives, as "ID NAME STATE".
type profiles struct {
	now func() time.Time
	mu  sync.Mutex
	got []string
}

func (p *profiles) Deliver(ev *fanout.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := ev.Value().(*models.User)
	p.got = append(p.got, fmt.Sprint(u.ExternalID, " ", u.Name, " ", u.State(models.TimeOf(p.now()))))
}

// take returns what was received since the last call.
func (p *profiles) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.got = nil }()
	return p.got
}

// want waits for these users.
func (p *profiles) want(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(20 * time.Second); len(got) < len(want); time.Sleep(2 * time.Millisecond) {
		if got = append(got, p.take()...); time.Now().After(deadline) {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("received %q, want %q", got, want)
	}
}

// changes are one change of ann after the other, with what watchers receive at once; "": nothing.
func changes(t *testing.T, s *Service, app *models.App) []struct {
	do   func() error
	want string
} {
	ctx := t.Context()
	ids := []string{"ann"}
	register := func(name string) func() error {
		return func() error {
			_, err := s.Register(ctx, app, Registration{ID: "ann", Name: name})
			return err
		}
	}
	return []struct {
		do   func() error
		want string
	}{
		{register("Ann"), "ann Ann ACTIVE"},
		{register("Ann"), ""},
		{func() error {
			_, err := s.RegisterMany(ctx, app, []Registration{{ID: "ann", Name: "Anna"}, {ID: "new", Name: "New"}})
			return err
		}, "ann Anna ACTIVE"},
		{func() error {
			_, err := s.Update(ctx, app, "ann", Change{AvatarURL: "https://example.org/a.png"})
			return err
		}, "ann Anna ACTIVE"},
		{func() error { _, err := s.Update(ctx, app, "ann", Change{}); return err }, ""},
		{func() error {
			_, err := s.Ban(ctx, app, ids, Sentence{Length: time.Hour}, audit.AppServer)
			return err
		}, "ann Anna BANNED"},
		{func() error {
			_, err := s.ExpireTokens(ctx, app, ids, s.now(), audit.AppServer)
			return err
		}, ""},
		{func() error { _, err := s.Unban(ctx, app, ids, audit.AppServer); return err }, "ann Anna ACTIVE"},
		{func() error {
			_, err := s.Ban(ctx, app, ids, Sentence{Permanent: true}, audit.AppServer)
			return err
		}, "ann Anna BANNED"},
		{func() error { _, err := s.Unban(ctx, app, ids, audit.AppServer); return err }, "ann Anna ACTIVE"},
		{func() error { _, err := s.Deactivate(ctx, app, ids, audit.AppServer); return err }, "ann  DEACTIVATED"},
		{func() error { _, err := s.Reactivate(ctx, app, ids, audit.AppServer); return err }, "ann  ACTIVE"},
		{register("Again"), "ann Again ACTIVE"},
		{func() error { _, err := s.Delete(ctx, app, ids, audit.AppServer); return err }, ""},
	}
}

func TestWatch(t *testing.T) {
	each(t, func(w *world) {
		t, ctx := w.t, w.t.Context()
		for _, id := range []string{"ann", "bob"} {
			if _, err := w.users.Register(ctx, w.app, Registration{ID: id, Name: id}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.users.Watch(ctx, w.app.ID, []string{"ann", "nobody"}, new(profiles)); fault.CodeOf(err) != fault.UserNotFound {
			t.Fatalf("watching an unknown user returned %v", err)
		}
		sink, second := &profiles{now: w.clock}, &profiles{now: w.clock}
		stop, err := w.users.Watch(ctx, w.app.ID, []string{"ann", "bob", "ann"}, sink)
		if err != nil {
			t.Fatal(err)
		}
		stopSecond, err := w.users.Watch(ctx, w.app.ID, []string{"ann"}, second)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range changes(t, w.users, w.app) {
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
			var want []string
			if c.want != "" {
				want = []string{c.want}
			}
			// Delivered before the call has returned.
			for _, sink := range []*profiles{sink, second} {
				if got := sink.take(); !slices.Equal(got, want) {
					t.Errorf("change %d: received %q, want %q", i, got, want)
				}
			}
		}
		stopSecond()
		// A ban ends by itself.
		if _, err := w.users.Ban(ctx, w.app, []string{"bob"}, Sentence{Length: time.Hour}, audit.AppServer); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Hour)
		sink.want(t, "bob bob BANNED", "bob bob ACTIVE")
		stop()
		if n := len(w.users.watchers.byID); n != 0 {
			t.Errorf("%d users are watched at the end", n)
		}
	})
}

// TestWatch_FailedRead: a change that cannot be read is logged, and comes when reads succeed again.
func TestWatch_FailedRead(t *testing.T) {
	each(t, func(w *world) {
		var failing atomic.Bool
		fetch := database.Fetcher(w.db, accessByID)
		w.users.access = coalescer(func(ctx context.Context, keys []int64) (map[int64]*access, error) {
			if failing.Load() {
				return nil, errors.New("made up")
			}
			return fetch(ctx, keys)
		})
		warnings := make(chan string, 10)
		w.users.readFailures = outage.NewLog(slog.New(slog.NewTextHandler(lines(warnings), nil)))
		w.register(w.app, "ann")
		sink := &profiles{now: w.clock}
		stop, err := w.users.Watch(w.t.Context(), w.app.ID, []string{"ann"}, sink)
		if err != nil {
			w.t.Fatal(err)
		}
		defer stop()
		failing.Store(true)
		if _, err := w.users.Update(w.t.Context(), w.app, "ann", Change{Name: "Anna"}); err != nil {
			w.t.Fatal(err)
		}
		select {
		case line := <-warnings:
			if !strings.Contains(line, "level=WARN") || !strings.Contains(line, `error="made up"`) {
				w.t.Errorf("logged %q", line)
			}
		default:
			w.t.Error("nothing was logged")
		}
		failing.Store(false)
		sink.want(w.t, "ann Anna ACTIVE")
	})
}

// lines receives what is written to a log.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default:
	}
	return len(line), nil
}

// TestWatch_OtherNodes: a node receives what another one changes, and reads again what it has missed.
func TestWatch_OtherNodes(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		url, service := testenv.RedisURL(t), testenv.Service()
		node := func(linked bool) *world {
			w := &world{t: t, db: db, bus: &bus.Bus{}, now: time.UnixMilli(1_790_000_000_000)}
			keys, err := token.OpenKeys(context.Background(), db, "", w.clock)
			if err != nil {
				t.Fatal(err)
			}
			w.apps = apps.New(db, w.bus, keys, w.clock)
			w.users = New(db, w.bus, keys, relations.New(db, w.bus, keys.Secret(), w.clock), Options{Clock: w.clock})
			if linked {
				link := bus.NewLink(w.bus, testenv.OpenRedis(t, url, service), slog.New(slog.DiscardHandler))
				t.Cleanup(link.Close)
				if err := link.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			return w
		}
		a, b, cutOff := node(true), node(true), node(false)
		a.app = a.newApp("app", models.EnvironmentDevelopment, models.EditionFlagship)
		if _, err := a.users.Register(t.Context(), a.app, Registration{ID: "ann", Name: "first"}); err != nil {
			t.Fatal(err)
		}
		sink := &profiles{now: b.clock}
		stop, err := b.users.Watch(t.Context(), a.app.ID, []string{"ann"}, sink)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		for _, c := range changes(t, a.users, a.app) {
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				sink.want(t, c.want)
			}
		}
		if got := sink.take(); got != nil {
			t.Errorf("received %q too", got)
		}

		if _, err := a.users.Register(t.Context(), a.app, Registration{ID: "bob", Name: "first"}); err != nil {
			t.Fatal(err)
		}
		stopBob, err := b.users.Watch(t.Context(), a.app.ID, []string{"bob"}, sink)
		if err != nil {
			t.Fatal(err)
		}
		defer stopBob()
		if _, err := cutOff.users.Update(t.Context(), a.app, "bob", Change{Name: "second"}); err != nil {
			t.Fatal(err)
		}
		a.bus.Missed()
		sink.want(t, "bob second ACTIVE")
	})
}
