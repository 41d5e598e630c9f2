package fanout

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// Queues is how many queues a Board has.
const Queues = 64 // a power of two

// publishTogether is how many events a queue hands to their watchers before it flushes them.
const publishTogether = 64

// Board delivers events to the watches of their keys. It is spread over queues: each key belongs
// to one of them, whose lock gives the key's events their order. A negative key spans the queues: it
// is another key of events of all of them, such as their users' app, and is watched with JoinAll.
type Board struct {
	queues    [Queues]Queue
	delivered func(n int)
	// publishing counts the queues that hand events to watchers at this moment.
	publishing atomic.Int32
	deliveries sync.WaitGroup
}

// NewBoard returns a board that calls delivered with the number of watches that events were
// delivered to. delivered may be called by several goroutines at once.
func NewBoard(delivered func(n int)) *Board {
	b := &Board{delivered: delivered}
	for i := range b.queues {
		b.queues[i] = Queue{board: b, topics: topics{}}
	}
	return b
}

// Index returns which queue the key belongs to: a number below Queues. Keys are positive.
func Index(key int64) int { return int(key & (Queues - 1)) }

// Compare orders keys by queue, and within a queue by value. It is the order that Each, Join and
// Leave need.
func Compare(a, b int64) int { return cmp.Or(cmp.Compare(Index(a), Index(b)), cmp.Compare(a, b)) }

// Queue returns the key's queue.
func (b *Board) Queue(key int64) *Queue { return &b.queues[Index(key)] }

// Each calls do once for each queue that has some of the watches, with that queue locked and its
// part of them. The watches are in the order of Compare.
func (b *Board) Each(watches []*Watch, do func(q *Queue, part []*Watch)) {
	for first := 0; first < len(watches); {
		index, next := Index(watches[first].Key), first+1
		for next < len(watches) && Index(watches[next].Key) == index {
			next++
		}
		q := &b.queues[index]
		q.Lock()
		do(q, watches[first:next:next])
		q.Unlock()
		first = next
	}
}

// Join begins watches, which are in the order of Compare: the events published from now on are
// delivered to their watchers.
func (b *Board) Join(watches []*Watch) {
	b.Each(watches, func(q *Queue, part []*Watch) { q.Join(part, nil) })
}

// Leave ends watches that have joined and are in the order of Compare.
func (b *Board) Leave(watches []*Watch) { b.Each(watches, (*Queue).Leave) }

// JoinAll begins a watch on a key that spans the queues, such as an app's. leave ends it, and is
// called at most once.
func (b *Board) JoinAll(w *Watcher, key int64) (leave func()) {
	watches := Watches(w, slices.Repeat([]int64{key}, Queues))
	all := func(do func(q *Queue, part []*Watch)) {
		pointers := Pointers(watches)
		for i := range b.queues {
			q := &b.queues[i]
			q.Lock()
			do(q, pointers[i:i+1:i+1])
			q.Unlock()
		}
	}
	all(func(q *Queue, part []*Watch) { q.Join(part, nil) })
	return func() { all((*Queue).Leave) }
}

// Open delivers a snapshot to a watcher whose Hold was called before it joined with these watches,
// then what it holds that is newer, and from then on every event as it comes. The snapshot has the
// present events of the watches' keys, read after Join and in any order; nil ones are skipped.
//
// Each queue reaches the snapshot after all that was published there before it was read. Those
// events are held, and known to be older by their Seq.
func (b *Board) Open(w *Watcher, watches []*Watch, snapshot []*Event) {
	parts := 0
	b.Each(watches, func(*Queue, []*Watch) { parts++ })
	g := w.gate.Load()
	g.snapshot, g.waiting = snapshot, parts
	open := &task{watcher: w, open: true}
	b.Each(watches, func(q *Queue, _ []*Watch) { q.enqueue(job{task: open}) })
}

// Close makes the board drop whatever is published from now on, and all joins and leaves.
func (b *Board) Close() {
	for i := range b.queues {
		q := &b.queues[i]
		q.Lock()
		q.closed = true
		q.Unlock()
	}
}

// Wait returns when a closed board has delivered what was published before.
func (b *Board) Wait() { b.deliveries.Wait() }

// Stats describes a board for tests.
type Stats struct {
	// Delivering is how many queues have something to deliver.
	Delivering int
	// Keys is how many keys have a watch, once for each queue. Those of a queue that is delivering
	// are not counted.
	Keys int
}

// Stats returns what the board holds now.
func (b *Board) Stats() (s Stats) {
	for i := range b.queues {
		q := &b.queues[i]
		q.Lock()
		if q.delivering {
			s.Delivering++
		} else {
			s.Keys += len(q.topics)
		}
		q.Unlock()
	}
	return s
}

// Queue is one part of a Board. Its lock is for the caller, who holds it from the decision that an
// event reports until Publish, so that decisions and events have one order. The lock must be held for
// all methods except Lock. They do not block: one goroutine for each queue does the work, in the
// order of the calls.
type Queue struct {
	board *Board

	mu     sync.Mutex
	closed bool
	// jobs wait for the goroutine that delivers, which runs while there are any.
	jobs       []job
	delivering bool

	// topics belong to the goroutine that delivers, not to the mutex.
	topics topics
}

// job is one thing for the goroutine that delivers: event, task or leave is set.
type job struct {
	event *Event
	keys  [2]int64 // the event's; 0: none
	task  *task
	leave []*Watch
}

// task is what a queue does for one watcher, in this order.
type task struct {
	watcher *Watcher
	// join are watches that begin.
	join []*Watch
	// first is delivered before any event that is published later.
	first []*Event
	// open: the queue has reached the watcher's snapshot; see Board.Open.
	open bool
}

// Lock locks the queue.
func (q *Queue) Lock() { q.mu.Lock() }

// Unlock unlocks the queue.
func (q *Queue) Unlock() { q.mu.Unlock() }

// Publish delivers ev to the watches of key and, unless that is 0, of another key.
func (q *Queue) Publish(ev *Event, key, another int64) {
	q.enqueue(job{event: ev, keys: [...]int64{key, another}})
}

// Join begins watches of one watcher on keys of this queue. The watcher receives first before any
// event that is published later.
func (q *Queue) Join(watches []*Watch, first []*Event) {
	q.enqueue(job{task: &task{watcher: watches[0].watcher, join: watches, first: first}})
}

// Leave ends watches that have joined this queue.
func (q *Queue) Leave(watches []*Watch) { q.enqueue(job{leave: watches}) }

// Send delivers ev to one watcher, in order with what is published.
func (q *Queue) Send(w *Watcher, ev *Event) {
	q.enqueue(job{task: &task{watcher: w, first: []*Event{ev}}})
}

// enqueue adds a job, unless the board is closed.
func (q *Queue) enqueue(j job) {
	if q.closed {
		return
	}
	q.jobs = append(q.jobs, j)
	if !q.delivering {
		q.delivering = true
		q.board.deliveries.Go(q.deliver)
	}
}

// deliver does job after job until there is none. There is at most one such goroutine for a queue,
// so watchers receive a key's events in order.
func (q *Queue) deliver() {
	var done []job
	for {
		q.Lock()
		jobs := q.jobs
		q.delivering = len(jobs) > 0
		q.jobs = done[:0]
		q.Unlock()
		if len(jobs) == 0 {
			return
		}
		for i := 0; i < len(jobs); {
			n := leadingEvents(jobs[i:])
			switch j := jobs[i]; {
			case n > 0:
				q.publish(jobs[i : i+n])
				i += n
				continue
			case j.task != nil:
				q.perform(j.task)
			case j.leave != nil:
				q.topics.leave(j.leave)
			}
			i++
		}
		clear(jobs)
		done = jobs
	}
}

func (q *Queue) perform(t *task) {
	q.topics.join(t.join)
	for _, ev := range t.first {
		t.watcher.deliver(ev)
	}
	if t.open {
		t.watcher.reached()
	}
}

// leadingEvents returns how many of the first jobs are events to publish together.
func leadingEvents(jobs []job) (n int) {
	for n < min(len(jobs), publishTogether) && jobs[n].event != nil {
		n++
	}
	return n
}

// publish hands events to their watchers. An event that comes alone goes to each watcher at once.
// Events that come together, on this queue or on several, are handed to all watchers before the
// first is flushed. Most watchers then send all of them in one write, with the first queue that
// flushes.
func (q *Queue) publish(events []job) {
	busy := &q.board.publishing
	single := busy.Add(1) == 1 && len(events) == 1
	defer busy.Add(-1)
	n := 0
	if single {
		n = q.topics.deliver(events[0].event, events[0].keys)
	} else {
		for _, j := range events {
			n += q.topics.gather(j.event, j.keys)
		}
		for _, j := range events {
			q.topics.flush(j.keys)
		}
	}
	q.board.delivered(n)
}
