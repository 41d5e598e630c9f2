package users

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/models"
)

// TestUnlimitedApp_WaitsForNoOther checks that in an app without a limit no change waits for the
// app's row, which another transaction locks here, or for a counter that another transaction has
// changed.
func TestUnlimitedApp_WaitsForNoOther(t *testing.T) {
	each(t, func(w *world) {
		if w.db.Dialect() == database.SQLite {
			return // SQLite has only one writer
		}
		ctx := context.Background()
		app := w.newApp("flagship", models.EnvironmentProduction, models.EditionFlagship)
		w.register(app, "there")
		if err := w.db.Tx(ctx, func(tx *gorm.DB) error {
			locked := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("id = ?", app.ID).Take(&models.App{})
			if locked.Error != nil {
				return locked.Error
			}
			if err := w.users.counts.In(tx, app).Register(1); err != nil {
				return err
			}
			done := make(chan error, 1)
			go func() {
				for _, do := range []func() error{
					func() error {
						_, err := w.users.Register(ctx, app, Registration{ID: "new", Name: "New"})
						return err
					},
					func() error { _, err := w.users.RegisterMany(ctx, app, registrations(0, 3)); return err },
					func() error { _, err := w.users.Deactivate(ctx, app, []string{"there"}, audit.AppServer); return err },
					func() error { _, err := w.users.Reactivate(ctx, app, []string{"there"}, audit.AppServer); return err },
				} {
					if err := do(); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
			select {
			case err := <-done:
				return err
			case <-time.After(30 * time.Second):
				return fmt.Errorf("something waits for the other transaction")
			}
		}); err != nil {
			t.Fatal(err)
		}
		// Five were created by the calls above, and one counted directly.
		if counts := w.counts(app); counts != (models.UserCounts{Registered: 6}) {
			t.Errorf("the counters are %+v", counts)
		}
	})
}

// TestLimitIntroducedWhileUsersRegister checks that a new limit applies as soon as it is set, also
// to callers that have read the app without a limit.
func TestLimitIntroducedWhileUsersRegister(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		for round, limit := range []int{20, 60, 150} {
			app := w.newApp(fmt.Sprint("round ", round), models.EnvironmentProduction, models.EditionFlagship)
			begun := make(chan struct{})
			var once sync.Once
			var wg sync.WaitGroup
			for k := range 10 {
				wg.Go(func() {
					for i := range 10 {
						var err error
						if i%3 == 0 {
							_, err = w.users.RegisterMany(ctx, app, registrations(1000*k+10*i, 8))
						} else {
							_, err = w.users.Register(ctx, app, Registration{ID: fmt.Sprintf("alone-%d-%d", k, i), Name: "U"})
						}
						if code := fault.CodeOf(err); code != "" && code != fault.UserLimitReached {
							t.Error(err)
						}
						if i == 1 {
							once.Do(func() { close(begun) })
						}
					}
				})
			}
			<-begun
			if _, err := w.apps.Set(ctx, app.Key, map[string]string{"edition": "standard", "registeredUserLimit": fmt.Sprint(limit)}, audit.AppServer); err != nil {
				t.Fatal(err)
			}
			atLeast := w.rows(app).Registered
			wg.Wait()
			// The test would register 380 in all.
			w.checkCount(app, max(limit, atLeast))
		}
	})
}

// TestEditionsSwitchWhileUsersComeAndGo checks that the counters equal the rows, however often the
// app switches between a limit and none.
func TestEditionsSwitchWhileUsersComeAndGo(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		app := w.newApp("switching", models.EnvironmentProduction, models.EditionFlagship)
		if _, err := w.users.RegisterMany(ctx, app, registrations(0, 30)); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				known := app // the caller's copy of the app, read again now and then
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					in := registrations(rand.IntN(60), 5)
					var err error
					switch i % 4 {
					case 0:
						_, err = w.users.RegisterMany(ctx, known, in)
					case 1:
						_, err = w.users.Deactivate(ctx, known, idsOf(in), audit.AppServer)
					case 2:
						_, err = w.users.Reactivate(ctx, known, idsOf(in), audit.AppServer)
					case 3:
						_, err = w.users.Register(ctx, known, Registration{ID: fmt.Sprint("alone", rand.Uint64()), Name: "U"})
						if rand.IntN(2) == 0 {
							known = w.reload(app)
						}
					}
					if code := fault.CodeOf(err); code != "" && code != fault.UserLimitReached {
						t.Error(err)
						return
					}
				}
			})
		}
		for i := range 16 {
			edition := []string{"standard", "premium"}[i%2]
			now, err := w.apps.Set(ctx, app.Key, map[string]string{"edition": edition}, audit.AppServer)
			if err != nil {
				t.Error(err)
				break
			}
			var parts int64
			if err := w.db.Read(ctx).Model(&models.UserCountPart{}).Where("app_id = ?", app.ID).Count(&parts).Error; err != nil || (parts == 0) != (now.RegisteredUserLimit() != nil) {
				t.Errorf("%s: %d parts, %v", edition, parts, err)
			}
		}
		close(stop)
		wg.Wait()
		if counts, rows := w.counts(app), w.rows(app); counts != rows || rows.Deactivated == 0 {
			t.Errorf("the counters are %+v, the rows %+v", counts, rows)
		}
	})
}
