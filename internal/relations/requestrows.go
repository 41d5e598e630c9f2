package relations

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/once"
	"rollcall/internal/redis"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// A friend request has a row of its recipient in friend_requests, and one of its sender in
// sent_friend_requests, so that a database that is sharded by users has each user's lists on one shard.
// There is a request as long as the recipient has its row. The sender's is only for the sender's list and
// for the number of its pending requests.

// mendChunk is how many requests one statement compares, and one transaction writes.
const mendChunk = 500

// requestPair has the users.id of the two users of a request.
type requestPair struct{ FromID, ToID int64 }

// ofPairs selects the rows of the requests between these users, in one of the two tables.
func ofPairs(tx *gorm.DB, db *database.DB, pairs []requestPair) *gorm.DB {
	args := make([]any, 0, 2*len(pairs))
	for _, p := range pairs {
		args = append(args, p.FromID, p.ToID)
	}
	return tx.Where(db.Among(len(pairs), "from_id", "to_id"), args...)
}

// deleteRequests deletes the requests between these users, which are locked.
func deleteRequests(tx *gorm.DB, db *database.DB, pairs ...requestPair) error {
	if err := ofPairs(tx, db, pairs).Delete(&models.FriendRequest{}).Error; err != nil {
		return err
	}
	return ofPairs(tx, db, pairs).Delete(&models.SentFriendRequest{}).Error
}

// writeSent writes the sender's row of a request between two locked users. It replaces one that a node
// of an earlier release has left, which knows only the recipient's.
func writeSent(tx *gorm.DB, row *models.FriendRequest) error {
	err := tx.Where("from_id = ? AND to_id = ?", row.FromID, row.ToID).Delete(&models.SentFriendRequest{}).Error
	if err != nil {
		return err
	}
	sent := sentRow(row)
	return tx.Create(&sent).Error
}

func sentRow(row *models.FriendRequest) models.SentFriendRequest {
	return models.SentFriendRequest{
		FromID: row.FromID, CreatedAt: row.CreatedAt, ID: row.ID, ToID: row.ToID,
		Message: row.Message, ExpiresAt: row.ExpiresAt,
	}
}

// RunMendSent runs MendSent in turn with other nodes until it has succeeded at one of them, or ctx ends.
func (s *Service) RunMendSent(ctx context.Context, client *redis.Client, log *slog.Logger) {
	once.New(client, "mend-sent").Run(ctx, log, func(ctx context.Context) error {
		mended, err := s.MendSent(ctx)
		if mended > 0 {
			log.InfoContext(ctx, "lists of sent friend requests were brought up to date", "requests", mended)
		}
		return err
	})
}

// MendSent makes the senders' rows of all requests those of the recipients, after nodes of an earlier
// release have written only the latter. Returns how many requests differed. It pauses after each page. It
// may be ended at any time, and called again, also by several nodes at once.
func (s *Service) MendSent(ctx context.Context) (mended int, err error) {
	for _, side := range []struct {
		table any
		// differs selects the requests that differ, of those whose row r in this table has an ID in a range.
		differs string
	}{
		{&models.FriendRequest{}, `SELECT r.from_id, r.to_id FROM ` + s.db.InOrder("friend_requests r") + `
			LEFT JOIN sent_friend_requests q ON q.from_id = r.from_id AND q.to_id = r.to_id
			WHERE r.id BETWEEN ? AND ? AND (q.id IS NULL OR q.id <> r.id OR q.expires_at <> r.expires_at)`},
		{&models.SentFriendRequest{}, `SELECT r.from_id, r.to_id FROM ` + s.db.Using("sent_friend_requests r", "sent_friend_requests_id") + `
			LEFT JOIN friend_requests q ON q.id = r.id
			WHERE r.id BETWEEN ? AND ? AND q.id IS NULL`},
	} {
		for last := int64(0); ; {
			began := time.Now()
			var ids []int64
			err := s.db.Read(ctx).Model(side.table).Where("id > ?", last).Order("id").Limit(mendChunk).Pluck("id", &ids).Error
			if err != nil {
				return mended, fmt.Errorf("listing friend requests: %w", err)
			}
			if len(ids) == 0 {
				break
			}
			var pairs []requestPair
			if err := s.db.Read(ctx).Raw(side.differs, ids[0], ids[len(ids)-1]).Scan(&pairs).Error; err != nil {
				return mended, fmt.Errorf("comparing friend requests: %w", err)
			}
			if len(pairs) > 0 {
				if err := s.mend(ctx, pairs); err != nil {
					return mended, fmt.Errorf("writing sent friend requests: %w", err)
				}
			}
			mended, last = mended+len(pairs), ids[len(ids)-1]
			if err := once.Pause(ctx, began); err != nil {
				return mended, err
			}
		}
	}
	return mended, nil
}

// mend makes the senders' rows of the requests between these users those of the recipients.
func (s *Service) mend(ctx context.Context, pairs []requestPair) error {
	users := make(map[int64]bool, 2*len(pairs))
	for _, p := range pairs {
		users[p.FromID], users[p.ToID] = true, true
	}
	return s.db.Tx(ctx, func(tx *gorm.DB) error {
		if _, err := userlock.LockKeys(tx, slices.Collect(maps.Keys(users))); err != nil {
			return err
		}
		var rows []*models.FriendRequest
		if err := ofPairs(tx, s.db, pairs).Find(&rows).Error; err != nil {
			return err
		}
		if err := ofPairs(tx, s.db, pairs).Delete(&models.SentFriendRequest{}).Error; err != nil || len(rows) == 0 {
			return err
		}
		sent := make([]models.SentFriendRequest, len(rows))
		for i, row := range rows {
			sent[i] = sentRow(row)
		}
		return tx.Create(sent).Error
	})
}
