package userlock

import (
	"context"
	"hash/maphash"
	"slices"

	"golang.org/x/sync/semaphore"

	"rollcall/internal/turn"
	"rollcall/models"
)

// Slots is the number of locks in Locks. A batch of a few hundred users leaves the locks of nearly
// all other users free.
const Slots = 4096

// Locks serialize changes of the same users in this process. A user has the lock at the hash of its
// app and external ID, so no query must come first, and an ID that has no user yet can be locked.
// The row locks keep the data correct without them; Locks give events the order of the commits, and
// leave the database few deadlocks.
type Locks struct {
	seed  maphash.Seed
	locks []*semaphore.Weighted
}

// NewLocks returns Locks that nothing holds.
func NewLocks() *Locks { return &Locks{seed: maphash.MakeSeed(), locks: turn.New(Slots)} }

// Held are the acquired locks of some users.
type Held struct {
	// Slots are the indexes of the locks, in increasing order.
	Slots   []int
	release func()
}

// Release releases the locks. It must be called once.
func (h *Held) Release() { h.release() }

// Acquire locks the app's users with these IDs. It waits for other holders as long as turn.Take
// does, and returns its errors.
func (l *Locks) Acquire(ctx context.Context, app *models.App, ids []string) (*Held, error) {
	return l.take(ctx, turn.Exclusive, app, ids)
}

// AcquireShared is Acquire for callers that exclude only Acquire, and not each other.
func (l *Locks) AcquireShared(ctx context.Context, app *models.App, ids []string) (*Held, error) {
	return l.take(ctx, turn.Shared, app, ids)
}

func (l *Locks) take(ctx context.Context, part int64, app *models.App, ids []string) (*Held, error) {
	slots := make([]int, len(ids))
	for i, id := range ids {
		slots[i] = l.slot(app, id)
	}
	slices.Sort(slots) // all callers lock in this order
	slots = slices.Compact(slots)
	locks := make([]*semaphore.Weighted, len(slots))
	for i, slot := range slots {
		locks[i] = l.locks[slot]
	}
	release, err := turn.Take(ctx, part, locks...)
	if err != nil {
		return nil, err
	}
	return &Held{Slots: slots, release: release}, nil
}

// slot returns the index of the user's lock.
func (l *Locks) slot(app *models.App, id string) int {
	return int((maphash.String(l.seed, id) + uint64(app.ID)) % Slots)
}
