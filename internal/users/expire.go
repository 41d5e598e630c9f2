package users

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// ExpireTokens ends all tokens of these users that were issued before the given time. A time in the
// future counts as now and ends all tokens issued until now. Open connections are not closed, but
// cannot be made again. If all such tokens had already ended, as those of a deactivated user, the
// outcome is ALREADY.
func (s *Service) ExpireTokens(ctx context.Context, app *models.App, ids []string, issuedBefore models.Time, by models.Actor) ([]*batch.Result, error) {
	// At most the next millisecond, so that tokens already issued in the present one end too. Tokens
	// issued from now on stay valid: issue gives them this time or a later one.
	from := min(issuedBefore, s.now()+1)
	expired := s.event(outbox.UserTokensExpired)
	results, _, err := s.batch(ctx, app, ids, operation{
		action: audit.ActionUserExpireTokens, detail: "before=" + from.String(), by: by,
		event: func(u *models.User) outbox.Event {
			e := expired(u)
			e.Data.TokensValidFrom = from.String()
			return e
		},
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
