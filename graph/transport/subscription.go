package transport

import (
	"sync"

	"rollcall/graph/stream"
	"rollcall/internal/fanout"
)

// outlet is where the messages of one subscription go: a WebSocket's operation or an SSE stream.
// None of its methods waits for the peer to read.
type outlet interface {
	// cork gathers what follows into one write, until uncork.
	cork()
	uncork()
	// newFence returns a fence for statuses that an event's response holds, or nil if the outlet
	// carries nothing else.
	newFence() *fence
	// next sends an event's encoded response. It may replace an undelivered one of the same key. If
	// f is not nil, it is the response's fence, which next lowers.
	next(sub *subscription, key int64, payload []byte, f *fence)
	// hold is next, but the event may wait for release.
	hold(sub *subscription, key int64, payload []byte)
	release()
	// end sends the end of the subscription: with err, or a plain one if err is nil.
	end(sub *subscription, err error)
}

// subscription is a running subscription operation: the sink of its events. It has no goroutine;
// the goroutine that delivers an event also hands it to the connection.
type subscription struct {
	// id is the operation's ID as JSON; nil on SSE, which has one operation.
	id    []byte
	shape *shape
	out   outlet
	start stream.Start

	mu    sync.Mutex
	state subscriptionState
	// early are the events from before the start has succeeded, when nothing may be sent yet; nil
	// afterwards.
	early *early
}

type subscriptionState int8

const (
	subscriptionStarting subscriptionState = iota
	subscriptionRunning
	// subscriptionEndedEarly means that End was called during the start.
	subscriptionEndedEarly
	subscriptionEnded
)

type early struct {
	events []earlyEvent
	endErr error
}

type earlyEvent struct {
	key     int64
	payload []byte
	fence   *fence
}

func newSubscription(id []byte, shape *shape, out outlet) *subscription {
	s := &subscription{id: id, shape: shape, out: out, early: new(early)}
	s.start.Sink = s
	return s
}

var (
	_ fanout.Gatherer = (*subscription)(nil)
	_ fanout.Ender    = (*subscription)(nil)
)

// Deliver sends ev to the subscriber.
func (s *subscription) Deliver(ev *fanout.Event) { s.take(ev, false) }

// Gather sends ev to the subscriber by the next Flush at the latest.
func (s *subscription) Gather(ev *fanout.Event) { s.take(ev, true) }

// Flush sends what was gathered.
func (s *subscription) Flush() { s.out.release() }

// take sends ev, or holds it.
func (s *subscription) take(ev *fanout.Event, hold bool) {
	payload, f := s.encode(ev)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case payload == nil:
	case s.state == subscriptionStarting:
		s.early.events = append(s.early.events, earlyEvent{ev.Key(), payload, f})
		return
	case s.state == subscriptionRunning && hold && f == nil:
		s.out.hold(s, ev.Key(), payload)
	case s.state == subscriptionRunning:
		s.out.next(s, ev.Key(), payload, f)
		return
	}
	if f != nil {
		f.lower()
	}
}

// encode returns ev's response, or nil if there is none. If the response may hold statuses that are
// read for it, they are read for this subscription alone, behind a fence of its connection.
func (s *subscription) encode(ev *fanout.Event) ([]byte, *fence) {
	if !s.shape.self {
		if f := s.out.newFence(); f != nil {
			return s.shape.encode(fanout.WithReader(s.shape.ctx, f), ev), f
		}
	}
	return ev.Encoded(s.shape, func() []byte { return s.shape.encode(s.shape.ctx, ev) }), nil
}

// run sends the events that arrived during the start, and passes later ones through. It reports
// false if the subscription has ended in the meantime; the caller must then stop it.
func (s *subscription) run() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.cork()
	defer s.out.uncork()
	early := s.early
	s.early = nil
	for _, ev := range early.events {
		s.out.next(s, ev.key, ev.payload, ev.fence)
	}
	if s.state == subscriptionEndedEarly {
		s.out.end(s, early.endErr)
		return false
	}
	s.state = subscriptionRunning
	return true
}

// End ends the subscription from the events' side.
func (s *subscription) End(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case subscriptionStarting:
		s.state, s.early.endErr = subscriptionEndedEarly, err
	case subscriptionRunning:
		s.state = subscriptionEnded
		s.out.end(s, err)
		// Stopping may acquire locks that the caller of End holds.
		go s.letGo()
	}
}

// stop ends the subscription from the subscriber's side: nothing more is sent. It may be called
// more than once, but not during the start.
func (s *subscription) stop() {
	s.mu.Lock()
	ended := s.state == subscriptionEnded
	s.state = subscriptionEnded
	if s.early != nil {
		for _, ev := range s.early.events {
			if ev.fence != nil {
				ev.fence.lower()
			}
		}
		s.early = nil
	}
	s.mu.Unlock()
	if !ended {
		s.letGo()
	}
}

// letGo releases the subscription's resources, once.
func (s *subscription) letGo() {
	s.start.Stop()
	s.shape.release()
}
