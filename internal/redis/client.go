// Package redis connects to the Redis (7 and later, or Valkey) through which the nodes of a service
// share state. The keys and messages belong to the packages that use it.
//
// A Client uses one server, the primary. All of its connections, those of its Feeds included, are
// made by a locator, which finds the primary among several servers or asks Sentinels for it. If
// another server becomes the primary, the locator closes the connections, and they are made again to
// that one.
package redis

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/redis/rueidis"

	"rollcall/internal/clienttls"
)

const (
	// dialTimeout limits making a connection, OperationTimeout one response. A silent connection is
	// detected within the sum of both.
	dialTimeout      = 2 * time.Second
	OperationTimeout = 3 * time.Second
	pingInterval     = time.Second
	// A read is tried this often, with this pause.
	readAttempts = 2
	readPause    = 20 * time.Millisecond
	// bufferSize is the size of each connection's read and write buffers.
	bufferSize = 64 << 10
)

// Client is a Redis database. Its methods may be called from any goroutine. While Redis is
// unreachable they fail; once it is back they work again.
type Client struct {
	rueidis.Client
	name, prefix string
	locator      *locator
}

// Options are what a Client needs besides its URL.
type Options struct {
	// TLS names the files for the TLS of a rediss:// URL.
	TLS clienttls.Files
	// Log receives which server is the primary, and each change of it; nil: nothing is logged.
	Log *slog.Logger
	// Trace makes the commands have spans.
	Trace bool
}

// CheckURL returns an error if the form of a ROLLCALL_REDIS_URL is invalid. The error contains no
// password.
func CheckURL(text string) error {
	_, err := parse(text)
	return err
}

// CheckFiles returns a *clienttls.Error if the files cannot be used for the URL.
func CheckFiles(text string, files clienttls.Files) error {
	t, err := parse(text)
	if err == nil {
		_, err = newDialer(t, files)
	}
	return err
}

// Open connects to the Redis that the URL names. Errors name it without its password.
func Open(text string) (*Client, error) { return OpenWith(text, Options{}) }

// OpenWith is Open with options. It also returns a *clienttls.Error if the files cannot be used.
func OpenWith(text string, options Options) (*Client, error) {
	t, err := parse(text)
	if err != nil {
		return nil, err
	}
	dial, err := newDialer(t, options.TLS)
	if err != nil {
		return nil, err
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	// Channels do not belong to a database, so their names must contain its number.
	c := &Client{name: t.name, prefix: fmt.Sprintf("rollcall:%d:", t.option.SelectDB)}
	c.locator = newLocator(t, dial, c.prefix, options.Log)
	opt := t.option
	opt.InitAddress = t.hosts[:1] // the locator chooses the server
	opt.ForceSingleClient = true  // all keys of a script must be in one database
	opt.DisableCache = true
	opt.Dialer = net.Dialer{Timeout: dialTimeout, KeepAlive: pingInterval}
	opt.ConnWriteTimeout = OperationTimeout
	opt.RetryDelay = retryDelay
	opt.ReadBufferEachConn, opt.WriteBufferEachConn = bufferSize, bufferSize
	opt.DialCtxFn = func(ctx context.Context, _ string, network *net.Dialer, _ *tls.Config) (net.Conn, error) {
		return c.locator.connect(ctx, network)
	}
	if c.Client, err = rueidis.NewClient(opt); err != nil {
		c.locator.close()
		return nil, fmt.Errorf("cannot reach Redis at %s: %w", t.name, dial.explain(err))
	}
	c.locator.watch(c)
	if options.Trace {
		c.Client = traced{c.Client}
	}
	return c, nil
}

// dialer connects to servers and Sentinels.
type dialer struct {
	source *clienttls.Source // nil without TLS
}

func newDialer(t target, files clienttls.Files) (*dialer, error) {
	if t.option.TLSConfig == nil {
		return &dialer{}, files.CheckUnused("write rediss:// instead of redis:// in the URL of Redis")
	}
	source, err := clienttls.New(files)
	return &dialer{source}, err
}

// dial connects to an address.
func (d *dialer) dial(ctx context.Context, network *net.Dialer, address string) (net.Conn, error) {
	if d.source == nil {
		return network.DialContext(ctx, "tcp", address)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := (&tls.Dialer{NetDialer: network, Config: d.source.Config(host)}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, d.source.Explain(err)
	}
	return conn, nil
}

// explain returns the error of a connection, with the setting that may be the cause.
func (d *dialer) explain(err error) error {
	if d.source == nil {
		return err
	}
	return d.source.Explain(err)
}

// retryDelay makes a read be tried again if its connection was lost, but not for as long as Redis
// is unreachable.
func retryDelay(attempts int, _ rueidis.Completed, _ error) time.Duration {
	if attempts > readAttempts {
		return -1
	}
	return readPause
}

// Close closes all connections, also those of clients that Within has returned.
func (c *Client) Close() {
	c.locator.stop()
	c.Client.Close()
	c.locator.close()
}

// String returns the URL of the Redis without its passwords.
func (c *Client) String() string { return c.name }

// Primary returns the address of the server that is in use, or "" if none has been found yet.
func (c *Client) Primary() string { return c.locator.current() }

// Switches returns how often another server has become the primary.
func (c *Client) Switches() int { return c.locator.switched() }

// Key returns the name of a key or channel of this service.
func (c *Client) Key(name string) string { return c.prefix + name }

// Within returns a client for a service of its own in the same database, with other key names. It
// shares the connections.
func (c *Client) Within(name string) *Client {
	within := *c
	within.prefix += name + ":"
	return &within
}

// probeKey is the key that Writable sets, and probeLife its lifetime.
const (
	probeKey  = "probe"
	probeLife = 10 * time.Second
)

// Writable returns nil if Redis accepts changes, or an error that Problem describes. It sets a key
// that expires, because a replica and a server without memory still respond to reads.
func (c *Client) Writable(ctx context.Context) error { return c.writable(ctx, c.Client) }

// writable is Writable over the connections of client.
func (c *Client) writable(ctx context.Context, client rueidis.CoreClient) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	return client.Do(ctx, client.B().Set().Key(c.Key(probeKey)).Value("1").Px(probeLife).Build()).Error()
}
