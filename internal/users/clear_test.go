package users

import (
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/models"
)

// TestClear_LaterUsersStay: a user that registers while an app is cleared stays, also one that has a
// smaller key, the time of a clock that is late, or the ID of one that was deleted.
func TestClear_LaterUsersStay(t *testing.T) {
	each(t, func(w *world) {
		ctx := t.Context()
		app := w.newApp("cleared", models.EnvironmentDevelopment, models.EditionFlagship)
		at := w.users.now()
		register := func(id string, key int64, at models.Time) {
			w.t.Helper()
			row := &models.User{ID: key, AppID: app.ID, ExternalID: id, Name: id, SearchName: id, CreatedAt: at, UpdatedAt: at, Presence: models.PresenceUnlogined}
			if err := w.db.Tx(ctx, func(tx *gorm.DB) error { return tx.Create(row).Error }); err != nil {
				w.t.Fatal(err)
			}
		}
		register("ann", 1000, at)
		register("bob", 900, at.Add(time.Second))
		calls := 0
		err := w.users.Clear(ctx, app, models.Actor{}, func(found, deleted int) error {
			if calls++; calls == 1 {
				register("cid", 800, at.Add(2*time.Second))
				register("dan", 1100, at.Add(-time.Second))
				register("ann", 950, at)
			}
			return nil
		})
		if err != nil || calls != 1 {
			w.t.Errorf("%d batches, %v", calls, err)
		}
		var left []string
		if err := w.db.Read(ctx).Model(&models.User{}).Where("app_id = ?", app.ID).Order("external_id").Pluck("external_id", &left).Error; err != nil {
			w.t.Fatal(err)
		}
		if got := strings.Join(left, " "); got != "ann cid dan" {
			w.t.Errorf("left are %s, want ann, cid and dan", got)
		}
	})
}
