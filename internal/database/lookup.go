package database

import (
	"context"
	"fmt"
	"math/bits"
)

// preparedKeys is the maximum number of keys in a prepared statement. Each number of keys needs a
// statement of its own on each connection. More keys at once are rare, and share the cost of
// parsing.
const preparedKeys = 64

// Lookup defines how rows are read by their keys with one hand-written statement.
type Lookup[K comparable, V any] struct {
	// What names the rows in errors.
	What string
	// Text returns the statement that reads n keys. It may get the same key twice.
	Text func(n int) string
	// Bind appends a key's arguments.
	Bind func(args []any, key K) []any
	// Times is how many times the statement contains the keys, one list after the other. 0 means
	// once.
	Times int
	// Rows returns the targets into which each row is scanned, and a function that returns a copy
	// of the row they hold. It is called once for a statement, with the requested keys.
	Rows func(keys []K) (targets []any, row func() (K, V))
}

// Fetcher returns l on db as a fetch for a Coalescer. It repeats the last key until the number of
// keys is a power of two, so that few different statements have to be prepared.
func Fetcher[K comparable, V any](db *DB, l Lookup[K, V]) func(ctx context.Context, keys []K) (map[K]V, error) {
	queries := make([]*Query, bits.Len(preparedKeys))
	for i := range queries {
		queries[i] = db.NewQuery(l.Text(1 << i))
	}
	return func(ctx context.Context, keys []K) (map[K]V, error) {
		found := make(map[K]V, len(keys))
		if len(keys) == 0 {
			return found, nil
		}
		targets, row := l.Rows(keys)
		take := func() {
			key, value := row()
			found[key] = value
		}
		size, n := bits.Len(uint(len(keys)-1)), len(keys)
		if n <= preparedKeys {
			n = 1 << size
		}
		var args []any
		for range max(l.Times, 1) {
			for i := range n {
				args = l.Bind(args, keys[min(i, len(keys)-1)])
			}
		}
		var err error
		if n <= preparedKeys {
			err = queries[size].Each(ctx, args, targets, take)
		} else {
			err = db.queryText(ctx, l.Text(n), args, targets, take)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", l.What, err)
		}
		return found, nil
	}
}
