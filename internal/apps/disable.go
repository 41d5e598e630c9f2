package apps

import (
	"context"
	"errors"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/models"
)

// Disable disables an app until Enable. From its commit on, every request with the app's secret, its
// tokens or its users' tokens is refused with fault.AppDisabled on all nodes. Within a second, every
// node closes the app's connections, so that its users go OFFLINE. Webhook deliveries wait, and jobs
// stop. Nothing is deleted. changed is false if the app was disabled already. Returns nil if the key
// is unknown.
func (s *Service) Disable(ctx context.Context, key string, by models.Actor) (app *models.App, changed bool, err error) {
	return s.setDisabled(ctx, key, true, by)
}

// Enable ends Disable: tokens that have neither expired nor been revoked are valid again, and webhook
// deliveries continue. changed is false if the app was not disabled. Returns nil if the key is
// unknown, and FORBIDDEN if the app is being deleted.
func (s *Service) Enable(ctx context.Context, key string, by models.Actor) (app *models.App, changed bool, err error) {
	return s.setDisabled(ctx, key, false, by)
}

func (s *Service) setDisabled(ctx context.Context, key string, disabled bool, by models.Actor) (app *models.App, changed bool, err error) {
	if !database.IsASCII(key) {
		return nil, false, nil
	}
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		app, changed = &models.App{}, false
		err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where(&models.App{Key: key}, "key").Take(app).Error
		if err != nil || app.Disabled() == disabled {
			return err
		}
		if app.Deleting() {
			return errDeleting
		}
		now, action := models.TimeOf(s.clock()), audit.ActionAppEnable
		app.DisabledAt, changed = 0, true
		if disabled {
			app.DisabledAt, action = now, audit.ActionAppDisable
		}
		if err := tx.Model(app).Update("disabled_at", app.DisabledAt).Error; err != nil {
			return err
		}
		return audit.Write(tx, models.AuditEntry{
			AppID: &app.ID, At: now, Actor: by.Name, ActorKey: by.Key, Action: action, Target: app.Key, Address: by.Address,
		})
	})
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fault.Wrap(err, "disabling or enabling app")
	}
	if changed {
		s.bus.PublishAppChanged(ctx, bus.AppChanged{App: app})
	}
	return app, changed, nil
}
