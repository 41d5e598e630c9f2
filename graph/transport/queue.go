package transport

import "github.com/gobwas/ws"

// message is a message to be sent over a connection.
type message struct {
	// op is the WebSocket frame's opcode; SSE has only text.
	op ws.OpCode
	// sub is set if the message is an event of a subscription. The payload is then the response as
	// encoded by its shape, which connections share and never modify. Otherwise the payload is the
	// whole text.
	sub     *subscription
	key     int64
	payload []byte
}

// slot identifies events of which only the newest matters.
type slot struct {
	sub *subscription
	key int64
}

// messageOverhead is what a message in the queue costs in addition to its payload.
const messageOverhead = 64

// queue holds the messages that a connection has yet to send, in order and within bounds. If its
// reader is slow, it keeps only the newest event of a subscription and key, in the place of the
// event that it replaces: a user's statuses never arrive in the wrong order, and the last one
// always arrives. The zero value is empty.
type queue struct {
	messages []message
	taken    int // how many were popped since the queue was empty
	bytes    int
	// newest is the position of the undelivered event of each slot, counted like taken.
	newest map[slot]int
}

func (q *queue) empty() bool { return len(q.messages) == 0 }

// fits reports whether size more bytes stay within the bounds. A message always fits an empty
// queue: a response may be longer than what may wait behind it.
func (q *queue) fits(size int, bounds bounds) bool {
	return q.empty() || q.bytes+size+messageOverhead <= bounds.bytes && len(q.messages) < bounds.messages
}

// push appends m, or puts it in the place of the event that it makes obsolete.
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

// pop removes and returns the first message; the queue must not be empty. An empty queue holds no
// memory.
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

// replaces reports whether m would take the place of an undelivered event.
func (q *queue) replaces(m message) bool {
	_, ok := q.newest[slot{m.sub, m.key}]
	return ok && m.sub != nil
}

// bounds limit how much may wait for one connection.
type bounds struct {
	bytes    int
	messages int
}
