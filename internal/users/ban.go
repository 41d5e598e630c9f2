package users

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/fault"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// The bounds of a ban, in minutes (as RongCloud has them: up to 30 days).
const (
	MinBanMinutes = 1
	MaxBanMinutes = 43_200
)

// Ban keeps users out for a while: their devices are disconnected at once, and
// every request and connect is USER_BANNED until the ban ends by itself or by
// Unban. Banning again replaces the end and the reason; a ban that runs keeps
// its beginning. Of a deactivated user: REFUSED, USER_DEACTIVATED.
func (s *Service) Ban(ctx context.Context, app *models.App, ids []string, length time.Duration, reason *string, by models.Actor) ([]*models.ItemResult, error) {
	now := s.now()
	until := now.Add(length)
	results, before, err := s.batch(ctx, app, ids, change{
		action: audit.ActionUserBan, detail: fmt.Sprintf("minutes=%d", length/time.Minute), by: by,
		item: func(u *models.User) (models.Outcome, *fault.Error) {
			if u.DeactivatedAt != nil {
				return models.OutcomeRefused, userlock.Deactivated(u.ExternalID)
			}
			return models.OutcomeDone, nil
		},
		write: func(tx *gorm.DB, changed []*models.User) error {
			// banned_at comes first: MySQL assigns from left to right, and it asks
			// for the banned_until of before.
			return tx.Exec(`UPDATE users SET
				banned_at = CASE WHEN banned_until > ? THEN banned_at ELSE ? END,
				banned_until = ?, ban_reason = ? WHERE id IN ?`, now, now, until, reason, userlock.Keys(changed)).Error
		},
	})
	s.revoke(ctx, before, bus.ReasonBanned)
	return results, fault.Wrap(err, "banning users")
}

// Unban ends bans. Of one who is not banned: ALREADY.
func (s *Service) Unban(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*models.ItemResult, error) {
	now := s.now()
	results, _, err := s.batch(ctx, app, ids, change{
		action: audit.ActionUserUnban, by: by,
		item: func(u *models.User) (models.Outcome, *fault.Error) {
			if u.State(now) != models.UserBanned {
				return models.OutcomeAlready, nil
			}
			u.BannedUntil = nil
			return models.OutcomeDone, nil
		},
		write: func(tx *gorm.DB, changed []*models.User) error {
			return tx.Model(&models.User{}).Where("id IN ?", userlock.Keys(changed)).Updates(noBan()).Error
		},
	})
	return results, fault.Wrap(err, "unbanning users")
}

// noBan are the columns of a user who is not banned.
func noBan() map[string]any {
	return map[string]any{"banned_until": nil, "banned_at": nil, "ban_reason": nil}
}

// revoke says that these users may no longer be connected, and returns when
// their devices have been cut.
func (s *Service) revoke(ctx context.Context, before []*models.User, reason bus.Reason) {
	for _, u := range before {
		s.bus.PublishAccessRevoked(ctx, bus.AccessRevoked{User: u, Reason: reason})
	}
}
