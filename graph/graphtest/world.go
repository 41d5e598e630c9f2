// Package graphtest tests the API: it runs a complete node on a real database behind real HTTP,
// with prepared apps and users, and scenarios as data (the caller, the request, the expected
// response and events).
package graphtest

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"rollcall/graph"
	"rollcall/graph/transport"
	"rollcall/internal/appconnections"
	"rollcall/internal/apps"
	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/presence"
	"rollcall/internal/presence/status"
	"rollcall/internal/ratelimit"
	"rollcall/internal/redis"
	"rollcall/internal/relations"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/internal/tracing"
	"rollcall/internal/users"
	"rollcall/internal/webhooks"
	"rollcall/models"
	"rollcall/node"
)

// World is one node with two apps: App, and Other, which must not be able to see or change anything
// of App.
type World struct {
	T         *testing.T
	DB        *database.DB
	Apps      *apps.Service
	Users     *users.Service
	Relations *relations.Service
	Webhooks  *webhooks.Service
	Presence  *presence.Hub
	// Connections are the connections of App Servers.
	Connections *appconnections.Service
	Executor    *graph.Executor
	// Stock is an executor without package selection, for comparisons.
	Stock *graph.Executor
	Clock *Clock
	// Log has everything that the node has logged.
	Log *testenv.Log
	// URL is the address of the GraphQL path.
	URL string
	// Adjust, if set, changes the transports of a node before it starts. With Restart, it applies
	// to the next node.
	Adjust func(*transport.Config)
	// MaxResponse is the option of the executors. Restart applies it.
	MaxResponse int
	// Timeout is the option of the executors. Restart applies it.
	Timeout time.Duration
	// Rates limit the rates of users after the next Restart. If nil, the limits are those of
	// production, with Clock or with the clock of Redis.
	Rates ratelimit.Limiter
	// AppRates limit apps after the next Restart.
	AppRates graph.AppRates
	// Tracer records traces after the next Restart. If nil, there are none.
	Tracer *tracing.Tracer
	// Keys sign the tokens. Changes of the stored keys take effect only when they are read again,
	// after which CheckTokens must be called.
	Keys        *token.Keys
	CheckTokens func()
	// App is a FLAGSHIP app, DEVELOPMENT, with all switches on. Other has the same settings.
	App, Other Tenant

	// redis connects the node to others. If nil, it is the only node.
	redis *redis.Client
	// subscribers are the subscribers of the running node by name.
	subscribers map[string][]*Live

	stop func() // stops the node; may be called once
}

// Tenant is an app with its secret.
type Tenant struct {
	*models.App
	Secret string
}

// Each runs test in a new world on each kind of database.
func Each(t *testing.T, test func(w *World)) {
	t.Helper()
	testenv.Each(t, func(t *testing.T, db *database.DB) { test(New(t, db)) })
}

// New returns a world on db, which is stopped when the test ends.
func New(t *testing.T, db *database.DB) *World {
	t.Helper()
	w := &World{T: t, DB: db, Clock: &Clock{}, Log: &testenv.Log{}}
	w.start()
	w.App, w.Other = w.Tenant("app"), w.Tenant("other")
	return w
}

// NewNodes returns several nodes of one service on db, each as a world with the same apps.
func NewNodes(t *testing.T, db *database.DB, count int) []*World {
	t.Helper()
	return NewNodesAt(t, db, testenv.RedisURL(t), count)
}

// NewNodesAt is NewNodes with the Redis at that URL.
func NewNodesAt(t *testing.T, db *database.DB, url string, count int) []*World {
	t.Helper()
	service := testenv.Service()
	nodes := make([]*World, count)
	for i := range nodes {
		w := &World{T: t, DB: db, Clock: &Clock{}, Log: &testenv.Log{}, redis: testenv.OpenRedis(t, url, service)}
		nodes[i] = w
		if i == 0 {
			w.start()
			w.App, w.Other = w.Tenant("app"), w.Tenant("other")
			continue
		}
		w.App, w.Other, w.Clock = nodes[0].App, nodes[0].Other, nodes[0].Clock
		w.start()
	}
	return nodes
}

// Restart stops the node and starts another on the same database, which knows only what is stored
// there.
func (w *World) Restart() {
	w.T.Helper()
	w.stop()
	w.start()
}

// start starts the node.
func (w *World) start() {
	w.T.Helper()
	w.subscribers = make(map[string][]*Live)
	ctx := context.Background()
	log := slog.New(slog.NewJSONHandler(w.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	n, err := node.New(ctx, node.Config{
		DB: w.DB, Redis: w.redis, Logger: log, Clock: w.Clock.Now,
		Rates: w.Rates, AppRates: w.AppRates, Introspection: true, PersistedQueries: true, MaxResponse: w.MaxResponse, OperationTimeout: w.Timeout,
		AdjustTransport: w.Adjust, Tracer: w.Tracer,
	})
	if err != nil {
		w.T.Fatal(err)
	}
	w.Apps, w.Users, w.Relations, w.Presence, w.Connections = n.Apps, n.Users, n.Relations, n.Presence, n.Connections
	w.Webhooks = n.Webhooks
	w.Keys, w.CheckTokens = n.Keys, n.GraphQL.CheckTokens
	w.Executor = n.Executor
	w.Stock = graph.NewExecutor(n.Resolver, graph.Options{Introspection: true, Logger: log, MaxResponse: w.MaxResponse, Stock: true})
	front := httptest.NewServer(n.Public)
	w.URL = front.URL + "/graphql"
	w.stop = sync.OnceFunc(func() {
		ending, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := n.GraphQL.Shutdown(ending); err != nil {
			w.T.Errorf("shutting down: %v", err)
		}
		front.Close()
		if err := n.Close(ending); err != nil {
			w.T.Errorf("closing the node: %v", err)
		}
	})
	w.T.Cleanup(w.stop)
	if err := n.Start(ctx); err != nil {
		w.T.Fatal(err)
	}
	if err := n.Settle(ctx); err != nil {
		w.T.Fatal(err)
	}
}

// Tenant creates a FLAGSHIP DEVELOPMENT app with all status switches on.
func (w *World) Tenant(name string) Tenant {
	w.T.Helper()
	settings := models.DefaultAppSettings()
	settings.StatusQueryEnabled, settings.FriendStatusNotifyEnabled = true, true
	app, secret, err := w.Apps.Create(context.Background(), apps.NewApp{
		Name: name, Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship, Settings: &settings,
	}, models.Actor{})
	if err != nil {
		w.T.Fatal(err)
	}
	return Tenant{app, secret}
}

// Set changes settings of w.App.
func (w *World) Set(values map[string]string) {
	w.T.Helper()
	if _, err := w.Apps.Set(context.Background(), w.App.Key, values, models.Actor{Name: "test"}); err != nil {
		w.T.Fatal(err)
	}
}

// Register creates a user of the tenant, named like its ID, and returns its token.
func (w *World) Register(tenant Tenant, id string) string {
	w.T.Helper()
	r, err := w.Users.Register(context.Background(), tenant.App, users.Registration{ID: id, Name: id})
	if err != nil {
		w.T.Fatal(err)
	}
	return r.Token
}

// AppToken returns an app token of the tenant.
func (w *World) AppToken(tenant Tenant) string {
	w.T.Helper()
	text, _, err := w.Apps.IssueToken(context.Background(), tenant.Key, tenant.Secret, time.Hour)
	if err != nil {
		w.T.Fatal(err)
	}
	return text
}

// Devices returns the devices of a user.
func (w *World) Devices(u *models.User) []models.Device {
	w.T.Helper()
	devices, err := w.Presence.Devices(context.Background(), u.ID)
	if err != nil {
		w.T.Error(err)
	}
	return devices
}

// Watch delivers changes of a user's status to sink until stop is called. If snapshot is set, it
// first delivers the present status.
func (w *World) Watch(u *models.User, sink fanout.Sink, snapshot bool) (stop func()) {
	w.T.Helper()
	stop, err := w.Presence.WatchUsers(context.Background(), []status.Account{status.AccountOf(u)}, sink, snapshot)
	if err != nil {
		w.T.Fatal(err)
	}
	return stop
}

// Clock is a clock that stands still until a test advances it.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
}

// Now returns the time: a fixed moment plus the durations that have passed.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Date(2026, 11, 20, 8, 15, 30, 123_000_000, time.UTC).Add(c.offset)
}

// Pass advances the clock.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}
