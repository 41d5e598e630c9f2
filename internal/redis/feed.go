package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	// subscribeChunk is the maximum number of channels in one command.
	subscribeChunk = 1000
	// A lost connection is made again after reconnectFirst, then after twice that, and so on up to
	// reconnectMost.
	reconnectFirst = 50 * time.Millisecond
	reconnectMost  = time.Second
	// placeChannel is a channel without messages.
	placeChannel = "place"
)

// Listener receives the messages of a Feed. One goroutine calls Message and Gap.
type Listener struct {
	// Message is called with each message, in the order in which Redis sent them.
	Message func(channel, text string)
	// Gap is called if messages may have been lost, because the connection was lost, and all
	// channels have been subscribed again. It may use Redis. Messages of the new connection wait until
	// it returns: a listener that has received one knows all that was published before it. After an
	// error, which is logged, they count as lost too, the connection is made again, and Gap is called
	// again.
	Gap func(ctx context.Context) error
	// Before, if set, is called by another goroutine before new channels are subscribed, and After
	// when they are.
	Before func(ctx context.Context) error
	After  func(channels []string)
}

// Feed receives messages on a changing set of channels, over a connection for messages only. A lost
// connection is made again.
type Feed struct {
	client   *Client
	listener Listener
	log      *slog.Logger
	ctx      context.Context
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu sync.Mutex
	// wanted are the requested channels. changed are those that the connection must still subscribe
	// or unsubscribe.
	wanted  map[string]struct{}
	changed []string
	// settling wait until the connection has subscribed what was requested before them, catching
	// until the listener has received what was published before them.
	settling, catching []chan struct{}
	wake               chan struct{}
	// arrived is the queue for the listener.
	arrived []arrival
	news    chan struct{}
	// connected means that a connection has subscribed what is wanted.
	connected bool
	// leaving are the channels that the connection to a cluster is unsubscribing.
	leaving map[string]struct{}
	// broken receives a value if the connection must not be trusted.
	broken chan struct{}
}

// arrival is a message, a new connection after a lost one, or a caller that waits for what arrived
// before.
type arrival struct {
	channel, text string
	// again receives whether the new connection has subscribed all channels, or has failed.
	again  <-chan bool
	caught chan struct{}
}

// Listen starts to receive messages on the channels.
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

// Close closes the feed. When it returns, the listener is no longer called.
func (f *Feed) Close() {
	f.stop()
	f.running.Wait()
}

// Subscribe adds channels. Settle waits until they are subscribed.
func (f *Feed) Subscribe(channels ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, channel := range channels {
		f.wanted[channel] = struct{}{}
	}
	f.change(channels)
}

// Unsubscribe removes channels. A message that is already on its way may still arrive.
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

// Settle waits until all channels requested before are subscribed.
func (f *Feed) Settle(ctx context.Context) error {
	settled := make(chan struct{})
	f.mu.Lock()
	f.settling = append(f.settling, settled)
	signal(f.wake)
	f.mu.Unlock()
	return f.wait(ctx, settled)
}

// CatchUp waits until the listener has received all that was published before. It fails at once if
// there is no connection.
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

// connect maintains a connection until the feed is closed.
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
		if errors.As(err, new(sharedError)) {
			level = slog.LevelDebug // another feed reports it
		}
		f.log.Log(f.ctx, level, "the connection for messages from Redis is lost; reconnecting", "redis", f.client.String(), "error", err)
		level = slog.LevelDebug // the same outage continues
		select {
		case <-time.After(pause):
		case <-f.ctx.Done():
			return
		}
		pause = min(2*pause, reconnectMost)
	}
}

// hear makes a connection and uses it until it fails. healthy reports whether it had worked.
func (f *Feed) hear(again bool) (healthy bool, err error) {
	have := make(map[string]struct{})
	subscribed := make(chan bool, 1)
	defer close(subscribed)
	if again {
		f.arrive(arrival{again: subscribed}) // before any message of this connection
	}
	var moved atomic.Bool
	s := &seat{
		message: func(channel, text string) { f.arrive(arrival{channel: channel, text: text}) },
		ended: func(channel string) {
			if !f.leaves(channel) {
				moved.Store(true)
				signal(f.broken)
			}
		},
	}
	if err := f.client.sit(f.ctx, s); err != nil {
		return false, err
	}
	conn := s.conn
	defer func() {
		if f.ctx.Err() != nil { // the feed is closed, and its channels with the connection
			s.leave(nil, false)
			return
		}
		_, broken := errors.AsType[connError](err)
		s.leave(slices.AppendSeq([]string{f.client.Key(placeChannel)}, maps.Keys(have)), broken)
	}()
	defer f.setConnected(false)
	f.mu.Lock()
	f.changed = f.changed[:0]
	for channel := range f.wanted {
		f.changed = append(f.changed, channel)
	}
	f.mu.Unlock()
	select {
	case <-f.broken: // meant for the previous connection
	default:
	}
	if f.client.clustered {
		// The first command decides which master of a cluster the connection is made to. This channel has
		// no messages; unlike a key, it stays at its master while the slot moves.
		place := f.client.subscribe(conn.B(), []string{f.client.Key(placeChannel)})
		if err := ofConn(conn.Do(f.ctx, place).Error()); err != nil {
			return healthy, err
		}
	}
	check := time.NewTicker(watchInterval)
	defer check.Stop()
	for first := true; ; first = false {
		if err := f.tell(conn, have, &moved); err != nil {
			return healthy, err
		}
		if first {
			subscribed <- true
		}
		healthy = true
		f.setConnected(true)
		select {
		case <-f.wake:
		case <-check.C:
			if err := f.client.writable(f.ctx, conn); f.client.servers.strays(f.ctx, f.client, err) {
				return healthy, fmt.Errorf("the connection leads to another server: %w", err)
			}
		case err := <-s.lost:
			return healthy, err
		case <-f.broken:
			if moved.Load() {
				return healthy, errSlotMoved
			}
			return healthy, errors.New("reading what was missed failed")
		case <-f.ctx.Done():
			return healthy, f.ctx.Err()
		}
	}
}

// errSlotMoved ends a connection whose server has ceased to have the channels.
var errSlotMoved = errors.New("the channels have moved to another master of the Redis Cluster")

// leaves reports whether the connection is unsubscribing the channel. A server unsubscribes a channel
// by itself when another master of the cluster takes over its slot.
func (f *Feed) leaves(channel string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, leaves := f.leaving[channel]
	return leaves
}

// tell changes the connection's channels, have, to the wanted ones. moved becomes true if the server
// has unsubscribed any by itself.
func (f *Feed) tell(conn rueidis.DedicatedClient, have map[string]struct{}, moved *atomic.Bool) error {
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
	if f.client.clustered {
		f.leaving = make(map[string]struct{}, len(less))
		for _, channel := range less {
			f.leaving[channel] = struct{}{}
		}
	}
	settling, catching := f.settling, f.catching
	f.settling, f.catching = nil, nil
	f.mu.Unlock()

	err := f.send(conn, asked, more, less)
	if err == nil && moved.Load() {
		err = errSlotMoved
	}
	if err != nil {
		f.mu.Lock()
		f.settling = append(settling, f.settling...)
		f.mu.Unlock()
		for _, caught := range catching {
			close(caught) // nothing more arrives over this connection
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

// send subscribes and unsubscribes, and returns when that has taken effect.
func (f *Feed) send(conn rueidis.DedicatedClient, asked, more, less []string) error {
	ctx, cancel := context.WithTimeout(f.ctx, OperationTimeout)
	defer cancel()
	if len(asked) > 0 && f.listener.Before != nil {
		if err := f.listener.Before(ctx); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(more, subscribeChunk) {
		if err := ofConn(conn.Do(ctx, f.client.subscribe(conn.B(), chunk)).Error()); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(less, subscribeChunk) {
		if err := ofConn(conn.Do(ctx, f.client.unsubscribe(conn.B(), chunk)).Error()); err != nil {
			return err
		}
	}
	// Redis responds in order, so all earlier commands have taken effect.
	if err := ofConn(conn.Do(ctx, conn.B().Ping().Build()).Error()); err != nil {
		return err
	}
	if len(asked) > 0 && f.listener.After != nil {
		f.listener.After(asked)
	}
	return nil
}

// connError is a failure of the connection, and not a refusal by the server.
type connError struct{ error }

// Unwrap returns the cause.
func (e connError) Unwrap() error { return e.error }

// ofConn returns the error of a command, as a connError if it is one.
func ofConn(err error) error {
	if _, refused := errors.AsType[*rueidis.RedisError](err); err == nil || refused {
		return err
	}
	return connError{err}
}

// subscribe returns the command that subscribes channels. In a cluster they are those of a slot.
func (c *Client) subscribe(b rueidis.Builder, channels []string) rueidis.Completed {
	if c.clustered {
		return b.Ssubscribe().Channel(channels...).Build()
	}
	return b.Subscribe().Channel(channels...).Build()
}

// unsubscribe returns the command that ends what subscribe began.
func (c *Client) unsubscribe(b rueidis.Builder, channels []string) rueidis.Completed {
	if c.clustered {
		return b.Sunsubscribe().Channel(channels...).Build()
	}
	return b.Unsubscribe().Channel(channels...).Build()
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

// arrive queues an arrival for the listener.
func (f *Feed) arrive(a arrival) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrived = append(f.arrived, a)
	signal(f.news)
}

// deliver calls the listener until the feed is closed.
func (f *Feed) deliver() {
	missing := false // what was missed could not be read
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
			case a.again != nil:
				missing = !f.readMissed(a.again)
			case !missing:
				f.listener.Message(a.channel, a.text)
			}
		}
	}
}

// readMissed waits until the new connection has subscribed all channels and has the listener read
// what was missed before. It reports false if either fails; another connection is then made.
func (f *Feed) readMissed(subscribed <-chan bool) bool {
	if !<-subscribed {
		return false
	}
	if err := f.listener.Gap(f.ctx); err != nil {
		f.log.Warn("reading what was missed from Redis failed; retrying", "error", err)
		signal(f.broken)
		return false
	}
	return true
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
