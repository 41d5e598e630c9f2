package fanout

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Watcher is a sink and the state of its watches: all of them end together, and wait together for a
// snapshot. Set Sink before the first watch joins; a Watcher must not be copied after that.
type Watcher struct {
	Sink    Sink
	stopped atomic.Bool
	// gate holds events back until the snapshot is delivered; nil: it is open.
	gate atomic.Pointer[gate]
}

// Watch is a watcher's interest in one key: 24 bytes, and 8 in the key's list. Watch and list know
// each other's place, so that leaving takes constant time.
type Watch struct {
	watcher *Watcher
	// Key is the key whose events are watched.
	Key int64
	// index is the place in the key's list; it belongs to the queue's goroutine.
	index uint32
	// Tag belongs to the maker of the watch; the board does not use it.
	Tag uint8
}

// Watches returns a watch of w on each of the keys, in their order.
func Watches(w *Watcher, keys []int64) []Watch {
	watches := make([]Watch, len(keys))
	for i, key := range keys {
		watches[i] = Watch{watcher: w, Key: key}
	}
	return watches
}

// Pointers returns the watches' addresses, which is how they join and leave. It is cheaper to call
// it again than to keep the result.
func Pointers(watches []Watch) []*Watch {
	pointers := make([]*Watch, len(watches))
	for i := range watches {
		pointers[i] = &watches[i]
	}
	return pointers
}

// Stop ends all deliveries except those that have begun, and reports whether it is the first call.
// The watches must still leave.
func (w *Watcher) Stop() bool { return !w.stopped.Swap(true) }

// Hold makes the watcher keep its events for Board.Open. It is called before the watches join.
func (w *Watcher) Hold() { w.gate.Store(new(gate)) }

// deliver delivers ev to the sink, unless the watcher is stopped or holds its events.
func (w *Watcher) deliver(ev *Event) {
	if w.stopped.Load() {
		return
	}
	if g := w.gate.Load(); g != nil && g.hold(ev) {
		return
	}
	w.Sink.Deliver(ev)
}

// gather is like deliver, but a sink that gathers may wait for flush.
func (w *Watcher) gather(ev *Event) {
	g, ok := w.Sink.(Gatherer)
	if !ok || w.gate.Load() != nil {
		w.deliver(ev)
	} else if !w.stopped.Load() {
		g.Gather(ev)
	}
}

// flush makes the sink send what it has gathered.
func (w *Watcher) flush() {
	if g, ok := w.Sink.(Gatherer); ok {
		g.Flush()
	}
}

// reached counts a queue that has come to the snapshot. With the last one it is delivered, and then
// what was held, until nothing is.
func (w *Watcher) reached() {
	g := w.gate.Load()
	g.mu.Lock()
	g.waiting--
	last := g.waiting == 0
	g.mu.Unlock()
	if !last {
		return
	}
	for events := g.snapshot; ; {
		for _, ev := range events {
			if ev != nil && !w.stopped.Load() {
				w.Sink.Deliver(ev)
			}
		}
		if events = g.next(); len(events) == 0 {
			w.gate.Store(nil)
			return
		}
	}
}

// gate holds a watcher's events until its snapshot has been delivered.
type gate struct {
	// snapshot is what is delivered first; set before the queues begin to reach it.
	snapshot []*Event

	mu      sync.Mutex
	open    bool
	waiting int // how many queues have not reached the snapshot
	held    []*Event
}

// hold keeps ev for later. It returns false if the gate is open.
func (g *gate) hold(ev *Event) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		g.held = append(g.held, ev)
	}
	return !g.open
}

// next returns what was held since the last call, and opens the gate if that is nothing. Events
// that are not newer than the snapshot are left out.
func (g *gate) next() []*Event {
	g.mu.Lock()
	defer g.mu.Unlock()
	events := g.newer()
	g.held = nil
	g.open = len(events) == 0
	return events
}

func (g *gate) newer() []*Event {
	if len(g.held) == 0 {
		return nil
	}
	versions := make(map[int64]int64, len(g.snapshot))
	for _, ev := range g.snapshot {
		if ev != nil {
			versions[ev.Key()] = ev.Seq()
		}
	}
	return slices.DeleteFunc(g.held, func(ev *Event) bool {
		version, ok := versions[ev.Key()]
		return ok && ev.Seq() <= version
	})
}
