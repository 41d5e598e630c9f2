package fanout

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// log is a sink that records its events as "KEY:VALUE".
type log struct {
	mu  sync.Mutex
	got []string
}

func (l *log) Deliver(ev *Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, fmt.Sprint(ev.Key(), ":", ev.Value()))
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.got, " ")
}

func (l *log) want(t *testing.T, want string) {
	t.Helper()
	if got := l.String(); got != want {
		t.Errorf("delivered %q, want %q", got, want)
	}
}

// gatherLog is a log that gathers. It notes in which order it is called.
type gatherLog struct {
	log
	calls string
}

func (g *gatherLog) Gather(ev *Event) {
	g.calls += "g"
	g.Deliver(ev)
}

func (g *gatherLog) Flush() { g.calls += "f" }

// newBoard returns a board and the number of deliveries that it has reported.
func newBoard(t testing.TB) (b *Board, delivered func() int) {
	var mu sync.Mutex
	total := 0
	b = NewBoard(func(n int) {
		mu.Lock()
		defer mu.Unlock()
		total += n
	})
	t.Cleanup(func() {
		b.Close()
		b.Wait()
	})
	return b, func() int {
		mu.Lock()
		defer mu.Unlock()
		return total
	}
}

// drain waits until everything so far has been delivered.
func drain(t testing.TB, b *Board) {
	t.Helper()
	for deadline := time.Now().Add(patience); b.Stats().Delivering > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the deliveries did not end")
		}
	}
}

func (b *Board) publish(key int64, seq int64, also int64) {
	q := b.Queue(key)
	q.Lock()
	defer q.Unlock()
	q.Publish(NewAt(seq, key, seq), key, also)
}

// watch begins watches of sink on the keys.
func (b *Board) watch(sink Sink, keys ...int64) (w *Watcher, watches []*Watch) {
	w = &Watcher{Sink: sink}
	slices.SortFunc(keys, Compare)
	watches = Pointers(Watches(w, keys))
	b.Join(watches)
	return w, watches
}

func TestBoard_DeliversFromJoinToLeave(t *testing.T) {
	b, delivered := newBoard(t)
	var sink log
	b.publish(1, 1, 0)
	_, watches := b.watch(&sink, 1, 1+Queues)
	b.publish(1, 2, 0)
	b.publish(2, 3, 0)
	b.publish(1+Queues, 4, 0)
	b.Leave(watches)
	b.publish(1, 5, 0)
	drain(t, b)
	sink.want(t, fmt.Sprintf("1:2 %d:4", 1+Queues))
	if n := delivered(); n != 2 {
		t.Errorf("reported %d deliveries, want 2", n)
	}
	if n := b.Stats().Keys; n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

func TestBoard_JoinAllSpansQueues(t *testing.T) {
	b, _ := newBoard(t)
	var all, other log
	leave := b.JoinAll(&Watcher{Sink: &all}, -7)
	b.JoinAll(&Watcher{Sink: &other}, -8)
	for key := range int64(3) {
		b.publish(1+key, 1, -7)
		drain(t, b)
	}
	leave()
	b.publish(1, 2, -7)
	drain(t, b)
	all.want(t, "1:1 2:1 3:1")
	other.want(t, "")
}

// One event for two keys, with a watch of the same watcher on each, is two deliveries.
func TestBoard_BothKeysOfAnEvent(t *testing.T) {
	b, _ := newBoard(t)
	var sink log
	w, _ := b.watch(&sink, 1)
	b.JoinAll(w, -7)
	b.publish(1, 1, -7)
	drain(t, b)
	sink.want(t, "1:1 1:1")
}

func TestBoard_FirstComesBeforeLaterEvents(t *testing.T) {
	b, _ := newBoard(t)
	var sink, bystander log
	b.watch(&bystander, 1)
	w := &Watcher{Sink: &sink}
	watches := Pointers(Watches(w, []int64{1}))
	b.publish(1, 1, 0)
	b.Each(watches, func(q *Queue, part []*Watch) {
		q.Publish(NewAt(2, 1, 2), 1, 0)
		q.Join(part, []*Event{NewAt(2, 1, "missed")})
		q.Publish(NewAt(3, 1, 3), 1, 0)
		q.Send(w, NewAt(3, 1, "sent"))
	})
	drain(t, b)
	sink.want(t, "1:missed 1:3 1:sent")
	bystander.want(t, "1:1 1:2 1:3")
}

func TestBoard_EachGoesByQueue(t *testing.T) {
	b, _ := newBoard(t)
	keys := []int64{5, 1, 5 + Queues, 2, 1 + 3*Queues}
	slices.SortFunc(keys, Compare)
	var parts []string
	b.Each(Pointers(Watches(new(Watcher), keys)), func(q *Queue, part []*Watch) {
		if q.mu.TryLock() {
			t.Error("the queue is not locked")
		}
		var text []string
		for _, w := range part {
			if b.Queue(w.Key) != q {
				t.Errorf("key %d is not on its queue", w.Key)
			}
			text = append(text, fmt.Sprint(w.Key))
		}
		parts = append(parts, strings.Join(text, " "))
	})
	if got, want := fmt.Sprint(parts), fmt.Sprintf("[1 %d 2 5 %d]", 1+3*Queues, 5+Queues); got != want {
		t.Errorf("parts %s, want %s", got, want)
	}
	if n := len(parts); n != 3 {
		t.Errorf("%d parts, want 3", n)
	}
}

func TestBoard_ClosedDropsAndDeliversTheRest(t *testing.T) {
	b := NewBoard(func(int) {})
	var sink log
	_, watches := b.watch(&sink, 1)
	for n := range int64(1000) {
		b.publish(1, n, 0)
	}
	b.Close()
	b.publish(1, 1000, 0)
	b.Leave(watches)
	b.Wait()
	if n := len(sink.got); n != 1000 {
		t.Errorf("%d events were delivered, want 1000", n)
	}
}

// Watches that leave in any order leave nothing behind, and no others are touched.
func TestBoard_LeaveInAnyOrder(t *testing.T) {
	b, _ := newBoard(t)
	random := rand.New(rand.NewPCG(1, 2))
	sinks := make([]log, 300)
	var all [][]*Watch
	for i := range sinks {
		_, watches := b.watch(&sinks[i], 1, 2, 3)
		all = append(all, watches)
	}
	left := map[int]bool{}
	for _, i := range random.Perm(len(all))[:250] {
		b.Leave(all[i])
		left[i] = true
	}
	b.publish(2, 1, 0)
	drain(t, b)
	for i := range sinks {
		want := "2:1"
		if left[i] {
			want = ""
		}
		sinks[i].want(t, want)
	}
	for i, watches := range all {
		if !left[i] {
			b.Leave(watches)
		}
	}
	drain(t, b)
	if n := b.Stats().Keys; n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// An event that is split among processors does not overtake the one before.
func TestBoard_ManyWatchersReceiveInOrder(t *testing.T) {
	b, delivered := newBoard(t)
	sinks := make([]log, 10*publishChunk+7)
	for i := range sinks {
		b.watch(&sinks[i], 1)
	}
	const rounds = 10
	want := make([]string, rounds)
	for n := range int64(rounds) {
		b.publish(1, n, 0)
		want[n] = fmt.Sprint("1:", n)
	}
	drain(t, b)
	for i := range sinks {
		sinks[i].want(t, strings.Join(want, " "))
	}
	if n := delivered(); n != rounds*len(sinks) {
		t.Errorf("reported %d deliveries, want %d", n, rounds*len(sinks))
	}
}

func TestQueue_GathersEventsThatComeTogether(t *testing.T) {
	b, _ := newBoard(t)
	q := b.Queue(1)
	gatherer, plain := new(gatherLog), new(log)
	for _, sink := range []Sink{gatherer, plain} {
		q.topics.join(Pointers(Watches(&Watcher{Sink: sink}, []int64{1})))
	}
	event := func(value string) job { return job{event: New(1, value), keys: [...]int64{1, -7}} }
	q.publish([]job{event("a")})
	if gatherer.calls != "" {
		t.Errorf("one event alone: %q", gatherer.calls)
	}
	q.publish([]job{event("b"), event("c")})
	if gatherer.calls != "ggff" {
		t.Errorf("two events together: %q", gatherer.calls)
	}
	b.publishing.Add(1) // another queue is publishing
	q.publish([]job{event("d")})
	b.publishing.Add(-1)
	if gatherer.calls != "ggffgf" {
		t.Errorf("an event beside another queue's: %q", gatherer.calls)
	}
	const want = "1:a 1:b 1:c 1:d"
	gatherer.want(t, want)
	plain.want(t, want)
}

func TestQueue_GathersUpToTheNextTask(t *testing.T) {
	jobs := []job{{event: &Event{}}, {event: &Event{}}, {task: &task{}}, {event: &Event{}}}
	if n := leadingEvents(jobs); n != 2 {
		t.Errorf("%d events come together, want 2", n)
	}
	if n := leadingEvents(jobs[2:]); n != 0 {
		t.Errorf("%d events before the task, want 0", n)
	}
	many := make([]job, publishTogether+1)
	for i := range many {
		many[i].event = &Event{}
	}
	if n := leadingEvents(many); n != publishTogether {
		t.Errorf("%d events come together, want %d", n, publishTogether)
	}
}

// idle is a sink that does nothing.
type idle struct{ _ byte }

func (*idle) Deliver(*Event) {}

// BenchmarkPublish is one event for 10 000 watchers, without what they do with it.
func BenchmarkPublish(b *testing.B) {
	const watchers = 10_000
	ts := topics{}
	for range watchers {
		ts.join(Pointers(Watches(&Watcher{Sink: new(idle)}, []int64{1})))
	}
	ev := New(1, "value")
	b.ReportAllocs()
	for b.Loop() {
		ts.deliver(ev, [...]int64{1, -1})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/watchers, "ns/delivery")
}
