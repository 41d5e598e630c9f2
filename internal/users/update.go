package users

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/models"
)

// Change is what the App Server changes of a user; what is left out stays. Its
// values have been validated.
type Change struct {
	// Name is nil where it stays.
	Name *string
	// AvatarURL is overwritten only where AvatarGiven; then nil clears it.
	AvatarURL   *string
	AvatarGiven bool
}

// Update changes a user's profile and answers it. Errors: USER_NOT_FOUND,
// USER_DEACTIVATED. A banned user can be updated.
func (s *Service) Update(ctx context.Context, app *models.App, id string, change Change) (*models.User, error) {
	var user *models.User
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		var err error
		user, err = find(tx, app.ID, id)
		if err != nil {
			return err
		}
		if user == nil {
			return fault.New(fault.UserNotFound, "there is no user %q", id)
		}
		return s.apply(tx, user, change)
	})
	var refusal *fault.Error
	if err != nil && !errors.As(err, &refusal) {
		err = fmt.Errorf("updating user: %w", err)
	}
	if err != nil {
		return nil, err
	}
	return user, nil
}

// apply writes a change to the row and to user. The condition makes a
// deactivation that commits in between win.
func (s *Service) apply(tx *gorm.DB, user *models.User, change Change) error {
	values := map[string]any{"updated_at": s.now()}
	user.UpdatedAt = s.now()
	if change.Name != nil {
		user.Name, user.SearchName = *change.Name, models.SearchForm(*change.Name)
		values["name"], values["search_name"] = user.Name, user.SearchName
	}
	if change.AvatarGiven {
		user.AvatarURL = change.AvatarURL
		values["avatar_url"] = change.AvatarURL
	}
	done := tx.Model(&models.User{}).Where("id = ? AND deactivated_at IS NULL", user.ID).Updates(values)
	if done.Error == nil && done.RowsAffected == 0 {
		return fault.New(fault.UserDeactivated, "the user %q is deactivated", user.ExternalID)
	}
	return done.Error
}
