package bus

import (
	"context"
	"encoding/json"
	"fmt"
)

// Subject is a kind of message to the other nodes of a service. Messages of one node arrive in the
// order in which they were sent; those of two nodes may overtake each other. So a message is a
// hint: the facts are in the database.
type Subject[E any] string

// Tell sends ev to the other nodes, if there are any, and does not wait.
func (s Subject[E]) Tell(b *Bus, ev E) {
	if b.peers == nil {
		return
	}
	body, err := json.Marshal(ev)
	if err != nil {
		panic(fmt.Sprintf("bus: a message about %s cannot be written: %v", s, err)) // its type cannot be encoded
	}
	b.peers.Send(string(s), body)
}

// Hear registers fn for every later message of this subject from another node. One goroutine calls
// all such functions.
func (s Subject[E]) Hear(b *Bus, fn func(context.Context, E)) {
	b.subjects.add(func(ctx context.Context, m message) {
		var ev E
		if m.subject == string(s) && json.Unmarshal(m.body, &ev) == nil {
			fn(ctx, ev)
		}
	})
}

// Peers are the other nodes.
type Peers interface {
	// Send sends a message to all of them. It must not wait. If messages are lost, the nodes are
	// notified; see Missed.
	Send(subject string, body []byte)
	// Missed notifies all nodes, as soon as possible, that messages were lost.
	Missed()
}

// elsewhere is the bus's connection to other nodes.
type elsewhere struct {
	peers    Peers // nil if there are none
	subjects listeners[message]
	missed   listeners[struct{}]
}

// message is a message from another node.
type message struct {
	subject string
	body    []byte
}

// Receive passes a message of another node to the functions registered for its subject.
func (b *Bus) Receive(ctx context.Context, subject string, body []byte) {
	b.subjects.tell(ctx, message{subject, body})
}

// Connect sets the bus's peers. It must be called before anything is sent.
func (b *Bus) Connect(p Peers) { b.peers = p }

// Missed notifies the other nodes that messages were lost.
func (b *Bus) Missed() {
	if b.peers != nil {
		b.peers.Missed()
	}
}

// OnMissed registers fn, which is called whenever messages of other nodes may have been lost. It
// must read again what these messages are about.
func (b *Bus) OnMissed(fn func(context.Context)) {
	b.missed.add(func(ctx context.Context, _ struct{}) { fn(ctx) })
}
