package relations

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/models"
)

// Allow adds pair.From to the whitelist of pair.To for an operator, with an audit entry. The result
// is that of AddToWhitelist.
func (s *Service) Allow(ctx context.Context, app *models.App, pair Pair, by models.Actor) (*batch.Result, error) {
	return s.remedy(ctx, app, pair, allowing(app), audit.ActionUserAllow, by)
}

// Unblock removes pair.From from the blocklist of pair.To for an operator, with an audit entry. The
// result is that of RemoveFromBlocklist.
func (s *Service) Unblock(ctx context.Context, app *models.App, pair Pair, by models.Actor) (*batch.Result, error) {
	return s.remedy(ctx, app, pair, unblocking(app), audit.ActionUserUnblock, by)
}

// remedy carries out e on the list of pair.To, with an audit entry in the same transaction.
func (s *Service) remedy(ctx context.Context, app *models.App, pair Pair, e edit, action string, by models.Actor) (*batch.Result, error) {
	changed := e.changed
	e.changed = func(tx *gorm.DB, owner *models.User, others []*models.User, n *notes) error {
		err := audit.Write(tx, models.AuditEntry{
			AppID: &app.ID, At: n.at, Actor: by.Name, Action: action, Target: owner.ExternalID,
			Detail: "user=" + pair.From, Address: by.Address,
		})
		if err != nil {
			return err
		}
		return changed(tx, owner, others, n)
	}
	results, err := s.edit(ctx, app, pair.To, []string{pair.From}, e)
	if err != nil {
		return nil, err
	}
	return results[0], nil
}
