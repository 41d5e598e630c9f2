package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"rollcall/internal/bus"
)

// What the HTTP servers grant a client before it is known.
const (
	maxHeaderBytes    = 16<<10 - 4<<10 // net/http grants 4 KiB more
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second // WebSockets and SSE streams have deadlines of their own
	idleTimeout       = 120 * time.Second
)

// statusWriteTimeout bounds the last write of the statuses. The next start corrects those that are
// missing.
const statusWriteTimeout = 5 * time.Second

// Listeners are what a node accepts connections on. Console and Ops may be nil.
type Listeners struct{ Public, Console, Ops net.Listener }

// Close closes the listeners that are open.
func (l *Listeners) Close() {
	for _, opened := range []net.Listener{l.Public, l.Console, l.Ops} {
		if opened != nil {
			_ = opened.Close()
		}
	}
}

// Start connects the node's bus with those of the other nodes, and starts presence and the expiry of
// subscriptions.
func (n *Node) Start(ctx context.Context) error {
	if n.cfg.Redis != nil {
		n.link = bus.NewLink(n.events, n.cfg.Redis, n.cfg.Logger)
	}
	if err := n.PresenceEvents.Start(ctx); err != nil {
		return err
	}
	if err := n.Presence.Start(ctx); err != nil {
		_ = n.PresenceEvents.Close(ctx) // nothing waits
		return err
	}
	n.Subscriptions.Start()
	n.started = true
	if n.cfg.SSO != nil {
		go n.checkSSO(context.WithoutCancel(ctx))
	}
	return nil
}

// checkSSO logs if the OpenID Provider does not respond. The node serves without it, and asks again
// when an operator logs in.
func (n *Node) checkSSO(ctx context.Context) {
	if err := n.Operators.CheckSSO(ctx); err != nil {
		n.cfg.Logger.WarnContext(ctx, "operators cannot log in by SSO at present", "error", err)
	}
}

// Settle waits until the node receives the messages of the other nodes. It is for tests; a server
// may miss the first ones, and then reads again what they are about.
func (n *Node) Settle(ctx context.Context) error {
	if n.link == nil {
		return nil
	}
	return n.link.Settle(ctx)
}

// Drain is how long the end of a node takes.
type Drain struct {
	// Delay is how long the node still accepts connections once it is no longer ready, so that a
	// balancer notices before any is refused.
	Delay time.Duration
	// Timeout is how long running requests may take after that.
	Timeout time.Duration
}

// Serve serves on all listeners until ctx ends or one of them fails, and then drains: the node is not
// ready, there are no new connections after the delay, running requests end, WebSockets are closed
// with 1012, and all statuses are written.
func (n *Node) Serve(ctx context.Context, listeners *Listeners, drain Drain) error {
	end := n.work(n.cfg.Tracer.With(ctx), listeners.Public.Addr().String(), drain.Timeout)
	failed := make(chan error, 3)
	serve := func(srv *http.Server, l net.Listener) {
		switch {
		case l == nil:
		case srv.TLSConfig != nil:
			go func() { failed <- srv.ServeTLS(l, "", "") }()
		default:
			go func() { failed <- srv.Serve(l) }()
		}
	}
	public, console := n.httpServer(n.Public), n.httpServer(n.Console)
	serve(public, listeners.Public)
	serve(console, listeners.Console)
	ops := &http.Server{Handler: n.Ops, ReadHeaderTimeout: readHeaderTimeout}
	serve(ops, listeners.Ops)
	defer ops.Close()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		n.cfg.Logger.Info("draining", "delay", drain.Delay.String(), "timeout", drain.Timeout.String())
	}
	n.health.drain()
	n.vitals.Drain()
	if err == nil {
		select {
		case err = <-failed:
		case <-time.After(drain.Delay):
		}
	}
	if err != nil {
		err = fmt.Errorf("serving: %w", err)
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain.Timeout)
	defer cancel()
	err = errors.Join(err, n.shutdown(patience, public, console))
	end()
	if err := n.cfg.Tracer.Flush(patience); err != nil {
		n.cfg.Logger.Warn("the last traces were not exported within the drain time-out", "error", err)
	}
	return err
}

// Close ends a node that does not serve, or no longer does. What has not ended when ctx ends is cut.
func (n *Node) Close(ctx context.Context) (err error) {
	if !n.drained {
		err = n.shutdown(ctx)
	}
	if n.link != nil {
		n.link.Close()
	}
	if n.endReports != nil {
		n.endReports()
	}
	return err
}

// work starts what runs all the time: figures are recorded, expired rows and deleted apps removed, the audit chained, webhook events
// sent, users made ready for searches, lists of sent friend requests mended, SQLite's files scrubbed, Redis checked, token keys, the certificate and trusted documents followed, and the node
// reports itself under its address. end waits until none of it uses the database any more; attempts to send events end within drain.
func (n *Node) work(ctx context.Context, address string, drain time.Duration) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { n.sweeper.Run(ctx) })
	running.Go(func() { n.Audit.Run(ctx, n.cfg.Logger) })
	running.Go(func() { n.Apps.RunDeletions(ctx, n.cfg.Logger) })
	running.Go(func() { n.Users.RunFillSearch(ctx, n.cfg.Redis, n.cfg.Logger) })
	running.Go(func() { n.Relations.RunMendSent(ctx, n.cfg.Redis, n.cfg.Logger) })
	running.Go(func() { n.Webhooks.Run(ctx, drain) })
	if n.cfg.TLS != nil {
		running.Go(func() { n.cfg.TLS.Run(ctx) })
	}
	if n.trusted != nil {
		running.Go(func() { n.trusted.Run(ctx) })
	}
	running.Go(func() { keepScrubbed(ctx, n.cfg.DB, cmp.Or(n.cfg.ScrubInterval, defaultScrubInterval), n.cfg.Logger) })
	if n.health.redis != nil {
		running.Go(func() { n.health.redis.run(ctx) })
	}
	// Tokens are verified, decisions counted, and the node reports itself, until the last request has
	// ended.
	serving, served := context.WithCancel(context.WithoutCancel(ctx))
	running.Go(func() { n.Keys.Follow(serving, n.cfg.Logger, n.GraphQL.CheckTokens) })
	running.Go(func() { n.Figures.Run(serving) })
	if n.endReports == nil {
		n.report(ctx, address)
	}
	return func() {
		cancel()
		served()
		n.endReports()
		running.Wait()
	}
}

// httpServer returns a server for clients that may be hostile. It has a TLSConfig if it must serve TLS.
func (n *Node) httpServer(handler http.Handler) *http.Server {
	srv := &http.Server{
		Handler:           handler,
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(n.cfg.Logger.Handler(), slog.LevelDebug),
	}
	if n.cfg.TLS != nil {
		srv.TLSConfig = n.cfg.TLS.Config()
	}
	return srv
}

// shutdown ends what runs; what has not ended when ctx ends is cut.
func (n *Node) shutdown(ctx context.Context, servers ...*http.Server) error {
	n.drained = true
	log := n.cfg.Logger
	sockets := make(chan error, 1)
	go func() { sockets <- n.GraphQL.Shutdown(ctx) }()
	var requests sync.WaitGroup
	for _, srv := range servers {
		requests.Go(func() {
			if err := srv.Shutdown(ctx); err != nil {
				log.Warn("requests were cut at the end of the drain time-out", "error", err)
				srv.Close()
			}
		})
	}
	requests.Wait()
	if err := <-sockets; err != nil {
		log.Warn("connections were cut at the end of the drain time-out", "error", err)
	}
	if err := n.Jobs.Close(ctx); err != nil {
		log.Warn("jobs were cut at the end of the drain time-out", "error", err)
	}
	if !n.started {
		return nil
	}
	n.Subscriptions.Close()
	// The statuses are written even if the time is used up.
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusWriteTimeout)
	defer cancel()
	if err := errors.Join(n.Presence.Close(writing), n.PresenceEvents.Close(writing)); err != nil {
		return fmt.Errorf("writing the last statuses: %w", err)
	}
	log.Info("stopped")
	return nil
}
