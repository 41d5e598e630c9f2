package relations

import (
	"context"
	"fmt"

	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/models"
)

// The columns of another user in a list: all that may be selected, or those of
// page.Request.Profiles.
var (
	userRow    = database.RowOf[models.User]("search_name", "token_generation", "tokens_valid_from", "device_generation")
	profileRow = userRow.Only(models.ProfileColumns...)
)

// pages reads the pages of one of a user's lists. Each is read by one hand-written, prepared
// statement.
type pages[T any] struct {
	order           page.Order // without an owner
	users, profiles pageQueries
	row             func(owner *models.User) (own []any, other *models.User, item func() (T, page.Key))
}

// pageQueries read the first page and later ones, with these columns of the other users.
type pageQueries struct {
	other          database.Row[models.User]
	begin, further *database.Query
}

// slab copies rows into shared arrays, which saves allocations. An array stays in memory as long as
// one of its rows is used, which is until the page has been written.
type slab[T any] []T

const slabSize = 16

// add returns a copy of the row.
func (s *slab[T]) add(row T) *T {
	if len(*s) == cap(*s) {
		*s = make([]T, 0, slabSize)
	}
	*s = append(*s, row)
	return &(*s)[len(*s)-1]
}

// newPages returns the pages of a list. columns are those of the entries. from is the text after
// FROM; it must join the other user as users and end with a condition whose first argument is the
// owner's key. row returns the scan targets for the entry's and the other user's columns, and a
// function that creates an item from them.
func newPages[T any](db *database.DB, order page.Order, columns, from string,
	row func(owner *models.User) (own []any, other *models.User, item func() (T, page.Key))) *pages[T] {
	queries := func(other database.Row[models.User]) pageQueries {
		text := "SELECT " + other.Columns("users") + ", " + columns + " FROM " + from
		end := " ORDER BY " + order.By() + " LIMIT ?"
		return pageQueries{
			other:   other,
			begin:   db.NewBoundedQuery(text + end),
			further: db.NewBoundedQuery(text + " AND " + order.Condition() + end),
		}
	}
	return &pages[T]{order: order, users: queries(userRow), profiles: queries(profileRow), row: row}
}

// read returns a page. args are the further arguments of the condition, after the owner's key.
func (p *pages[T]) read(ctx context.Context, owner *models.User, r page.Request, total page.Total, args ...any) (*page.Connection[T], error) {
	order := p.order
	order.Owner = owner.ID
	behind, err := order.Behind(r)
	if err != nil {
		return nil, err
	}
	queries := p.users
	if r.Profiles {
		queries = p.profiles
	}
	query := queries.begin
	if behind != nil {
		query = queries.further
	}
	args = append(append([]any{owner.ID}, args...), behind...)
	own, other, item := p.row(owner)
	items := make([]T, 0, r.First+1)
	keys := make([]page.Key, 0, r.First+1)
	err = query.Each(ctx, append(args, r.First+1), append(queries.other.Targets(other), own...), func() {
		one, key := item()
		items, keys = append(items, one), append(keys, key)
	})
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", order.List, err)
	}
	return page.Of(order, r, items, keys, total), nil
}
