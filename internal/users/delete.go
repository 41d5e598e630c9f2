package users

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/bus"
	"rollcall/internal/fault"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// Delete deletes users of a DEVELOPMENT app and all rows that refer to them. It disconnects their
// devices and ends their tokens. They no longer count towards the limit, and their IDs are free.
// The results are in the order of ids; an ID given twice is NOT_FOUND the second time. Everything
// is done in one transaction, with an audit entry for each user. Returns FORBIDDEN for a PRODUCTION
// app and then does nothing.
func (s *Service) Delete(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*batch.Result, error) {
	if app.Environment != models.EnvironmentDevelopment {
		return nil, fault.New(fault.Forbidden, "users of a PRODUCTION app cannot be deleted, only deactivated")
	}
	var deleted map[int64]bool
	results, err := s.erase(ctx, app, ids, bus.ReasonDeleted, operation{
		action: audit.ActionUserDelete, by: by, event: s.deletedEvent,
		prepare: func(*gorm.DB) error { deleted = make(map[int64]bool); return nil },
		item: func(u *models.User) (models.Outcome, *fault.Error) {
			if deleted[u.ID] {
				return models.OutcomeNotFound, userlock.Unknown(u.ExternalID)
			}
			deleted[u.ID] = true
			return models.OutcomeDone, nil
		},
		write: func(tx *gorm.DB, changed []*models.User) error {
			if err := tx.Where("id IN ?", userlock.Keys(changed)).Delete(&models.User{}).Error; err != nil {
				return err
			}
			var change models.UserCounts
			for _, u := range changed {
				if u.DeactivatedAt == nil {
					change.Registered--
				} else {
					change.Deactivated--
				}
			}
			return s.counts.In(tx, app).Add(change)
		},
	})
	return results, fault.Wrap(err, "deleting users")
}
