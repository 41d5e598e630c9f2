package relations

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"rollcall/models"
)

// eraseChunk is how many users one statement looks up.
const eraseChunk = 1000

// Erase removes every relation of users who are deactivated or deleted in tx, the
// entries that others have about them too, with the counts of those others. It
// answers what tells the others when tx has committed.
func (s *Service) Erase(tx *gorm.DB, gone []*models.User) (announce func(), err error) {
	n := &notes{at: s.now()}
	byKey := make(map[int64]*models.User, len(gone))
	keys := make([]int64, len(gone))
	for i, u := range gone {
		keys[i] = u.ID
		// Others are told who it was, and nothing else about it.
		byKey[u.ID] = &models.User{ID: u.ID, AppID: u.AppID, ExternalID: u.ExternalID,
			CreatedAt: u.CreatedAt, UpdatedAt: n.at, DeactivatedAt: &n.at}
	}
	for _, step := range []func(*gorm.DB, []int64, map[int64]*models.User, *notes) error{
		eraseFriendships, eraseBlocks, eraseWhitelists, eraseRequests,
	} {
		if err := step(tx, keys, byKey, n); err != nil {
			return nil, err
		}
	}
	err = tx.Model(&models.User{}).Where("id IN ?", keys).Updates(map[string]any{
		"friend_count": 0, "block_count": 0, "whitelist_count": 0, "whitelist_enabled": false,
	}).Error
	return func() { s.send(context.Background(), n) }, err
}

// pair is a row of a list: whose it is, and about whom.
type pair struct{ OwnerID, OtherID int64 }

func eraseFriendships(tx *gorm.DB, keys []int64, gone map[int64]*models.User, n *notes) error {
	var rows []pair
	err := tx.Model(&models.Friendship{}).Select("friend_id AS owner_id, user_id AS other_id").Where("user_id IN ?", keys).Find(&rows).Error
	if err != nil {
		return err
	}
	if err := tx.Where("user_id IN ?", keys).Delete(&models.Friendship{}).Error; err != nil {
		return err
	}
	return shorten(tx, rows, keys, gone, &models.Friendship{}, "friend_id", "friend_count", FriendRemoved, n)
}

func eraseBlocks(tx *gorm.DB, keys []int64, gone map[int64]*models.User, n *notes) error {
	var rows []pair
	err := tx.Model(&models.Block{}).Select("user_id AS owner_id, blocked_id AS other_id").Where("blocked_id IN ?", keys).Find(&rows).Error
	if err != nil {
		return err
	}
	if err := tx.Where("user_id IN ?", keys).Delete(&models.Block{}).Error; err != nil {
		return err
	}
	return shorten(tx, rows, keys, gone, &models.Block{}, "blocked_id", "block_count", BlockRemoved, n)
}

func eraseWhitelists(tx *gorm.DB, keys []int64, gone map[int64]*models.User, n *notes) error {
	var rows []pair
	err := tx.Model(&models.WhitelistEntry{}).Select("user_id AS owner_id, allowed_id AS other_id").Where("allowed_id IN ?", keys).Find(&rows).Error
	if err != nil {
		return err
	}
	if err := tx.Where("user_id IN ?", keys).Delete(&models.WhitelistEntry{}).Error; err != nil {
		return err
	}
	return shorten(tx, rows, keys, gone, &models.WhitelistEntry{}, "allowed_id", "whitelist_count", "", n)
}

func eraseRequests(tx *gorm.DB, keys []int64, gone map[int64]*models.User, n *notes) error {
	var rows []models.FriendRequest
	if err := tx.Where("from_id IN ? OR to_id IN ?", keys, keys).Find(&rows).Error; err != nil || len(rows) == 0 {
		return err
	}
	for _, r := range rows {
		switch from, to := gone[r.FromID], gone[r.ToID]; {
		case r.ExpiresAt <= n.at, from != nil && to != nil:
		case from != nil:
			n.tell(&models.User{ID: r.ToID}, FriendRequestCancelled, from)
		default:
			n.tell(&models.User{ID: r.FromID}, FriendRequestDeclined, to)
		}
	}
	return tx.Where("from_id IN ? OR to_id IN ?", keys, keys).Delete(&models.FriendRequest{}).Error
}

// shorten takes the users that are gone out of others' lists: the rows say which.
func shorten(tx *gorm.DB, rows []pair, keys []int64, gone map[int64]*models.User,
	table any, column, counter string, kind EventKind, n *notes) error {
	byLoss := make(map[int]([]int64)) // owners by how many entries they lose
	losses := make(map[int64]int)
	for _, row := range rows {
		if gone[row.OwnerID] != nil {
			continue // its whole list has been removed
		}
		losses[row.OwnerID]++
		if kind != "" {
			n.tell(&models.User{ID: row.OwnerID}, kind, gone[row.OtherID])
		}
	}
	var owners []int64
	for owner := range losses {
		owners = append(owners, owner)
	}
	slices.Sort(owners) // the order in which everybody locks users
	for chunk := range slices.Chunk(owners, eraseChunk) {
		clear(byLoss)
		for _, owner := range chunk {
			byLoss[losses[owner]] = append(byLoss[losses[owner]], owner)
		}
		for loss, who := range byLoss {
			err := tx.Model(&models.User{}).Where("id IN ?", who).Update(counter, gorm.Expr(counter+" - ?", loss)).Error
			if err != nil {
				return err
			}
		}
		err := tx.Where("user_id IN ? AND "+column+" IN ?", chunk, keys).Delete(table).Error
		if err != nil {
			return err
		}
	}
	return nil
}
