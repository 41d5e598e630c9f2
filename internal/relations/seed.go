package relations

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/models"
)

// seedBatch is how many users get their friends in one transaction.
const seedBatch = 200

// Seed gives each of the app's users with these keys, in their order, friends: the
// next ones in the list, as if it were a ring, half of friends on each side.
// Friendships that are there already stay. It calls progress after each batch.
// Errors: INVALID_ARGUMENT for more friends than there can be.
func (s *Service) Seed(ctx context.Context, app *models.App, keys []int64, friends int, progress func(done int)) error {
	half := friends / 2
	switch {
	case friends%2 != 0 || friends < 0:
		return fault.Invalid("friends", "even", "friends must be an even number")
	case friends >= len(keys):
		return fault.Invalid("friends", "max", "friends must be fewer than the users")
	case friends > app.Settings.FriendLimit:
		return fault.Invalid("friends", "max", "friends must be at most the app's friendLimit of %d", app.Settings.FriendLimit)
	}
	now := s.now()
	for start := 0; start < len(keys) && half > 0; start += seedBatch {
		end := min(start+seedBatch, len(keys))
		var rows []models.Friendship
		for i := start; i < end; i++ {
			for step := 1; step <= half; step++ {
				a, b := keys[i], keys[(i+step)%len(keys)]
				// Moments apart, so that lists have an order that looks like life.
				at := now - models.Time((i+step)%1000)*60_000
				rows = append(rows, models.Friendship{UserID: a, CreatedAt: at, FriendID: b}, models.Friendship{UserID: b, CreatedAt: at, FriendID: a})
			}
		}
		err := s.db.Tx(ctx, func(tx *gorm.DB) error { return s.seedBatch(tx, rows) })
		if err != nil {
			return fmt.Errorf("seeding friendships: %w", err)
		}
		progress(end)
	}
	return nil
}

// seedBatch writes friendships, but for those with the dead, and counts anew those
// of the users concerned.
func (s *Service) seedBatch(tx *gorm.DB, rows []models.Friendship) error {
	keys := make([]int64, len(rows)) // each user owns a row
	for i, row := range rows {
		keys[i] = row.UserID
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	who, err := lock(tx, keys)
	if err != nil {
		return err
	}
	alive := make(map[int64]bool, len(who))
	for _, u := range who {
		alive[u.ID] = u.DeactivatedAt == nil
	}
	rows = slices.DeleteFunc(slices.Clone(rows), func(row models.Friendship) bool {
		return !alive[row.UserID] || !alive[row.FriendID]
	})
	modifier := "IGNORE"
	if s.db.Dialect() == database.SQLite {
		modifier = "OR IGNORE"
	}
	if err := tx.Clauses(clause.Insert{Modifier: modifier}).CreateInBatches(rows, 1000).Error; err != nil {
		return err
	}
	return tx.Exec(`UPDATE users SET friend_count =
		(SELECT COUNT(*) FROM friendships f WHERE f.user_id = users.id) WHERE id IN ?`, keys).Error
}
