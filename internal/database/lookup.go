package database

import (
	"context"
	"fmt"
	"math/bits"
)

// preparedKeys is the most keys that a prepared statement asks for. Each number
// of keys is another statement, on each connection; more keys come together
// seldom, and share the cost of being parsed.
const preparedKeys = 64

// Lookup says how rows are read by their keys with one hand-written statement.
type Lookup[K comparable, V any] struct {
	// What names the rows in errors.
	What string
	// Text answers the statement that asks for n keys. It may be asked for the
	// same key twice.
	Text func(n int) string
	// Bind appends a key's arguments.
	Bind func(args []any, key K) []any
	// Times is how often the statement has all the keys, one list after the other;
	// 0 is once.
	Times int
	// Rows answers the targets that each row is scanned into, and a function that
	// answers the row they hold, to be kept. It is called once for a statement,
	// with the keys that were asked for.
	Rows func(keys []K) (targets []any, row func() (K, V))
}

// Fetcher answers l on db as a fetch for a Coalescer. The number of keys is
// filled up to a power of two by asking for the last one again, so that few
// different statements have to be prepared.
func Fetcher[K comparable, V any](db *DB, l Lookup[K, V]) func(ctx context.Context, keys []K) (map[K]V, error) {
	queries := make([]*Query, bits.Len(preparedKeys))
	for i := range queries {
		queries[i] = db.NewQuery(l.Text(1 << i))
	}
	return func(_ context.Context, keys []K) (map[K]V, error) {
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
			err = queries[size].Each(args, targets, take)
		} else {
			err = db.queryText(l.Text(n), args, targets, take)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", l.What, err)
		}
		return found, nil
	}
}
