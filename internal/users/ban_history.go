package users

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// BanConnection is one page of a user's bans.
type BanConnection = page.Connection[*models.BanRecord]

// BanEdge is a ban in a page.
type BanEdge = page.Edge[*models.BanRecord]

// Bans returns a page of all bans of the user, past and in force, the newest first. Returns
// INVALID_ARGUMENT for a cursor of another list.
func (s *Service) Bans(ctx context.Context, u *models.User, r page.Request) (*BanConnection, error) {
	ctx, cancel := s.db.Bounded(ctx)
	defer cancel()
	order := page.Order{List: "bans", Owner: u.ID, Secret: s.keys.Secret(), At: "banned_at", ID: "id"}
	rows, err := order.Limit(s.db.Read(ctx).Where("user_id = ?", u.ID), r)
	if err != nil {
		return nil, err
	}
	var bans []*models.BanRecord
	if err := rows.Find(&bans).Error; err != nil {
		return nil, fmt.Errorf("listing bans: %w", err)
	}
	keys := make([]page.Key, len(bans))
	for i, b := range bans {
		keys[i] = page.Key{At: b.BannedAt, ID: b.ID}
	}
	total := func(ctx context.Context) (int, error) {
		var n int64
		err := s.db.Read(ctx).Model(&models.BanRecord{}).Where("user_id = ?", u.ID).Count(&n).Error
		return int(n), fault.Wrap(err, "counting bans")
	}
	return page.Of(order, r, bans, keys, total), nil
}

// BansSince returns how many bans were imposed in each app since from, in buckets of span. Those of
// users that have been erased since are left out.
func (s *Service) BansSince(ctx context.Context, span time.Duration, from models.Time) (rows []models.BucketCount, err error) {
	bucket := fmt.Sprintf("b.banned_at - b.banned_at %% %d", span.Milliseconds())
	err = s.db.Read(ctx).Raw("SELECT u.app_id, "+bucket+" AS begins_at, COUNT(*) AS count FROM "+s.db.Using("ban_records b", "ban_records_at")+" "+
		s.db.Then()+" users u ON u.id = b.user_id WHERE b.banned_at >= ? GROUP BY u.app_id, "+bucket, from).Scan(&rows).Error
	return rows, fault.Wrap(err, "counting bans")
}

// recordBans adds a ban of each user to its history, in the transaction of the ban. A ban in force
// ends as replaced.
func recordBans(tx *gorm.DB, banned []*models.User, now, until models.Time, reason *string, by models.Actor) error {
	if err := endBans(tx, banned, now, models.BanReplaced, by); err != nil {
		return err
	}
	actor := audit.ActorName(by)
	bans := make([]models.BanRecord, len(banned))
	for i, u := range banned {
		bans[i] = models.BanRecord{UserID: u.ID, BannedAt: now, BannedBy: &actor, BannedUntil: until, Reason: reason}
	}
	return fault.Wrap(tx.Create(&bans).Error, "adding to the history of bans")
}

// endBans records in the transaction how the users' bans in force end.
func endBans(tx *gorm.DB, banned []*models.User, now models.Time, ending models.BanState, by models.Actor) error {
	err := tx.Model(&models.BanRecord{}).
		Where("user_id IN ? AND ended_at IS NULL AND banned_until > ?", userlock.Keys(banned), now).
		Updates(map[string]any{"ended_at": now, "ended_by": audit.ActorName(by), "ending": ending}).Error
	return fault.Wrap(err, "ending bans in the history")
}

// eraseBans deletes the users' bans from the history.
func eraseBans(tx *gorm.DB, gone []*models.User) error {
	err := tx.Where("user_id IN ?", userlock.Keys(gone)).Delete(&models.BanRecord{}).Error
	return fault.Wrap(err, "erasing the history of bans")
}
