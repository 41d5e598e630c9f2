package users

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// ExpireTokens ends every token of these users that was issued before the moment;
// one in the future counts as now, and ends all that were issued until now. Live
// connections are not cut, but cannot come back. ALREADY: all such tokens had
// ended before, a deactivated user's among them.
func (s *Service) ExpireTokens(ctx context.Context, app *models.App, ids []string, issuedBefore models.Time, by models.Actor) ([]*models.ItemResult, error) {
	// The next millisecond, because a token may be as young as this one; those of
	// the rest of it are dated later, see issue.
	from := min(issuedBefore, s.now()+1)
	results, _, err := s.batch(ctx, app, ids, change{
		action: audit.ActionUserExpireTokens, detail: "before=" + from.String(), by: by,
		item: func(u *models.User) (models.Outcome, *fault.Error) {
			if u.DeactivatedAt != nil || u.TokensValidFrom >= from {
				return models.OutcomeAlready, nil
			}
			u.TokensValidFrom = from
			return models.OutcomeDone, nil
		},
		write: func(tx *gorm.DB, changed []*models.User) error {
			return tx.Model(&models.User{}).Where("id IN ?", userlock.Keys(changed)).Update("tokens_valid_from", from).Error
		},
	})
	return results, fault.Wrap(err, "expiring tokens")
}
