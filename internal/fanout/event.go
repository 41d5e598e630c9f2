// Package fanout is the form in which changes go to many subscribers: an event
// that is encoded once for all who asked for it in the same shape, and the sinks
// that take it.
package fanout

import (
	"sync"
	"sync/atomic"
)

// Sink takes the events of one subscription operation.
type Sink interface {
	// Deliver must not block. It is called by one goroutine at a time for events
	// with the same Key, in the order in which they happened, and possibly by
	// several at once for different ones. A call that is under way when the watch
	// is stopped may still end after that.
	Deliver(ev *Event)
}

// Gatherer is a sink for which several events that come close together are
// cheaper than each alone.
type Gatherer interface {
	Sink
	// Gather is Deliver, but what it was given may wait for Flush, which the caller
	// calls as soon as it has handed over the other events that are there.
	Gather(ev *Event)
	// Flush sends what waits, whoever has gathered it.
	Flush()
}

// Ender is a sink that whoever feeds it may end, for example because the app's
// owner has turned the feature off.
type Ender interface {
	// End may be called from any goroutine, under any lock, and more than once;
	// nothing is delivered after it. The subscriber is told nil as a plain end.
	End(err error)
}

// Event is one change. The same Event goes to all who are to hear of it.
type Event struct {
	key   int64
	seq   int64
	value any

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

// unique counts the keys of events that replace none, downwards.
var unique atomic.Int64

// New answers an event of which only the newest with this key matters, such as a
// user's status with the users.id; keys are positive. The value is shared and
// must not be changed.
func New(key int64, value any) *Event { return &Event{key: key, value: value} }

// NewAt is New for the change with that number; numbers grow with the changes.
func NewAt(seq, key int64, value any) *Event { return &Event{seq: seq, key: key, value: value} }

// NewUnique answers an event that replaces no other and is replaced by none.
func NewUnique(value any) *Event { return New(unique.Add(-1), value) }

// Key tells events apart: of two undelivered ones with one key the older is
// worthless.
func (e *Event) Key() int64 { return e.key }

// Seq is the change's number; 0: it has none.
func (e *Event) Seq() int64 { return e.seq }

// Value is what happened, shared and not to be changed.
func (e *Event) Value() any { return e.value }

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
