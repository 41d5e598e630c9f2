package circles

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

const (
	// ownersPerQuery is how many accounts' lists one query reads.
	ownersPerQuery = 100
	// keysPerQuery is how many rows one query looks up by key.
	keysPerQuery = 1000
)

// usersByList are the users.id on each of an account's lists.
type usersByList = [len(lists)][]int64

// readers read the lists of circles. Concurrent reads share a query.
type readers struct {
	tables [len(lists)]database.Pairs
	// single reads one list of an account, and together all lists of an account whose circle begins.
	single   [len(lists)]*database.Coalescer[int64, []int64]
	together *database.Coalescer[int64, *usersByList]
}

func newReaders(db *database.DB, interests Interests) (r readers) {
	r.tables = [len(lists)]database.Pairs{interests.Friends, interests.Subscriptions}
	queries := make([]string, len(r.tables))
	for i, table := range r.tables {
		queries[i] = table.Of(strconv.Itoa(i))
		r.single[i] = newSingleReader(db, queries[i])
	}
	r.together = newTogetherReader(db, strings.Join(queries, " UNION ALL "))
	return r
}

// listRow is a row of the lists of some accounts.
type listRow struct {
	OwnerID, OtherID int64
	List             int
}

func newSingleReader(db *database.DB, query string) *database.Coalescer[int64, []int64] {
	return database.NewCoalescer(ownersPerQuery, func(ctx context.Context, owners []int64) (map[int64][]int64, error) {
		var rows []listRow
		if err := db.Read(ctx).Raw(query, owners).Scan(&rows).Error; err != nil {
			return nil, err
		}
		out := make(map[int64][]int64, len(owners))
		for _, row := range rows {
			out[row.OwnerID] = append(out[row.OwnerID], row.OtherID)
		}
		return out, nil
	})
}

// newTogetherReader returns the reader of all lists. Each device that connects uses it.
func newTogetherReader(db *database.DB, query string) *database.Coalescer[int64, *usersByList] {
	return database.NewCoalescer(ownersPerQuery, database.Fetcher(db, database.Lookup[int64, *usersByList]{
		What: "the users on lists",
		Text: func(n int) string {
			return strings.ReplaceAll(query, "IN ?", "IN (?"+strings.Repeat(", ?", n-1)+")")
		},
		Bind:  func(args []any, owner int64) []any { return append(args, owner) },
		Times: len(lists),
		Rows: func(owners []int64) ([]any, func() (int64, *usersByList)) {
			var row listRow
			all := make(map[int64]*usersByList, len(owners))
			return []any{&row.OwnerID, &row.OtherID, &row.List}, func() (int64, *usersByList) {
				of := all[row.OwnerID]
				if of == nil {
					of = new(usersByList)
					all[row.OwnerID] = of
				}
				of[row.List] = append(of[row.List], row.OtherID)
				return row.OwnerID, of
			}
		},
	}))
}

// among returns which of the others are on the owner's list now.
func (cs *Circles) among(ctx context.Context, i int, owner int64, others []int64) (listed []int64, err error) {
	if err := cs.DB.Read(ctx).Raw(cs.readers.tables[i].Among(), owner, others).Scan(&listed).Error; err != nil {
		return nil, fmt.Errorf("reading which users are on a list of user %d: %w", owner, err)
	}
	return listed, nil
}

// absence returns an absence since that moment, with the users that have changed, by the database,
// since the earliest moment of interest.
func (cs *Circles) absence(ctx context.Context, since status.Moment, earliest models.Time, ids []int64) (*status.Absence, error) {
	a := &status.Absence{Since: since, Rows: make(map[int64]*models.User)}
	for chunk := range slices.Chunk(ids, keysPerQuery) {
		rows, err := gorm.G[models.User](cs.DB.Read(ctx)).
			Select("id", "app_id", "external_id", "presence", "presence_at").
			Where("id IN ? AND presence_at > ?", chunk, earliest).Find(ctx)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			a.Rows[rows[i].ID] = &rows[i]
		}
	}
	return a, nil
}
