package database

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"rollcall/internal/tracing"
)

// Coalescer reads rows by key and lets concurrent reads share one query: the keys that arrive while
// a query is running (see Alone) are in the next one. It never delays a read to wait for others, so
// a single read is as fast as without it. It caches nothing: a read always uses a query that began
// after the read, so it sees every change that had been acknowledged by then. Changes can share a
// transaction in the same way, if each is a key of its own and fetch carries them out.
type Coalescer[K comparable, V any] struct {
	fetch func(ctx context.Context, keys []K) (map[K]V, error)
	limit int
	alone int

	mu sync.Mutex
	// flying is how many keys are in running queries.
	flying int
	next   *batch[K, V]
}

// batch is one query and its callers.
type batch[K comparable, V any] struct {
	keys []K
	seen map[K]struct{}
	// ctx has the span of the first caller, and never ends.
	ctx  context.Context
	done chan struct{}
	rows map[K]V
	err  error
	// slow is closed after slowBatch, unless the query has ended by then. It and its timer are nil
	// for a batch that no other caller joins.
	slow  chan struct{}
	timer *time.Timer
}

// slowBatch is how long callers wait for a batch before they check whether their contexts have
// ended. Nearly all batches take less. Waiting for a context may need a timer for each caller.
const slowBatch = 100 * time.Millisecond

// newBatch returns a batch that others can join.
func newBatch[K comparable, V any](ctx context.Context) *batch[K, V] {
	b := &batch[K, V]{seen: make(map[K]struct{}), ctx: ctx, done: make(chan struct{}), slow: make(chan struct{})}
	b.timer = time.AfterFunc(slowBatch, func() { close(b.slow) })
	return b
}

// errNotAsked is returned for a query that did not complete.
var errNotAsked = errors.New("the query broke off")

// NewCoalescer returns a Coalescer whose queries are run by fetch. A query has at most limit keys,
// unless a single caller passes more. fetch returns the rows that exist. Its context has the span of
// the batch's first caller. It never ends, because no caller's context may end a query of others, so fetch must be limited in time by
// itself, as statements on a DB's connections are.
func NewCoalescer[K comparable, V any](limit int, fetch func(ctx context.Context, keys []K) (map[K]V, error)) *Coalescer[K, V] {
	return &Coalescer[K, V]{fetch: fetch, limit: limit, alone: 1}
}

// Alone lets keys be read at once, each by a query of its own, while fewer than n are being read,
// and returns c. Few readers then do not wait for each other, while many still share queries: with
// more than n of them, a query soon has so many keys that the next ones gather.
func (c *Coalescer[K, V]) Alone(n int) *Coalescer[K, V] {
	c.alone = n
	return c
}

// Get returns the row with that key. ok is false if there is none. The value is shared with other
// callers and must not be changed. If ctx ends first, Get returns its error, but not within
// slowBatch. A caller that need not wait runs the query itself, which saves two goroutine switches,
// and then waits until it ends.
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

// GetAll reads several rows in one query. It returns those that exist by their keys, and possibly
// others too. The map is shared with other callers.
func (c *Coalescer[K, V]) GetAll(ctx context.Context, keys []K) (map[K]V, error) {
	if err := ctx.Err(); err != nil || len(keys) == 0 {
		return nil, err
	}
	return c.ask(ctx, keys...)
}

// ask returns the rows of the query with the keys.
func (c *Coalescer[K, V]) ask(ctx context.Context, keys ...K) (map[K]V, error) {
	b, mine := c.join(ctx, keys...)
	if mine {
		c.lead(b)
	} else {
		_, span := tracing.Begin(ctx, "wait for shared query")
		err := b.wait(ctx)
		span.End(err)
		if err != nil {
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

// join adds the keys to the batch that has not started yet. mine reports whether the caller must
// run the batch now.
func (c *Coalescer[K, V]) join(ctx context.Context, keys ...K) (b *batch[K, V], mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flying < c.alone && c.next == nil {
		c.flying += len(keys)
		return &batch[K, V]{keys: slices.Clone(keys), ctx: tracing.Detached(ctx), done: make(chan struct{})}, true
	}
	b = c.next
	if b == nil || len(b.keys)+len(keys) > c.limit {
		// A full batch starts at once, in parallel with the running one.
		if b != nil {
			c.flying += len(b.keys)
			go c.run(b)
		}
		b = newBatch[K, V](tracing.Detached(ctx))
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

// lead runs the caller's own batch, and starts a goroutine for the keys that have arrived
// meanwhile.
func (c *Coalescer[K, V]) lead(b *batch[K, V]) {
	defer func() {
		if next := c.take(b); next != nil {
			go c.run(next)
		}
	}()
	c.query(b)
}

// run runs one batch after another until none is waiting or enough keys are being read.
func (c *Coalescer[K, V]) run(b *batch[K, V]) {
	for b != nil {
		c.query(b)
		b = c.take(b)
	}
}

// take returns the waiting batch, after b has completed, or nil if it must not run now.
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
	b.rows, b.err = c.fetch(b.ctx, b.keys)
}
