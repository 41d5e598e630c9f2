package graph

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultTimeout is how long an operation may take unless Options has another value. Starting a
// subscription, and each of its events, may take as long.
const DefaultTimeout = 10 * time.Second

// deadline is the context of an operation. It ends with its parent, and when the operation has
// taken too long.
//
// Reads by key, which are most operations, only look at the clock: a timer is started only when a
// caller waits for the end of the context.
type deadline struct {
	context.Context // the parent
	at              time.Time

	mu sync.Mutex
	// timed ends at the deadline. It is nil until a caller waits for that.
	timed atomic.Pointer[timedContext]
}

type timedContext struct {
	context.Context
	cancel context.CancelFunc
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) {
	if at, ok := d.Context.Deadline(); ok && at.Before(d.at) {
		return at, true
	}
	return d.at, true
}

// Err implements context.Context.
func (d *deadline) Err() error {
	if t := d.timed.Load(); t != nil {
		return t.Err()
	}
	if err := d.Context.Err(); err != nil {
		return err
	}
	if time.Now().Before(d.at) {
		return nil
	}
	return context.DeadlineExceeded
}

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} {
	t := d.timed.Load()
	if t == nil {
		t = d.start()
	}
	return t.Done()
}

// start starts the timer.
func (d *deadline) start() *timedContext {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.timed.Load()
	if t == nil {
		t = &timedContext{}
		t.Context, t.cancel = context.WithDeadline(d.Context, d.at)
		d.timed.Store(t)
	}
	return t
}

// stop ends the context, if a caller may be waiting for it.
func (d *deadline) stop() {
	if t := d.timed.Load(); t != nil {
		t.cancel()
	}
}

// Value implements context.Context.
func (d *deadline) Value(key any) any {
	if t := d.timed.Load(); t != nil {
		return t.Value(key) // so that contexts derived from d need no goroutine
	}
	return d.Context.Value(key)
}

// passed reports whether the operation has taken too long.
func (d *deadline) passed() bool { return !time.Now().Before(d.at) }
