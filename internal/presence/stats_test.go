package presence

import (
	"context"
	"slices"

	"rollcall/internal/presence/cluster"
	"rollcall/internal/presence/memory"
)

// stats is what a hub holds at a moment.
type stats struct {
	// entries are the accounts in memory, and unwritten those of them that the database does not
	// hold yet.
	entries, unwritten int
	// arriving are devices that are being checked, and devices the numbers of the others by users.id.
	arriving int
	devices  map[int64]int
	// circles and apps are those of the audience, and loading the circles that read a list.
	circles, apps, loading int
	// topics are the keys with watches, and delivering the queues that deliver; see fanout.Stats.
	topics, delivering int
}

// stats returns what the hub holds now.
func (h *Hub) stats() (s stats) {
	if m, ok := h.registry.(*memory.Registry); ok {
		in := m.Stats()
		s.entries, s.unwritten, s.arriving, s.devices = in.Entries, in.Unwritten, in.Arriving, in.Devices
	}
	board := h.board.Stats()
	s.topics, s.delivering = board.Keys, board.Delivering
	h.audience.mu.Lock()
	defer h.audience.mu.Unlock()
	s.circles, s.apps = len(h.audience.circles), len(h.audience.apps)
	for _, c := range h.audience.circles {
		c.mu.Lock()
		if slices.ContainsFunc(c.lists[:], func(l list) bool { return l.state == listLoading }) {
			s.loading++
		}
		c.mu.Unlock()
	}
	return s
}

// memory returns the registry of a world without Redis.
func (w *world) memory() *memory.Registry { return w.registry.(*memory.Registry) }

// node returns the registry of a world that has a Redis.
func (w *world) node() *cluster.Registry { return w.registry.(*cluster.Registry) }

// heard waits until the node has received all changes so far.
func (w *world) heard() {
	w.t.Helper()
	if err := w.registry.CatchUpAll(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// following waits until the node receives the changes of everything that it watches.
func (w *world) following() {
	w.t.Helper()
	if err := w.registry.Settle(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// circleOf returns the user's circle, or nil if it has none.
func (w *world) circleOf(i int) *circle { return w.audience.circle(w.users[i].ID) }

// watched returns the keys of those that the user's circle watches.
func (w *world) watched(i int) []int64 {
	return w.circleOf(i).listed(fromSelf | fromFriends | fromSubscriptions)
}

// switchedOn returns the lists that the app's switches let its circles carry, as far as the hub
// knows.
func (w *world) switchedOn() sources {
	w.audience.mu.Lock()
	defer w.audience.mu.Unlock()
	return w.audience.apps[w.app.ID].on
}
