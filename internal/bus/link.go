package bus

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"rollcall/internal/redis"
)

const (
	// missedSubject is the subject of the message that messages were lost.
	missedSubject = "missed"
	// outboxSize is the maximum number of messages that wait for Redis. More are dropped, and the
	// other nodes are notified of that.
	outboxSize = 10_000
	// sendChunk is how many messages are sent in one write.
	sendChunk = 500
	// resendPause is the time between attempts to notify the other nodes of dropped messages.
	resendPause = 250 * time.Millisecond
)

// Link connects a bus with those of the other nodes through one Redis channel.
type Link struct {
	bus    *Bus
	redis  *redis.Client
	node   string // tells own messages from those of other nodes
	log    *slog.Logger
	feed   *redis.Feed
	ctx    context.Context
	stop   context.CancelFunc
	sender sync.WaitGroup

	mu     sync.Mutex
	outbox []string
	// dropped means that messages were lost and the other nodes have not been notified yet.
	dropped bool
	wake    chan struct{}
}

var _ Peers = (*Link)(nil)

// NewLink connects b. The caller must close the link.
func NewLink(b *Bus, client *redis.Client, log *slog.Logger) *Link {
	l := &Link{bus: b, redis: client, node: rand.Text(), log: log, wake: make(chan struct{}, 1)}
	l.ctx, l.stop = context.WithCancel(context.Background())
	b.Connect(l)
	l.feed = client.Listen(redis.Listener{Message: l.receive, Gap: l.gap}, log, l.channel())
	l.sender.Go(l.send)
	return l
}

// Close sends the waiting messages, once, and ends the link.
func (l *Link) Close() {
	l.stop()
	l.sender.Wait()
	for l.sendSome() {
	}
	l.feed.Close()
}

// Settle waits until the link receives messages of other nodes.
func (l *Link) Settle(ctx context.Context) error { return l.feed.Settle(ctx) }

func (l *Link) channel() string { return l.redis.Key("bus") }

// Send implements Peers.
func (l *Link) Send(subject string, body []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.outbox) >= outboxSize {
		l.dropped = true
		return
	}
	l.outbox = append(l.outbox, l.text(subject, body))
	l.signal()
}

// Missed implements Peers.
func (l *Link) Missed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = true
	l.signal()
}

func (l *Link) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Link) text(subject string, body []byte) string {
	return l.node + " " + subject + " " + string(body)
}

// send publishes what is in the outbox, in order, until the link is closed.
func (l *Link) send() {
	for {
		select {
		case <-l.wake:
		case <-l.ctx.Done():
			return
		}
		for l.ctx.Err() == nil && l.sendSome() {
		}
	}
}

// sendSome sends a part of the outbox and reports whether there may be more.
func (l *Link) sendSome() bool {
	l.mu.Lock()
	n := min(len(l.outbox), sendChunk)
	messages := l.outbox[:n:n]
	l.outbox = l.outbox[n:]
	dropped := l.dropped
	l.dropped = false
	l.mu.Unlock()
	if dropped {
		messages = append(messages, l.text(missedSubject, nil))
	}
	if len(messages) == 0 {
		return false
	}
	err := l.publish(messages)
	if err != nil && l.ctx.Err() != nil {
		return false
	}
	if err != nil {
		l.log.Error("sending messages to the other nodes through Redis failed; they will be notified of the loss", "messages", len(messages), "error", err)
		select {
		case <-time.After(resendPause):
		case <-l.ctx.Done():
		}
		l.Missed()
	}
	return true
}

func (l *Link) publish(messages []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), redis.OperationTimeout)
	defer cancel()
	commands := make(rueidis.Commands, len(messages))
	for i, text := range messages {
		commands[i] = l.redis.B().Publish().Channel(l.channel()).Message(text).Build()
	}
	var failed error
	for _, answer := range l.redis.DoMulti(ctx, commands...) {
		if err := answer.Error(); err != nil {
			failed = err
		}
	}
	return failed
}

func (l *Link) receive(_, text string) {
	node, rest, _ := strings.Cut(text, " ")
	subject, body, _ := strings.Cut(rest, " ")
	switch {
	case node == l.node:
	case subject == missedSubject:
		l.bus.missed.tell(l.ctx, struct{}{})
	default:
		l.bus.Receive(l.ctx, subject, []byte(body))
	}
}

func (l *Link) gap(ctx context.Context) error {
	l.bus.missed.tell(ctx, struct{}{})
	return nil
}
