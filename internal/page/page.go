// Package page is how lists are cut into pages: by keyset, never by offset, so
// that a page costs the same wherever it is and rows that come and go move none.
package page

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/opaque"
)

// Request is which page of a list somebody wants.
type Request struct {
	// First is the size of the page; it has been checked.
	First int
	// After is the cursor behind which the page begins; nil: from the start.
	After *string
	// Profiles says that of the users in the list models.ProfileColumns suffice. A
	// list may leave the rest of their rows unread then.
	Profiles bool
}

// Order says how a list is ordered: by a moment and then by a numeric key, both
// descending, which an index with these columns at its end has ready. The query
// should name that index (database.DB.Using), or its deep pages may cost more.
type Order struct {
	// List names the list in its cursors, and Owner whose it is.
	List  string
	Owner int64
	// Secret encrypts the cursors. It may be zero for lists that only operators read.
	Secret opaque.Secret
	// At and ID are the columns.
	At, ID string
}

// Connection is one page, in the form of Relay's cursor connections
// (https://relay.dev/graphql/connections.htm).
type Connection[T any] struct {
	// cursors returns the cursors of the list, which are made when the first is asked for: for most
	// pages that is never.
	cursors func() cursors
	items   []T
	// keys say where each of the items stands in the order.
	keys []Key
	// before and behind say whether the list has more on these sides.
	before, behind bool
	total          Total
}

// Total answers how many items a whole list has.
type Total func(ctx context.Context) (int, error)

// Edge is an item with its cursor.
type Edge[T any] struct {
	Node    T
	cursors func() cursors
	key     Key
}

// Cursor returns the item's cursor.
func (e *Edge[T]) Cursor() string { return e.cursors().encode(e.key) }

// Info says where the page lies in its list.
type Info struct {
	HasNextPage     bool
	HasPreviousPage bool
	StartCursor     *string
	EndCursor       *string
}

// Nodes answers the items.
func (c *Connection[T]) Nodes() []T { return c.items }

// Edges answers the items with their cursors.
func (c *Connection[T]) Edges() []*Edge[T] {
	edges := make([]*Edge[T], len(c.items))
	all := make([]Edge[T], len(c.items))
	for i, item := range c.items {
		all[i] = Edge[T]{Node: item, cursors: c.cursors, key: c.keys[i]}
		edges[i] = &all[i]
	}
	return edges
}

// PageInfo answers where the page lies.
func (c *Connection[T]) PageInfo() *Info {
	info := &Info{HasNextPage: c.behind, HasPreviousPage: c.before}
	if n := len(c.items); n > 0 {
		of := c.cursors()
		start, end := of.encode(c.keys[0]), of.encode(c.keys[n-1])
		info.StartCursor, info.EndCursor = &start, &end
	}
	return info
}

// TotalCount answers how many items the whole list has; it is asked for only
// where somebody wants to know.
func (c *Connection[T]) TotalCount(ctx context.Context) (int, error) { return c.total(ctx) }

// Limit answers query cut down to the page that is asked for, and one row more,
// which tells whether there is a next page. Errors: INVALID_ARGUMENT for a cursor
// that is none of this list.
func (o Order) Limit(query *gorm.DB, r Request) (*gorm.DB, error) {
	args, err := o.Behind(r)
	if err != nil {
		return nil, err
	}
	if args != nil {
		query = query.Where(o.Condition(), args...)
	}
	return query.Order(o.By()).Limit(r.First + 1), nil
}

// Condition is the condition for what lies behind a cursor; Behind has its
// arguments. It is not a comparison of pairs, for which MySQL finds no range. The
// signs are for SQLite, which leaves such terms to the first condition's range; it
// would otherwise read two, to the end, and sort.
func (o Order) Condition() string {
	return fmt.Sprintf("%s <= ? AND (+%s < ? OR +%s = ? AND +%s < ?)", o.At, o.At, o.At, o.ID)
}

// Behind answers the arguments of Condition, nil where the page begins at the
// start. Errors: INVALID_ARGUMENT for a cursor that is none of this list.
func (o Order) Behind(r Request) ([]any, error) {
	if r.After == nil {
		return nil, nil
	}
	key, err := o.cursors().decode(*r.After)
	if errors.Is(err, ErrCursor) {
		return nil, fault.Invalid("after", "cursor", "after: %s", err)
	}
	return []any{key.At, key.At, key.At, key.ID}, nil
}

// By is the order for an ORDER BY.
func (o Order) By() string { return o.At + " DESC, " + o.ID + " DESC" }

// Cursor returns the cursor of the row at key.
func (o Order) Cursor(key Key) string { return o.cursors().encode(key) }

func (o Order) cursors() cursors { return cursors{o.Secret.Sealer(o.List, o.Owner)} }

// Of answers the page that rows, read with Limit, make. keys says where each of
// them stands in the order.
func Of[T any](o Order, r Request, rows []T, keys []Key, total Total) *Connection[T] {
	c := &Connection[T]{cursors: sync.OnceValue(o.cursors), items: rows, keys: keys, before: r.After != nil, total: total}
	if len(rows) > r.First {
		c.items, c.behind = rows[:r.First], true
	}
	return c
}
