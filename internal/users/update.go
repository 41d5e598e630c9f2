package users

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/internal/userlock"
	"rollcall/internal/validate"
	"rollcall/models"
)

// Change is a change of a user's profile. What is not set stays unchanged.
type Change struct {
	Name      string `json:"name" validate:"omitempty,max=64,notblank,nocontrol,nobidi"`
	AvatarURL string `json:"avatarUrl" validate:"without=RemoveAvatar,omitempty,maxbytes=1024,http_url"`
	// RemoveAvatar reports whether the user has no avatar from now on.
	RemoveAvatar bool `json:"removeAvatar"`
}

// Validate returns INVALID_ARGUMENT if a value violates its rule.
func (change Change) Validate() error { return validate.Input(change) }

// Update changes a user's profile and returns the user. Returns USER_NOT_FOUND, USER_DEACTIVATED or
// Validate's error. A banned user can be updated.
func (s *Service) Update(ctx context.Context, app *models.App, id string, change Change) (*models.User, error) {
	if err := change.Validate(); err != nil {
		return nil, err
	}
	var user *models.User
	var recorded bool
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		var err error
		user, err = find(tx, app, id)
		if err != nil {
			return err
		}
		if user == nil {
			return userlock.Unknown(id)
		}
		recorded, err = s.apply(tx, app, user, change)
		return err
	})
	if err != nil {
		return nil, fault.Wrap(err, "updating user")
	}
	s.bus.PublishEventsRecorded(ctx, recorded)
	s.announce(ctx, user.ID)
	return user, nil
}

// UpdateOwn is Update for a user that changes its own profile. Returns FEATURE_DISABLED if the app's
// profileEditEnabled is off.
func (s *Service) UpdateOwn(ctx context.Context, app *models.App, id string, change Change) (*models.User, error) {
	if !app.Settings.ProfileEditEnabled {
		return nil, fault.New(fault.FeatureDisabled, "the app's profileEditEnabled is off")
	}
	return s.Update(ctx, app, id, change)
}

// alter applies a change to a user in memory. Returns USER_DEACTIVATED if the user is deactivated.
func (s *Service) alter(user *models.User, change Change) *fault.Error {
	if user.DeactivatedAt != nil {
		return userlock.Deactivated(user.ExternalID)
	}
	if change == (Change{}) {
		return nil
	}
	user.UpdatedAt = s.now()
	if change.Name != "" {
		user.Name, user.SearchName = change.Name, models.SearchName(change.Name, user.ExternalID)
	}
	switch {
	case change.RemoveAvatar:
		user.AvatarURL = nil
	case change.AvatarURL != "":
		user.AvatarURL = &change.AvatarURL
	}
	return nil
}

// apply applies a change to a locked user, in memory and in its row, and reports whether it
// recorded an event. Returns the same errors as alter.
func (s *Service) apply(tx *gorm.DB, app *models.App, user *models.User, change Change) (recorded bool, err error) {
	if refusal := s.alter(user, change); refusal != nil {
		return false, refusal
	}
	if change == (Change{}) {
		return false, nil
	}
	columns := []string{"updated_at"}
	if change.Name != "" {
		columns = append(columns, "name", "search_name")
	}
	if change.RemoveAvatar || change.AvatarURL != "" {
		columns = append(columns, "avatar_url")
	}
	if err := tx.Model(&models.User{}).Where("id = ?", user.ID).Select(columns).Updates(user).Error; err != nil {
		return false, err
	}
	return s.record(tx, app, []*models.User{user}, s.profileEvent(outbox.UserUpdated))
}
