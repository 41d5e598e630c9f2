package redis

import (
	"context"
	"errors"
	"fmt"
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
	// settling wait until the connection knows what was asked for before them,
	// catching until the listener has heard what was published before them.
	settling, catching []chan struct{}
	wake               chan struct{}
	// arrived is for the listener, in order.
	arrived []arrival
	news    chan struct{}
	// connected: a connection hears what is wanted.
	connected bool
	// broken is told that the connection is not to be trusted.
	broken chan struct{}
}

// arrival is a message, or a gap, or somebody who waits for what came before.
type arrival struct {
	channel, text string
	gap           bool
	caught        chan struct{}
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
	settled := make(chan struct{})
	f.mu.Lock()
	f.settling = append(f.settling, settled)
	signal(f.wake)
	f.mu.Unlock()
	return f.wait(ctx, settled)
}

// CatchUp waits until the listener has heard all that was published before. It
// fails at once where there is no connection.
func (f *Feed) CatchUp(ctx context.Context) error {
	caught := make(chan struct{})
	f.mu.Lock()
	if !f.connected {
		f.mu.Unlock()
		return errNotListening
	}
	f.catching = append(f.catching, caught)
	signal(f.wake)
	f.mu.Unlock()
	return f.wait(ctx, caught)
}

func (f *Feed) wait(ctx context.Context, done <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the messages of Redis: %w", ctx.Err())
	case <-f.ctx.Done():
		return f.ctx.Err()
	}
}

// connect keeps a connection until the feed is closed.
func (f *Feed) connect() {
	pause, level := reconnectFirst, slog.LevelWarn
	for again := false; ; again = true {
		healthy, err := f.hear(again)
		if f.ctx.Err() != nil {
			return
		}
		if healthy {
			pause, level = reconnectFirst, slog.LevelWarn
		}
		f.log.Log(f.ctx, level, "the link for messages from Redis is lost, will be made anew", "redis", f.client.String(), "error", err)
		level = slog.LevelDebug // it is the same trouble still
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
	defer f.setConnected(false)
	lost := conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(m rueidis.PubSubMessage) {
		f.arrive(arrival{channel: m.Channel, text: m.Message})
	}})
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
			f.arrive(arrival{gap: true})
		}
		healthy = true
		f.setConnected(true)
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
	settling, catching := f.settling, f.catching
	f.settling, f.catching = nil, nil
	f.mu.Unlock()

	if err := f.send(conn, asked, more, less); err != nil {
		f.mu.Lock()
		f.settling = append(settling, f.settling...)
		f.mu.Unlock()
		for _, caught := range catching {
			close(caught) // nothing more comes over this connection
		}
		return err
	}
	for _, settled := range settling {
		close(settled)
	}
	for _, caught := range catching {
		f.arrive(arrival{caught: caught})
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

// Connected reports whether there is a connection for messages.
func (f *Feed) Connected() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.connected
}

func (f *Feed) setConnected(connected bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.connected = connected
}

// arrive queues something for the listener.
func (f *Feed) arrive(a arrival) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrived = append(f.arrived, a)
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
		arrived := f.arrived
		f.arrived = nil
		f.mu.Unlock()
		for _, a := range arrived {
			if f.ctx.Err() != nil {
				return
			}
			switch {
			case a.caught != nil:
				close(a.caught)
			case a.gap:
				if err := f.listener.Gap(f.ctx); err != nil {
					f.log.Warn("reading what was missed from Redis failed, will be tried again", "error", err)
					signal(f.broken)
				}
			default:
				f.listener.Message(a.channel, a.text)
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
