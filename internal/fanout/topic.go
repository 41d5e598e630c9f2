package fanout

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// publishChunk is how many watches one goroutine takes at a time if an event has many. One
	// goroutine serves lists shorter than twice that.
	publishChunk = 256
	// topicSlack: a list with room for so many times its members is reallocated.
	topicSlack = 4
)

// topics are a queue's watches by key.
type topics map[int64]*topic

// topic is the watches of one key.
type topic struct {
	members []*Watch
}

// join adds watches to their topics.
func (ts topics) join(watches []*Watch) {
	for _, w := range watches {
		t := ts[w.Key]
		if t == nil {
			t = &topic{}
			ts[w.Key] = t
		}
		w.index = uint32(len(t.members))
		t.members = append(t.members, w)
	}
}

// leave removes watches from their topics.
func (ts topics) leave(watches []*Watch) {
	for _, w := range watches {
		t := ts[w.Key]
		t.remove(w.index)
		if len(t.members) == 0 {
			delete(ts, w.Key)
		}
	}
}

// remove moves the last member to the place of the one that leaves.
func (t *topic) remove(index uint32) {
	last := len(t.members) - 1
	moved := t.members[last]
	t.members[index] = moved
	moved.index = index
	t.members[last] = nil
	t.members = t.members[:last]
	if cap(t.members) > 2*topicSlack && cap(t.members) > topicSlack*last {
		t.members = append(make([]*Watch, 0, 2*last), t.members...)
	}
}

// deliver delivers ev to the watches of the keys, and returns how many they are.
func (ts topics) deliver(ev *Event, keys [2]int64) int {
	return ts.each(keys, true, func(w *Watcher) { w.deliver(ev) })
}

// gather is like deliver, but sinks that gather may wait for flush.
func (ts topics) gather(ev *Event, keys [2]int64) int {
	return ts.each(keys, false, func(w *Watcher) { w.gather(ev) })
}

// flush makes the watchers of the keys send what they have gathered.
func (ts topics) flush(keys [2]int64) { ts.each(keys, true, (*Watcher).flush) }

// each calls do for the watcher of each watch of the keys, and returns how many there are. sends
// reports whether do makes a system call, which takes long.
func (ts topics) each(keys [2]int64, sends bool, do func(w *Watcher)) (n int) {
	for _, key := range keys {
		if t := ts[key]; t != nil {
			each(t.members, sends, do)
			n += len(t.members)
		}
	}
	return n
}

// each splits a long list among the processors. It returns when do has returned for all members, so
// that the next event cannot overtake this one.
func each(members []*Watch, sends bool, do func(w *Watcher)) {
	helpers := min(runtime.GOMAXPROCS(0), len(members)/publishChunk) - 1
	if helpers < 1 {
		for _, m := range members {
			do(m.watcher)
		}
		return
	}
	var next atomic.Int64
	serve := func() {
		for {
			end := int(next.Add(publishChunk))
			start := end - publishChunk
			if start >= len(members) {
				return
			}
			for _, m := range members[start:min(end, len(members))] {
				do(m.watcher)
			}
			if sends {
				// Events that have come in between go out with this one.
				runtime.Gosched()
			}
		}
	}
	var wg sync.WaitGroup
	for range helpers {
		wg.Go(serve)
	}
	serve()
	wg.Wait()
}
