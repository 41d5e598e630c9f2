package relations

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/outage"
	"rollcall/models"
)

const (
	// expiryInterval is how often expired requests are deleted.
	expiryInterval = time.Minute
	// expiryChunk is how many rows one transaction deletes.
	expiryChunk = 500
)

// expiring is a table whose rows mean nothing any more after some time.
type expiring struct {
	table any
	// key is the primary key. Rows with a value in column up to end(now) have expired.
	key, column string
	end         func(now models.Time) models.Time
}

var expirings = []expiring{
	{&models.FriendRequest{}, "id", "expires_at", func(now models.Time) models.Time { return now }},
	{&models.FriendRequestCount{}, "user_id", "since", func(now models.Time) models.Time { return now.Add(-requestDay) }},
}

// Run deletes expired friend requests until ctx ends. Several nodes may do so at once.
func (s *Service) Run(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(expiryInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := s.DeleteExpired(ctx); err != nil && !outage.CallerGone(ctx, err) {
			log.WarnContext(ctx, "expired friend requests are not deleted, will be tried again", "error", err)
		}
	}
}

// DeleteExpired deletes the friend requests that have expired and the counts of days that have
// ended, and returns how many rows there were. Each transaction deletes a few hundred.
func (s *Service) DeleteExpired(ctx context.Context) (deleted int, err error) {
	for _, e := range expirings {
		for {
			n, err := s.deleteChunk(ctx, e)
			if err != nil {
				return deleted, fmt.Errorf("deleting expired friend requests: %w", err)
			}
			deleted += n
			if n < expiryChunk {
				break
			}
		}
	}
	return deleted, nil
}

// deleteChunk deletes up to expiryChunk expired rows, and returns how many.
func (s *Service) deleteChunk(ctx context.Context, e expiring) (int, error) {
	end := e.end(s.now())
	var keys []int64
	err := s.db.Read(ctx).Model(e.table).Where(e.column+" <= ?", end).Order(e.column).Limit(expiryChunk).Pluck(e.key, &keys).Error
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	slices.Sort(keys) // the order in which all nodes lock them
	var deleted int64
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		// A request that was sent again since it was read stays.
		result := tx.Where(e.key+" IN ? AND "+e.column+" <= ?", keys, end).Delete(e.table)
		deleted = result.RowsAffected
		return result.Error
	})
	return int(deleted), err
}
