package users

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/apps"
	"rollcall/internal/bus"
	"rollcall/internal/fault"
	"rollcall/models"
)

// Delete removes users of a DEVELOPMENT app and all that refers to them: their
// devices are disconnected, their tokens are dead, their places and IDs free.
// The answers come in the order asked; an ID given twice is NOT_FOUND the second
// time. All is done in one transaction, with an audit entry for each user.
// Errors: FORBIDDEN in a PRODUCTION app, where nothing is done.
func (s *Service) Delete(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]models.ItemResult, error) {
	if app.Environment != models.EnvironmentDevelopment {
		return nil, fault.New(fault.Forbidden, "users of a PRODUCTION app cannot be deleted, only deactivated")
	}
	var results []models.ItemResult
	var deleted []int64
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		results, deleted = make([]models.ItemResult, len(ids)), nil
		for i, id := range ids {
			key, err := s.deleteOne(tx, app, id, by)
			if err != nil {
				return err
			}
			results[i] = models.ItemResult{ID: id, Outcome: models.OutcomeDone}
			if key == 0 {
				results[i].Outcome = models.OutcomeNotFound
				results[i].Error = &models.ItemError{
					Code:    string(fault.UserNotFound),
					Message: fmt.Sprintf("there is no user %q", id),
				}
				continue
			}
			deleted = append(deleted, key)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("deleting users: %w", err)
	}
	for _, key := range deleted {
		s.bus.PublishAccessRevoked(ctx, bus.AccessRevoked{AppID: app.ID, UserID: key, Reason: bus.ReasonDeleted})
	}
	return results, nil
}

// deleteOne answers the users.id of what it deleted, 0 where there was none.
func (s *Service) deleteOne(tx *gorm.DB, app *models.App, id string, by models.Actor) (int64, error) {
	user, err := find(tx, app.ID, id)
	if err != nil || user == nil {
		return 0, err
	}
	gone := tx.Where("id = ?", user.ID).Delete(&models.User{})
	if gone.Error != nil || gone.RowsAffected == 0 {
		return 0, gone.Error
	}
	if user.DeactivatedAt == nil {
		err = tx.Model(&models.App{}).Where("id = ?", app.ID).
			Update("registered_user_count", gorm.Expr("registered_user_count - 1")).Error
		if err != nil {
			return 0, err
		}
	}
	return user.ID, apps.WriteAudit(tx, models.AuditEntry{
		AppID:   &app.ID,
		At:      s.now(),
		Actor:   by.Name,
		Action:  "user.delete",
		Target:  id,
		Address: by.Address,
	})
}
