package users

import (
	"context"
	"maps"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/headcount"
	"rollcall/internal/outbox"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// Deactivate closes accounts until Reactivate opens them again. It disconnects the devices, ends all
// tokens and permanently erases everything about the user except its ID, including a ban with its
// reason. The user no longer counts towards the app's limit, but its ID stays taken. For a user that
// is already deactivated, the outcome is ALREADY.
func (s *Service) Deactivate(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*batch.Result, error) {
	now := s.now()
	results, err := s.erase(ctx, app, ids, bus.ReasonDeactivated, operation{
		action: audit.ActionUserDeactivate, by: by, event: s.event(outbox.UserDeactivated),
		item: func(u *models.User) (models.Outcome, *fault.Error) {
			if u.DeactivatedAt != nil {
				return models.OutcomeAlready, nil
			}
			u.Name, u.SearchName, u.AvatarURL = "", models.SearchName("", u.ExternalID), nil
			u.BannedUntil, u.BannedAt, u.BanReason = nil, nil, nil
			u.UpdatedAt, u.DeactivatedAt = now, &now
			u.TokenGeneration++
			if u.Presence != models.PresenceUnlogined && u.PresenceAt != nil {
				u.PresenceAt = new(max(now, *u.PresenceAt+1))
			}
			u.Presence = models.PresenceUnlogined
			u.FriendCount, u.BlockCount, u.WhitelistCount, u.WhitelistEnabled = 0, 0, 0, false
			u.FriendRequestPolicy = nil
			return models.OutcomeDone, nil
		},
		write: func(tx *gorm.DB, changed []*models.User) error {
			columns := map[string]any{
				"name": "", "avatar_url": nil,
				"search_name":      gorm.Expr("CONCAT(CHAR(10), LOWER(external_id))"), // SearchName without a name
				"updated_at":       now,
				"deactivated_at":   now,
				"token_generation": gorm.Expr("token_generation + 1"),
				// The status's changedAt must increase with each change of it, and only then.
				"presence_at": gorm.Expr("CASE WHEN presence = ? THEN presence_at ELSE ? END",
					models.PresenceUnlogined, database.Later("presence_at", now)),
			}
			maps.Copy(columns, noBan())
			if err := tx.Model(&models.User{}).Where("id IN ?", userlock.Keys(changed)).Updates(columns).Error; err != nil {
				return err
			}
			// This comes after presence_at, whose expression needs the old presence.
			err := tx.Model(&models.User{}).Where("id IN ?", userlock.Keys(changed)).Update("presence", models.PresenceUnlogined).Error
			if err != nil {
				return err
			}
			return s.counts.In(tx, app).Add(models.UserCounts{Registered: -len(changed), Deactivated: len(changed)})
		},
	})
	return results, fault.Wrap(err, "deactivating users")
}

// Reactivate opens deactivated accounts again, without name or token and with status UNLOGINED; the
// App Server registers them again to set a name. For a user that is not deactivated, the outcome is
// ALREADY. If the app has no room, it is REFUSED with USER_LIMIT_REACHED.
func (s *Service) Reactivate(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*batch.Result, error) {
	now := s.now()
	var tally *headcount.Tally
	var room *headcount.Room
	results, _, err := s.batch(ctx, app, ids, operation{
		action: audit.ActionUserReactivate, by: by, event: s.event(outbox.UserReactivated),
		prepare: func(tx *gorm.DB) (err error) {
			tally = s.counts.In(tx, app)
			room, err = tally.Room()
			return err
		},
		item: func(u *models.User) (models.Outcome, *fault.Error) {
			if u.DeactivatedAt == nil {
				return models.OutcomeAlready, nil
			}
			if e := room.Take(1); e != nil {
				return models.OutcomeRefused, full(e)
			}
			u.DeactivatedAt, u.UpdatedAt = nil, now
			return models.OutcomeDone, nil
		},
		write: func(tx *gorm.DB, changed []*models.User) error {
			err := tx.Model(&models.User{}).Where("id IN ?", userlock.Keys(changed)).
				Updates(map[string]any{"deactivated_at": nil, "updated_at": now}).Error
			if err != nil {
				return err
			}
			return tally.Add(models.UserCounts{Registered: len(changed), Deactivated: -len(changed)})
		},
	})
	return results, fault.Wrap(err, "reactivating users")
}
