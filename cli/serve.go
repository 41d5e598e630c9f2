package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"rollcall/console"
	"rollcall/graph"
	"rollcall/graph/auth"
	"rollcall/graph/transport"
	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/clientaddr"
	"rollcall/internal/connections"
	"rollcall/internal/database"
	"rollcall/internal/figures"
	"rollcall/internal/jobs"
	"rollcall/internal/operators"
	"rollcall/internal/outage"
	"rollcall/internal/presence"
	"rollcall/internal/ratelimit"
	"rollcall/internal/redis"
	"rollcall/internal/relations"
	"rollcall/internal/retention"
	"rollcall/internal/throttle"
	"rollcall/internal/token"
	"rollcall/internal/users"
	"rollcall/internal/vitals"
)

// What the HTTP server grants a client before it is known.
const (
	maxHeaderBytes    = 16<<10 - 4<<10 // net/http grants 4 KiB more
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second // WebSockets and SSE streams have deadlines of their own
	idleTimeout       = 120 * time.Second
)

type serveCommand struct {
	serveSettings
	NoMigrate bool `help:"Refuse to start on an old schema instead of changing it."`
}

// Run serves until ctx ends, and then drains.
func (c *serveCommand) Run(ctx context.Context, s *settings, streams *Streams, parsed *kong.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	proxies, err := networks("ROLLCALL_TRUSTED_PROXIES", c.TrustedProxies)
	if err != nil {
		return err
	}
	log := s.logger(streams)
	warnOfUnknown(log, streams.Environment, parsed.Model.Node)
	db, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := warnOfExposed(log, db); err != nil {
		return err
	}
	if c.RedisURL == "" {
		end, err := standAlone(ctx, db, log)
		if err != nil {
			return err
		}
		defer end()
	}
	if c.NoMigrate {
		err = checkSchema(ctx, db)
	} else {
		err = db.Migrate(ctx)
	}
	if err != nil {
		return err
	}
	defer scrub(ctx, db, log)()
	shared, err := c.openRedis()
	if err != nil {
		return err
	}
	if shared != nil {
		defer shared.Close()
	}
	srv, err := c.newServer(ctx, db, shared, clientaddr.New(proxies), log)
	if err != nil {
		return err
	}
	// A start that fails below must not leave the checks of connections running on a closed database.
	// After run this does nothing.
	defer func() { _ = srv.graphql.Shutdown(context.WithoutCancel(ctx)) }()
	defer srv.link()()
	open, err := c.listen()
	if err != nil {
		return err
	}
	defer open.close()
	first := &firstStart{apps: srv.apps, operators: srv.operators, out: streams.Out}
	if err := first.run(ctx, c.AdminPassword); err != nil {
		return err
	}
	if err := srv.presence.Start(ctx); err != nil {
		return err
	}
	defer srv.work(ctx)()
	base, consoleBase := urlOf(open.public), open.consoleURL()
	log.Info("serving", "url", base, "console", consoleBase+"/console/", "ops", urlOf(open.ops), "database", db.String(), "version", Version)
	open.warn(log)
	if err := first.end(ctx, base, consoleBase); err != nil {
		log.Warn("the console's address cannot be printed", "error", err)
	}
	// Migrating and hashing the first password take memory that nothing needs
	// afterwards, and the runtime would keep most of it for a long time.
	go debug.FreeOSMemory()
	paceCollections()
	return srv.run(ctx, open, c.DrainTimeout)
}

// server is one node: the rules, and the adapters in front of them.
type server struct {
	log       *slog.Logger
	db        *database.DB
	bus       *bus.Bus
	redis     *redis.Client // nil: there is one node
	apps      *apps.Service
	operators *operators.Service
	presence  *presence.Hub
	figures   *figures.Recorder
	sweeper   *retention.Sweeper
	jobs      *jobs.Service
	graphql   *transport.Server
	health    *health
	// public, console and ops serve the listeners of these names.
	public, console, ops http.Handler
	keys                 *token.Keys
}

func (c *serveCommand) newServer(ctx context.Context, db *database.DB, shared *redis.Client, addresses *clientaddr.Resolver, log *slog.Logger) (*server, error) {
	keys, err := token.OpenKeys(ctx, db, c.TokenKey, clock)
	if err != nil {
		return nil, err
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	db.Observe(metrics)

	events := &bus.Bus{}
	attempts := throttle.New(clock)
	if shared != nil {
		attempts = throttle.NewShared(shared, clock, log)
	}
	appRules := apps.New(db, events, keys, clock).Limiting(attempts)
	auditLog := audit.New(db, clock)
	relationRules := relations.New(db, events, keys.Secret(), clock)
	hub := presence.New(db, events, presence.Options{
		Clock: clock, SubscriptionLinger: c.SubscriptionLinger, Logger: log, Metrics: metrics, Redis: shared,
		RevokedSince: auditLog.RevokedSince, Secret: keys.Secret(),
	})
	rates := c.rates(shared, log)
	userRules := users.New(db, events, keys, users.Erasers{relationRules, hub}, clock)
	userRules.Observe(metrics)
	operatorRules := operators.New(db, clock).Limiting(attempts, operators.FailureTime)
	exec := graph.NewExecutor(graph.NewResolver(appRules, userRules, relationRules, hub, rates, clock), graph.Options{
		Introspection: c.Introspection == "on",
		MaxResponse:   c.MaxResponseSize,
		Metrics:       metrics,
		Logger:        log,
	})
	gql := transport.New(transport.Config{
		Executor:         exec,
		Present:          exec.Present,
		Auth:             &auth.Authenticator{Users: userRules},
		Presence:         hub,
		Clock:            clock,
		AllowedOrigins:   c.AllowedOrigins,
		HeartbeatTimeout: c.HeartbeatTimeout,
		PersistedQueries: c.PersistedQueries == "on",
		Logger:           log,
		Metrics:          metrics,
		SharedByAll:      graph.SharedByAll,
		LimitConnects:    graph.LimitConnects(rates),
		Connections:      connections.NewNode(db, connections.NodeName()),

		ConnectionsPerAddress: c.ConnectionsPerAddr,
		ClientAddress:         addresses.Address,
	})
	events.OnAppChanged(func(context.Context, bus.AppChanged) { gql.CheckAppLinks() })
	appConnections := connections.New(db, events, clock)
	appConnections.OnClosing(gql.CheckAppLinks)
	recorder := figures.New(db, hub.OnlineCount, clock, log)
	longWork := jobs.New(db, log, clock)
	h := &health{db: db, keys: keys, outages: outage.NewLog(log)}
	if shared != nil {
		h.redis = newRedisHealth(shared, metrics, log)
	}
	pages := console.New(console.Deps{
		Operators:     operatorRules,
		Apps:          appRules,
		Audit:         auditLog,
		Users:         userRules.ForOperators(),
		Relations:     relationRules,
		Presence:      hub,
		Connections:   appConnections,
		Figures:       recorder,
		Node:          vitals.New(db, hub.DeviceCount, Version, clock),
		Jobs:          longWork,
		Logger:        log,
		ClientAddress: addresses.Address,
		Secure:        addresses.Secure,
		Clock:         clock,
	})
	withConsole := routes(gql, exec, pages, h, c.Introspection == "on")
	public := withConsole
	if c.ConsoleListen != "" {
		public = routes(gql, exec, nil, h, c.Introspection == "on")
	}
	proxies := &proxyWarning{addresses: addresses, log: log}
	return &server{
		log: log, db: db, bus: events, redis: shared, apps: appRules, operators: operatorRules, presence: hub, figures: recorder,
		sweeper: retention.New(db, clock, log, slices.Concat(relations.Expiring(), jobs.Expiring(), operators.Expiring(), audit.Expiring(c.AuditRetention))...),
		jobs:    longWork, graphql: gql, health: h,
		public:  withHeaders(proxies.around(public), addresses.Secure),
		console: withHeaders(proxies.around(withConsole), addresses.Secure),
		ops:     withHeaders(opsRoutes(metrics, c.opsHosts()), addresses.Secure),
		keys:    keys,
	}, nil
}

// rates returns what limits the rates of users.
func (c *serveCommand) rates(shared *redis.Client, log *slog.Logger) ratelimit.Limiter {
	switch {
	case c.RateLimits == "off":
		log.Warn("ROLLCALL_RATE_LIMITS is off; the rates of users are not limited")
		return ratelimit.Unlimited{}
	case shared != nil:
		return ratelimit.NewShared(shared, log)
	}
	return ratelimit.NewLocal(clock)
}

// openRedis returns the Redis of a service of several nodes, or nil if there is one node.
func (c *serveCommand) openRedis() (*redis.Client, error) {
	if c.RedisURL == "" {
		return nil, nil
	}
	return redis.OpenTLS(c.RedisURL, c.redisTLS())
}

// link connects this node's bus with the other nodes'; end does the contrary.
func (s *server) link() (end func()) {
	if s.redis == nil {
		return func() {}
	}
	return bus.NewLink(s.bus, s.redis, s.log).Close
}

// work starts what runs all the time: figures are recorded, expired rows deleted, Redis is checked, and
// token keys followed. end waits until none of it uses the database any more.
func (s *server) work(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { s.figures.Run(ctx) })
	running.Go(func() { s.sweeper.Run(ctx) })
	if s.health.redis != nil {
		running.Go(func() { s.health.redis.run(ctx) })
	}
	// Tokens are verified until the last request has been answered.
	following, unfollow := context.WithCancel(context.WithoutCancel(ctx))
	running.Go(func() { s.keys.Follow(following, s.log, s.graphql.CheckTokens) })
	return func() {
		cancel()
		unfollow()
		running.Wait()
	}
}

// run serves on all listeners until ctx ends or one of them fails, and then
// drains: not ready, no new connections, running requests end, sockets close
// with 1012, and everyone's status is written.
func (s *server) run(ctx context.Context, open *listeners, drain time.Duration) error {
	failed := make(chan error, 3)
	serve := func(srv *http.Server, l net.Listener) {
		if l != nil {
			go func() { failed <- srv.Serve(l) }()
		}
	}
	public, console := s.httpServer(s.public), s.httpServer(s.console)
	serve(public, open.public)
	serve(console, open.console)
	internal := &http.Server{Handler: s.ops, ReadHeaderTimeout: readHeaderTimeout}
	serve(internal, open.ops)
	defer internal.Close()
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
		s.log.Info("draining", "timeout", drain.String())
	}
	s.health.drain()
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	return errors.Join(err, s.shutdown(patience, public, console))
}

// httpServer returns a server for clients that may be hostile.
func (s *server) httpServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// shutdown ends what is running; what has not ended when ctx does is cut.
func (s *server) shutdown(ctx context.Context, servers ...*http.Server) error {
	sockets := make(chan error, 1)
	go func() { sockets <- s.graphql.Shutdown(ctx) }()
	var requests sync.WaitGroup
	for _, srv := range servers {
		requests.Go(func() {
			if err := srv.Shutdown(ctx); err != nil {
				s.log.Warn("requests were cut at the end of the drain time-out", "error", err)
				srv.Close()
			}
		})
	}
	requests.Wait()
	if err := <-sockets; err != nil {
		s.log.Warn("connections were cut at the end of the drain time-out", "error", err)
	}
	if err := s.jobs.Close(ctx); err != nil {
		s.log.Warn("jobs were cut at the end of the drain time-out", "error", err)
	}
	// Statuses are written even when the patience is used up.
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusWriteTimeout)
	defer cancel()
	if err := s.presence.Close(writing); err != nil {
		return fmt.Errorf("writing the last statuses: %w", err)
	}
	s.log.Info("stopped")
	return nil
}

// statusWriteTimeout bounds the last write of a node that stops; what it misses
// the next start puts right.
const statusWriteTimeout = 5 * time.Second
