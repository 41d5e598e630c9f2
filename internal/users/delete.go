package users

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/fault"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// Delete removes users of a DEVELOPMENT app and all that refers to them: their
// devices are disconnected, their tokens are dead, their places and IDs free.
// The answers come in the order asked; an ID given twice is NOT_FOUND the second
// time. All is done in one transaction, with an audit entry for each user.
// Errors: FORBIDDEN in a PRODUCTION app, where nothing is done.
func (s *Service) Delete(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*models.ItemResult, error) {
	if app.Environment != models.EnvironmentDevelopment {
		return nil, fault.New(fault.Forbidden, "users of a PRODUCTION app cannot be deleted, only deactivated")
	}
	var gone map[int64]bool
	results, err := s.erase(ctx, app, ids, bus.ReasonDeleted, change{
		action: audit.ActionUserDelete, by: by,
		prepare: func(*gorm.DB) error { gone = make(map[int64]bool); return nil },
		item: func(u *models.User) (models.Outcome, *fault.Error) {
			if gone[u.ID] {
				return models.OutcomeNotFound, userlock.Unknown(u.ExternalID)
			}
			gone[u.ID] = true
			return models.OutcomeDone, nil
		},
		write: func(tx *gorm.DB, changed []*models.User) error {
			if err := tx.Where("id IN ?", userlock.Keys(changed)).Delete(&models.User{}).Error; err != nil {
				return err
			}
			var gone models.UserCounts
			for _, u := range changed {
				if u.DeactivatedAt == nil {
					gone.Registered--
				} else {
					gone.Deactivated--
				}
			}
			return s.counts.In(tx, app).Add(gone)
		},
	})
	return results, fault.Wrap(err, "deleting users")
}
