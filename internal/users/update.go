package users

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/userlock"
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
		user, err = find(tx, app, id)
		if err != nil {
			return err
		}
		if user == nil {
			return userlock.Unknown(id)
		}
		return s.apply(tx, user, change)
	})
	if err != nil {
		return nil, fault.Wrap(err, "updating user")
	}
	return user, nil
}

// alter makes a change to a user in memory. Returns USER_DEACTIVATED if it is deactivated.
func (s *Service) alter(user *models.User, change Change) *fault.Error {
	if user.DeactivatedAt != nil {
		return userlock.Deactivated(user.ExternalID)
	}
	if change == (Change{}) {
		return nil
	}
	user.UpdatedAt = s.now()
	if change.Name != nil {
		user.Name, user.SearchName = *change.Name, models.SearchForm(*change.Name)
	}
	if change.AvatarGiven {
		user.AvatarURL = change.AvatarURL
	}
	return nil
}

// apply makes a change to a user, which is locked, in memory and in its row. Errors as alter's.
func (s *Service) apply(tx *gorm.DB, user *models.User, change Change) error {
	if refusal := s.alter(user, change); refusal != nil {
		return refusal
	}
	if change == (Change{}) {
		return nil
	}
	columns := []string{"updated_at"}
	if change.Name != nil {
		columns = append(columns, "name", "search_name")
	}
	if change.AvatarGiven {
		columns = append(columns, "avatar_url")
	}
	return tx.Model(&models.User{}).Where("id = ?", user.ID).Select(columns).Updates(user).Error
}
