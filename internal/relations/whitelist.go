package relations

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

// AddToWhitelist lets users message userID while its whitelist is on. The list can be edited while
// it is off. An item is REFUSED with SELF_REFERENCE, USER_DEACTIVATED or WHITELIST_LIMIT_REACHED.
func (s *Service) AddToWhitelist(ctx context.Context, app *models.App, userID string, ids []string) ([]*batch.Result, error) {
	return s.edit(ctx, app, userID, ids, allowing(app))
}

// allowing returns the edit that adds users to the whitelist.
func allowing(app *models.App) edit {
	e := whitelist(app)
	e.add = true
	e.changed = func(_ *gorm.DB, owner *models.User, others []*models.User, n *notes) error {
		n.noteWhitelist(owner, outbox.Whitelist{Added: externalIDs(others)})
		return nil
	}
	return e
}

// RemoveFromWhitelist removes users from userID's whitelist.
func (s *Service) RemoveFromWhitelist(ctx context.Context, app *models.App, userID string, ids []string) ([]*batch.Result, error) {
	e := whitelist(app)
	e.changed = func(_ *gorm.DB, owner *models.User, others []*models.User, n *notes) error {
		n.noteWhitelist(owner, outbox.Whitelist{Removed: externalIDs(others)})
		return nil
	}
	return s.edit(ctx, app, userID, ids, e)
}

// whitelist returns the edit of the whitelist. listedit.go decides for each user whether it is done.
func whitelist(app *models.App) edit {
	return edit{
		column: "allowed_id", counter: "whitelist_count", count: func(u *models.User) *int { return &u.WhitelistCount }, table: &models.WhitelistEntry{},
		limit: app.Settings.WhitelistLimit, full: fault.WhitelistLimitReached,
		write: func(tx *gorm.DB, owner *models.User, others []*models.User, at models.Time) error {
			rows := make([]models.WhitelistEntry, len(others))
			for i, u := range others {
				rows[i] = models.WhitelistEntry{UserID: owner.ID, CreatedAt: at + models.Time(i), AllowedID: u.ID}
			}
			return tx.Create(rows).Error
		},
	}
}

// SetWhitelistEnabled turns users' whitelists on or off. The result of an item is DONE, ALREADY,
// NOT_FOUND, or REFUSED with USER_DEACTIVATED. Each change has an audit entry.
func (s *Service) SetWhitelistEnabled(ctx context.Context, app *models.App, userIDs []string, enabled bool, by models.Actor) ([]*batch.Result, error) {
	action := audit.ActionUserWhitelistOff
	if enabled {
		action = audit.ActionUserWhitelistOn
	}
	var results []*batch.Result
	err := s.change(ctx, app, userIDs, func(tx *gorm.DB, users userlock.Users, n *notes) error {
		results = make([]*batch.Result, len(userIDs))
		var changed []int64
		var entries []models.AuditEntry
		for i, id := range userIDs {
			u := users[id]
			switch {
			case u == nil:
				results[i] = batch.Refused(id, nil, userlock.Unknown(id))
			case u.DeactivatedAt != nil:
				results[i] = batch.Refused(id, u, userlock.Deactivated(id))
			case u.WhitelistEnabled == enabled:
				results[i] = batch.Already(u)
			default:
				results[i] = batch.Done(u)
				u.WhitelistEnabled = enabled
				changed = append(changed, u.ID)
				n.noteWhitelist(u, outbox.Whitelist{Enabled: &enabled})
				entries = append(entries, models.AuditEntry{
					AppID: &app.ID, At: n.at, Actor: by.Name, Action: action, Target: id, Address: by.Address,
				})
			}
		}
		if len(changed) == 0 {
			return nil
		}
		err := tx.Model(&models.User{}).Where("id IN ?", changed).Update("whitelist_enabled", enabled).Error
		if err != nil {
			return err
		}
		return audit.Write(tx, entries...)
	})
	return results, err
}
