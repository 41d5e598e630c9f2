// Package redis connects to the Redis (7 and later, or Valkey) through which the nodes of a service
// share state. The keys and messages belong to the packages that use it.
//
// A Client uses one server, the primary. All of its connections, those of its Feeds included, are
// made by a locator, which finds the primary among several servers or asks Sentinels for it. If
// another server becomes the primary, the locator closes the connections, and they are made again to
// that one.
//
// If the servers are a Redis Cluster, the Client follows the cluster's own map of slots instead. All
// keys and channels of a client then have one hash tag, so that a script may use any of them; see
// Key, Within and Parts.
package redis

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"net"
	"strconv"
	"strings"
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
	name string
	// service names the service, and prefix begins its keys and channels.
	service, prefix string
	// clustered reports whether the servers are a Redis Cluster. divided makes Parts return several
	// clients for others too.
	clustered, divided bool
	// lines are set for a client of Parts, and whole is the prefix of what was divided.
	lines   *lines
	whole   string
	servers servers
}

// servers are what a client is connected to: a locator or a cluster.
type servers interface {
	// connect makes a connection to the server at the address; a locator, which decides by itself,
	// ignores it.
	connect(ctx context.Context, network *net.Dialer, address string) (net.Conn, error)
	// watch follows, until stop or close is called, which servers are in use.
	watch(c *Client)
	// current returns the addresses of the servers in use, and switched how often others have replaced
	// them.
	current() []string
	switched() int
	// strays reports whether err, of a write of the client over a connection, means that this connection
	// leads to another server than the others.
	strays(ctx context.Context, client *Client, err error) bool
	stop()
	close()
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
	c := &Client{name: t.name, service: fmt.Sprintf("rollcall:%d", t.option.SelectDB)}
	c.prefix = c.service + ":"
	l := newLocator(t, dial, c.prefix, options.Log)
	c.servers = l
	opt := t.option
	opt.DisableCache = true
	opt.Dialer = net.Dialer{Timeout: dialTimeout, KeepAlive: pingInterval}
	opt.ConnWriteTimeout = OperationTimeout
	opt.RetryDelay = retryDelay
	opt.ReadBufferEachConn, opt.WriteBufferEachConn = bufferSize, bufferSize
	opt.DialCtxFn = func(ctx context.Context, address string, network *net.Dialer, _ *tls.Config) (net.Conn, error) {
		return c.servers.connect(ctx, network, address)
	}
	found, known := l.findCluster()
	if found {
		if t.option.SelectDB != 0 {
			return nil, errClusterDatabase
		}
		c.clustered, c.prefix = true, tagged(c.service)
		c.servers = newCluster(dial, options.Log.With("redis", t.name))
		opt.InitAddress = t.hosts
		opt.ClusterOption.MaxMovedRedirections = maxRedirections
	} else {
		opt.InitAddress = t.hosts[:1] // the locator chooses the server
		opt.ForceSingleClient = true
	}
	if c.Client, err = rueidis.NewClient(opt); err != nil {
		c.servers.close()
		return nil, fmt.Errorf("cannot reach Redis at %s: %w%s", t.name, dial.explain(err), dial.hint(err))
	}
	if !known { // no server responded before, so they may be a cluster
		c.Client.Close()
		c.servers.close()
		return OpenWith(text, options)
	}
	if c.clustered {
		c.Client = newInsistent(c.Client)
	}
	c.servers.watch(c)
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

// hint returns what to look at if the error of the first connection has a usual cause, or "".
func (d *dialer) hint(err error) string {
	switch {
	case strings.HasPrefix(err.Error(), "NOAUTH"):
		return "; the URL needs the password, as in redis://:PASSWORD@HOST"
	case strings.Contains(err.Error(), "unknown message type"):
		return "; the server at this address is not Redis"
	case d.source != nil && errors.Is(err, context.DeadlineExceeded):
		return "; if the server does not use TLS on this port, write redis:// instead of rediss://"
	}
	return ""
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
	c.servers.stop()
	c.Client.Close()
	c.servers.close()
}

// String returns the URL of the Redis without its passwords.
func (c *Client) String() string { return c.name }

// Primaries returns the addresses of the servers that are in use: one, or the masters of a cluster. It
// returns none if none has been found yet.
func (c *Client) Primaries() []string { return c.servers.current() }

// Switches returns how often another server has become the primary, or a master of the cluster.
func (c *Client) Switches() int { return c.servers.switched() }

// Clustered reports whether the servers are a Redis Cluster.
func (c *Client) Clustered() bool { return c.clustered }

// Key returns the name of a key or channel of this client. In a cluster, all of them have one hash
// tag, so that one master has them.
func (c *Client) Key(name string) string { return c.prefix + name }

// SpreadKey returns the name of a key that no script uses with others, so that it may be at any master
// of a cluster.
func (c *Client) SpreadKey(name string) string { return c.service + ":" + name }

// Within returns a client for a service of its own in the same database, with other key names. It
// shares the connections.
func (c *Client) Within(name string) *Client {
	within := *c
	within.service += ":" + name
	within.prefix = within.service + ":"
	if c.clustered {
		within.prefix = tagged(within.service)
	}
	return &within
}

// Parts returns clients for n parts of the service, each with key names of its own, as those of Within.
// In a cluster, the slots of their keys are evenly spaced, so that masters with equal ranges of slots
// have equal numbers of parts. The parts share connections for messages, so each may have one Feed at a
// time. Otherwise, if one server has all keys, Parts returns only c.
func (c *Client) Parts(n int) []*Client {
	if !c.clustered && !c.divided {
		return []*Client{c}
	}
	parts := make([]*Client, n)
	shared := &lines{byAddress: make(map[string]*line)}
	for i := range parts {
		parts[i] = c.Within(strconv.Itoa(i))
		for try := 1; c.clustered && parts[i].slot()*n/clusterSlots != i; try++ {
			parts[i] = c.Within(fmt.Sprintf("%d.%d", i, try))
		}
		parts[i].lines, parts[i].whole = shared, c.prefix
	}
	return parts
}

// PartOf returns the place of the id, such as a users.id, in Parts of that number. IDs may be
// consecutive or have a common step, as on a Galera cluster; multiplying by 2⁶⁴ divided by the golden
// ratio spreads both.
func PartOf(id int64, parts int) int {
	place, _ := bits.Mul64(uint64(id)*0x9E3779B97F4A7C15, uint64(parts))
	return int(place)
}

// Divided returns a client whose Parts are several even on a single server. It is for tests.
func (c *Client) Divided() *Client {
	divided := *c
	divided.divided = true
	return &divided
}

// slot returns the slot of the client's keys and channels in a cluster.
func (c *Client) slot() int {
	command := c.B().Get().Key(c.Key("")).Build()
	return int(command.Slot())
}

// ScriptKeys returns the keys of a script that builds the names of its keys from the first, which is
// Key(""). In a cluster there is a second one. Neither ever exists.
//
// While a slot moves to another master, a cluster runs a script where its keys are, and neither master
// has all data. A script with two keys, of which none exists, is refused by both, with TRYAGAIN, until
// all data has moved.
func (c *Client) ScriptKeys() []string {
	if c.clustered {
		return []string{c.prefix, c.prefix + "whole"}
	}
	return []string{c.prefix}
}

// Publish returns the command that publishes a text on a channel.
func (c *Client) Publish(channel, text string) rueidis.Completed {
	if c.clustered {
		return c.B().Spublish().Channel(channel).Message(text).Build()
	}
	return c.B().Publish().Channel(channel).Message(text).Build()
}

// idKey is the key of ID.
const idKey = "id"

// ID returns a random text that all clients of the service on this Redis read, and the first one has
// written. It is another one after Redis has lost its data.
func (c *Client) ID(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	id := rand.Text()
	former, err := c.Do(ctx, c.B().Set().Key(c.Key(idKey)).Value(id).Nx().Get().Build()).ToString()
	if rueidis.IsRedisNil(err) {
		return id, nil
	}
	return former, err
}

// CountSubscribers returns the command that counts the connections that have subscribed each of the
// channels, by their names.
func (c *Client) CountSubscribers(channels ...string) rueidis.Completed {
	if c.clustered {
		return c.B().PubsubShardnumsub().Channel(channels...).Build()
	}
	return c.B().PubsubNumsub().Channel(channels...).Build()
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
	return client.Do(ctx, c.probe(client.B())).Error()
}

// AllWritable is Writable for the client and its Parts. It returns the first error.
func (c *Client) AllWritable(ctx context.Context, parts []*Client) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	probes := []rueidis.Completed{c.probe(c.B())}
	for _, part := range parts {
		if part != c {
			probes = append(probes, part.probe(c.B()))
		}
	}
	for _, result := range c.DoMulti(ctx, probes...) {
		if err := result.Error(); err != nil {
			return err
		}
	}
	return nil
}

// probe returns the command that sets the client's probeKey.
func (c *Client) probe(b rueidis.Builder) rueidis.Completed {
	return b.Set().Key(c.Key(probeKey)).Value("1").Px(probeLife).Build()
}
