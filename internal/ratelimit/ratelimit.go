// Package ratelimit bounds how often something is done: exactly so many times in
// any window, wherever the window begins.
package ratelimit

import (
	"sync"
	"time"
)

// Limiter grants each key so many calls in any window. It holds memory only for
// the keys that called lately: at most two windows ago.
type Limiter[K comparable] struct {
	limit  int
	window time.Duration
	clock  func() time.Time
	start  time.Time // what times are counted from

	mu sync.Mutex
	// lately has the keys that called since the last turn, before those that
	// called in the time before that and not since.
	lately, before map[K]*calls
	turned         time.Duration
}

// calls are the times of a key's latest granted calls, as a ring.
type calls struct {
	at     []time.Duration
	oldest int
}

// New answers a Limiter that grants limit calls in any window; clock is time.Now
// outside tests.
func New[K comparable](limit int, window time.Duration, clock func() time.Time) *Limiter[K] {
	return &Limiter[K]{limit: limit, window: window, clock: clock, start: clock(), lately: make(map[K]*calls)}
}

// Allow grants a call, or answers how long to wait for one, more than 0. What is
// refused does not count.
func (l *Limiter[K]) Allow(key K) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// By the monotonic clock, which is never set back.
	now := l.clock().Sub(l.start)
	if now-l.turned >= l.window {
		l.lately, l.before, l.turned = make(map[K]*calls), l.lately, now
	}
	c := l.lately[key]
	if c == nil {
		if c = l.before[key]; c == nil {
			c = new(calls)
		}
		l.lately[key] = c
	}
	if len(c.at) < l.limit {
		c.at = append(c.at, now)
		return 0
	}
	if wait = c.at[c.oldest] + l.window - now; wait > 0 {
		return wait
	}
	c.at[c.oldest] = now
	c.oldest = (c.oldest + 1) % l.limit
	return 0
}
