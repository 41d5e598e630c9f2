package relations

import (
	"fmt"

	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/models"
)

// userRow is another user as a list shows it.
var userRow = database.RowOf[models.User]("search_name", "token_generation", "tokens_valid_from")

// pages reads the pages of one of a user's lists, each by one hand-written
// statement that is prepared.
type pages[T any] struct {
	order          page.Order // of nobody yet
	begin, further *database.Query
	row            func(owner *models.User) (own []any, other *models.User, item func() (T, page.Key))
}

// slab keeps copies of rows a few together, which costs an allocation for all of
// these. They live as long as one of them does: until the page has been written.
type slab[T any] []T

const slabSize = 16

// keep answers a copy of the row.
func (s *slab[T]) keep(row T) *T {
	if len(*s) == cap(*s) {
		*s = make([]T, 0, slabSize)
	}
	*s = append(*s, row)
	return &(*s)[len(*s)-1]
}

// newPages answers the pages of a list: columns are those of its entries, and from
// is what follows the FROM, with the other user as users and a condition whose
// first argument is the owner's key. row answers what these columns and the
// other's are scanned into, and a function that makes an item of what they hold.
func newPages[T any](db *database.DB, order page.Order, columns, from string,
	row func(owner *models.User) (own []any, other *models.User, item func() (T, page.Key))) *pages[T] {
	text := "SELECT " + userRow.Columns("users") + ", " + columns + " FROM " + from
	end := " ORDER BY " + order.By() + " LIMIT ?"
	return &pages[T]{
		order:   order,
		begin:   db.NewQuery(text + end),
		further: db.NewQuery(text + " AND " + order.Condition() + end),
		row:     row,
	}
}

// read answers a page; args are those of the condition behind the owner's key.
func (p *pages[T]) read(owner *models.User, r page.Request, total page.Total, args ...any) (*page.Connection[T], error) {
	order := p.order
	order.Owner = owner.ID
	behind, err := order.Behind(r)
	if err != nil {
		return nil, err
	}
	query := p.begin
	if behind != nil {
		query = p.further
	}
	args = append(append([]any{owner.ID}, args...), behind...)
	own, other, item := p.row(owner)
	items := make([]T, 0, r.First+1)
	keys := make([]page.Key, 0, r.First+1)
	err = query.Each(append(args, r.First+1), append(userRow.Targets(other), own...), func() {
		one, key := item()
		items, keys = append(items, one), append(keys, key)
	})
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", order.List, err)
	}
	return page.Of(order, r, items, keys, total), nil
}
