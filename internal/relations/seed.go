package relations

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/models"
)

const (
	// seedBatch is how many users get their friends in one transaction.
	seedBatch = 200
	// seedStatement is how many friendships one statement writes: enough that its round trip is
	// negligible, and few enough that it is parsed quickly.
	seedStatement = 200
	// seedWriters is how many transactions run at the same time on MySQL or MariaDB. SQLite has
	// only one writer.
	seedWriters = 2
)

// CheckSeed returns the error that Seed would return, before there are users. Returns
// INVALID_ARGUMENT.
func CheckSeed(app *models.App, users, friends int) error {
	switch {
	case friends%2 != 0 || friends < 0:
		return fault.Invalid("friends", "even", "friends must be an even number")
	case friends > 0 && friends >= users:
		return fault.Invalid("friends", "max", "friends must be fewer than the users")
	case friends > app.Settings.FriendLimit:
		return fault.Invalid("friends", "max", "friends must be at most the app's friendLimit of %d", app.Settings.FriendLimit)
	}
	return nil
}

// Seed gives friends to each of the app's users with these keys. The keys form a ring, and each
// user gets the next ones, half of friends on each side. Existing friendships stay. After each
// batch it calls progress with the number of users done. Returns INVALID_ARGUMENT for more friends
// than possible.
//
// It keeps one batch in memory, whatever the number of users. A batch has both directions of its
// friendships and writes them in the order of the primary key, which continues where the previous
// batch ended.
func (s *Service) Seed(ctx context.Context, app *models.App, keys []int64, friends int, progress func(done int)) error {
	if err := CheckSeed(app, len(keys), friends); err != nil || friends == 0 {
		return err
	}
	half := friends / 2
	writers := seedWriters
	if s.db.Dialect() == database.SQLite {
		writers = 1
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ring := ring{keys: keys, half: half, now: s.now()}
	var mu sync.Mutex
	done := 0
	var wg sync.WaitGroup
	for w := range writers {
		// Each writer has its own part of the list, and so its own range of the table.
		first, last := w*len(keys)/writers, (w+1)*len(keys)/writers
		wg.Go(func() {
			for start := first; start < last; start += seedBatch {
				end := min(start+seedBatch, last)
				rows := ring.friendships(start, end)
				if err := s.db.Tx(ctx, func(tx *gorm.DB) error { return s.seedBatch(tx, rows) }); err != nil {
					cancel(fmt.Errorf("seeding friendships: %w", err))
					return
				}
				mu.Lock()
				done += end - start
				progress(done)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// ring makes users friends with the half before and the half after them.
type ring struct {
	keys []int64
	half int
	now  models.Time
}

// friendships returns the friendships of the users from start to end with the users after them,
// both directions, in the order of the primary key.
func (r ring) friendships(start, end int) []models.Friendship {
	rows := make([]models.Friendship, 0, 2*r.half*(end-start))
	for i := start; i < end; i++ {
		for step := 1; step <= r.half; step++ {
			a, b := r.keys[i], r.keys[(i+step)%len(r.keys)]
			// The times differ, so that lists have a realistic order.
			at := r.now - models.Time((i+step)%1000)*60_000
			rows = append(rows, models.Friendship{UserID: a, CreatedAt: at, FriendID: b}, models.Friendship{UserID: b, CreatedAt: at, FriendID: a})
		}
	}
	slices.SortFunc(rows, func(a, b models.Friendship) int {
		return cmp.Or(cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.CreatedAt, b.CreatedAt), cmp.Compare(a.FriendID, b.FriendID))
	})
	return rows
}

// seedBatch writes the missing friendships, except those with deactivated users, and counts them.
// The friendships must be in the order of their owners.
func (s *Service) seedBatch(tx *gorm.DB, rows []models.Friendship) error {
	keys := make([]int64, len(rows)) // each user owns a row
	for i, row := range rows {
		keys[i] = row.UserID
	}
	keys = slices.Compact(keys)
	var active []int64
	err := tx.Model(&models.User{}).Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("id IN ? AND deactivated_at IS NULL", keys).Order("id").Pluck("id", &active).Error
	if err != nil {
		return err
	}
	there, err := s.pairs(tx, keys)
	if err != nil {
		return err
	}
	inactive := func(key int64) bool { _, found := slices.BinarySearch(active, key); return !found }
	rows = slices.DeleteFunc(slices.Clone(rows), func(row models.Friendship) bool {
		return there[direction{row.UserID, row.FriendID}] || inactive(row.UserID) || inactive(row.FriendID)
	})
	if len(rows) == 0 {
		return nil
	}
	if err := insertSeeded(tx, rows); err != nil {
		return err
	}
	return s.countSeeded(tx, rows)
}

// insertSeeded inserts new friendships. One statement is prepared for all chunks but the last.
func insertSeeded(tx *gorm.DB, rows []models.Friendship) error {
	insert := func(n int) string {
		return "INSERT INTO friendships (user_id, created_at, friend_id) VALUES (?,?,?)" + strings.Repeat(",(?,?,?)", n-1)
	}
	values := func(rows []models.Friendship) []any {
		args := make([]any, 0, 3*len(rows))
		for _, row := range rows {
			args = append(args, row.UserID, int64(row.CreatedAt), row.FriendID)
		}
		return args
	}
	if len(rows) >= seedStatement {
		ctx := tx.Statement.Context
		full, err := tx.Statement.ConnPool.PrepareContext(ctx, insert(seedStatement))
		if err != nil {
			return err
		}
		defer full.Close()
		for ; len(rows) >= seedStatement; rows = rows[seedStatement:] {
			if _, err := full.ExecContext(ctx, values(rows[:seedStatement])...); err != nil {
				return err
			}
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return tx.Exec(insert(len(rows)), values(rows)...).Error
}

// direction identifies a row of a friendship.
type direction struct{ userID, friendID int64 }

// pairs returns the friendships that these users own.
func (s *Service) pairs(tx *gorm.DB, owners []int64) (map[direction]bool, error) {
	// While a table grows fast, the database assumes that it is small and would read all of it.
	rows, err := tx.Table(s.db.Using("friendships", "friendships_pair")).
		Select("user_id, friend_id").Where("user_id IN ?", owners).Rows()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[direction]bool)
	for rows.Next() {
		var p direction
		if err := rows.Scan(&p.userID, &p.friendID); err != nil {
			return nil, err
		}
		found[p] = true
	}
	return found, rows.Err()
}

// countSeeded adds the new rows to their owners' counts by one statement.
func (s *Service) countSeeded(tx *gorm.DB, rows []models.Friendship) error {
	var owners []int64
	var whens strings.Builder
	var args []any
	for start := 0; start < len(rows); {
		end := start
		for end < len(rows) && rows[end].UserID == rows[start].UserID {
			end++
		}
		owners = append(owners, rows[start].UserID)
		whens.WriteString(" WHEN ? THEN ?")
		args = append(args, rows[start].UserID, end-start)
		start = end
	}
	return tx.Exec("UPDATE "+s.db.ByKey("users")+" SET friend_count = friend_count + CASE id"+whens.String()+" END WHERE id IN ?",
		append(args, owners)...).Error
}
