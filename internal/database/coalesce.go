package database

import (
	"context"
	"sync"
	"time"
)

// coalesceTimeout bounds a shared query: no single caller's context may end it.
const coalesceTimeout = 10 * time.Second

// Coalescer reads rows by key and lets reads that arrive together share one
// query: the keys that come in while a query is under way are asked for by the
// next one. It never waits for company, so a lone read is as fast as without it,
// and it caches nothing: a read always runs in a query that began after it was
// asked, so it sees every change that had been answered by then.
type Coalescer[K comparable, V any] struct {
	fetch func(ctx context.Context, keys []K) (map[K]V, error)
	limit int

	mu      sync.Mutex
	running bool
	next    *batch[K, V]
}

// batch is one query and those who wait for it.
type batch[K comparable, V any] struct {
	keys []K
	seen map[K]struct{}
	done chan struct{}
	rows map[K]V
	err  error
}

// NewCoalescer answers a Coalescer whose queries are run by fetch, with at most
// limit keys in one. fetch answers the rows that exist.
func NewCoalescer[K comparable, V any](limit int, fetch func(ctx context.Context, keys []K) (map[K]V, error)) *Coalescer[K, V] {
	return &Coalescer[K, V]{fetch: fetch, limit: limit}
}

// Get answers the row with that key; false where there is none. The value is
// shared with other callers and must not be changed. When ctx ends first, only
// this caller is answered its error.
func (c *Coalescer[K, V]) Get(ctx context.Context, key K) (V, bool, error) {
	var zero V
	b := c.join(key)
	select {
	case <-b.done:
	case <-ctx.Done():
		return zero, false, ctx.Err()
	}
	if b.err != nil {
		return zero, false, b.err
	}
	row, ok := b.rows[key]
	return row, ok, nil
}

// join adds key to the batch that has not started yet.
func (c *Coalescer[K, V]) join(key K) *batch[K, V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.next
	if b == nil || len(b.keys) >= c.limit {
		// A full batch goes off by itself beside the one under way.
		if b != nil {
			go c.query(b)
		}
		b = &batch[K, V]{done: make(chan struct{})}
		c.next = b
	}
	if _, ok := b.seen[key]; !ok {
		if b.seen == nil {
			b.seen = make(map[K]struct{}, 1)
		}
		b.seen[key] = struct{}{}
		b.keys = append(b.keys, key)
	}
	if !c.running {
		c.running = true
		go c.run()
	}
	return b
}

// run asks batch after batch until nobody waits.
func (c *Coalescer[K, V]) run() {
	for {
		c.mu.Lock()
		b := c.next
		c.next = nil
		if b == nil {
			c.running = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		c.query(b)
	}
}

func (c *Coalescer[K, V]) query(b *batch[K, V]) {
	defer close(b.done)
	ctx, cancel := context.WithTimeout(context.Background(), coalesceTimeout)
	defer cancel()
	b.rows, b.err = c.fetch(ctx, b.keys)
}
