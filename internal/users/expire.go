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
	return s.endTokens(ctx, app, ids, min(issuedBefore, s.now()+1), audit.ActionUserExpireTokens, by)
}

// SignOut ends all tokens of these users and their present devices, and writes one audit entry for both,
// even if the tokens had already ended. The caller disconnects the devices at once; those that it
// cannot reach are closed by their nodes, which read the device generation regularly. For a deactivated
// user, the outcome is ALREADY.
func (s *Service) SignOut(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*batch.Result, error) {
	return s.endTokens(ctx, app, ids, s.now()+1, audit.ActionUserSignOut, by)
}

// endTokens ends the tokens issued before from, and writes the action to the audit.
func (s *Service) endTokens(ctx context.Context, app *models.App, ids []string, from models.Time, action string, by models.Actor) ([]*batch.Result, error) {
	expired := s.event(outbox.UserTokensExpired)
	results, _, err := s.batch(ctx, app, ids, operation{
		action: action, detail: "before=" + from.String(), by: by,
		event: func(u *models.User) outbox.Event {
			e := expired(u)
			e.Data.TokensValidFrom = from.String()
			return e
		},
		item: func(u *models.User) (models.Outcome, *fault.Error) {
			ended := u.TokensValidFrom >= from && action == audit.ActionUserExpireTokens
			if u.DeactivatedAt != nil || ended {
				return models.OutcomeAlready, nil
			}
			u.TokensValidFrom = max(u.TokensValidFrom, from)
			return models.OutcomeDone, nil
		},
		write: func(tx *gorm.DB, changed []*models.User) error {
			columns := map[string]any{
				"tokens_valid_from": gorm.Expr("CASE WHEN tokens_valid_from > ? THEN tokens_valid_from ELSE ? END", from, from),
			}
			if action == audit.ActionUserSignOut {
				columns["device_generation"] = gorm.Expr("device_generation + 1")
			}
			return tx.Model(&models.User{}).Where("id IN ?", userlock.Keys(changed)).Updates(columns).Error
		},
	})
	return results, fault.Wrap(err, "ending tokens")
}
