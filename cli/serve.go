package cli

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"rollcall/graph"
	"rollcall/internal/clientaddr"
	"rollcall/internal/database"
	"rollcall/internal/operators"
	"rollcall/internal/ratelimit"
	"rollcall/internal/redis"
	"rollcall/internal/servertls"
	"rollcall/internal/tracing"
	"rollcall/node"
)

// Tests shorten these.
var (
	// otherServerWait is how long a start waits for another server on the database to end. It is
	// longer than the database needs to end the session of a machine that lost power.
	otherServerWait = 15 * time.Second
	// scrubInterval is node.Config.ScrubInterval.
	scrubInterval time.Duration
)

type serveCommand struct {
	serveSettings
	NoMigrate bool `help:"Refuse to start on an old schema instead of migrating it."`
}

// Run serves until ctx ends and then drains.
func (c *serveCommand) Run(ctx context.Context, s *settings, streams *Streams, parsed *kong.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	proxies, err := networks("ROLLCALL_TRUSTED_PROXIES", c.TrustedProxies)
	if err != nil {
		return err
	}
	tracer, log, err := c.Traces.open(ctx, s.logger(streams))
	if err != nil {
		return err
	}
	defer closeTracer(ctx, tracer)
	certificate, err := c.certificate(log)
	if err != nil {
		return err
	}
	warnOfUnknown(log, streams.Environment, parsed.Model.Node)
	if err := c.checkReplica(s.DatabaseURL); err != nil {
		return err
	}
	db, err := s.connect(ctx, log)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := warnOfExposed(log, db); err != nil {
		return err
	}
	if c.RedisURL == "" {
		unlock, err := node.LockDatabase(ctx, db, otherServerWait, log)
		if err != nil {
			return err
		}
		defer unlock()
	}
	if c.NoMigrate {
		err = checkSchema(ctx, db)
	} else {
		err = migrate(ctx, db, log)
	}
	if err != nil {
		return err
	}
	if err := c.useReplica(ctx, db, log); err != nil {
		return err
	}
	shared, err := c.openRedis(log)
	if err != nil {
		return err
	}
	if shared != nil {
		defer shared.Close()
	}
	cfg := c.config(db, shared, clientaddr.New(proxies), certificate, log)
	cfg.Tracer = tracer
	n, err := node.New(ctx, cfg)
	if err != nil {
		return err
	}
	// Serve reports what it could not end. If the start fails, nothing has been lost.
	defer func() { _ = n.Close(context.WithoutCancel(ctx)) }()
	open, err := c.listen()
	if err != nil {
		return err
	}
	defer open.Close()
	if shared != nil {
		if err := n.Join(ctx, open.Public.Addr().String(), otherServerWait); err != nil {
			return err
		}
	}
	first := &firstStart{apps: n.Apps, operators: n.Operators, demo: c.demo(s.DatabaseURL), out: streams.Out}
	if err := first.run(ctx, c.AdminPassword); err != nil {
		return err
	}
	if err := n.Start(ctx); err != nil {
		return err
	}
	scheme := "http"
	if certificate != nil {
		scheme = "https"
	}
	base, consoleBase := urlOf(scheme, open.Public), urlOf(scheme, cmp.Or(open.Console, open.Public))
	log.Info("serving", "url", base, "console", consoleBase+"/console/", "ops", urlOf("http", open.Ops), "database", db.String(), "redis", redisName(shared), "version", Version)
	warnOfPublic(log, open, certificate != nil)
	if err := first.end(ctx, base, cmp.Or(c.ConsoleURL, consoleBase)); err != nil {
		log.Warn("the console's address cannot be printed", "error", err)
	}
	// Migrating and hashing the first password need memory that is not needed afterwards, and the
	// runtime would keep most of it for a long time.
	go debug.FreeOSMemory()
	paceCollections()
	return n.Serve(ctx, open, node.Drain{Delay: c.DrainDelay, Timeout: c.DrainTimeout})
}

// closeTracer ends the tracer after the node, which has exported its spans.
func closeTracer(ctx context.Context, tracer *tracing.Tracer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = tracer.Close(ctx) // what is left is lost
}

// config returns the configuration of a node, from the settings.
func (c *serveCommand) config(db *database.DB, shared *redis.Client, addresses *clientaddr.Resolver, certificate *servertls.Source, log *slog.Logger) node.Config {
	var rates ratelimit.Limiter
	if c.RateLimits == "off" {
		log.Warn("ROLLCALL_RATE_LIMITS is off; the rates of users are not limited")
		rates = ratelimit.Unlimited{}
	}
	return node.Config{
		DB:                 db,
		Redis:              shared,
		Logger:             log,
		Clock:              clock,
		Version:            Version,
		TokenKey:           c.TokenKey,
		AuditRetention:     c.AuditRetention,
		ConsoleURL:         c.ConsoleURL,
		SecondFactor:       operators.Requirement(c.SecondFactor),
		SSO:                c.sso(log),
		SubscriptionLinger: c.SubscriptionLinger,

		WebhookAllowPrivate: c.WebhookAllowPrivate,

		TLS:          certificate,
		Addresses:    addresses,
		ConsoleApart: c.ConsoleListen != "",
		OpsHosts:     c.opsHosts(),
		MetricsApps:  c.MetricsApps,

		Rates:                 rates,
		Introspection:         c.Introspection == "on",
		PersistedQueries:      c.PersistedQueries == "on",
		TrustedDocuments:      c.TrustedDocuments,
		MaxResponse:           c.MaxResponseSize,
		HeartbeatTimeout:      c.HeartbeatTimeout,
		PingInterval:          c.PingInterval,
		AllowedOrigins:        c.AllowedOrigins,
		ConnectionsPerAddress: c.ConnectionsPerAddr,
		ConnectsPerAddress:    c.ConnectsPerAddr,
		AppRates:              graph.AppRates{Registrations: c.RegistrationRate, Connects: c.ConnectsPerApp},
		MaxRequests:           c.MaxRequests,
		MaxRequestsPerApp:     c.MaxRequestsPerApp,

		ScrubInterval: scrubInterval,
	}
}

// opsHosts returns the host names of the operators' own address: those of the setting, and the one
// on which it listens.
func (s *serveSettings) opsHosts() []string {
	hosts := slices.Clone(s.OpsHosts)
	if host, _, err := net.SplitHostPort(s.OpsListen); err == nil && host != "" {
		hosts = append(hosts, host)
	}
	return hosts
}

// certificate returns the certificate that is served, or nil if clients use plain HTTP.
func (s *serveSettings) certificate(log *slog.Logger) (*servertls.Source, error) {
	files, serves := s.TLS.files()
	if !serves {
		return nil, nil
	}
	certificate, err := servertls.Open(files, log)
	if err != nil {
		return nil, usageError{err}
	}
	return certificate, nil
}

// redisName returns the URL of the nodes' Redis without its password, for the log.
func redisName(shared *redis.Client) string {
	if shared == nil {
		return "none: the only node"
	}
	return shared.String()
}

// openRedis returns the Redis of a service with several nodes, or nil if there is only one node.
func (c *serveCommand) openRedis(log *slog.Logger) (*redis.Client, error) {
	if c.RedisURL == "" {
		return nil, nil
	}
	return redis.OpenWith(c.RedisURL, redis.Options{TLS: c.redisTLS(), Log: log, Trace: c.Traces.URL != ""})
}
