// Package turn makes changes of the same users wait for each other in this process, before their
// transactions, for a bounded time. Callers that need several locks take them in the same order.
package turn

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// Shared is the part of a lock that several callers may hold together.
	Shared = 1
	// Exclusive is the whole lock.
	Exclusive = 1 << 30
)

// patience bounds how long Take waits. Transactions end within 20 s while the database is locked,
// so a caller that first takes one or two turns returns within 30 s.
const patience = 6 * time.Second

// New returns n locks.
func New(n int) []*semaphore.Weighted {
	locks := make([]*semaphore.Weighted, n)
	for i := range locks {
		locks[i] = semaphore.NewWeighted(Exclusive)
	}
	return locks
}

// Take takes the part of each lock; release frees them. If the locks are not free before ctx ends
// or within 6 s, Take takes none and returns ctx's error or context.DeadlineExceeded.
func Take(ctx context.Context, part int64, locks ...*semaphore.Weighted) (release func(), err error) {
	give := func(locks []*semaphore.Weighted) {
		for _, lock := range locks {
			lock.Release(part)
		}
	}
	waiting := ctx
	for i, lock := range locks {
		if lock.TryAcquire(part) {
			continue
		}
		if waiting == ctx {
			var cancel context.CancelFunc
			waiting, cancel = context.WithTimeout(ctx, patience)
			defer cancel()
		}
		if err := lock.Acquire(waiting, part); err != nil {
			give(locks[:i])
			return nil, err
		}
	}
	return func() { give(locks) }, nil
}
