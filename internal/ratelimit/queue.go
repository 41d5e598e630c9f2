package ratelimit

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// burstsPerSecond is in how many parts a second's uses come: so many may come at once that they are a
// part of the second's.
const burstsPerSecond = 10

// Queue makes those that do something too often wait for their turn, so that many that come at once
// are served at an even pace instead of being refused. It has a line for each key, such as an app.
type Queue struct {
	perSecond int
	patience  time.Duration
	clock     func() time.Time

	mu    sync.Mutex
	lines map[int64]*rate.Limiter
}

// NewQueue returns a Queue for that many uses a second by each key, or without a limit if perSecond is
// 0. No use waits for longer than patience. clock is time.Now outside tests.
func NewQueue(perSecond int, patience time.Duration, clock func() time.Time) *Queue {
	return &Queue{perSecond: perSecond, patience: patience, clock: clock, lines: make(map[int64]*rate.Limiter)}
}

// Wait waits for the turn of the key's next use, and returns 0. If that would take longer than the
// Queue's patience, Wait returns at once by how much, and the use does not count. It returns ctx's
// error if ctx ends first; the turn then passes to a use that comes later, if none waits behind it.
func (q *Queue) Wait(ctx context.Context, key int64) (excess time.Duration, err error) {
	if q.perSecond == 0 {
		return 0, nil
	}
	turn, delay := q.reserve(key)
	if delay > q.patience {
		return delay - q.patience, nil
	}
	select {
	case <-time.After(delay):
		return 0, nil
	case <-ctx.Done():
		turn.CancelAt(q.clock())
		return 0, ctx.Err()
	}
}

// reserve takes the next turn in the key's line, unless it comes after more than the patience. It returns
// the turn, and after how long it comes.
func (q *Queue) reserve(key int64) (turn *rate.Reservation, delay time.Duration) {
	// A turn can be given back as a whole only while it is the last one.
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock()
	turn = q.line(key, now).ReserveN(now, 1)
	if delay = turn.DelayFrom(now); delay > q.patience {
		turn.CancelAt(now)
	}
	return turn, delay
}

// line returns the key's line. The caller holds the mutex.
func (q *Queue) line(key int64, now time.Time) *rate.Limiter {
	l := q.lines[key]
	if l == nil {
		q.forgetIdle(now)
		l = rate.NewLimiter(rate.Limit(q.perSecond), max(1, q.perSecond/burstsPerSecond))
		q.lines[key] = l
	}
	return l
}

// forgetIdle removes the lines in which nothing has waited since long enough that they are as new. The
// caller holds the mutex.
func (q *Queue) forgetIdle(now time.Time) {
	for key, l := range q.lines {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(q.lines, key)
		}
	}
}
