// Package redis connects to the Redis (7 and later, or Valkey) through which the nodes of a service
// share state. The keys and messages belong to the packages that use it.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
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

// What can be wrong with URLs. None repeats a part of the URL, which may contain a password.
var (
	errForm       = errors.New("must have the form redis://user:password@host:6379/0 or rediss://…")
	errSkipVerify = errors.New("has skip_verify, which accepts any server; remove it and name the CA of the server's certificate")
	errParameter  = errors.New("has an unknown parameter; allowed are " + strings.Join(parameters, ", ") + "; for TLS write rediss:// instead of redis://")
)

// parameters are the URL parameters that have an effect. Others, such as tls=true, would be
// ignored.
var parameters = []string{"client_name", "db", "max_retries", "protocol"}

// Client is a Redis database. Its methods may be called from any goroutine. While Redis is
// unreachable they fail; once it is back they work again.
type Client struct {
	rueidis.Client
	name, prefix string
}

// CheckURL returns an error if the form of a ROLLCALL_REDIS_URL is invalid. The error contains no
// password.
func CheckURL(text string) error {
	_, _, err := parse(text)
	return err
}

// CheckFiles returns a *clienttls.Error if the files cannot be used for the URL.
func CheckFiles(text string, files clienttls.Files) error {
	opt, _, err := parse(text)
	if err != nil {
		return err
	}
	_, err = secure(&opt, files)
	return err
}

// parse returns how to connect, and the URL without its password.
func parse(text string) (opt rueidis.ClientOption, name string, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" {
		return opt, "", errForm
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return opt, "", errForm
		}
	}
	for name := range u.Query() {
		if name == "skip_verify" {
			return opt, "", errSkipVerify
		}
		if !slices.Contains(parameters, name) {
			return opt, "", errParameter
		}
	}
	opt, err = rueidis.ParseURL(text)
	if err != nil || opt.SelectDB < 0 {
		return opt, "", errForm
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.User != nil && u.User.Username() != "" {
		shown.User = url.User(u.User.Username())
	}
	return opt, shown.String(), nil
}

// Open connects to the Redis that the URL names. Errors name it without its password.
func Open(text string) (*Client, error) { return OpenTLS(text, clienttls.Files{}) }

// OpenTLS is Open with files for the TLS of a rediss:// URL. It also returns a *clienttls.Error if
// they cannot be used.
func OpenTLS(text string, files clienttls.Files) (*Client, error) {
	opt, name, err := parse(text)
	if err != nil {
		return nil, err
	}
	source, err := secure(&opt, files)
	if err != nil {
		return nil, err
	}
	opt.ForceSingleClient = true // all keys of a script must be in one database
	opt.DisableCache = true
	opt.Dialer = net.Dialer{Timeout: dialTimeout, KeepAlive: pingInterval}
	opt.ConnWriteTimeout = OperationTimeout
	opt.RetryDelay = retryDelay
	opt.ReadBufferEachConn, opt.WriteBufferEachConn = bufferSize, bufferSize
	client, err := rueidis.NewClient(opt)
	if err != nil {
		if source != nil {
			err = source.Explain(err)
		}
		return nil, fmt.Errorf("cannot reach Redis at %s: %w", name, err)
	}
	// Channels do not belong to a database, so their names must contain its number.
	return &Client{Client: client, name: name, prefix: fmt.Sprintf("rollcall:%d:", opt.SelectDB)}, nil
}

// secure makes all connections use TLS if the URL says so, and returns the source of their
// configurations; otherwise it returns nil.
func secure(opt *rueidis.ClientOption, files clienttls.Files) (*clienttls.Source, error) {
	if opt.TLSConfig == nil {
		return nil, files.CheckUnused("write rediss:// instead of redis:// in the URL of Redis")
	}
	source, err := clienttls.New(files)
	if err != nil {
		return nil, err
	}
	opt.DialCtxFn = func(ctx context.Context, address string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		conn, err := (&tls.Dialer{NetDialer: dialer, Config: source.Config(host)}).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, source.Explain(err)
		}
		return conn, nil
	}
	return source, nil
}

// retryDelay makes a read be tried again if its connection was lost, but not for as long as Redis
// is unreachable.
func retryDelay(attempts int, _ rueidis.Completed, _ error) time.Duration {
	if attempts > readAttempts {
		return -1
	}
	return readPause
}

// String returns the URL of the Redis without its password.
func (c *Client) String() string { return c.name }

// Key returns the name of a key or channel of this service.
func (c *Client) Key(name string) string { return c.prefix + name }

// Within returns a client for a service of its own in the same database, with other key names. It
// shares the connections.
func (c *Client) Within(name string) *Client {
	return &Client{Client: c.Client, name: c.name, prefix: c.prefix + name + ":"}
}

// probeLife is the lifetime of the key that Writable sets.
const probeLife = 10 * time.Second

// Writable returns nil if Redis accepts changes, or an error that Problem describes. It sets a key
// that expires, because a replica and a server without memory still respond to reads.
func (c *Client) Writable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	return c.Do(ctx, c.B().Set().Key(c.Key("probe")).Value("1").Px(probeLife).Build()).Error()
}
