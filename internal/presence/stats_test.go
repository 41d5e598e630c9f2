package presence

import (
	"context"

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
	// circles, apps and loading are those of circles.Stats.
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
	in := h.circles.Stats()
	s.circles, s.apps, s.loading = in.Circles, len(in.Friends), in.Loading
	return s
}

// memory returns the registry of a world without Redis.
func (w *world) memory() *memory.Registry { return w.registry.(*memory.Registry) }

// node returns the registry of a world that has a Redis.
func (w *world) node() *cluster.Registry { return w.registry.(*cluster.Registry) }

// heard waits until the node has received all changes so far of the world's users.
func (w *world) heard() {
	w.t.Helper()
	ids := make([]int64, len(w.users))
	for i, u := range w.users {
		ids[i] = u.ID
	}
	if err := w.registry.Receive(context.Background(), ids...); err != nil {
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

// watched returns the users.id that the user's circle watches.
func (w *world) watched(i int) []int64 { return w.circles.Stats().Watched[w.users[i].ID] }

// friendsOn reports whether the app's switches let circles watch friends, and subscriptionsOn whether
// they let them watch subscriptions, as far as the hub knows.
func (w *world) friendsOn() bool       { return w.circles.Stats().Friends[w.app.ID] }
func (w *world) subscriptionsOn() bool { return w.circles.Stats().Subscriptions[w.app.ID] }
