package relations

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/batch"
	"rollcall/internal/fault"
	"rollcall/models"
)

// AddToBlocklist adds users to userID's blocklist, whether they are friends or not; friends stay
// friends. Pending requests between the two end. An item is REFUSED with SELF_REFERENCE,
// USER_DEACTIVATED or BLOCKLIST_LIMIT_REACHED.
func (s *Service) AddToBlocklist(ctx context.Context, app *models.App, userID string, ids []string) ([]*batch.Result, error) {
	e := blocklist(app)
	e.add = true
	e.changed = func(tx *gorm.DB, owner *models.User, others []*models.User, n *notes) error {
		requests, err := s.endRequests(tx, owner, others...)
		if err != nil {
			return err
		}
		for _, other := range others {
			n.tell(owner, BlockAdded, other)
			for _, r := range requests {
				switch {
				case r.ExpiresAt <= n.at:
				case r.ToID == other.ID:
					n.tellRequest(other, FriendRequestCancelled, s.shown(r, owner, other))
				case r.FromID == other.ID:
					n.tellRequest(other, FriendRequestDeclined, s.shown(r, other, owner))
				}
			}
		}
		return nil
	}
	return s.edit(ctx, app, userID, ids, e)
}

// RemoveFromBlocklist removes users from userID's blocklist. Everything else about them is
// unaffected.
func (s *Service) RemoveFromBlocklist(ctx context.Context, app *models.App, userID string, ids []string) ([]*batch.Result, error) {
	return s.edit(ctx, app, userID, ids, unblocking(app))
}

// unblocking returns the edit that removes users from the blocklist.
func unblocking(app *models.App) edit {
	e := blocklist(app)
	e.changed = func(_ *gorm.DB, owner *models.User, others []*models.User, n *notes) error {
		for _, other := range others {
			n.tell(owner, BlockRemoved, other)
		}
		return nil
	}
	return e
}

// blocklist returns the edit of the blocklist. listedit.go decides for each user whether it is done.
func blocklist(app *models.App) edit {
	return edit{
		column: "blocked_id", counter: "block_count", count: func(u *models.User) *int { return &u.BlockCount }, table: &models.Block{},
		limit: app.Settings.BlocklistLimit, full: fault.BlocklistLimitReached,
		write: func(tx *gorm.DB, owner *models.User, others []*models.User, at models.Time) error {
			rows := make([]models.Block, len(others))
			for i, u := range others {
				rows[i] = models.Block{UserID: owner.ID, CreatedAt: at + models.Time(i), BlockedID: u.ID}
			}
			return tx.Create(rows).Error
		},
	}
}

func hasBlocked(tx *gorm.DB, ownerID, otherID int64) (bool, error) {
	return exists(tx, &models.Block{}, "user_id = ? AND blocked_id = ?", ownerID, otherID)
}
