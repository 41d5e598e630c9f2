package users

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/models"
)

func TestRegister_DevelopmentLimitUnderConcurrency(t *testing.T) {
	each(t, func(w *world) {
		const callers = 200
		var created, refused atomic.Int64
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				r, err := w.users.Register(context.Background(), w.app, Registration{ID: fmt.Sprintf("u%d", i), Name: "U"})
				switch {
				case err == nil && r.Created:
					created.Add(1)
				case fault.CodeOf(err) == fault.UserLimitReached:
					refused.Add(1)
				default:
					w.t.Errorf("registering: %+v, %v", r, err)
				}
			})
		}
		wg.Wait()
		if created.Load() != 100 || refused.Load() != callers-100 {
			w.t.Errorf("%d created and %d refused, want 100 and 100", created.Load(), refused.Load())
		}
		w.checkCount(w.app, 100)
		// An existing user can be registered again although the app is full.
		there := w.list(w.app, Filter{}, page.Request{First: 1}).Nodes()[0]
		again, err := w.users.Register(context.Background(), w.app, Registration{ID: there.ExternalID, Name: "Again"})
		if err != nil || again.Created || again.User.Name != "Again" {
			w.t.Errorf("registering again: %+v, %v", again, err)
		}
	})
}

// checkCount compares an app's counter and its number of rows with want.
func (w *world) checkCount(app *models.App, want int) {
	w.t.Helper()
	if got, rows := w.counts(app).Registered, w.rows(app).Registered; got != want || rows != want {
		w.t.Errorf("the counter is %d and there are %d rows, want %d", got, rows, want)
	}
}

// counts returns the app's counters.
func (w *world) counts(app *models.App) models.UserCounts {
	w.t.Helper()
	counts, err := w.users.Counts(context.Background(), app)
	if err != nil {
		w.t.Fatal(err)
	}
	return counts
}

// rows returns the number of users that the app has in the database.
func (w *world) rows(app *models.App) models.UserCounts {
	w.t.Helper()
	var all, gone int64
	of := func() *gorm.DB {
		return w.db.Read(context.Background()).Model(&models.User{}).Where("app_id = ?", app.ID)
	}
	if err := errors.Join(of().Count(&all).Error, of().Where("deactivated_at IS NOT NULL").Count(&gone).Error); err != nil {
		w.t.Fatal(err)
	}
	return models.UserCounts{Registered: int(all - gone), Deactivated: int(gone)}
}

func TestRegister_SameIDConcurrently(t *testing.T) {
	each(t, func(w *world) {
		var created atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				r, err := w.users.Register(context.Background(), w.app, Registration{ID: "ann", Name: "Ann"})
				if err != nil {
					w.t.Error(err)
					return
				}
				if r.Created {
					created.Add(1)
				}
				if _, u, err := w.users.Verify(context.Background(), r.Token); err != nil || u == nil || u.ExternalID != "ann" {
					w.t.Errorf("the returned token is invalid: %v", err)
				}
			})
		}
		wg.Wait()
		if created.Load() != 1 {
			w.t.Errorf("Created is true for %d callers", created.Load())
		}
		w.checkCount(w.app, 1)
	})
}

func TestRegister_ProductionLimits(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		standard := w.newApp("standard", models.EnvironmentProduction, models.EditionStandard)
		standard, err := w.apps.Set(ctx, standard.Key, map[string]string{"registeredUserLimit": "2"}, models.Actor{Name: "test"})
		if err != nil {
			w.t.Fatal(err)
		}
		w.register(standard, "a")
		w.register(standard, "b")
		_, err = w.users.Register(ctx, standard, Registration{ID: "c", Name: "C"})
		var refusal *fault.Error
		if fault.CodeOf(err) != fault.UserLimitReached {
			w.t.Fatalf("the third user: %v", err)
		}
		refusal = err.(*fault.Error)
		if refusal.Extensions["limit"] != 2 {
			w.t.Errorf("extensions %v", refusal.Extensions)
		}
		flagship := w.newApp("flagship", models.EnvironmentProduction, models.EditionFlagship)
		for i := range 101 {
			w.register(flagship, fmt.Sprint("u", i))
		}
		w.checkCount(flagship, 101)
	})
}

func TestRegisterAgain(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		avatar := "https://example.org/a.png"
		first, err := w.users.Register(ctx, w.app, Registration{ID: "ann", Name: "Ann", AvatarURL: avatar})
		if err != nil || !first.Created || *first.User.AvatarURL != avatar {
			w.t.Fatalf("%+v, %v", first, err)
		}
		w.pass(1000)
		kept, err := w.users.Register(ctx, w.app, Registration{ID: "ann", Name: "Anna"})
		if err != nil || kept.Created || kept.User.Name != "Anna" || kept.User.AvatarURL == nil {
			w.t.Errorf("a registration without an avatar changed it: %+v, %v", kept, err)
		}
		for i, r := range []*Registered{first, kept} {
			if _, _, err := w.users.Verify(ctx, r.Token); err != nil {
				w.t.Errorf("token %d ended with a later registration: %v", i, err)
			}
		}
		if again := w.register(w.app, "Ann"); !again.Created {
			w.t.Error("IDs that differ in case are one user")
		}
		// The stored user equals the returned one.
		stored, err := w.users.ByID(ctx, w.app.ID, "ann")
		if err != nil || stored.Name != "Anna" || *stored.AvatarURL != avatar || stored.CreatedAt != first.User.CreatedAt {
			w.t.Errorf("stored %+v, %v", stored, err)
		}
	})
}

func TestRegister_DeactivatedAndBanned(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		gone, banned := w.register(w.app, "gone").User, w.register(w.app, "banned").User
		w.set(gone, "deactivated_at", w.users.now())
		w.set(banned, "banned_until", w.users.now()+60_000)
		if _, err := w.users.Register(ctx, w.app, Registration{ID: "gone", Name: "Back"}); fault.CodeOf(err) != fault.UserDeactivated {
			w.t.Errorf("registering a deactivated user: %v", err)
		}
		if u, _ := w.users.ByID(ctx, w.app.ID, "gone"); u.Name == "Back" {
			w.t.Error("the refused registration changed the name")
		}
		r, err := w.users.Register(ctx, w.app, Registration{ID: "banned", Name: "Still"})
		if err != nil || r.User.State(w.users.now()) != models.UserBanned {
			w.t.Errorf("registering a banned user: %+v, %v", r, err)
		}
		if _, err := w.users.Update(ctx, w.app, "gone", Change{RemoveAvatar: true}); fault.CodeOf(err) != fault.UserDeactivated {
			w.t.Errorf("updating a deactivated user: %v", err)
		}
	})
}
