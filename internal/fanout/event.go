// Package fanout delivers events to the sinks that watch a key, in the order in which they were
// published under that key's lock; a snapshot first, nothing lost or doubled between.
//
// It knows no users, no database and no Redis: a key is a number. A caller that decides what happens
// to a key locks the key's Queue of the Board, decides, publishes the Event and unlocks. A goroutine
// for each queue then delivers it to the Watchers whose Watches have joined the key.
//
//	decide under Queue.Lock  →  Queue.Publish  →  topics (the watches by key)  →  Watcher  →  Sink
//
// A snapshot takes three steps, so that reading it needs no lock: Watcher.Hold before the watches
// join, then read the present states, then Board.Open. What is published in between is held, and
// what the snapshot includes is dropped by its number.
//
// An Event is encoded once for all subscribers that ask for it in the same shape.
package fanout

import (
	"sync"
	"sync/atomic"
)

// Sink receives the events of one subscription operation.
type Sink interface {
	// Deliver must not block. It is called by one goroutine at a time for events with the same Key,
	// in the order in which they happened, and possibly by several at once for different keys. A
	// call that is under way when the watch is stopped may return after that.
	Deliver(ev *Event)
}

// Gatherer is a sink for which several events at once are cheaper than each alone.
type Gatherer interface {
	Sink
	// Gather is like Deliver, but the sink may keep the event until Flush. The caller calls Flush as
	// soon as it has handed over the other events that are there.
	Gather(ev *Event)
	// Flush sends what was gathered, by any goroutine.
	Flush()
}

// Ender is a sink that its source may end, for example because the app's owner has turned the
// feature off.
type Ender interface {
	// End may be called by any goroutine, under any lock, and more than once; nothing is delivered
	// after it. The subscriber sees nil as a plain end.
	End(err error)
}

// Event is one change. The same Event goes to all its subscribers.
type Event struct {
	key   int64
	seq   int64
	value any

	// last is the encoding that was used last, and nearly always the next one.
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

// unique is the key of the last event that replaces none; they count down from 0.
var unique atomic.Int64

// New returns an event of which only the newest with this key matters, such as a user's status with
// the users.id. Keys are positive. The value is shared and must not be changed.
func New(key int64, value any) *Event { return &Event{key: key, value: value} }

// NewAt is like New for a change with a number that grows with the changes.
func NewAt(seq, key int64, value any) *Event { return &Event{seq: seq, key: key, value: value} }

// NewUnique returns an event that replaces no other and is replaced by none.
func NewUnique(value any) *Event { return New(unique.Add(-1), value) }

// Key returns the event's key. Of two undelivered events with one key, the older is worthless.
func (e *Event) Key() int64 { return e.key }

// Seq returns the change's number, or 0 if it has none.
func (e *Event) Seq() int64 { return e.seq }

// Value returns what happened. It is shared and must not be changed.
func (e *Event) Value() any { return e.value }

// Encoded returns the event's bytes in a shape, a comparable value that stands for everything the
// bytes depend on. The first call for a shape calls encode; all others, concurrent ones included,
// return the same bytes, which must not be changed.
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
