package database

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Coalescer reads rows by key and lets reads that arrive together share one
// query: the keys that come in while a query is under way (see Alone) are asked
// for by the next one. It never waits for company, so a lone read is as fast as without it,
// and it caches nothing: a read always runs in a query that began after it was
// asked, so it sees every change that had been answered by then. Changes can share
// a transaction in the same way, where each is a key of its own and fetch carries
// them out.
type Coalescer[K comparable, V any] struct {
	fetch func(ctx context.Context, keys []K) (map[K]V, error)
	limit int
	alone int

	mu sync.Mutex
	// flying is how many keys are being asked for.
	flying int
	next   *batch[K, V]
}

// batch is one query and those who wait for it.
type batch[K comparable, V any] struct {
	keys []K
	seen map[K]struct{}
	done chan struct{}
	rows map[K]V
	err  error
	// slow is closed after slowBatch, unless the query has ended by then. It and its timer are
	// nil for a batch that nobody joins.
	slow  chan struct{}
	timer *time.Timer
}

// slowBatch is how long callers wait for a batch before they look whether their contexts end.
// Nearly all batches take less. A context may need a timer for that, which would be one for each
// caller.
const slowBatch = 100 * time.Millisecond

// newBatch returns a batch that others can join.
func newBatch[K comparable, V any]() *batch[K, V] {
	b := &batch[K, V]{seen: make(map[K]struct{}), done: make(chan struct{}), slow: make(chan struct{})}
	b.timer = time.AfterFunc(slowBatch, func() { close(b.slow) })
	return b
}

// errNotAsked is the answer of a query that never came to its end.
var errNotAsked = errors.New("the query broke off")

// NewCoalescer answers a Coalescer whose queries are run by fetch, with at most
// limit keys in one, unless a caller asks for more by itself. fetch answers the rows that exist; its context never ends,
// because no single caller's may end what others wait for, so it must have an end
// by itself, as statements on a DB's connections have.
func NewCoalescer[K comparable, V any](limit int, fetch func(ctx context.Context, keys []K) (map[K]V, error)) *Coalescer[K, V] {
	return &Coalescer[K, V]{fetch: fetch, limit: limit, alone: 1}
}

// Alone lets keys be asked for at once, each by a query of its own, as long as
// fewer than n are being asked for, and answers c. Few readers wait for nobody
// then, while many still share: with more than n of them a query soon asks for
// enough that the next ones gather.
func (c *Coalescer[K, V]) Alone(n int) *Coalescer[K, V] {
	c.alone = n
	return c
}

// Get answers the row with that key; false where there is none. The value is
// shared with other callers and must not be changed. When ctx ends first, only
// this caller is answered its error, but not within slowBatch; who needs not wait
// runs the query itself, which saves two changes of goroutine, and then stays to its end.
func (c *Coalescer[K, V]) Get(ctx context.Context, key K) (V, bool, error) {
	var zero V
	if err := ctx.Err(); err != nil {
		return zero, false, err
	}
	rows, err := c.ask(ctx, key)
	if err != nil {
		return zero, false, err
	}
	row, ok := rows[key]
	return row, ok, nil
}

// GetAll is Get of several rows, in one query: it answers those that exist, by their
// keys, perhaps with others. The map, too, is shared.
func (c *Coalescer[K, V]) GetAll(ctx context.Context, keys []K) (map[K]V, error) {
	if err := ctx.Err(); err != nil || len(keys) == 0 {
		return nil, err
	}
	return c.ask(ctx, keys...)
}

// ask answers the rows of the query that asks for the keys.
func (c *Coalescer[K, V]) ask(ctx context.Context, keys ...K) (map[K]V, error) {
	b, mine := c.join(keys...)
	if mine {
		c.lead(b)
	} else {
		if err := b.wait(ctx); err != nil {
			return nil, err
		}
	}
	return b.rows, b.err
}

// wait waits until the query of a batch has ended. If ctx ends before, it returns ctx's error,
// after slowBatch at the earliest.
func (b *batch[K, V]) wait(ctx context.Context) error {
	select {
	case <-b.done:
		return nil
	case <-b.slow:
	}
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join adds the keys to the batch that has not started yet. mine: the batch may be
// asked for now, by the caller.
func (c *Coalescer[K, V]) join(keys ...K) (b *batch[K, V], mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flying < c.alone && c.next == nil {
		c.flying += len(keys)
		return &batch[K, V]{keys: slices.Clone(keys), done: make(chan struct{})}, true
	}
	b = c.next
	if b == nil || len(b.keys)+len(keys) > c.limit {
		// A full batch goes off by itself beside the one under way.
		if b != nil {
			c.flying += len(b.keys)
			go c.run(b)
		}
		b = newBatch[K, V]()
		c.next = b
	}
	for _, key := range keys {
		if _, ok := b.seen[key]; !ok {
			b.seen[key] = struct{}{}
			b.keys = append(b.keys, key)
		}
	}
	return b, false
}

// lead asks for the caller's own batch, and has another goroutine ask for those
// who have come meanwhile.
func (c *Coalescer[K, V]) lead(b *batch[K, V]) {
	defer func() {
		if next := c.take(b); next != nil {
			go c.run(next)
		}
	}()
	c.query(b)
}

// run asks for batch after batch until nobody waits, or others ask enough.
func (c *Coalescer[K, V]) run(b *batch[K, V]) {
	for b != nil {
		c.query(b)
		b = c.take(b)
	}
}

// take answers the batch that waits, once b has been asked for; nil where none
// may be asked for now.
func (c *Coalescer[K, V]) take(b *batch[K, V]) *batch[K, V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flying -= len(b.keys)
	if c.next == nil || c.flying >= c.alone {
		return nil
	}
	b = c.next
	c.next = nil
	c.flying += len(b.keys)
	return b
}

func (c *Coalescer[K, V]) query(b *batch[K, V]) {
	defer func() {
		if b.timer != nil {
			b.timer.Stop()
		}
		close(b.done)
	}()
	b.err = errNotAsked
	b.rows, b.err = c.fetch(context.Background(), b.keys)
}
