package relations

import (
	"fmt"

	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/models"
)

// Another user as a list shows it: whatever may be selected, or what
// page.Request.Profiles asks for.
var (
	userRow    = database.RowOf[models.User]("search_name", "token_generation", "tokens_valid_from")
	profileRow = userRow.Only(models.ProfileColumns...)
)

// pages reads the pages of one of a user's lists, each by one hand-written
// statement that is prepared.
type pages[T any] struct {
	order           page.Order // of nobody yet
	users, profiles pageQueries
	row             func(owner *models.User) (own []any, other *models.User, item func() (T, page.Key))
}

// pageQueries read a page at the beginning and further ones, with these columns of
// the other users.
type pageQueries struct {
	other          database.Row[models.User]
	begin, further *database.Query
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

// read answers a page; args are those of the condition behind the owner's key.
func (p *pages[T]) read(owner *models.User, r page.Request, total page.Total, args ...any) (*page.Connection[T], error) {
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
	err = query.Each(append(args, r.First+1), append(queries.other.Targets(other), own...), func() {
		one, key := item()
		items, keys = append(items, one), append(keys, key)
	})
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", order.List, err)
	}
	return page.Of(order, r, items, keys, total), nil
}
