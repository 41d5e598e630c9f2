package presence

import (
	"sync"
	"time"

	"rollcall/models"
)

// linger is how long an entry outlives its last device and its last write. A row
// read before the entry was forgotten may be this old and still tell the truth;
// callers rely on a minute.
const linger = 90 * time.Second

// sweepInterval is how often entries are looked for that have lingered enough.
const sweepInterval = 10 * time.Second

// shard is one part of the accounts: their entries, and what the watchers are
// still to hear of them, in order.
type shard struct {
	hub *Hub

	mu      sync.Mutex
	entries map[int64]*entry // by users.id
	// arriving are devices whose right to connect is being checked; see Connect.
	arriving map[*Device]struct{}
	closed   bool
	// resting are the idle entries, the longest idle first.
	resting []resting
	// jobs wait for the goroutine that delivers; it runs while there are any.
	jobs       []job
	delivering bool

	// topics belong to the goroutine that delivers, not to the mutex.
	topics topics
}

// resting is an entry that became idle at since; the mark is stale when the
// entry has done something in the meantime.
type resting struct {
	entry *entry
	since models.Time
}

// job is one thing for the goroutine that delivers to do: event, join or leave is
// set.
type job struct {
	event *Event
	to    [2]int64 // the event's topics; 0 is none
	join  *joining
	leave []*watch
}

// entry answers the account's entry, made from acc where there is none.
func (s *shard) entry(acc Account) *entry {
	e := s.entries[acc.ID]
	if e == nil {
		e = newEntry(acc)
		s.entries[acc.ID] = e
	}
	return e
}

// status answers the account's status: memory's, else the row's.
func (s *shard) status(acc Account) models.UserStatus {
	if e := s.entries[acc.ID]; e != nil {
		return e.status()
	}
	return statusOf(acc.ExternalID, stateOf(acc.Presence, acc.PresenceAt), custom{})
}

// drop forgets a deleted user.
func (s *shard) drop(e *entry) {
	e.dropped = true
	finish(e.waiters, nil)
	e.waiters = nil
	delete(s.entries, e.id)
}

// rest notes that e is idle from now on.
func (s *shard) rest(e *entry) {
	e.idleSince = s.hub.now()
	s.resting = append(s.resting, resting{e, e.idleSince})
}

// sweep forgets the entries that have been idle since before the moment.
func (s *shard) sweep(before models.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.resting) && s.resting[n].since < before {
		mark := s.resting[n]
		s.resting[n] = resting{}
		n++
		if e := mark.entry; e.idleSince == mark.since && e.idle() && !e.dropped {
			delete(s.entries, e.id)
		}
	}
	s.resting = s.resting[n:]
}

// close counts every device as gone and takes no more.
func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if len(e.devices) > 0 {
			s.end(e, every, models.PresenceOffline)
		}
	}
	s.closed = true
}

// enqueue hands j to the goroutine that delivers, in the order of the changes.
func (s *shard) enqueue(j job) {
	if s.closed {
		return
	}
	s.jobs = append(s.jobs, j)
	if !s.delivering {
		s.delivering = true
		s.hub.background.Go(s.deliver)
	}
}

// post is enqueue for those who do not hold the mutex.
func (s *shard) post(j job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enqueue(j)
}

// deliver does job after job until there is none. There is at most one such
// goroutine for a shard, so watchers hear of an account's changes in order.
func (s *shard) deliver() {
	var done []job
	for {
		s.mu.Lock()
		jobs := s.jobs
		s.delivering = len(jobs) > 0
		s.jobs = done[:0]
		s.mu.Unlock()
		if len(jobs) == 0 {
			return
		}
		for i := 0; i < len(jobs); {
			n := events(jobs[i:])
			switch j := jobs[i]; {
			case n > 0:
				s.publish(jobs[i : i+n])
				i += n
				continue
			case j.join != nil:
				s.topics.join(j.join)
			case j.leave != nil:
				s.topics.leave(j.leave)
			}
			i++
		}
		clear(jobs)
		done = jobs
	}
}

// events answers how many events come next, as far as they are published together.
func events(jobs []job) (n int) {
	for n < min(len(jobs), publishTogether) && jobs[n].event != nil {
		n++
	}
	return n
}

// publish hands events to those who watch. One that comes alone goes to each
// watcher at once. Events that come together, here or in several shards, are
// handed to all before the first is sent: nearly everybody then gets all of
// them in one write, by whichever shard comes by first.
func (s *shard) publish(events []job) {
	busy := &s.hub.publishing
	alone := busy.Add(1) == 1 && len(events) == 1
	defer busy.Add(-1)
	n := 0
	if alone {
		n = s.topics.publish(events[0].event, events[0].to)
	} else {
		for _, j := range events {
			n += s.topics.gather(j.event, j.to)
		}
		for _, j := range events {
			s.topics.flush(j.to)
		}
	}
	s.hub.metrics.deliveries.Add(float64(n))
}

// sweepRegularly runs until the hub closes.
func (h *Hub) sweepRegularly() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			h.sweep()
		case <-h.closing.Done():
			return
		}
	}
}

func (h *Hub) sweep() {
	before := h.now().Add(-linger)
	for i := range h.shards {
		h.shards[i].sweep(before)
	}
}
