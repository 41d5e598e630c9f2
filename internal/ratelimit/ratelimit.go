// Package ratelimit bounds how often a user does something: at most a given number of times in any
// window, wherever the window begins.
package ratelimit

import (
	"context"
	"sync"
	"time"
)

// Rule is how often each user may do something: at most Limit times in any Window.
type Rule struct {
	// Name distinguishes the rule from all others. It is part of keys in Redis.
	Name   string
	Limit  int
	Window time.Duration
}

// Limiter grants users what rules allow.
type Limiter interface {
	// Allow grants the user n more of what rule limits and returns 0, or returns how long to wait
	// until n can be granted. A refused call does not count. n must be from 1 to the rule's limit.
	// The user is identified by users.id.
	Allow(ctx context.Context, rule Rule, user int64, n int) (wait time.Duration, err error)
}

// Unlimited grants everything.
type Unlimited struct{}

// Allow returns 0.
func (Unlimited) Allow(context.Context, Rule, int64, int) (time.Duration, error) { return 0, nil }

// Local is a Limiter that counts in this process. It uses memory only for the users that called in
// the last two windows.
type Local struct {
	clock func() time.Time
	start time.Time // grants' times are relative to it

	mu     sync.Mutex
	counts map[Rule]*counts
}

// counts are the grants by one rule.
type counts struct {
	// current has the users that called since the last rotation, previous those that
	// called in the window before that and not since.
	current, previous map[int64]*grants
	rotated           time.Duration
}

// grants are what a user was granted by one rule, the oldest first.
type grants struct {
	list []grant
	sum  int
}

type grant struct {
	at time.Duration
	n  int
}

// NewLocal returns a Local; clock is time.Now outside tests.
func NewLocal(clock func() time.Time) *Local {
	return &Local{clock: clock, start: clock(), counts: make(map[Rule]*counts)}
}

// Allow implements Limiter. The error is nil.
func (l *Local) Allow(_ context.Context, rule Rule, user int64, n int) (wait time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Use the monotonic clock, which is never set back.
	now := l.clock().Sub(l.start)
	c := l.counts[rule]
	if c == nil {
		c = &counts{current: make(map[int64]*grants), rotated: now}
		l.counts[rule] = c
	}
	return c.of(user, rule, now).allow(rule, now, n), nil
}

// of returns the user's grants.
func (c *counts) of(user int64, rule Rule, now time.Duration) *grants {
	if now-c.rotated >= rule.Window {
		c.current, c.previous, c.rotated = make(map[int64]*grants), c.current, now
	}
	g := c.current[user]
	if g == nil {
		if g = c.previous[user]; g == nil {
			g = new(grants)
		}
		c.current[user] = g
	}
	return g
}

func (g *grants) allow(rule Rule, now time.Duration, n int) (wait time.Duration) {
	expired := 0
	for expired < len(g.list) && g.list[expired].at+rule.Window <= now {
		g.sum -= g.list[expired].n
		expired++
	}
	g.list = g.list[expired:]
	if g.sum+n <= rule.Limit {
		g.list = append(g.list, grant{now, n})
		g.sum += n
		return 0
	}
	excess := g.sum + n - rule.Limit
	for _, old := range g.list {
		if excess -= old.n; excess <= 0 {
			return old.at + rule.Window - now
		}
	}
	panic("ratelimit: n exceeds the rule's limit")
}
