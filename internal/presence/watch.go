package presence

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"rollcall/internal/fanout"
)

// watcher is one subscription operation: a sink and all that it watches. Each
// part of its slots belongs to the deliverer of one shard.
type watcher struct {
	sink  Sink
	slots []slot
	// parts say which shard has which slots, in the order of the slots.
	parts   []part
	stopped atomic.Bool
	// gate holds events back until the snapshot is out; nil once open.
	gate atomic.Pointer[gate]
}

// part is a shard's share of a watcher's slots: from the part before up to end.
type part struct {
	shard, end uint32
}

// joining puts a watcher on the lists of keys; its slots begin at first.
type joining struct {
	watcher *watcher
	first   uint32
	keys    []int64
}

// leaving takes the watches first to end of a watcher off their lists.
type leaving struct {
	watcher    *watcher
	first, end uint32
}

// deliver hands ev to the sink, unless the watch is stopped or the snapshot is
// still to come.
func (w *watcher) deliver(ev *Event) {
	if w.stopped.Load() {
		return
	}
	if g := w.gate.Load(); g != nil && g.hold(ev) {
		return
	}
	w.sink.Deliver(ev)
}

// WatchUsers has sink told of every change of these accounts' statuses from now
// on; an account given twice is watched once. With snapshot, the sink first gets
// each account's present status, in the order given, and no change falls in
// between. The events come from another goroutine, possibly before WatchUsers
// has returned.
//
// stop ends the watch; calling it again does nothing.
func (h *Hub) WatchUsers(accs []Account, sink Sink, snapshot bool) (stop func()) {
	type asked struct {
		*Account
		at int
	}
	list := make([]asked, len(accs))
	for i := range accs {
		list[i] = asked{&accs[i], i}
	}
	slices.SortStableFunc(list, func(a, b asked) int {
		return cmp.Or(cmp.Compare(shardIndex(a.ID), shardIndex(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	list = slices.CompactFunc(list, func(a, b asked) bool { return a.ID == b.ID })

	w := &watcher{sink: sink, slots: make([]slot, len(list))}
	for i, a := range list {
		if i+1 == len(list) || shardIndex(list[i+1].ID) != shardIndex(a.ID) {
			w.parts = append(w.parts, part{shard: uint32(shardIndex(a.ID)), end: uint32(i + 1)})
		}
	}
	w.parts = slices.Clip(w.parts)
	var present []*Event
	if snapshot {
		present = make([]*Event, len(accs))
		w.gate.Store(&gate{joins: len(w.parts), snapshot: present})
	}
	first := uint32(0)
	for _, p := range w.parts {
		s := &h.shards[p.shard]
		keys := make([]int64, 0, p.end-first)
		s.mu.Lock()
		for _, a := range list[first:p.end] {
			keys = append(keys, userTopic(a.ID))
			if snapshot {
				status := s.status(*a.Account)
				present[a.at] = fanout.New(a.ID, &status)
			}
		}
		s.enqueue(job{join: &joining{watcher: w, first: first, keys: keys}})
		s.mu.Unlock()
		first = p.end
	}
	return func() { h.stop(w) }
}

// WatchApp has sink told of every change of a status in the app from now on.
// stop ends the watch; calling it again does nothing.
func (h *Hub) WatchApp(appID int64, sink Sink) (stop func()) {
	w := &watcher{sink: sink, slots: make([]slot, shardCount), parts: make([]part, shardCount)}
	keys := []int64{appTopic(appID)}
	for i := range uint32(shardCount) {
		w.parts[i] = part{shard: i, end: i + 1}
		s := &h.shards[i]
		s.mu.Lock()
		s.enqueue(job{join: &joining{watcher: w, first: i, keys: keys}})
		s.mu.Unlock()
	}
	return func() { h.stop(w) }
}

func (h *Hub) stop(w *watcher) {
	if w.stopped.Swap(true) {
		return
	}
	first := uint32(0)
	for _, p := range w.parts {
		s := &h.shards[p.shard]
		s.mu.Lock()
		s.enqueue(job{leave: &leaving{watcher: w, first: first, end: p.end}})
		s.mu.Unlock()
		first = p.end
	}
}

// gate lets a watcher's snapshot out before any change: the shards join the
// watcher one after another, and what the first of them have to tell waits until
// the last has joined.
type gate struct {
	mu       sync.Mutex
	open     bool
	joins    int      // how many shards are still to join
	snapshot []*Event // in the order asked; nil for an account given again
	held     []*Event
}

// hold keeps ev for later; false: the gate is open.
func (g *gate) hold(ev *Event) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		g.held = append(g.held, ev)
	}
	return !g.open
}

// joined counts a shard; the last one has the snapshot delivered, then what was
// held, until nothing more is.
func (g *gate) joined(w *watcher) {
	g.mu.Lock()
	g.joins--
	wait := g.joins > 0
	g.mu.Unlock()
	if wait {
		return
	}
	events := g.snapshot
	for {
		for _, ev := range events {
			if ev != nil && !w.stopped.Load() {
				w.sink.Deliver(ev)
			}
		}
		g.mu.Lock()
		events, g.held = g.held, nil
		g.open = len(events) == 0
		g.mu.Unlock()
		if len(events) == 0 {
			w.gate.Store(nil)
			return
		}
	}
}
