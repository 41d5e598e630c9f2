package presence

import (
	"sync"
	"sync/atomic"

	"rollcall/models"
)

// Sink takes the events of one subscription operation.
type Sink interface {
	// Deliver must not block. It is called by one goroutine at a time for events
	// with the same Key, in the order in which they happened, and possibly by
	// several at once for different ones. A call that is under way when the watch
	// is stopped may still end after that.
	Deliver(ev *Event)
}

// Event is one user's status at the moment it changed (or, as a snapshot, when a
// watch began). The same Event goes to all who watch the user.
type Event struct {
	userID, appID int64
	status        models.UserStatus

	// last is the encoding asked for last: nearly always the one asked for next.
	last      atomic.Pointer[encoding]
	mu        sync.Mutex
	encodings map[any]*encoding
}

// encoding is an event's bytes in one shape.
type encoding struct {
	shape any
	once  sync.Once
	bytes []byte
}

func newEvent(userID, appID int64, status models.UserStatus) *Event {
	return &Event{userID: userID, appID: appID, status: status}
}

// Key is the users.id of whose status it is. Of two undelivered events with one
// key the older is worthless.
func (e *Event) Key() int64 { return e.userID }

// Value is the *models.UserStatus, shared and not to be changed.
func (e *Event) Value() any { return &e.status }

// Encoded answers the event's bytes in a shape, a comparable value that stands
// for everything the bytes depend on. The first to ask has encode run; all others,
// also those who ask meanwhile, get the same bytes, which nobody may change.
func (e *Event) Encoded(shape any, encode func() []byte) []byte {
	enc := e.last.Load()
	if enc == nil || enc.shape != shape {
		enc = e.encoding(shape)
		e.last.Store(enc)
	}
	enc.once.Do(func() { enc.bytes = encode() })
	return enc.bytes
}

func (e *Event) encoding(shape any) *encoding {
	e.mu.Lock()
	defer e.mu.Unlock()
	enc := e.encodings[shape]
	if enc == nil {
		if e.encodings == nil {
			e.encodings = make(map[any]*encoding, 1)
		}
		enc = &encoding{shape: shape}
		e.encodings[shape] = enc
	}
	return enc
}
