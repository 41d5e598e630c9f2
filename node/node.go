// Package node puts one running node together: the rules, the adapters in front of them, the routes,
// health and drain. The commands, the tests of the API and the tests of the console use the same
// node.
//
// New creates all parts in the order of their dependencies. Nothing runs yet except the checks of
// open connections. Start connects the node with the others and makes it decide which users are
// online. Serve accepts connections until its context ends, and then drains. Close ends what is left.
//
// To add a rule, create it in newRules. To add an adapter, create it in New, and its paths in routes.
package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"rollcall/console"
	"rollcall/graph"
	"rollcall/graph/auth"
	"rollcall/graph/transport"
	"rollcall/internal/admission"
	"rollcall/internal/appconnections"
	"rollcall/internal/appmetrics"
	"rollcall/internal/bus"
	"rollcall/internal/clientaddr"
	"rollcall/internal/database"
	"rollcall/internal/operators"
	"rollcall/internal/outage"
	"rollcall/internal/ratelimit"
	"rollcall/internal/redis"
	"rollcall/internal/retention"
	"rollcall/internal/sealed"
	"rollcall/internal/servertls"
	"rollcall/internal/token"
	"rollcall/internal/tracing"
	"rollcall/internal/trusted"
	"rollcall/internal/vitals"
	"rollcall/management"
)

// Config is what a node is made of. DB, Logger and Clock are required.
type Config struct {
	// DB has the current schema. The caller closes it after the node.
	DB *database.DB
	// Redis connects the nodes of a service. If nil, this is the only node. The caller closes it
	// after the node.
	Redis  *redis.Client
	Logger *slog.Logger
	// Clock is time.Now except in tests.
	Clock func() time.Time
	// Version is the release, for the console.
	Version string
	// MetricsApps is how many apps have metrics of their own. If 0, apps have none.
	MetricsApps int
	// Tracer records traces. If nil, there are none. The caller closes it after the node.
	Tracer *tracing.Tracer
	// TokenKey has the configured keys that sign tokens. If empty, they are stored in the database.
	TokenKey string
	// AuditRetention is how long the audit's entries are stored. If 0, they are never deleted.
	AuditRetention time.Duration
	// SecondFactor is which operators must have a second factor.
	SecondFactor operators.Requirement
	// SSO is how operators log in at an OpenID Provider, or nil if they do not.
	SSO *operators.SSO
	// SubscriptionLinger is how long status subscriptions outlive the user's last device. If 0, it
	// is subscriptions.DefaultLinger.
	SubscriptionLinger time.Duration
	// WebhookAllowPrivate allows webhook endpoints with http URLs, and with addresses that are not
	// public.
	WebhookAllowPrivate bool

	// TLS has the certificate of the public address and the console's. If nil, they serve plain HTTP.
	TLS *servertls.Source
	// Addresses finds the clients' addresses. If nil, no proxy is trusted.
	Addresses *clientaddr.Resolver
	// ConsoleApart takes the console off the public address; it has a listener of its own.
	ConsoleApart bool
	// ConsoleURL is the console's address in browsers without a path. If "", it is that of each
	// request.
	ConsoleURL string
	// OpsHosts are the host names of the operators' own address, besides IP addresses and localhost.
	OpsHosts []string

	// Rates limits the rates of users. If nil, the limits are those of production, counted in Redis
	// or, without Redis, in this process.
	Rates ratelimit.Limiter
	// Introspection reports whether clients may request the schema.
	Introspection bool
	// PersistedQueries reports whether clients may send the hash of a document in its place.
	PersistedQueries bool
	// TrustedDocuments is the path of the files with the documents to which apps restrict their users,
	// or "" for none.
	TrustedDocuments string
	// MaxResponse limits a response, in bytes. If 0, it is graph.DefaultMaxResponse.
	MaxResponse int
	// OperationTimeout limits the time of an operation. If 0, it is graph.DefaultTimeout.
	OperationTimeout time.Duration
	// HeartbeatTimeout is how long a WebSocket's client may be silent. If 0, it is 400 s.
	HeartbeatTimeout time.Duration
	// PingInterval is the maximum time between two pings of a WebSocket's client, and between two
	// comments in an SSE stream. If 0, it is 25 s.
	PingInterval time.Duration
	// AllowedOrigins are the origins of other sites that may use the API; "*" means all.
	AllowedOrigins []string
	// ConnectionsPerAddress is how many WebSockets and streams a client address may have open. If
	// 0, there is no limit.
	ConnectionsPerAddress int

	// ConnectsPerAddress is how many WebSockets and streams a client address may open in a second. If
	// 0, there is no limit.
	ConnectsPerAddress int
	// AppRates limits apps.
	AppRates graph.AppRates
	// MaxRequests is how many operations with a token may be executed at the same time, and
	// MaxRequestsPerApp how many of an app's users, and of its App Server. If 0, there is no limit.
	MaxRequests, MaxRequestsPerApp int

	// ScrubInterval is the time between two removals of deleted data from SQLite's files. If 0, it
	// is 5 s.
	ScrubInterval time.Duration

	// LoginFailureTime is the time that a failed login of an operator takes. If 0, it is
	// operators.FailureTime.
	LoginFailureTime time.Duration

	// AdjustTransport and AdjustConsole are for tests. If set, they change what the adapter is made
	// of, to shorten its limits or to replace a rule.
	AdjustTransport func(*transport.Config)
	AdjustConsole   func(*console.Deps)
}

// Node is one node of the service.
type Node struct {
	Rules
	// Keys sign and verify tokens. Serve makes them follow the stored keys.
	Keys *token.Keys
	// Resolver and Executor execute operations, which GraphQL receives.
	Resolver *graph.Resolver
	Executor *graph.Executor
	GraphQL  *transport.Server
	// Public, Console and Ops serve the listeners of the same names.
	Public, Console, Ops http.Handler

	cfg     Config
	events  *bus.Bus
	link    *bus.Link // nil before Start, and without Redis
	health  *health
	vitals  *vitals.Node
	sweeper *retention.Sweeper
	trusted *trusted.Store // nil without trusted documents
	started bool           // presence runs
	drained bool
	// endReports ends the node's reports to the others; nil while there are none.
	endReports func()
}

// New puts a node together. The caller must close it. Returns an error if the token keys cannot be
// read or, in a new database, created.
func New(ctx context.Context, cfg Config) (*Node, error) {
	if cfg.Addresses == nil {
		cfg.Addresses = clientaddr.New(nil)
	}
	keys, err := token.OpenKeys(ctx, cfg.DB, cfg.TokenKey, cfg.Clock)
	if err != nil {
		return nil, err
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "rollcall_build_info", Help: "Always 1; the label is the release.",
			ConstLabels: prometheus.Labels{"version": cfg.Version},
		}, func() float64 { return 1 }))
	cfg.DB.Observe(metrics)
	if cfg.TLS != nil {
		cfg.TLS.Observe(metrics)
	}
	if cfg.Tracer != nil {
		cfg.Tracer.Observe(metrics)
		if err := cfg.DB.Trace(); err != nil {
			return nil, err
		}
	}
	n := &Node{cfg: cfg, Keys: keys, events: new(bus.Bus)}

	// The rules.
	n.Rules = newRules(&n.cfg, keys, n.events, metrics)
	if err := n.Webhooks.Start(ctx); err != nil {
		return nil, err
	}
	unopened, keyErr, err := n.Operators.Start(ctx)
	if err != nil {
		return nil, err
	}
	if unopened > 0 {
		cfg.Logger.WarnContext(ctx, "secrets of authenticator apps cannot be decrypted; their operators need recovery codes on this node",
			"operators", unopened, "error", keyErr)
	}
	n.sweeper = retention.New(cfg.DB, cfg.Clock, cfg.Logger, expiring(n.Audit, cfg.AuditRetention)...)

	// The GraphQL adapter.
	rates, refusals := cfg.rates(), admission.NewRefusals(metrics)
	perApp := appmetrics.New(cfg.MetricsApps, cfg.Clock, n.keyOfApp)
	if perApp != nil {
		metrics.MustRegister(perApp)
	}
	n.Resolver = graph.NewResolver(graph.Deps{
		Apps: n.Apps, Users: n.Users, Relations: n.Relations, Subscriptions: n.Subscriptions, Presence: n.Presence,
		Webhooks: n.Webhooks, Rates: rates, AppRates: cfg.AppRates, Refusals: refusals, Clock: cfg.Clock,
	})
	n.Executor = graph.NewExecutor(n.Resolver, graph.Options{
		Introspection: cfg.Introspection,
		MaxResponse:   cfg.MaxResponse,
		Timeout:       cfg.OperationTimeout,
		Metrics:       metrics,
		Apps:          perApp,
		Logger:        cfg.Logger,
	})
	if cfg.TrustedDocuments != "" {
		if n.trusted, err = trusted.Open(cfg.TrustedDocuments, n.Executor.CheckDocument, cfg.Logger); err != nil {
			return nil, fmt.Errorf("reading trusted documents: %w", err)
		}
	}
	transports := transport.Config{
		Executor:         n.Executor,
		Present:          n.Executor.Present,
		Auth:             &auth.Authenticator{Users: n.Users},
		Presence:         n.Presence,
		Clock:            cfg.Clock,
		AllowedOrigins:   cfg.AllowedOrigins,
		HeartbeatTimeout: cfg.HeartbeatTimeout,
		PingInterval:     cfg.PingInterval,
		PersistedQueries: cfg.PersistedQueries,
		Trusted:          n.trusted,
		Logger:           cfg.Logger,
		Metrics:          metrics,
		Tracer:           cfg.Tracer,
		Apps:             perApp,
		SharedByAll:      graph.SharedByAll,
		LimitConnects:    n.Resolver.LimitConnects,
		Connections:      appconnections.NewNode(cfg.DB, appconnections.NodeName()),

		ConnectionsPerAddress: cfg.ConnectionsPerAddress,
		ConnectsPerAddress:    cfg.ConnectsPerAddress,
		Refusals:              refusals,
		MaxRequests:           cfg.MaxRequests,
		MaxRequestsPerApp:     cfg.MaxRequestsPerApp,
		ClientAddress:         cfg.Addresses.Address,
	}
	if cfg.AppRates.Connects > 0 {
		transports.AwaitConnect = n.Resolver.AwaitConnect
	}
	if cfg.AdjustTransport != nil {
		cfg.AdjustTransport(&transports)
	}
	n.GraphQL = transport.New(transports)
	n.events.OnAppChanged(func(context.Context, bus.AppChanged) { n.GraphQL.CheckAppLinks() })
	n.Connections.OnClosing(n.GraphQL.CheckAppLinks)

	// The console.
	n.vitals = vitals.New(vitals.Config{
		DB: cfg.DB, Redis: cfg.Redis, Name: appconnections.NodeName(), Version: cfg.Version,
		Devices: n.Presence.DeviceCount, Logger: cfg.Logger, Clock: cfg.Clock,
	})
	metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_database_usable", Help: "Whether the database responds: 1 or 0.",
	}, func() float64 {
		if n.vitals.Health().Database.Away {
			return 0
		}
		return 1
	}))
	pages := console.Deps{
		Operators:      n.Operators,
		Apps:           n.Apps,
		Audit:          n.Audit,
		AuditRetention: cfg.AuditRetention,
		Users:          n.Users.ForOperators(),
		Relations:      n.Relations,
		Subscriptions:  n.Subscriptions,
		Presence:       n.Presence,
		Connections:    n.Connections,
		Webhooks:       n.Webhooks,
		Figures:        n.Figures,
		Node:           n.vitals,
		Jobs:           n.Jobs,
		Trusted:        n.trusted,
		Health:         n.vitals.Health,
		Sealed:         sealed.New(cfg.DB, cfg.Clock),
		Logger:         cfg.Logger,
		URL:            cfg.ConsoleURL,
		APIPath:        management.Path,
		ClientAddress:  cfg.Addresses.Address,
		Secure:         cfg.Addresses.Secure,
		Clock:          cfg.Clock,
		PageTime:       console.PageTime,
		MaxLag:         cfg.DB.MaxLag(),
	}
	if cfg.AdjustConsole != nil {
		cfg.AdjustConsole(&pages)
	}

	// The management API.
	api := management.New(management.Deps{
		Apps: n.Apps, Operators: n.Operators, Audit: n.Audit, Webhooks: n.Webhooks, Rates: rates,
		Logger: cfg.Logger, Clock: cfg.Clock, ClientAddress: cfg.Addresses.Address, InvitationLink: pages.InvitationLink,
	})

	// Health, and the routes to all of this.
	n.health = &health{db: cfg.DB, keys: keys, audit: n.Audit, outages: outage.NewLog(cfg.Logger)}
	if cfg.Redis != nil {
		n.health.redis = newRedisHealth(cfg.Redis, metrics, cfg.Logger)
	}
	n.route(console.New(pages), api, metrics)
	return n, nil
}

// keyOfApp returns the key of the app with that apps.id, or "" if there is none.
func (n *Node) keyOfApp(ctx context.Context, id int64) (string, error) {
	app, err := n.Apps.ByID(ctx, id)
	if err != nil || app == nil {
		return "", err
	}
	return app.Key, nil
}

// rates returns what limits the rates of users.
func (c *Config) rates() ratelimit.Limiter {
	switch {
	case c.Rates != nil:
		return c.Rates
	case c.Redis != nil:
		return ratelimit.NewShared(c.Redis, c.Logger)
	}
	return ratelimit.NewLocal(c.Clock)
}
