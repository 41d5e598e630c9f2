package redis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// lines are the connections for messages that the Feeds of several Parts share: one to each server.
type lines struct {
	mu        sync.Mutex
	byAddress map[string]*line
}

// line is one of these connections.
type line struct {
	lines   *lines
	address string
	// ready is closed when the connection has been made or has failed.
	ready chan struct{}
	conn  rueidis.DedicatedClient
	free  func()

	mu sync.RWMutex
	// failed is set when the connection must no longer be used.
	failed error
	// seats are the feeds that use the connection, by tagOf their channels.
	seats map[string]*seat
}

// seat is a feed's use of a connection for messages.
type seat struct {
	conn rueidis.DedicatedClient
	// message receives messages, and ended what the server has unsubscribed or was asked to.
	message func(channel, text string)
	ended   func(channel string)
	// lost receives an error when the connection is lost.
	lost <-chan error
	// leave ends the use. The channels are those that the feed has subscribed, or nil if it never
	// returns. broken reports whether a command has failed on the connection.
	leave func(channels []string, broken bool)

	failure chan error // lost, of a line
}

// errNoMaster is returned if no master of the cluster is known to have the channels.
var errNoMaster = errors.New("no master of the Redis Cluster has the channels")

// sharedError is the loss of a connection that another feed reports.
type sharedError struct{ error }

// Unwrap returns the error that the other feed reports.
func (e sharedError) Unwrap() error { return e.error }

// sit gives the seat a connection: one of its own, or, to a client of Parts, that which it shares with
// the other parts at the same server.
func (c *Client) sit(ctx context.Context, s *seat) error {
	if c.lines != nil {
		return c.lines.sit(ctx, c, s)
	}
	conn, free := c.Dedicate()
	s.conn, s.lost = conn, conn.SetPubSubHooks(hooks(func(string) *seat { return s }, c.clustered))
	s.leave = func([]string, bool) {
		conn.Close()
		free()
	}
	return nil
}

// hooks returns hooks for a connection that pass everything to the channel's seat, if it has one.
func hooks(of func(channel string) *seat, sharded bool) rueidis.PubSubHooks {
	h := rueidis.PubSubHooks{OnMessage: func(m rueidis.PubSubMessage) {
		if s := of(m.Channel); s != nil {
			s.message(m.Channel, m.Message)
		}
	}}
	if sharded {
		h.OnSubscription = func(change rueidis.PubSubSubscription) {
			if s := of(change.Channel); s != nil && change.Kind == "sunsubscribe" {
				s.ended(change.Channel)
			}
		}
	}
	return h
}

// tagOf returns the part of a channel's name that names one of several Parts.
func (c *Client) tagOf(channel string) string {
	if c.clustered {
		tag, _, _ := strings.Cut(channel, "}")
		return tag
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(channel, c.whole), ":")
	return name
}

// sit gives the seat the connection to the server that has the client's channels.
func (l *lines) sit(ctx context.Context, c *Client, s *seat) error {
	address := ""
	if servers, ok := c.servers.(*cluster); ok {
		if address = servers.master(ctx, c, c.slot()); address == "" {
			return errNoMaster
		}
	}
	l.mu.Lock()
	shared := l.byAddress[address]
	made := shared == nil
	if made {
		shared = &line{lines: l, address: address, ready: make(chan struct{}), seats: make(map[string]*seat)}
		l.byAddress[address] = shared
	}
	l.mu.Unlock()
	if made {
		shared.open(c)
	}
	<-shared.ready
	return shared.add(c, s, made)
}

// open makes the connection.
func (l *line) open(c *Client) {
	defer close(l.ready)
	client := c.Client
	if l.address != "" {
		if client = c.Nodes()[l.address]; client == nil {
			l.fail(errNoMaster)
			return
		}
	}
	l.conn, l.free = client.Dedicate()
	lost := l.conn.SetPubSubHooks(hooks(func(channel string) *seat {
		l.mu.RLock()
		defer l.mu.RUnlock()
		return l.seats[c.tagOf(channel)]
	}, c.clustered))
	go func() {
		if err := <-lost; err != nil {
			l.fail(err)
		}
	}()
}

// add gives the seat the connection, unless that has failed. made reports whether the feed has made it.
func (l *line) add(c *Client, s *seat, made bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.failed != nil && made:
		return l.failed
	case l.failed != nil:
		return sharedError{l.failed}
	}
	tag := c.tagOf(c.Key(""))
	s.failure = make(chan error, 1)
	s.conn, s.lost = l.conn, s.failure
	s.leave = func(channels []string, broken bool) {
		if broken {
			l.fail(errBroken)
		}
		l.remove(c, tag, channels)
	}
	l.seats[tag] = s
	return nil
}

// fail ends the connection for all feeds. The first receives the error itself.
func (l *line) fail(err error) {
	l.mu.Lock()
	first := l.failed == nil
	if first {
		l.failLocked(err)
	}
	l.mu.Unlock()
	if first {
		l.close()
	}
}

// failLocked notes that the connection must no longer be used. The caller holds l.mu, and then calls
// close.
func (l *line) failLocked(err error) {
	l.failed = err
	for _, s := range l.seats {
		s.failure <- err
		err = sharedError{l.failed}
	}
}

// close closes the connection after failLocked, so that another one is made.
func (l *line) close() {
	l.lines.mu.Lock()
	if l.lines.byAddress[l.address] == l {
		delete(l.lines.byAddress, l.address)
	}
	l.lines.mu.Unlock()
	if l.conn != nil {
		l.conn.Close() // waits for the goroutine that calls the hooks, so without l.mu
		l.free()
	}
}

// errUnused ends a connection that no feed uses, errBroken one on which a command of a feed has failed.
var (
	errUnused = errors.New("no feed uses the connection")
	errBroken = errors.New("a command of another feed has failed")
)

// remove ends a feed's use of the connection, or the connection, if no other feed uses it. The channels
// that the feed has subscribed are unsubscribed, so that it can use this connection again.
func (l *line) remove(c *Client, tag string, channels []string) {
	l.mu.Lock()
	delete(l.seats, tag)
	usable := l.failed == nil
	unused := usable && len(l.seats) == 0
	if unused {
		l.failLocked(errUnused)
	}
	l.mu.Unlock()
	switch {
	case unused:
		l.close()
		return
	case !usable:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), OperationTimeout)
	defer cancel()
	for chunk := range slices.Chunk(channels, subscribeChunk) {
		err := l.conn.Do(ctx, c.unsubscribe(l.conn.B(), chunk)).Error()
		// A server that no longer has the slot has unsubscribed them itself.
		if _, refused := errors.AsType[*rueidis.RedisError](err); err != nil && !refused {
			l.fail(err)
			return
		}
	}
}

// slotsAge is how long which master has which slots is believed when a connection is made.
const slotsAge = 100 * time.Millisecond

// master returns the address of the master that has the slot, or "" if none is known.
func (c *cluster) master(ctx context.Context, client *Client, slot int) string {
	c.looking.Lock()
	if time.Since(c.looked) > slotsAge {
		c.look(ctx, client)
		c.looked = time.Now()
	}
	c.looking.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.slots {
		if r.first <= int64(slot) && int64(slot) <= r.last {
			return r.master
		}
	}
	return ""
}
