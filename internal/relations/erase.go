package relations

import (
	"context"
	"maps"
	"slices"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// eraseChunk is how many users one statement looks up.
const eraseChunk = 1000

// Hold prevents other changes in this process of the relations of the app's users with these IDs,
// which are about to be erased, until release is called, so that events reach subscribers in the
// order of the commits. Returns the errors of userlock.Locks.Acquire.
func (s *Service) Hold(ctx context.Context, app *models.App, ids []string) (release func(), err error) {
	held, err := s.acquire(ctx, app, ids)
	if err != nil {
		return nil, fault.Wrap(err, "changing relations")
	}
	return held.Release, nil
}

// Count adds how many entries of lists and requests Erase will delete.
func (s *Service) Count(tx *gorm.DB, users []int64, counts audit.Erasures) error {
	for _, c := range []struct {
		kind   string
		table  any
		column string
	}{
		{audit.ErasedFriends, &models.Friendship{}, "user_id"},
		{audit.ErasedBlocklist, &models.Block{}, "user_id"},
		{audit.ErasedMentions, &models.Block{}, "blocked_id"},
		{audit.ErasedWhitelist, &models.WhitelistEntry{}, "user_id"},
		{audit.ErasedMentions, &models.WhitelistEntry{}, "allowed_id"},
		{audit.ErasedRequests, &models.SentFriendRequest{}, "from_id"},
		{audit.ErasedRequests, &models.FriendRequest{}, "to_id"},
	} {
		if err := counts.Add(tx, c.kind, c.table, c.column, users); err != nil {
			return err
		}
	}
	return nil
}

// Erase deletes all relations of users that are deactivated or deleted in tx, including the entries
// on other users' lists, and corrects the counts of those other users. The caller must call announce
// after tx has committed, which sends the events to them. Until then it must hold the users; see
// Hold.
func (s *Service) Erase(tx *gorm.DB, gone []*models.User) (announce func(), err error) {
	e := &erasure{gone: make(map[int64]*models.User, len(gone)), keys: make([]int64, len(gone)), notes: &notes{at: s.now()}}
	for i, u := range gone {
		e.keys[i] = u.ID
		// Events have the ID and the times of the user, and no other field.
		e.gone[u.ID] = &models.User{ID: u.ID, AppID: u.AppID, ExternalID: u.ExternalID,
			CreatedAt: u.CreatedAt, UpdatedAt: e.notes.at, DeactivatedAt: &e.notes.at}
	}
	for _, l := range keptLists {
		if err := e.eraseList(tx, l); err != nil {
			return nil, err
		}
	}
	if err := s.eraseRequests(tx, e); err != nil {
		return nil, err
	}
	err = tx.Model(&models.User{}).Where("id IN ?", e.keys).Updates(map[string]any{
		"friend_count": 0, "block_count": 0, "whitelist_count": 0, "whitelist_enabled": false, "friend_request_policy": nil,
	}).Error
	if err != nil {
		return nil, err
	}
	if err := record(tx, s.outbox, gone[0].AppID, e.notes); err != nil {
		return nil, err
	}
	return func() { s.send(context.Background(), e.notes) }, nil
}

// erasure is one call of Erase.
type erasure struct {
	// gone are the erased users by users.id.
	gone  map[int64]*models.User
	keys  []int64
	notes *notes
}

// keptList is a kind of list that users keep of other users.
type keptList struct {
	// table is an empty entry, and column the entries' column of the other user.
	table  any
	column string
	// counter is the column with the owner's count of entries.
	counter string
	// mirrored means that an entry has a counterpart in the other user's list.
	mirrored bool
	// removed is the event for an owner whose entry is erased, or "" if there is none.
	removed EventKind
}

var keptLists = []keptList{
	{table: &models.Friendship{}, column: "friend_id", counter: "friend_count", mirrored: true, removed: FriendRemoved},
	{table: &models.Block{}, column: "blocked_id", counter: "block_count", removed: BlockRemoved},
	{table: &models.WhitelistEntry{}, column: "allowed_id", counter: "whitelist_count"},
}

// eraseList deletes the lists of the erased users, and their entries in other users' lists.
func (e *erasure) eraseList(tx *gorm.DB, l keptList) error {
	entries, err := e.inOthers(tx, l)
	if err != nil {
		return err
	}
	if err := tx.Where("user_id IN ?", e.keys).Delete(l.table).Error; err != nil {
		return err
	}
	losses := make(map[int64]int) // entries by their owner
	for _, entry := range entries {
		if e.gone[entry.OwnerID] != nil {
			continue // its whole list has been removed
		}
		losses[entry.OwnerID]++
		if l.removed != "" {
			e.notes.tell(&models.User{ID: entry.OwnerID}, l.removed, e.gone[entry.OtherID])
		}
	}
	return e.shorten(tx, l, losses)
}

// pair is an entry of a list: its owner and the other user, by users.id.
type pair struct{ OwnerID, OtherID int64 }

// inOthers returns the entries of other users about erased users.
func (e *erasure) inOthers(tx *gorm.DB, l keptList) (entries []pair, err error) {
	owner, other := "user_id", l.column
	if l.mirrored {
		owner, other = other, owner // the table is ordered by owner
	}
	err = tx.Model(l.table).Select(owner+" AS owner_id, "+other+" AS other_id").
		Where(other+" IN ?", e.keys).Find(&entries).Error
	return entries, err
}

// shorten deletes the erased users from other users' lists, and reduces each owner's count by its
// losses.
func (e *erasure) shorten(tx *gorm.DB, l keptList, losses map[int64]int) error {
	owners := make([]int64, 0, len(losses))
	for owner := range losses {
		owners = append(owners, owner)
	}
	slices.Sort(owners) // the order in which all transactions lock users
	for chunk := range slices.Chunk(owners, eraseChunk) {
		byLoss := make(map[int][]int64)
		for _, owner := range chunk {
			byLoss[losses[owner]] = append(byLoss[losses[owner]], owner)
		}
		for loss, who := range byLoss {
			err := tx.Model(&models.User{}).Where("id IN ?", who).Update(l.counter, gorm.Expr(l.counter+" - ?", loss)).Error
			if err != nil {
				return err
			}
		}
		err := tx.Where("user_id IN ? AND "+l.column+" IN ?", chunk, e.keys).Delete(l.table).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// eraseRequests deletes the requests from and to the erased users, and their counts of requests.
func (s *Service) eraseRequests(tx *gorm.DB, e *erasure) error {
	if err := tx.Where("user_id IN ?", e.keys).Delete(&models.FriendRequestCount{}).Error; err != nil {
		return err
	}
	// Also those without a row of the recipient, which a node of an earlier release has deleted.
	if err := tx.Where("from_id IN ? OR to_id IN ?", e.keys, e.keys).Delete(&models.SentFriendRequest{}).Error; err != nil {
		return err
	}
	var rows []models.FriendRequest
	if err := tx.Where("from_id IN ? OR to_id IN ?", e.keys, e.keys).Find(&rows).Error; err != nil || len(rows) == 0 {
		return err
	}
	others, err := e.otherParties(tx, rows)
	if err != nil {
		return err
	}
	for _, r := range rows {
		switch from, to := e.gone[r.FromID], e.gone[r.ToID]; {
		case r.ExpiresAt <= e.notes.at, from != nil && to != nil:
		case from != nil:
			r.Message = nil // it is of the erased user
			e.notes.tellRequest(others[r.ToID], FriendRequestCancelled, s.shown(&r, from, others[r.ToID]))
		default:
			e.notes.tellRequest(others[r.FromID], FriendRequestDeclined, s.shown(&r, others[r.FromID], to))
		}
	}
	return tx.Where("from_id IN ? OR to_id IN ?", e.keys, e.keys).Delete(&models.FriendRequest{}).Error
}

// otherParties returns the users of the requests that are not erased, by users.id. It locks them, as
// shorten locks the owners of lists: their events must not get the versions of concurrent ones.
func (e *erasure) otherParties(tx *gorm.DB, requests []models.FriendRequest) (map[int64]*models.User, error) {
	others := make(map[int64]*models.User)
	for _, r := range requests {
		for _, key := range []int64{r.FromID, r.ToID} {
			if e.gone[key] == nil {
				others[key] = nil
			}
		}
	}
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(others)), eraseChunk) {
		users, err := userlock.LockKeys(tx, keys)
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			others[u.ID] = u
		}
	}
	return others, nil
}
