package relations

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// SetFriendRequestPolicy sets what friend requests to a user do from now on, and returns the user. ""
// means that the app's policy applies. Pending requests are not affected. Returns INVALID_ARGUMENT
// for the policy, USER_NOT_FOUND or USER_DEACTIVATED.
func (s *Service) SetFriendRequestPolicy(ctx context.Context, app *models.App, userID string, policy models.FriendRequestPolicy) (*models.User, error) {
	var own *models.FriendRequestPolicy
	if policy != "" {
		if !slices.Contains(models.FriendRequestPolicies, policy) {
			return nil, fault.Invalid("policy", "oneof", "policy must be ANYONE, APPROVAL or NOBODY")
		}
		own = &policy
	}
	var user *models.User
	err := s.change(ctx, app, []string{userID}, func(tx *gorm.DB, users userlock.Users, _ *notes) (err error) {
		if user, err = users.Active(userID); err != nil {
			return err
		}
		user.FriendRequestPolicy = own
		return tx.Model(&models.User{}).Where("id = ?", user.ID).Update("friend_request_policy", own).Error
	})
	if err != nil {
		return nil, err
	}
	return user, nil
}
