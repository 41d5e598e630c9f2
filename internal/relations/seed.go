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
	// seedStatement is how many friendships one statement writes: enough that its
	// round trip does not count, few enough that it is soon parsed.
	seedStatement = 200
	// seedWriters is how many transactions are under way on a server; a file has
	// one writer.
	seedWriters = 2
)

// CheckSeed refuses what Seed would, before there are users. Errors:
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

// Seed gives each of the app's users with these keys, in their order, friends: the
// next ones in the list, as if it were a ring, half of friends on each side.
// Friendships that are there already stay. It calls progress after each batch, with
// how many users are done. Errors: INVALID_ARGUMENT for more friends than there
// can be.
//
// Whatever the number of users, it holds a batch in memory. A batch has both
// directions of its friendships, and writes them in the order of the primary key,
// which goes on where the batch before has ended.
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
		// Each writer has a stretch of the list of its own, and so a place of its own
		// in the table.
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

// ring has users be friends with the half before and the half after them.
type ring struct {
	keys []int64
	half int
	now  models.Time
}

// friendships answers those of the users from start to end with the ones after
// them, both directions, in the order of the primary key.
func (r ring) friendships(start, end int) []models.Friendship {
	rows := make([]models.Friendship, 0, 2*r.half*(end-start))
	for i := start; i < end; i++ {
		for step := 1; step <= r.half; step++ {
			a, b := r.keys[i], r.keys[(i+step)%len(r.keys)]
			// Moments apart, so that lists have an order that looks like life.
			at := r.now - models.Time((i+step)%1000)*60_000
			rows = append(rows, models.Friendship{UserID: a, CreatedAt: at, FriendID: b}, models.Friendship{UserID: b, CreatedAt: at, FriendID: a})
		}
	}
	slices.SortFunc(rows, func(a, b models.Friendship) int {
		return cmp.Or(cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.CreatedAt, b.CreatedAt), cmp.Compare(a.FriendID, b.FriendID))
	})
	return rows
}

// seedBatch writes those friendships that are not there, but for those with the
// dead, and counts them. The friendships are in the order of their owners.
func (s *Service) seedBatch(tx *gorm.DB, rows []models.Friendship) error {
	keys := make([]int64, len(rows)) // each user owns a row
	for i, row := range rows {
		keys[i] = row.UserID
	}
	keys = slices.Compact(keys)
	var alive []int64
	err := tx.Model(&models.User{}).Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("id IN ? AND deactivated_at IS NULL", keys).Order("id").Pluck("id", &alive).Error
	if err != nil {
		return err
	}
	there, err := s.pairs(tx, keys)
	if err != nil {
		return err
	}
	dead := func(key int64) bool { _, found := slices.BinarySearch(alive, key); return !found }
	rows = slices.DeleteFunc(slices.Clone(rows), func(row models.Friendship) bool {
		return there[direction{row.UserID, row.FriendID}] || dead(row.UserID) || dead(row.FriendID)
	})
	if len(rows) == 0 {
		return nil
	}
	if err := insertSeeded(tx, rows); err != nil {
		return err
	}
	return s.countSeeded(tx, rows)
}

// insertSeeded writes new friendships, with a statement that is prepared once for
// all of them but the rest.
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

// direction names a friendship's row.
type direction struct{ userID, friendID int64 }

// pairs answers the friendships that these users own.
func (s *Service) pairs(tx *gorm.DB, owners []int64) (map[direction]bool, error) {
	// While a table grows fast, the database takes it for small and would read all
	// of it.
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

// countSeeded adds new rows to their owners' counts, in one statement.
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
