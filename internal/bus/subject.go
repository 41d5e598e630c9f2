package bus

import (
	"context"
	"encoding/json"
	"fmt"
)

// Subject is a kind of message to the other nodes of a service. Messages of one
// node come in the order in which they were told; those of two nodes may
// overtake each other, so a message is a hint: what it is about is in the
// database.
type Subject[E any] string

// Tell hands ev to the other nodes, where there are any, and does not wait.
func (s Subject[E]) Tell(b *Bus, ev E) {
	if b.peers == nil {
		return
	}
	body, err := json.Marshal(ev)
	if err != nil {
		panic(fmt.Sprintf("bus: a message about %s cannot be written: %v", s, err)) // its type is wrong
	}
	b.peers.Send(string(s), body)
}

// Hear has fn called for every such message of another node from now on, by one
// goroutine that calls all who hear.
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
	// Send hands a message to all of them. It must not wait. What is lost on the
	// way, they learn of: see Missed.
	Send(subject string, body []byte)
	// Missed has all of them told, as soon as that is possible, that something was
	// lost that they should have heard.
	Missed()
}

// elsewhere is the bus's way to other nodes and back.
type elsewhere struct {
	peers    Peers // nil: there are none
	subjects listeners[message]
	missed   listeners[struct{}]
}

// message is one from another node.
type message struct {
	subject string
	body    []byte
}

// Receive hands a message of another node to the functions that hear its subject.
func (b *Bus) Receive(ctx context.Context, subject string, body []byte) {
	b.subjects.tell(ctx, message{subject, body})
}

// Connect gives the bus its peers, before anybody tells anything.
func (b *Bus) Connect(p Peers) { b.peers = p }

// Missed has the other nodes told that they have missed something.
func (b *Bus) Missed() {
	if b.peers != nil {
		b.peers.Missed()
	}
}

// OnMissed has fn called whenever messages of other nodes may have been lost:
// what was heard from them is to be read again.
func (b *Bus) OnMissed(fn func(context.Context)) {
	b.missed.add(func(ctx context.Context, _ struct{}) { fn(ctx) })
}
