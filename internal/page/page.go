// Package page cuts lists into pages by keyset, never by offset.
//
// So a page costs the same at any depth, and rows that are inserted or deleted do not move others
// to another page.
package page

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/opaque"
)

// Request is the page of a list that a caller requests.
type Request struct {
	// First is the size of the page. The caller has checked its bounds, which for the API are those
	// in the schema, in @validate on each argument first.
	First int
	// After is the cursor behind which the page begins, or nil for the first page.
	After *string
	// Before is the cursor before which the page ends, or nil. Only lists that are read with Limit
	// have it, and not together with After.
	Before *string
	// OldestFirst reverses the order of a list that has both orders.
	OldestFirst bool
	// Profiles means that the caller needs only models.ProfileColumns of the users in the list. The
	// list may then leave the other columns unread.
	Profiles bool
}

// Order is the order of a list: by a time, or a text, and then by a numeric key, both descending, or
// both ascending if OldestFirst. An index that ends with these columns provides either. The query
// should name that index (database.DB.Using), because otherwise deep pages may cost more.
type Order struct {
	// List is the name of the list in its cursors, and Owner the ID of its owner.
	List  string
	Owner int64
	// Secret encrypts the cursors. It may be zero for lists that only operators read.
	Secret opaque.Secret
	// At and ID are the names of the columns. One of them may be "", if the other alone is unique.
	At, ID string
	// Text means that At is a column of texts, the Text of each Key.
	Text bool
	// OldestFirst reverses the order. The two orders have different cursors.
	OldestFirst bool
}

// Connection is one page, in the form of Relay's cursor connections
// (https://relay.dev/graphql/connections.htm).
type Connection[T any] struct {
	// cursors returns the cursors of the list. They are created on first use, because most pages
	// need none.
	cursors func() cursors
	items   []T
	// keys are the positions of the items in the order.
	keys []Key
	// before and behind report whether the list has more items on these sides.
	before, behind bool
	total          Total
}

// Total returns the number of items in a whole list.
type Total func(ctx context.Context) (int, error)

// Edge is an item with its cursor.
type Edge[T any] struct {
	Node    T
	cursors func() cursors
	key     Key
}

// Cursor returns the item's cursor.
func (e *Edge[T]) Cursor() string { return e.cursors().encode(e.key) }

// Info is the position of a page in its list.
type Info struct {
	HasNextPage     bool
	HasPreviousPage bool
	StartCursor     *string
	EndCursor       *string
}

// Nodes returns the items.
func (c *Connection[T]) Nodes() []T { return c.items }

// Edges returns the items with their cursors.
func (c *Connection[T]) Edges() []*Edge[T] {
	edges := make([]*Edge[T], len(c.items))
	all := make([]Edge[T], len(c.items))
	for i, item := range c.items {
		all[i] = Edge[T]{Node: item, cursors: c.cursors, key: c.keys[i]}
		edges[i] = &all[i]
	}
	return edges
}

// PageInfo returns the position of the page in its list.
func (c *Connection[T]) PageInfo() *Info {
	info := &Info{HasNextPage: c.behind, HasPreviousPage: c.before}
	if n := len(c.items); n > 0 {
		of := c.cursors()
		start, end := of.encode(c.keys[0]), of.encode(c.keys[n-1])
		info.StartCursor, info.EndCursor = &start, &end
	}
	return info
}

// TotalCount returns the number of items in the whole list. It runs a query, so it is called only
// if the caller requests the number.
func (c *Connection[T]) TotalCount(ctx context.Context) (int, error) { return c.total(ctx) }

// Limit returns query restricted to the requested page and one more row, which shows whether there
// is another page. A page that ends before a cursor is read backwards. Returns INVALID_ARGUMENT for a
// cursor of another list.
func (o Order) Limit(query *gorm.DB, r Request) (*gorm.DB, error) {
	from, err := o.Position(r)
	if err != nil {
		return nil, err
	}
	return o.Reading(r).Read(query, from, r.First+1), nil
}

// Position returns the position of the requested page's cursor, or nil for the first page. Returns
// INVALID_ARGUMENT for a cursor of another list.
func (o Order) Position(r Request) (*Key, error) {
	argument, cursor := "after", r.After
	if r.Before != nil {
		argument, cursor = "before", r.Before
	}
	if cursor == nil {
		return nil, nil
	}
	key, err := o.cursors().decode(*cursor)
	if errors.Is(err, ErrCursor) {
		return nil, fault.Invalid(argument, "cursor", "%s: %s", argument, err)
	}
	return &key, nil
}

// Reading returns the order in which the rows of a page are read: the reverse, if it ends before a
// cursor.
func (o Order) Reading(r Request) Order {
	if r.Before != nil {
		o.OldestFirst = !o.OldestFirst
	}
	return o
}

// Read returns query restricted to the first n rows behind a position, or to the first of all if it is
// nil.
func (o Order) Read(query *gorm.DB, from *Key, n int) *gorm.DB {
	if from != nil {
		query = query.Where(o.Condition(), o.arguments(*from)...)
	}
	return query.Order(o.By()).Limit(n)
}

// Condition returns the SQL condition for the rows behind a position; Behind returns its arguments.
// It does not compare pairs, because MySQL cannot use them for a range. The plus signs keep SQLite
// from using these terms for the index: it would otherwise read two ranges, to the end, and sort
// them.
func (o Order) Condition() string {
	behind := "<"
	if o.OldestFirst {
		behind = ">"
	}
	switch {
	case o.ID == "":
		return o.At + " " + behind + " ?"
	case o.At == "":
		return o.ID + " " + behind + " ?"
	}
	return fmt.Sprintf("%[1]s %[3]s= ? AND (+%[1]s %[3]s ? OR +%[1]s = ? AND +%[2]s %[3]s ?)", o.At, o.ID, behind)
}

// Behind returns the arguments of Condition, or nil for the first page. Returns INVALID_ARGUMENT
// for a cursor of another list.
func (o Order) Behind(r Request) ([]any, error) {
	from, err := o.Position(Request{After: r.After})
	if err != nil || from == nil {
		return nil, err
	}
	return o.arguments(*from), nil
}

// arguments returns the arguments of Condition for a position.
func (o Order) arguments(key Key) []any {
	at := any(key.At)
	if o.Text {
		at = key.Text
	}
	switch {
	case o.ID == "":
		return []any{at}
	case o.At == "":
		return []any{key.ID}
	}
	return []any{at, at, at, key.ID}
}

// By returns the expressions for ORDER BY.
func (o Order) By() string {
	direction := " DESC"
	if o.OldestFirst {
		direction = ""
	}
	switch {
	case o.ID == "":
		return o.At + direction
	case o.At == "":
		return o.ID + direction
	}
	return o.At + direction + ", " + o.ID + direction
}

// Cursor returns the cursor of the row at key.
func (o Order) Cursor(key Key) string { return o.cursors().encode(key) }

func (o Order) cursors() cursors {
	list := o.List
	if o.OldestFirst {
		list += ", oldest first"
	}
	if o.Text {
		return cursors{texts: o.Secret.TextSealer(list, o.Owner)}
	}
	return cursors{times: o.Secret.Sealer(list, o.Owner)}
}

// Of returns the page that consists of rows, which were read with Limit. keys are their positions
// in the order.
func Of[T any](o Order, r Request, rows []T, keys []Key, total Total) *Connection[T] {
	c := &Connection[T]{cursors: sync.OnceValue(o.cursors), items: rows, keys: keys, before: r.After != nil, total: total}
	more := len(rows) > r.First
	if more {
		c.items, c.keys = rows[:r.First], keys[:r.First]
	}
	if r.Before == nil {
		c.behind = more
		return c
	}
	c.before, c.behind = more, true
	slices.Reverse(c.items)
	slices.Reverse(c.keys)
	return c
}
