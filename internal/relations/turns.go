package relations

import (
	"context"
	"hash/maphash"
	"slices"

	"golang.org/x/sync/semaphore"

	"rollcall/internal/turn"
	"rollcall/models"
)

// turns orders the changes of the same users' relations, from before the transaction until their
// events are sent: events reach subscribers in the order of the commits, and the database sees few
// deadlocks. A change between two users takes the turns of both, so whoever has a user's turn is
// alone with all that is between the user and others. The row locks alone keep the data correct
// under concurrency.
type turns struct {
	seed maphash.Seed
	// locks are so many that a batch of some hundred users leaves those of nearly all others free.
	locks []*semaphore.Weighted
	// last is, for each lock, the latest time that an entry of its users' lists was given. The
	// holder of the lock may use it.
	last [turnCount]models.Time
}

const turnCount = 4096

// newTurns returns turns that nobody has.
func newTurns() *turns { return &turns{seed: maphash.MakeSeed(), locks: turn.New(turnCount)} }

// heldTurns are those of all users whose relations change together.
type heldTurns struct {
	of     *turns
	places []int
	// end lets the next ones go on.
	end func()
}

// takeTurns waits until nobody else in this process changes the relations of the app's users with
// these IDs, see turn.Take for how long. Turns go by the IDs of the API, so that no query must come
// first and no user that is new on an ID is missed.
func (s *Service) takeTurns(ctx context.Context, app *models.App, ids []string) (*heldTurns, error) {
	places := make([]int, len(ids))
	for i, id := range ids {
		places[i] = s.turns.place(app, id)
	}
	slices.Sort(places) // the order in which everybody takes them
	places = slices.Compact(places)
	locks := make([]*semaphore.Weighted, len(places))
	for i, place := range places {
		locks[i] = s.turns.locks[place]
	}
	end, err := turn.Take(ctx, turn.Exclusive, locks...)
	if err != nil {
		return nil, err
	}
	return &heldTurns{of: s.turns, places: places, end: end}, nil
}

// place returns the index of the user's turn.
func (t *turns) place(app *models.App, id string) int {
	return int((maphash.String(t.seed, id) + uint64(app.ID)) % turnCount)
}

// moments returns the first of n times, each a millisecond after the one before, that are after all
// that the users' lists have been given: a list has the newest entry first also if many are made
// in one millisecond.
func (held *heldTurns) moments(at models.Time, n int) models.Time {
	for _, place := range held.places {
		at = max(at, held.of.last[place]+1)
	}
	for _, place := range held.places {
		held.of.last[place] = at + models.Time(n-1)
	}
	return at
}
