package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
)

// Subject is a kind of message to all other nodes of a service. Messages of one node arrive in the
// order in which they were sent; those of two nodes may overtake each other. So a message is a
// hint: the facts are in the database.
type Subject[E any] string

// Tell sends ev to the other nodes, if there are any, and does not wait.
func (s Subject[E]) Tell(b *Bus, ev E) {
	if b.peers != nil {
		b.peers.Send(string(s), encode(string(s), ev))
	}
}

// Hear registers fn for every later message of this subject from another node. Such functions are
// called one at a time.
func (s Subject[E]) Hear(b *Bus, fn func(context.Context, E)) {
	b.subjects.add(func(ctx context.Context, m message) {
		var ev E
		if m.subject == string(s) && json.Unmarshal(m.body, &ev) == nil {
			fn(ctx, ev)
		}
	})
}

// UserSubject is a kind of message about one user, for the nodes that follow the user; see
// Bus.Follow. Messages of one node about the same user arrive in the order in which they were sent,
// whatever their subjects. Otherwise they are like those of a Subject. A node of an earlier release
// sends its messages to all nodes, so a node may receive one about a user that it does not follow.
type UserSubject[E any] string

// Tell sends ev, which is about the user with that users.id, and does not wait.
func (s UserSubject[E]) Tell(b *Bus, userID int64, ev E) {
	if b.peers != nil {
		b.peers.SendAbout(userID, string(s), encode(string(s), ev))
	}
}

// Hear is like Subject.Hear.
func (s UserSubject[E]) Hear(b *Bus, fn func(context.Context, E)) { Subject[E](s).Hear(b, fn) }

// encode returns the body of a message.
func encode(subject string, ev any) []byte {
	body, err := json.Marshal(ev)
	if err != nil {
		panic(fmt.Sprintf("bus: a message about %s cannot be written: %v", subject, err)) // its type cannot be encoded
	}
	return body
}

// Peers are the other nodes.
type Peers interface {
	// Send sends a message to all of them, and SendAbout one about a user to those that follow the
	// user. Neither waits. If messages are lost, the nodes are notified; see Missed.
	Send(subject string, body []byte)
	SendAbout(userID int64, subject string, body []byte)
	// Follow and Unfollow are those of a Bus.
	Follow(ctx context.Context, userIDs []int64)
	Unfollow(userIDs []int64)
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

// Follow makes this node receive the messages of every UserSubject about these users, by users.id,
// until unfollow is called; calling it again does nothing. It returns when no later message can be
// missed, so what the messages are about must be read after it. If Redis does not respond, it returns
// all the same, and OnMissed makes the receivers read again once Redis does. If ctx ends, the caller
// must not rely on messages, and must call unfollow.
func (b *Bus) Follow(ctx context.Context, userIDs ...int64) (unfollow func()) {
	if b.peers == nil {
		return func() {}
	}
	b.peers.Follow(ctx, userIDs)
	return sync.OnceFunc(func() { b.peers.Unfollow(userIDs) })
}

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
