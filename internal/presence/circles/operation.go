package circles

import (
	"sync/atomic"
	"time"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
)

// beginningKept is how long an operation remembers the versions of all buckets from when it began. By
// then the messages that were under way have arrived, or were lost with a connection. In that case
// the node reads the present statuses, which the operation may receive.
const beginningKept = time.Minute

// operation is one statusChanged operation.
type operation struct {
	sink fanout.Sink
	// began is the version of the latest change before it began, unless buckets is set. A client that
	// reads a status after that must not receive a change that is older than the response.
	began int64
	// buckets are the versions of the latest changes in each bucket before it began, for
	// beginningKept.
	buckets atomic.Pointer[status.Versions]
}

// beginning is when an operation began that still has its buckets.
type beginning struct {
	operation *operation
	at        time.Time
}

// operation returns an operation that begins now.
func (cs *Circles) operation(sink fanout.Sink) *operation {
	now := cs.Registry.Moment()
	op := &operation{sink: sink, began: now.Version}
	if now.Versions != nil {
		op.buckets.Store(now.Versions)
		cs.mu.Lock()
		defer cs.mu.Unlock()
		cs.beginnings = append(cs.beginnings, beginning{op, time.Now()})
	}
	return op
}

// precedes reports whether the operation began before the change.
func (op *operation) precedes(ev *fanout.Event) bool {
	began := op.began
	if versions := op.buckets.Load(); versions != nil {
		began = versions[status.BucketOf(ev.Key())]
	}
	return ev.Seq() > began
}

// forgetBeginnings makes the operations forget their buckets that began before that time.
func (cs *Circles) forgetBeginnings(before time.Time) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	n := 0
	for n < len(cs.beginnings) && cs.beginnings[n].at.Before(before) {
		cs.beginnings[n].operation.buckets.Store(nil)
		n++
	}
	clear(cs.beginnings[:n])
	cs.beginnings = cs.beginnings[n:]
}
