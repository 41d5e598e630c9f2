package users

import (
	"context"
	"errors"
	"testing"
	"time"

	"rollcall/internal/admission"
	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/models"
)

// TestSlowReads_TakePlacesOfTheirAppOnly checks that while slow reads of an app have all its
// places, its other reads go on, and so do all reads of other apps and of operators.
func TestSlowReads_TakePlacesOfTheirAppOnly(t *testing.T) {
	each(t, func(w *world) {
		w.users.slow = newSlowReads(admission.Limits{Running: 4, RunningEach: 2, WaitingEach: 1, Patience: time.Minute})
		other := w.newApp("other", models.EnvironmentDevelopment, models.EditionFlagship)
		w.register(w.app, "ann")
		w.register(w.app, "anna")
		ctx, first, search := context.Background(), page.Request{First: 1}, Filter{Search: "ann"}
		found := w.list(w.app, search, first)
		foundByOperator, err := w.users.ForOperators().List(ctx, w.app, search, first)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			leave, err := w.users.slow.Enter(ctx, w.app.ID)
			if err != nil {
				t.Fatal(err)
			}
			defer leave()
		}
		// Reads that wait until this context ends fail with its error.
		waiting, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		totalOf := func(s *Service, app *models.App, f Filter) func(context.Context) error {
			return func(ctx context.Context) error {
				_, err := s.total(ctx, app, f)
				return err
			}
		}
		listOf := func(s *Service, app *models.App, f Filter) func(context.Context) error {
			return func(ctx context.Context) error {
				_, err := s.List(ctx, app, f, first)
				return err
			}
		}
		countOf := func(c *Connection) func(context.Context) error {
			return func(ctx context.Context) error { _, err := c.TotalCount(ctx); return err }
		}
		for name, read := range map[string]func(context.Context) error{
			"a search":          listOf(w.users, w.app, search),
			"users by state":    listOf(w.users, w.app, Filter{States: []models.UserState{models.UserBanned}}),
			"users online":      listOf(w.users, w.app, Filter{Presences: []models.Presence{models.PresenceOnline}}),
			"a search's count":  countOf(found),
			"the count of bans": func(ctx context.Context) error { _, err := w.users.BannedCount(ctx, w.app); return err },
		} {
			if err := read(waiting); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s does not wait for a place: %v", name, err)
			}
		}
		for name, read := range map[string]func(context.Context) error{
			"all users":            listOf(w.users, w.app, Filter{}),
			"their count":          totalOf(w.users, w.app, Filter{}),
			"a user":               func(ctx context.Context) error { _, err := w.users.ByID(ctx, w.app.ID, "ann"); return err },
			"another app's search": listOf(w.users, other, search),
			"an operator's search": listOf(w.users.ForOperators(), w.app, search),
			"an operator's count":  countOf(foundByOperator),
		} {
			ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
			if err := read(ctx); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
		}

		// One of the app's reads waits, so that the next is refused immediately.
		waiting, cancel = context.WithCancel(ctx)
		defer cancel()
		refused := make(chan error, 2)
		for range cap(refused) {
			go func() { refused <- listOf(w.users, w.app, search)(waiting) }()
		}
		if err := <-refused; fault.CodeOf(err) != fault.RateLimited {
			t.Errorf("a read beyond the waiting ones: %v; want RATE_LIMITED", err)
		}
	})
}
