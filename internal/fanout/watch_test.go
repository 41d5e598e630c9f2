package fanout

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// A snapshot comes before any change, what is older than it does not come, and what is newer does.
func TestOpen_SnapshotComesFirst(t *testing.T) {
	b, _ := newBoard(t)
	var sink log
	w := &Watcher{Sink: &sink}
	w.Hold()
	watches := Pointers(Watches(w, []int64{1, 2}))
	b.Join(watches)
	b.publish(1, 4, 0)
	b.publish(2, 5, 0)
	drain(t, b)
	sink.want(t, "")
	b.Open(w, watches, []*Event{NewAt(4, 1, "present"), nil, NewAt(3, 2, "present")})
	drain(t, b)
	b.publish(1, 6, 0)
	drain(t, b)
	sink.want(t, "1:present 2:present 2:5 1:6")
}

// Events that are published before the snapshot is read, and delivered after Open was called, are
// held as well.
func TestOpen_OlderEventsStillUnderWay(t *testing.T) {
	b, _ := newBoard(t)
	var sink log
	slow := &stuck{entered: make(chan struct{}), leave: make(chan struct{})}
	b.watch(slow, 1)
	w := &Watcher{Sink: &sink}
	w.Hold()
	watches := Pointers(Watches(w, []int64{1, 2}))
	b.Join(watches)
	b.publish(1, 4, 0) // the queue is stuck with this one
	<-slow.entered
	b.publish(1, 5, 0)
	b.Open(w, watches, []*Event{NewAt(5, 1, "present"), NewAt(0, 2, "present")})
	sink.want(t, "")
	close(slow.leave)
	drain(t, b)
	sink.want(t, "1:present 2:present")
}

// stuck is a sink whose first event takes until leave is closed.
type stuck struct {
	once           sync.Once
	entered, leave chan struct{}
}

func (s *stuck) Deliver(*Event) {
	s.once.Do(func() {
		close(s.entered)
		<-s.leave
	})
}

func TestStop_EndsDeliveries(t *testing.T) {
	b, _ := newBoard(t)
	var sink log
	w, watches := b.watch(&sink, 1)
	b.publish(1, 1, 0)
	drain(t, b)
	if !w.Stop() || w.Stop() {
		t.Error("Stop does not tell its first call from others")
	}
	b.publish(1, 2, 0)
	b.Leave(watches)
	drain(t, b)
	sink.want(t, "1:1")

	w = &Watcher{Sink: &sink}
	w.Hold()
	watches = Pointers(Watches(w, []int64{1}))
	b.Join(watches)
	w.Stop()
	b.Open(w, watches, []*Event{New(1, "present")})
	drain(t, b)
	sink.want(t, "1:1")
}

// Watchers that come and go while many keys change each receive a present state and then every
// change of each key, without a gap and in order.
func TestBoard_NoGapUnderConcurrency(t *testing.T) {
	b, _ := newBoard(t)
	const keys, changes, watchers, publishers = 10, 200, 40, 4
	var latest [keys + 1]int64 // the latest value of each key; each has its queue's lock
	var publishing, watching sync.WaitGroup
	for n := range publishers {
		publishing.Go(func() {
			random := rand.New(rand.NewPCG(3, uint64(n)))
			for range changes {
				key := 1 + random.Int64N(keys)
				q := b.Queue(key)
				q.Lock()
				latest[key]++
				q.Publish(NewAt(latest[key], key, latest[key]), key, 0)
				q.Unlock()
			}
		})
	}
	sinks := make([]log, watchers)
	all := make([]int64, keys)
	for i := range all {
		all[i] = int64(i + 1)
	}
	slices.SortFunc(all, Compare)
	for i := range sinks {
		watching.Go(func() {
			w := &Watcher{Sink: &sinks[i]}
			w.Hold()
			watches := Pointers(Watches(w, all))
			b.Join(watches)
			snapshot := make([]*Event, keys)
			for n, key := range all {
				q := b.Queue(key)
				q.Lock()
				snapshot[n] = NewAt(latest[key], key, latest[key])
				q.Unlock()
			}
			b.Open(w, watches, snapshot)
		})
	}
	watching.Wait()
	publishing.Wait()
	drain(t, b)
	for i := range sinks {
		var at [keys + 1]int64
		seen := [keys + 1]bool{}
		for _, text := range sinks[i].got {
			var key, value int64
			if _, err := fmt.Sscanf(text, "%d:%d", &key, &value); err != nil {
				t.Fatal(err)
			}
			if seen[key] && value != at[key]+1 {
				t.Fatalf("watcher %d received %d of key %d after %d", i, value, key, at[key])
			}
			seen[key], at[key] = true, value
		}
		if at != latest {
			t.Errorf("watcher %d ends at %v, want %v", i, at, latest)
		}
	}
}
