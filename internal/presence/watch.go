package presence

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"rollcall/internal/fanout"
)

// watcher is a sink with all that it watches: one subscription operation, or a
// circle, which stands for several.
type watcher struct {
	sink    Sink
	stopped atomic.Bool
	// gate holds events back until the snapshot is out; nil once open.
	gate atomic.Pointer[gate]
}

// watch is one watcher's place on one topic's list: 24 bytes, and 8 on the list.
// Both know where the other is, so that leaving takes constant time.
type watch struct {
	watcher *watcher
	// key is the topic's.
	key int64
	// index is where on the list; it belongs to the shard's deliverer.
	index uint32
	// why belongs to the circle's mutex; see there.
	why sources
}

// joining puts watches of one watcher on their topics' lists.
type joining struct {
	watcher *watcher
	watches []*watch
	// missed is delivered first: what the watcher should have heard before.
	missed []*Event
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

// gather is deliver, but what the sink gathers may wait for flush.
func (w *watcher) gather(ev *Event) {
	g, ok := w.sink.(fanout.Gatherer)
	if !ok || w.gate.Load() != nil {
		w.deliver(ev)
	} else if !w.stopped.Load() {
		g.Gather(ev)
	}
}

// flush has the sink send what it has gathered.
func (w *watcher) flush() {
	if g, ok := w.sink.(fanout.Gatherer); ok {
		g.Flush()
	}
}

// WatchUsers has sink told of every change of these accounts' statuses from now
// on; an account given twice is watched once. With snapshot, the sink first gets
// each account's present status, in the order given, and no change falls in
// between. The events come from another goroutine, possibly before WatchUsers
// has returned.
//
// stop ends the watch; calling it again does nothing.
func (h *Hub) WatchUsers(ctx context.Context, accs []Account, sink Sink, snapshot bool) (stop func(), err error) {
	list := make([]asked, len(accs))
	for i := range accs {
		list[i] = asked{&accs[i], i}
	}
	slices.SortStableFunc(list, func(a, b asked) int {
		return cmp.Or(cmp.Compare(shardIndex(a.ID), shardIndex(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	list = slices.CompactFunc(list, func(a, b asked) bool { return a.ID == b.ID })

	w := &watcher{sink: sink}
	watches := make([]watch, len(list))
	for i, a := range list {
		watches[i] = watch{watcher: w, key: userTopic(a.ID)}
	}
	parts := byShard(pointers(watches))
	var present []*Event
	if snapshot {
		present = make([]*Event, len(accs))
		w.gate.Store(&gate{joins: len(parts), snapshot: present})
	}
	stop = func() {
		if !w.stopped.Swap(true) {
			h.leave(pointers(watches))
		}
	}
	if err := h.store.join(ctx, w, parts, list, present); err != nil {
		stop()
		return nil, fmt.Errorf("watching %d users: %w", len(accs), err)
	}
	return stop, nil
}

// asked is an account that somebody watches, and its place among those asked for.
type asked struct {
	*Account
	at int
}

// WatchApp has sink told of every change of a status in the app from now on.
// stop ends the watch; calling it again does nothing.
func (h *Hub) WatchApp(ctx context.Context, appID int64, sink Sink) (stop func(), err error) {
	w := &watcher{sink: sink}
	watches := make([]watch, shardCount)
	each := pointers(watches)
	h.store.follow(appTopic(appID))
	for i := range each {
		watches[i] = watch{watcher: w, key: appTopic(appID)}
		h.shards[i].post(job{join: &joining{watcher: w, watches: each[i : i+1]}})
	}
	stop = func() {
		if w.stopped.Swap(true) {
			return
		}
		h.store.unfollow(appTopic(appID))
		for i := range each {
			h.shards[i].post(job{leave: each[i : i+1]})
		}
	}
	if err := h.store.settle(ctx); err != nil {
		stop()
		return nil, fmt.Errorf("watching app %d: %w", appID, err)
	}
	return stop, nil
}

// leave takes watches of users, sorted by shard, off their lists.
func (h *Hub) leave(watches []*watch) {
	for _, part := range byShard(watches) {
		h.shard(part[0].key).post(job{leave: part})
		for _, w := range part {
			h.store.unfollow(w.key)
		}
	}
}

func pointers(watches []watch) []*watch {
	out := make([]*watch, len(watches))
	for i := range watches {
		out[i] = &watches[i]
	}
	return out
}

// byShard cuts watches of users, sorted by shard, into each shard's.
func byShard(watches []*watch) (parts [][]*watch) {
	first := 0
	for i := range watches {
		if next := i + 1; next == len(watches) || shardIndex(watches[next].key) != shardIndex(watches[i].key) {
			parts = append(parts, watches[first:next])
			first = next
		}
	}
	return parts
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
		events, g.held = g.news(), nil
		g.open = len(events) == 0
		g.mu.Unlock()
		if len(events) == 0 {
			w.gate.Store(nil)
			return
		}
	}
}

// news answers what was held and is newer than the snapshot, which may have been
// taken when changes before it were still under way.
func (g *gate) news() []*Event {
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
