package redis

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const (
	// subscribeChunk is how many channels one command names at most.
	subscribeChunk = 1000
	// A lost connection is made anew after reconnectFirst, then after twice that
	// and so on up to reconnectMost.
	reconnectFirst = 50 * time.Millisecond
	reconnectMost  = time.Second
)

// Listener hears what a Feed brings. One goroutine calls Message and Gap.
type Listener struct {
	// Message is one message, in the order in which Redis sent them.
	Message func(channel, text string)
	// Gap says that messages may have been lost: the connection was, and all
	// channels are subscribed again. It may ask Redis; messages wait meanwhile. An
	// error is logged: the connection is made anew, and Gap called again.
	Gap func(ctx context.Context) error
	// Before, where set, is called by another goroutine before channels that were
	// asked for are subscribed, and After when they are.
	Before func(ctx context.Context) error
	After  func(channels []string)
}

// Feed is a connection of its own that hears messages, on channels that come and
// go. A lost connection is made anew.
type Feed struct {
	client   *Client
	listener Listener
	log      *slog.Logger
	ctx      context.Context
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu sync.Mutex
	// wanted are the channels asked for; changed those of them, or no longer of
	// them, for which the connection has not been told.
	wanted  map[string]struct{}
	changed []string
	// settling wait until the connection knows what was asked for before them.
	settling []chan struct{}
	wake     chan struct{}
	// arrived are messages for the listener; the one without a channel is a gap.
	arrived []rueidis.PubSubMessage
	news    chan struct{}
	// broken is told that the connection is not to be trusted.
	broken chan struct{}
}

// Listen begins to hear messages on the channels.
func (c *Client) Listen(l Listener, log *slog.Logger, channels ...string) *Feed {
	f := &Feed{
		client: c, listener: l, log: log,
		wanted: make(map[string]struct{}),
		wake:   make(chan struct{}, 1), news: make(chan struct{}, 1), broken: make(chan struct{}, 1),
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	f.Subscribe(channels...)
	f.running.Go(f.connect)
	f.running.Go(f.deliver)
	return f
}

// Close ends the feed; the listener is not called any more when it returns.
func (f *Feed) Close() {
	f.stop()
	f.running.Wait()
}

// Subscribe adds channels; Settle tells when they are heard.
func (f *Feed) Subscribe(channels ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, channel := range channels {
		f.wanted[channel] = struct{}{}
	}
	f.change(channels)
}

// Unsubscribe takes channels away. A message that is under way may still come.
func (f *Feed) Unsubscribe(channels ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, channel := range channels {
		delete(f.wanted, channel)
	}
	f.change(channels)
}

func (f *Feed) change(channels []string) {
	f.changed = append(f.changed, channels...)
	signal(f.wake)
}

// Settle waits until all channels that were asked for before are heard.
func (f *Feed) Settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	settled := make(chan struct{})
	f.mu.Lock()
	f.settling = append(f.settling, settled)
	signal(f.wake)
	f.mu.Unlock()
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return errors.Join(errors.New("subscribing in Redis"), ctx.Err())
	case <-f.ctx.Done():
		return f.ctx.Err()
	}
}

// connect keeps a connection until the feed is closed.
func (f *Feed) connect() {
	pause := reconnectFirst
	for again := false; ; again = true {
		healthy, err := f.hear(again)
		if f.ctx.Err() != nil {
			return
		}
		if healthy {
			pause = reconnectFirst
		}
		f.log.Warn("the link for messages from Redis is lost, will be made anew", "redis", f.client.String(), "error", err)
		select {
		case <-time.After(pause):
		case <-f.ctx.Done():
			return
		}
		pause = min(2*pause, reconnectMost)
	}
}

// hear makes a connection and keeps it until it fails. healthy: it had worked.
func (f *Feed) hear(again bool) (healthy bool, err error) {
	conn, release := f.client.Dedicate()
	defer release()
	defer conn.Close()
	lost := conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: f.arrive})
	f.mu.Lock()
	f.changed = f.changed[:0]
	for channel := range f.wanted {
		f.changed = append(f.changed, channel)
	}
	f.mu.Unlock()
	select {
	case <-f.broken: // was meant for the connection before
	default:
	}
	have := make(map[string]struct{})
	for ; ; again = false {
		if err := f.tell(conn, have); err != nil {
			return healthy, err
		}
		if again {
			f.arrive(rueidis.PubSubMessage{})
		}
		healthy = true
		select {
		case <-f.wake:
		case err := <-lost:
			return healthy, err
		case <-f.broken:
			return healthy, errors.New("what was missed could not be read")
		case <-f.ctx.Done():
			return healthy, f.ctx.Err()
		}
	}
}

// tell brings the connection's channels, have, to those wanted.
func (f *Feed) tell(conn rueidis.DedicatedClient, have map[string]struct{}) error {
	var asked, more, less []string
	f.mu.Lock()
	for _, channel := range f.changed {
		_, wanted := f.wanted[channel]
		if wanted {
			asked = append(asked, channel)
		}
		if _, there := have[channel]; wanted == there {
			continue
		}
		if wanted {
			more = append(more, channel)
			have[channel] = struct{}{}
		} else {
			less = append(less, channel)
			delete(have, channel)
		}
	}
	f.changed = nil
	settling := f.settling
	f.settling = nil
	f.mu.Unlock()

	if err := f.send(conn, asked, more, less); err != nil {
		f.mu.Lock()
		f.settling = append(settling, f.settling...)
		f.mu.Unlock()
		return err
	}
	for _, settled := range settling {
		close(settled)
	}
	return nil
}

// send subscribes and unsubscribes, and returns when that is in force.
func (f *Feed) send(conn rueidis.DedicatedClient, asked, more, less []string) error {
	ctx, cancel := context.WithTimeout(f.ctx, OperationTimeout)
	defer cancel()
	if len(asked) > 0 && f.listener.Before != nil {
		if err := f.listener.Before(ctx); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(more, subscribeChunk) {
		if err := conn.Do(ctx, conn.B().Subscribe().Channel(chunk...).Build()).Error(); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(less, subscribeChunk) {
		if err := conn.Do(ctx, conn.B().Unsubscribe().Channel(chunk...).Build()).Error(); err != nil {
			return err
		}
	}
	// Redis answers in order, so whatever was asked before is in force.
	if err := conn.Do(ctx, conn.B().Ping().Build()).Error(); err != nil {
		return err
	}
	if len(asked) > 0 && f.listener.After != nil {
		f.listener.After(asked)
	}
	return nil
}

// arrive queues a message for the listener.
func (f *Feed) arrive(m rueidis.PubSubMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrived = append(f.arrived, m)
	signal(f.news)
}

// deliver calls the listener until the feed is closed.
func (f *Feed) deliver() {
	for {
		select {
		case <-f.news:
		case <-f.ctx.Done():
			return
		}
		f.mu.Lock()
		messages := f.arrived
		f.arrived = nil
		f.mu.Unlock()
		for _, m := range messages {
			if f.ctx.Err() != nil {
				return
			}
			if m.Channel != "" {
				f.listener.Message(m.Channel, m.Message)
				continue
			}
			if err := f.listener.Gap(f.ctx); err != nil {
				f.log.Warn("reading what was missed from Redis failed, will be tried again", "error", err)
				signal(f.broken)
			}
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
