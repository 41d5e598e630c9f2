package presence

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// publishChunk is how many watchers one goroutine takes at a time when an
	// event goes to many; below twice that, one goroutine serves them all.
	publishChunk = 256
	// publishTogether is how many events are handed out before the first is sent.
	publishTogether = 64
	// topicSlack: a list with so many times more room than members is made anew.
	topicSlack = 4
)

// topics are the lists of watches in one shard, by topic key.
type topics map[int64]*topic

// topic is the list of those who watch one user or, for the users of one shard,
// one app.
type topic struct {
	members []*watch
}

// userTopic and appTopic keep users and apps apart in one map: keys of rows are
// positive.
func userTopic(userID int64) int64 { return userID }
func appTopic(appID int64) int64   { return -appID }

// join puts watches on the lists of their topics.
func (ts topics) join(j *joining) {
	for _, w := range j.watches {
		t := ts[w.key]
		if t == nil {
			t = &topic{}
			ts[w.key] = t
		}
		w.index = uint32(len(t.members))
		t.members = append(t.members, w)
	}
	for _, ev := range j.missed {
		j.watcher.deliver(ev)
	}
	if g := j.watcher.gate.Load(); g != nil {
		g.joined(j.watcher)
	}
}

// leave takes watches off the lists of their topics.
func (ts topics) leave(watches []*watch) {
	for _, w := range watches {
		t := ts[w.key]
		t.remove(w.index)
		if len(t.members) == 0 {
			delete(ts, w.key)
		}
	}
}

// remove puts the last member into the place of the one that leaves.
func (t *topic) remove(index uint32) {
	last := len(t.members) - 1
	moved := t.members[last]
	t.members[index] = moved
	moved.index = index
	t.members[last] = nil
	t.members = t.members[:last]
	if cap(t.members) > 2*topicSlack && cap(t.members) > topicSlack*last {
		t.members = append(make([]*watch, 0, 2*last), t.members...)
	}
}

// publish hands ev to all who watch one of the topics, and answers to how many.
func (ts topics) publish(ev *Event, to [2]int64) int {
	return ts.each(to, true, func(w *watcher) { w.deliver(ev) })
}

// gather is publish, but those who gather may wait for flush.
func (ts topics) gather(ev *Event, to [2]int64) int {
	return ts.each(to, false, func(w *watcher) { w.gather(ev) })
}

// flush has all who watch one of the topics send what they have gathered.
func (ts topics) flush(to [2]int64) { ts.each(to, true, (*watcher).flush) }

// each does something with all who watch one of the topics, and answers how many
// they are; sends: it asks the kernel to send, which takes long.
func (ts topics) each(to [2]int64, sends bool, do func(w *watcher)) (n int) {
	for _, key := range to {
		if t := ts[key]; t != nil {
			each(t.members, sends, do)
			n += len(t.members)
		}
	}
	return n
}

// each splits a long list among the processors, and returns when all have been
// served, so that the next event cannot overtake this one.
func each(members []*watch, sends bool, do func(w *watcher)) {
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
				// Events that have come meanwhile go out with this one.
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
