package transport

import (
	"slices"
	"time"

	"rollcall/internal/fanout"
	"rollcall/internal/fault"
)

// A fence keeps events from overtaking a response that holds statuses. Statuses are read at one
// moment and the response is sent at a later one; an event sent in between could be newer than the
// response that follows it. So once an operation begins to read the status of a user, the events of
// that user wait until the response has been sent. The events of other users do not wait, nor do
// events from before the read. An event for which statuses are read, such as that of a new friend,
// has a fence like a response.
//
// Events wait for at most the pacing's fenceTimeout, and at most as many as the bounds allow. After
// that they are sent, and the response is replaced by errOvertaken; an event is sent unchanged.
type fence struct {
	out *sender
	// event reports whether the fence is that of an event for which statuses were read. Such events
	// do not wait for one another.
	event bool

	// The sender's mutex guards the following fields.

	state fenceState
	// keys are the keys of the users whose statuses are read. The first `indexed` of them are in
	// index.
	keys    []int64
	indexed int
	index   map[int64]struct{}
	// waiting are the events that wait for this fence.
	waiting []*deferredEvent
	// timer limits their wait; nil if there are none, and once the response is ready.
	timer *time.Timer
	// answered reports whether the response waits only for room in the queue.
	answered bool
	// overtaken reports whether events were sent before the response.
	overtaken bool
}

type fenceState int8

const (
	fenceIdle fenceState = iota // nothing has been read
	fenceRaised
	fenceLowered
)

var _ fanout.Reader = (*fence)(nil)

// errOvertaken replaces a response that took too long to be sent before newer events.
var errOvertaken = fault.New(fault.Unavailable, "statuses changed while they were read, and the response took too long; try again")

// fences are the raised fences of a sender and the events that wait for them.
type fences struct {
	raised   []*fence
	deferred []*deferredEvent // in order of arrival
	bytes    int              // of the deferred messages
}

// deferredEvent is an event, or the end of a subscription, that waits for fences.
type deferredEvent struct {
	message
	// of is the subscription that the message belongs to.
	of *subscription
	// own is the fence for the statuses that the message holds, lowered when the message is sent;
	// nil if it holds none.
	own *fence
	// fences counts those that the message still waits for.
	fences int
}

// newFence returns a fence for one response, or one event that holds statuses, which s sends. The
// caller must lower it.
func (s *sender) newFence(event bool) *fence { return &fence{out: s, event: event} }

// WillRead raises the fence for the users with these keys.
func (f *fence) WillRead(keys ...int64) {
	s := f.out
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.state == fenceIdle && !s.closed {
		f.state = fenceRaised
		if s.fences == nil {
			s.fences = new(fences)
		}
		s.fences.raised = append(s.fences.raised, f)
	}
	f.keys = append(f.keys, keys...)
}

// lower sends the events that waited only for this fence.
func (f *fence) lower() {
	s := f.out
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lower(f)
}

// expire sends the waiting events before the response.
func (f *fence) expire() {
	s := f.out
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.state == fenceRaised && !f.answered {
		f.overtaken = true
		s.lower(f)
	}
}

// covers reports whether the status of the user with that key is being read.
func (f *fence) covers(key int64) bool {
	if f.index == nil {
		f.index = make(map[int64]struct{}, len(f.keys))
	}
	for _, k := range f.keys[f.indexed:] {
		f.index[k] = struct{}{}
	}
	f.indexed = len(f.keys)
	_, ok := f.index[key]
	return ok
}

// ready records that the response is complete. From now on events wait for the client to read it,
// as they do in the queue, and no longer for the server.
func (f *fence) ready() {
	f.answered = true
	f.stopTimer()
}

func (f *fence) stopTimer() {
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
}

// holdUp makes d wait for the fence.
func (f *fence) holdUp(d *deferredEvent) {
	d.fences++
	f.waiting = append(f.waiting, d)
	if f.timer == nil && !f.answered {
		f.timer = time.AfterFunc(f.out.pacing.fenceTimeout, f.expire)
	}
}

// deferEvent makes an event wait for the fences that cover its key. It reports whether there are
// any. The mutex must be held, as for all methods below.
func (s *sender) deferEvent(m message) bool {
	d := &deferredEvent{message: m, of: m.sub}
	for _, f := range s.fences.raised {
		if f.covers(m.key) {
			f.holdUp(d)
		}
	}
	return s.deferred(d)
}

// deferRead makes an event that holds statuses wait for the operations that are reading any of
// them.
func (s *sender) deferRead(own *fence, m message) bool {
	d := &deferredEvent{message: m, of: m.sub, own: own}
	for _, f := range s.fences.raised {
		if !f.event && (f.covers(m.key) || slices.ContainsFunc(own.keys, f.covers)) {
			f.holdUp(d)
		}
	}
	return s.deferred(d)
}

// deferEnd makes the end of a subscription wait for the subscription's events.
func (s *sender) deferEnd(sub *subscription, m message) bool {
	d := &deferredEvent{message: m, of: sub}
	for _, f := range s.fences.raised {
		if slices.ContainsFunc(f.waiting, func(other *deferredEvent) bool { return other.of == sub }) {
			f.holdUp(d)
		}
	}
	return s.deferred(d)
}

// deferred reports whether d waits for fences. If too many events wait, it lowers all fences and
// nothing waits any longer.
func (s *sender) deferred(d *deferredEvent) bool {
	if d.fences == 0 {
		return false
	}
	all := s.fences
	all.deferred = append(all.deferred, d)
	all.bytes += len(d.payload) + messageOverhead
	if all.bytes > s.pacing.bytes || len(all.deferred) > s.pacing.messages {
		for _, f := range all.raised {
			f.overtaken = f.overtaken || len(f.waiting) > 0
		}
		s.lowerAll()
	}
	return true
}

// lower removes a fence and sends the events that waited for no other.
func (s *sender) lower(f *fence) {
	raised := f.state == fenceRaised
	f.state = fenceLowered
	f.stopTimer()
	if !raised {
		return
	}
	all := s.fences
	all.raised = slices.DeleteFunc(all.raised, func(other *fence) bool { return other == f })
	for _, d := range f.waiting {
		d.fences--
	}
	if len(f.waiting) > 0 {
		f.waiting = nil
		s.resume()
	}
	if len(all.raised) == 0 {
		s.fences = nil
	}
}

// lowerAll removes all fences and sends the events that waited for them.
func (s *sender) lowerAll() {
	for s.fences != nil {
		s.lower(s.fences.raised[0])
	}
}

// dropFences removes all fences and discards the events that waited for them.
func (s *sender) dropFences() {
	if s.fences != nil {
		s.fences.deferred = nil
		s.lowerAll()
	}
}

// resume sends the events that no longer wait for a fence. No earlier event of the same user can
// still be waiting, because it would wait for the same fence.
func (s *sender) resume() {
	all := s.fences
	waiting := all.deferred[:0]
	var sent []*fence
	for _, d := range all.deferred {
		switch {
		case d.fences > 0:
			waiting = append(waiting, d)
			continue
		case s.draining || !s.queue.empty():
			s.queue.push(d.message)
		default:
			s.keepHeld(d.message)
		}
		all.bytes -= len(d.payload) + messageOverhead
		if d.own != nil {
			sent = append(sent, d.own)
		}
	}
	clear(all.deferred[len(waiting):])
	all.deferred = waiting
	s.flush()
	for _, f := range sent {
		s.lower(f)
	}
}
