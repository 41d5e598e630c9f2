package relations

import (
	"hash/maphash"
	"slices"
	"sync"

	"rollcall/models"
)

// turns has those who change the same users' relations queue up, from before the
// transaction until their events are out: events reach subscribers in the order
// of the commits, and the database sees few deadlocks. A change between two users
// takes the turns of both, so whoever has a user's turn is alone with all that is
// between the user and others. What holds under concurrency holds by the row
// locks, not by this.
type turns struct {
	seed maphash.Seed
	// all are so many that a batch of some hundred users leaves nearly everyone
	// else's free.
	all [4096]turn
}

// turn is held by who changes the relations of some users.
type turn struct {
	sync.Mutex
	// last is the latest moment that an entry of their lists was given.
	last models.Time
}

// heldTurns are those of all users whose relations change together.
type heldTurns []*turn

// takeTurns waits until nobody else in this process changes the relations of the
// app's users with these IDs. They go by their IDs in the API, so that no query
// need come first and nobody who is new on an ID slips through.
func (s *Service) takeTurns(app *models.App, ids []string) heldTurns {
	places := make([]int, len(ids))
	for i, id := range ids {
		places[i] = s.turns.place(app, id)
	}
	slices.Sort(places) // the order in which everybody takes them
	places = slices.Compact(places)
	held := make(heldTurns, len(places))
	for i, place := range places {
		held[i] = &s.turns.all[place]
		held[i].Lock()
	}
	return held
}

// place answers where the user's turn is.
func (t *turns) place(app *models.App, id string) int {
	return int((maphash.String(t.seed, id) + uint64(app.ID)) % uint64(len(t.all)))
}

// end lets the next ones go on.
func (held heldTurns) end() {
	for _, t := range held {
		t.Unlock()
	}
}

// moments answers the first of n moments, each a millisecond after the one
// before, that are after all that the users' lists have been given: a list has
// the newest entry first also where many are made in one millisecond.
func (held heldTurns) moments(at models.Time, n int) models.Time {
	for _, t := range held {
		at = max(at, t.last+1)
	}
	for _, t := range held {
		t.last = at + models.Time(n-1)
	}
	return at
}
