package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	// watchInterval is the time between two checks of the primary.
	watchInterval = time.Second
	// lookTimeout is how long a check, and a question to a server or to a Sentinel, waits.
	lookTimeout = time.Second
	// lookBuffer is the size of the buffers of connections for questions.
	lookBuffer = 4 << 10
)

// locator makes the connections of a client, all to the primary. It finds the primary among the
// hosts of the URL, or asks the Sentinels. If another server takes over, it closes the connections,
// which are then made again.
//
// The primary is the server that accepts changes. That is asked by a write, not by ROLE or INFO:
// proxies may not know these, users may not have the right to use them, and a primary that was
// isolated from its replicas (min-replicas-to-write) is not to be used.
type locator struct {
	target
	dialer    *dialer
	prefix    string // of keys
	log       *slog.Logger
	sentinels map[string]*sentinel // by address; empty without Sentinels

	cancel  context.CancelFunc
	running sync.WaitGroup
	// locating is held while the primary is being looked for.
	locating sync.Mutex
	// accepted reports whether the last check of the primary succeeded.
	accepted atomic.Bool

	mu sync.Mutex
	// primary is the address to which connections are made.
	primary  string
	conns    map[*conn]struct{} // the open ones
	switches int
}

func newLocator(t target, d *dialer, prefix string, log *slog.Logger) *locator {
	l := &locator{
		target: t, dialer: d, prefix: prefix, log: log.With("redis", t.name),
		sentinels: make(map[string]*sentinel), cancel: func() {}, conns: make(map[*conn]struct{}),
	}
	if t.master != "" {
		for _, address := range t.hosts {
			l.sentinels[address] = &sentinel{locator: l, address: address}
		}
	} else if len(t.hosts) == 1 {
		l.primary = t.hosts[0]
	}
	return l
}

// isFixed reports whether the URL leaves no choice of the address. Another server may take over
// behind it nevertheless.
func (l *locator) isFixed() bool { return l.master == "" && len(l.hosts) == 1 }

// current implements servers.
func (l *locator) current() []string {
	if address := l.address(); address != "" {
		return []string{address}
	}
	return nil
}

// address returns the address of the primary, or "" if it has not been found yet.
func (l *locator) address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.primary
}

func (l *locator) switched() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.switches
}

// stop ends the watch.
func (l *locator) stop() { l.cancel() }

// close ends the watch and the connections to Sentinels.
func (l *locator) close() {
	l.cancel()
	l.running.Wait()
	for _, s := range l.sentinels {
		s.close()
	}
}

// conn is a connection to the primary.
type conn struct {
	net.Conn
	locator *locator
	address string
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.locator.mu.Lock()
	delete(c.locator.conns, c)
	c.locator.mu.Unlock()
	return c.Conn.Close()
}

// connect makes a connection to the primary. If it cannot be reached, connect looks for another one.
func (l *locator) connect(ctx context.Context, network *net.Dialer, _ string) (net.Conn, error) {
	address := l.address()
	if address != "" {
		c, err := l.connectTo(ctx, network, address)
		if err == nil || l.isFixed() {
			return c, err
		}
	}
	if err := l.locate(ctx, address, false); err != nil {
		return nil, err
	}
	return l.connectTo(ctx, network, l.address())
}

// errMoved is returned for a connection to a server that has ceased to be the primary meanwhile.
var errMoved = fmt.Errorf("another server has become the primary of Redis: %w", net.ErrClosed)

func (l *locator) connectTo(ctx context.Context, network *net.Dialer, address string) (net.Conn, error) {
	plain, err := l.dialer.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: plain, locator: l, address: address}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.primary != address {
		_ = plain.Close()
		return nil, errMoved
	}
	l.conns[c] = struct{}{}
	return c, nil
}

// watch checks regularly, until close is called, whether the server in use is still the primary.
func (l *locator) watch(client *Client) {
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(context.Background())
	l.running.Go(func() {
		unasked := false // no Sentinel has responded
		for {
			select {
			case <-time.After(watchInterval):
			case <-ctx.Done():
				return
			}
			address := l.address()
			err := l.check(ctx, client)
			if ctx.Err() != nil {
				return
			}
			if l.master != "" {
				unasked = l.followSentinels(ctx, address, unasked)
			}
			if refusesAsReplica(err) || err != nil && !l.isFixed() {
				// If there is no primary at present, callers receive errors and the next check looks again.
				_ = l.locate(ctx, address, refusesAsReplica(err))
			}
		}
	})
}

// check reports whether the server in use accepts changes.
func (l *locator) check(ctx context.Context, client *Client) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err := client.Writable(ctx)
	l.accepted.Store(err == nil)
	return err
}

// followSentinels moves to another primary if the Sentinels name one. It logs if none responds, after
// unasked was false, and if one responds, after it was true; it returns the new value.
func (l *locator) followSentinels(ctx context.Context, address string, unasked bool) bool {
	named, err := l.askSentinels(ctx)
	if ctx.Err() != nil {
		return unasked
	}
	if err == nil && named != address {
		_ = l.locate(ctx, address, false)
	}
	if err != nil && !unasked {
		l.log.Warn("no Sentinel can name the primary of Redis; the last one stays in use", "primary", address, "error", err)
	}
	if err == nil && unasked {
		l.log.Info("the Sentinels name the primary of Redis again", "primary", named)
	}
	return err != nil
}

// strays implements servers: after the primary has been replaced behind its address, those that
// were made before it may still lead to the former one.
func (l *locator) strays(_ context.Context, _ *Client, err error) bool {
	return refusesAsReplica(err) && l.accepted.Load()
}

// locate looks for the primary, unless it has changed since the caller read its address, former.
// If stale is true, the connections lead to a replica, and are closed even if the primary has the
// same address. It returns an error if there is no primary.
func (l *locator) locate(ctx context.Context, former string, stale bool) error {
	l.locating.Lock()
	defer l.locating.Unlock()
	if l.address() != former {
		return nil
	}
	before := l.open()
	candidates := l.hosts
	if l.master != "" {
		named, err := l.askSentinels(ctx)
		if err != nil {
			return err
		}
		candidates = []string{named}
	}
	found, err := l.choose(ctx, candidates, former)
	if err != nil {
		return err
	}
	switch {
	case found.address != former:
		l.move(found.address)
	case stale && found.accepts:
		l.log.Warn("another server is the primary of Redis behind its address; connecting to it", "primary", former)
		l.abandon(before, true)
	}
	return nil
}

// open returns the open connections.
func (l *locator) open() (list []*conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		list = append(list, c)
	}
	return list
}

// move makes another server the primary.
func (l *locator) move(address string) {
	l.mu.Lock()
	former := l.primary
	l.primary = address
	l.mu.Unlock()
	if former == "" {
		l.log.Info("found the primary of Redis", "primary", address)
		return
	}
	l.log.Warn("another server is the primary of Redis; connecting to it", "primary", address, "former", former)
	l.abandon(l.open(), false)
}

// abandon closes connections because another server is the primary: all, or those to other addresses
// than its own.
func (l *locator) abandon(list []*conn, all bool) {
	l.mu.Lock()
	l.switches++
	primary := l.primary
	l.mu.Unlock()
	for _, c := range list {
		if all || c.address != primary {
			_ = c.Close()
		}
	}
}

// look is what a new connection to a server has shown.
type look struct {
	address string
	// accepts reports whether the server accepts changes. refuses reports whether it refuses them,
	// though not as a replica would: it is a primary that is, for example, out of memory.
	accepts, refuses bool
	// used is the remaining lifetime, in ms, of the key that nodes set at their primary; negative
	// if it does not exist.
	used int64
}

// NoPrimaryError is returned while no server is the primary.
type NoPrimaryError struct {
	// asked are the servers or Sentinels, and errs their errors.
	asked []string
	errs  []error
}

func (e *NoPrimaryError) Error() string {
	var problems []string
	for i, address := range e.asked {
		problems = append(problems, fmt.Sprintf("%s: %v", address, e.errs[i]))
	}
	return "no server is the primary of Redis (" + strings.Join(problems, "; ") + ")"
}

// Unwrap returns the errors of the servers.
func (e *NoPrimaryError) Unwrap() []error { return e.errs }

// choose returns the best of the servers: one that accepts changes; of several the one in use, and
// if that is none of them, the one that nodes have used last. It returns a *NoPrimaryError if all are
// replicas or unreachable.
func (l *locator) choose(ctx context.Context, addresses []string, inUse string) (best look, err error) {
	looks, errs := askAll(ctx, addresses, len(addresses), l.lookAt)
	rank := func(s look) int {
		switch {
		case s.accepts:
			return 2
		case s.refuses:
			return 1
		}
		return 0
	}
	var accepting []string
	for _, s := range looks {
		if s.accepts {
			accepting = append(accepting, s.address)
		}
		better := cmp.Or(cmp.Compare(rank(s), rank(best)), compareBool(s.address == inUse, best.address == inUse), cmp.Compare(s.used, best.used))
		if better > 0 {
			best = s
		}
	}
	if rank(best) == 0 {
		return look{}, &NoPrimaryError{addresses, errs}
	}
	if len(accepting) > 1 {
		l.log.Warn("several servers accept changes, of which only one may be the primary of Redis", "primary", best.address, "servers", accepting)
	}
	return best, nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// candidateKey is the key that lookAt sets. It is another one than that of Writable, whose lifetime
// shows which server is in use.
const candidateKey = "candidate"

// lookAt asks a server, over a new connection, whether it is the primary.
func (l *locator) lookAt(ctx context.Context, address string) (look, error) {
	client, err := l.newClient(address, l.option)
	if err == nil {
		defer client.Close()
	} else {
		return look{}, l.dialer.explain(err)
	}
	responses := client.DoMulti(ctx,
		client.B().Pttl().Key(l.prefix+probeKey).Build(),
		client.B().Set().Key(l.prefix+candidateKey).Value("1").Px(probeLife).Build())
	s := look{address: address}
	s.used, _ = responses[0].AsInt64() // a replica may refuse it
	err = responses[1].Error()
	s.accepts = err == nil
	if refused, ok := errors.AsType[*rueidis.RedisError](err); ok {
		s.refuses = !slices.Contains(notPrimary, firstWord(refused.Error()))
	}
	return s, err
}

// notPrimary are the first words of the errors of servers that are not the primary, or do not show
// whether they are: replicas, servers that are starting, and those that do not permit the question.
var notPrimary = []string{"READONLY", "MASTERDOWN", "LOADING", "NOPERM"}

// newClient returns a client for short questions to one server or Sentinel. Even if err is not nil,
// it may be used: it connects again with each question.
func (l *locator) newClient(address string, option rueidis.ClientOption) (rueidis.Client, error) {
	option.InitAddress = []string{address}
	option.ForceSingleClient, option.DisableCache, option.DisableRetry = true, true, true
	option.PipelineMultiplex = -1
	option.RingScaleEachConn = 8
	option.ReadBufferEachConn, option.WriteBufferEachConn = lookBuffer, lookBuffer
	option.Dialer = net.Dialer{Timeout: lookTimeout, KeepAlive: pingInterval}
	option.ConnWriteTimeout = lookTimeout
	option.DialCtxFn = func(ctx context.Context, address string, network *net.Dialer, _ *tls.Config) (net.Conn, error) {
		return l.dialer.dial(ctx, network, address)
	}
	return rueidis.NewClient(option)
}

// sentinel is a Sentinel.
type sentinel struct {
	locator *locator
	address string

	mu     sync.Mutex
	client rueidis.Client // nil before the first question
	closed bool
}

// claim is which server a Sentinel names as the primary, with the number of the election in which it
// was chosen.
type claim struct {
	address string
	epoch   int64
}

// errUnknownMaster is returned by a Sentinel that does not watch a primary of that name.
var errUnknownMaster = errors.New("the Sentinel knows no primary with the master_name in the URL")

// askSentinels returns the address of the primary: of what the Sentinels name, the one of the latest
// election, because a Sentinel that was isolated from the others names a former one. Those that do
// not respond are not waited for once a majority has. It returns a *NoPrimaryError if none names any.
func (l *locator) askSentinels(ctx context.Context) (string, error) {
	claims, errs := askAll(ctx, l.hosts, len(l.hosts)/2+1, func(ctx context.Context, address string) (claim, error) { return l.sentinels[address].ask(ctx) })
	latest := slices.MaxFunc(claims, func(a, b claim) int {
		return cmp.Or(compareBool(a.address != "", b.address != ""), cmp.Compare(a.epoch, b.epoch))
	})
	if latest.address == "" {
		return "", &NoPrimaryError{l.hosts, errs}
	}
	return latest.address, nil
}

// ask asks the Sentinel for the primary.
func (s *sentinel) ask(ctx context.Context) (c claim, err error) {
	client, err := s.connected()
	if err != nil {
		return c, err
	}
	master := s.locator.master
	responses := client.DoMulti(ctx,
		client.B().SentinelGetMasterAddrByName().Master(master).Build(),
		client.B().Arbitrary("SENTINEL", "MASTER", master).Build())
	address, err := responses[0].AsStrSlice()
	switch {
	case rueidis.IsRedisNil(err):
		return c, errUnknownMaster
	case err != nil:
		return c, s.locator.dialer.explain(err)
	case len(address) != 2:
		return c, fmt.Errorf("the Sentinel names no address, but %d values", len(address))
	}
	c.address = net.JoinHostPort(address[0], address[1])
	if fields, err := responses[1].AsStrMap(); err == nil { // without the right to it, all elections count as the same
		_, _ = fmt.Sscan(fields["config-epoch"], &c.epoch)
	}
	return c, nil
}

// connected returns the client of the Sentinel.
func (s *sentinel) connected() (rueidis.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, rueidis.ErrClosing
	}
	if s.client == nil {
		option := s.locator.option
		option.Username, option.Password, option.SelectDB = s.locator.sentinelUser, s.locator.sentinelPassword, 0
		s.client, _ = s.locator.newClient(s.address, option) // its questions return the error
	}
	return s.client, nil
}

func (s *sentinel) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.client != nil {
		s.client.Close()
	}
}

// askAll asks all addresses at once, and returns the responses and errors in their order. It returns
// when all have responded or enough of them without an error; the others are errors, and so are those
// that take longer than lookTimeout.
func askAll[T any](ctx context.Context, addresses []string, enough int, ask func(ctx context.Context, address string) (T, error)) ([]T, []error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	type response struct {
		i     int
		value T
		err   error
	}
	arrived := make(chan response, len(addresses))
	for i, address := range addresses {
		go func() {
			value, err := ask(ctx, address)
			arrived <- response{i, value, err}
		}()
	}
	values, errs := make([]T, len(addresses)), make([]error, len(addresses))
	for i := range errs {
		errs[i] = context.DeadlineExceeded
	}
	for range addresses {
		select {
		case r := <-arrived:
			values[r.i], errs[r.i] = r.value, r.err
			if r.err == nil {
				enough--
			}
			if enough == 0 {
				return values, errs
			}
		case <-ctx.Done():
			return values, errs
		}
	}
	return values, errs
}
