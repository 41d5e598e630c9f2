package transport

import "github.com/gobwas/ws"

// message is one thing to be sent over a connection.
type message struct {
	// op is the WebSocket frame's kind; SSE has only text.
	op ws.OpCode
	// sub marks an event of a subscription, whose payload is the response as its
	// shape has encoded it, shared between connections and never changed. Without
	// it the payload is the whole text.
	sub     *subscription
	key     int64
	payload []byte
}

// slot is what two events have in common of which only the newer matters.
type slot struct {
	sub *subscription
	key int64
}

// messageOverhead is what a message in the queue costs besides its payload.
const messageOverhead = 64

// queue holds what a connection has yet to be sent, in order and within bounds.
// Its reader being slow, of the events of one subscription and key only the
// newest is kept, at the place of the one it replaces: a user's statuses never
// arrive in the wrong order, and the last one always does. The zero value is
// empty.
type queue struct {
	messages []message
	taken    int // how many have left at the front since the queue was empty
	bytes    int
	// newest is where the undelivered event of a slot stands, counted like taken.
	newest map[slot]int
}

func (q *queue) empty() bool { return len(q.messages) == 0 }

// fits says whether size bytes more stay within the bounds. What is alone in the
// queue always fits: an answer may be longer than what may wait behind it.
func (q *queue) fits(size int, bounds bounds) bool {
	return q.empty() || q.bytes+size+messageOverhead <= bounds.bytes && len(q.messages) < bounds.messages
}

// push adds m, or puts it at the place of the event that it makes obsolete.
func (q *queue) push(m message) {
	q.bytes += len(m.payload) + messageOverhead
	if m.sub != nil {
		s := slot{m.sub, m.key}
		if at, ok := q.newest[s]; ok {
			old := &q.messages[at-q.taken]
			q.bytes -= len(old.payload) + messageOverhead
			*old = m
			return
		}
		if q.newest == nil {
			q.newest = make(map[slot]int)
		}
		q.newest[s] = q.taken + len(q.messages)
	}
	q.messages = append(q.messages, m)
}

// pop takes the first message; there must be one. An empty queue holds no memory.
func (q *queue) pop() message {
	m := q.messages[0]
	q.messages[0] = message{}
	q.messages = q.messages[1:]
	q.taken++
	q.bytes -= len(m.payload) + messageOverhead
	if m.sub != nil {
		delete(q.newest, slot{m.sub, m.key})
	}
	if q.empty() {
		*q = queue{}
	}
	return m
}

// replaces says whether m would take the place of an undelivered event.
func (q *queue) replaces(m message) bool {
	_, ok := q.newest[slot{m.sub, m.key}]
	return ok && m.sub != nil
}

// bounds are how much may wait for one connection.
type bounds struct {
	bytes    int
	messages int
}
