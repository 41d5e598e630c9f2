package users

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// GrantToken returns a token of a user to an operator, who acts as that user with it, and audits
// that. Returns USER_NOT_FOUND, and USER_DEACTIVATED or USER_BANNED, because such a user's token is
// refused; and fault.AppDisabled. Nothing is audited then.
func (s *Service) GrantToken(ctx context.Context, app *models.App, id string, ttl time.Duration, by models.Actor) (*Issued, error) {
	if app.Disabled() {
		return nil, fault.AppDisabled
	}
	var out Issued
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		u, err := find(tx, app, id)
		if err != nil {
			return err
		}
		if u == nil {
			return userlock.Unknown(id)
		}
		switch u.State(s.now()) {
		case models.UserDeactivated:
			return userlock.Deactivated(id)
		case models.UserBanned:
			return fault.Banned(u.BanEnd())
		}
		if out, err = s.issue(app, u, ttl); err != nil {
			return err
		}
		return audit.Write(tx, s.entry(app, by, audit.ActionUserGrantToken, id, fmt.Sprintf("minutes=%d", ttl/time.Minute)))
	})
	if err != nil {
		return nil, fault.Wrap(err, "granting user token")
	}
	return &out, nil
}
