package bus

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
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

// Link connects a bus with those of the other nodes through channels of Redis: one for messages to all
// nodes, and one for each user, which the nodes that follow the user subscribe.
//
// A node of an earlier release uses the first channel only. What it sends there, all nodes receive. A
// message about a user is sent there too, as a copy, while such a node listens, and only that node
// receives the copy.
type Link struct {
	bus   *Bus
	redis *redis.Client
	node  string // tells own messages from those of other nodes
	log   *slog.Logger
	feed  *redis.Feed // messages to all nodes
	parts []*part     // messages about users
	ctx   context.Context
	stop  context.CancelFunc
	// running are the goroutines that send and readLate.
	running sync.WaitGroup
	late    chan struct{}
	// receiving makes the feeds call the bus one at a time.
	receiving sync.Mutex

	mu     sync.Mutex
	outbox []outgoing
	// dropped means that messages were lost and the other nodes have not been notified yet.
	dropped bool
	wake    chan struct{}
}

// outgoing is a message to send. userID is the users.id of the user that it is about, or 0 if it is to
// all nodes.
type outgoing struct {
	userID  int64
	subject string
	body    []byte
}

var _ Peers = (*Link)(nil)

// NewLink connects b. The caller must close the link.
func NewLink(b *Bus, client *redis.Client, log *slog.Logger) *Link {
	l := &Link{bus: b, redis: client, node: rand.Text(), log: log, late: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	l.ctx, l.stop = context.WithCancel(context.Background())
	listener := redis.Listener{Message: l.receive, Gap: l.gap}
	for _, of := range client.Parts(userParts) {
		l.parts = append(l.parts, &part{redis: of, feed: of.Listen(listener, log), followed: make(map[int64]following)})
	}
	// Both in one command, so that a node of this release never seems to be an earlier one.
	l.feed = client.Listen(listener, log, l.channel(), l.markChannel())
	b.Connect(l)
	l.running.Go(l.send)
	l.running.Go(l.readLate)
	return l
}

// Close sends the waiting messages, once, and ends the link.
func (l *Link) Close() {
	l.stop()
	l.running.Wait()
	for l.sendSome() {
	}
	for _, f := range l.feeds() {
		f.Close()
	}
}

// Settle waits until the link receives messages of other nodes.
func (l *Link) Settle(ctx context.Context) error {
	feeds := l.feeds()
	errs := make([]error, len(feeds))
	var waiting sync.WaitGroup
	for i, f := range feeds {
		waiting.Go(func() { errs[i] = f.Settle(ctx) })
	}
	waiting.Wait()
	return errors.Join(errs...)
}

func (l *Link) feeds() []*redis.Feed {
	feeds := []*redis.Feed{l.feed}
	for _, p := range l.parts {
		feeds = append(feeds, p.feed)
	}
	return feeds
}

// channel returns the channel of the messages to all nodes, and of all messages of earlier releases.
func (l *Link) channel() string { return l.redis.Key("bus") }

// markChannel returns a channel without messages, which nodes of earlier releases do not subscribe.
func (l *Link) markChannel() string { return l.redis.Key("bus:by-user") }

// Send implements Peers.
func (l *Link) Send(subject string, body []byte) { l.add(outgoing{subject: subject, body: body}) }

// SendAbout implements Peers.
func (l *Link) SendAbout(userID int64, subject string, body []byte) {
	l.add(outgoing{userID, subject, body})
}

// add adds a message to the outbox.
func (l *Link) add(m outgoing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.outbox) >= outboxSize {
		l.dropped = true
		return
	}
	l.outbox = append(l.outbox, m)
	signal(l.wake)
}

// Missed implements Peers.
func (l *Link) Missed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = true
	signal(l.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
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
	if len(messages) == 0 && !dropped {
		return false
	}
	err := l.publish(messages)
	if err == nil && dropped {
		err = l.publishMissed()
	}
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

// publishMissed notifies the other nodes of a loss once all servers respond: it makes every node read
// much, and while one of several servers fails, more is lost.
func (l *Link) publishMissed() error {
	parts := make([]*redis.Client, len(l.parts))
	for i, p := range l.parts {
		parts[i] = p.redis
	}
	if err := l.redis.AllWritable(context.Background(), parts); err != nil {
		return err
	}
	return l.publish([]outgoing{{subject: missedSubject}})
}

// publish publishes messages, in their order.
func (l *Link) publish(messages []outgoing) error {
	if len(messages) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), redis.OperationTimeout)
	defer cancel()
	var commands, copies rueidis.Commands
	for _, m := range messages {
		if m.userID == 0 {
			commands = append(commands, l.redis.Publish(l.channel(), m.text(l.node)))
			continue
		}
		p := l.partOf(m.userID)
		commands = append(commands, p.redis.Publish(p.channel(m.userID), m.text(l.node)))
		copies = append(copies, l.redis.Publish(l.channel(), m.text(l.node+copyMark)))
	}
	if len(copies) == 0 {
		return firstError(l.redis.DoMulti(ctx, commands...))
	}
	commands = append(commands, l.redis.CountSubscribers(l.channel(), l.markChannel()))
	results := l.redis.DoMulti(ctx, commands...)
	err, counted := firstError(results[:len(messages)]), results[len(messages)]
	if l.earlierListens(counted) {
		err = cmp.Or(err, firstError(l.redis.DoMulti(ctx, copies...)))
	}
	return err
}

// earlierListens reports whether a node of an earlier release may listen, by the subscribers of
// channel and markChannel. Without this node itself, the numbers are not those of the server that has
// the channels.
func (l *Link) earlierListens(counted rueidis.RedisResult) bool {
	numbers, err := counted.AsIntMap()
	all, marked := numbers[l.channel()], numbers[l.markChannel()]
	return err != nil || marked == 0 || all > marked
}

func firstError(results []rueidis.RedisResult) error {
	for _, result := range results {
		if err := result.Error(); err != nil {
			return err
		}
	}
	return nil
}

// copyMark ends the sender of a copy.
const copyMark = "+"

// text returns the message as the sender sends it.
func (m outgoing) text(sender string) string { return sender + " " + m.subject + " " + string(m.body) }

func (l *Link) receive(_, text string) {
	node, rest, _ := strings.Cut(text, " ")
	subject, body, _ := strings.Cut(rest, " ")
	if node == l.node || strings.HasSuffix(node, copyMark) {
		return
	}
	l.receiving.Lock()
	defer l.receiving.Unlock()
	if subject == missedSubject {
		l.bus.missed.tell(l.ctx, struct{}{})
		return
	}
	l.bus.Receive(l.ctx, subject, []byte(body))
}

func (l *Link) gap(ctx context.Context) error {
	l.receiving.Lock()
	defer l.receiving.Unlock()
	l.bus.missed.tell(ctx, struct{}{})
	return nil
}
