package users

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/internal/fault"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// DeleteOfApp deletes all users of an app that is being deleted, with all rows that refer to them, in
// batches, and returns how many there were. The audit has one entry for the app and none for its
// users.
func (s *Service) DeleteOfApp(ctx context.Context, app *models.App) (deleted int, err error) {
	for {
		var ids []string
		err := s.db.Read(ctx).Model(&models.User{}).Where("app_id = ?", app.ID).
			Order("created_at, id").Limit(clearBatch).Pluck("external_id", &ids).Error
		if err != nil {
			return deleted, fmt.Errorf("deleting an app's users: %w", err)
		}
		if len(ids) == 0 {
			return deleted, nil
		}
		_, err = s.erase(ctx, app, ids, bus.ReasonDeleted, operation{
			item: func(*models.User) (models.Outcome, *fault.Error) { return models.OutcomeDone, nil },
			write: func(tx *gorm.DB, changed []*models.User) error {
				return tx.Where("id IN ?", userlock.Keys(changed)).Delete(&models.User{}).Error
			},
		})
		if err != nil {
			return deleted, fault.Wrap(err, "deleting an app's users")
		}
		deleted += len(ids)
	}
}
