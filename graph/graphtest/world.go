// Package graphtest is for tests of the API: a whole node on a real database
// behind real HTTP, prepared apps and users, and scenarios as data (who asks,
// what, what must come back).
package graphtest

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"rollcall/graph"
	"rollcall/graph/auth"
	"rollcall/graph/transport"
	"rollcall/internal/apps"
	"rollcall/internal/bus"
	"rollcall/internal/connections"
	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/presence"
	"rollcall/internal/presence/status"
	"rollcall/internal/ratelimit"
	"rollcall/internal/redis"
	"rollcall/internal/relations"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/internal/users"
	"rollcall/models"
)

// World is one node with two apps: App, and Other, from which nothing of App may
// be seen or changed.
type World struct {
	T         *testing.T
	DB        *database.DB
	Apps      *apps.Service
	Users     *users.Service
	Relations *relations.Service
	Presence  *presence.Hub
	// Connections are those of App Servers.
	Connections *connections.Service
	Executor    *graph.Executor
	// Stock is the same without package selection, to compare with.
	Stock *graph.Executor
	Clock *Clock
	// Log has all that the node has logged.
	Log *testenv.Log
	// URL is the address of the GraphQL path.
	URL string
	// Adjust, where set, changes the transports of a node before it starts: with
	// Restart, that of the next.
	Adjust func(*transport.Config)
	// MaxResponse is the executors' option, which Restart applies.
	MaxResponse int
	// Timeout is too.
	Timeout time.Duration
	// Rates limit the rates of users after the next Restart. nil: as in production, with Clock, or
	// with the clock of Redis.
	Rates ratelimit.Limiter
	// Keys sign the tokens; nothing follows changes of the stored ones, after which CheckTokens is to
	// be called.
	Keys        *token.Keys
	CheckTokens func()
	// App is FLAGSHIP, DEVELOPMENT, all switches on; Other is the same.
	App, Other Tenant

	// redis is where the node meets others; nil: it is the only one.
	redis *redis.Client

	stop func() // takes the node down; once
}

// Tenant is an app with its secret.
type Tenant struct {
	*models.App
	Secret string
}

// Each runs test in a fresh world on each kind of database.
func Each(t *testing.T, test func(w *World)) {
	t.Helper()
	testenv.Each(t, func(t *testing.T, db *database.DB) { test(New(t, db)) })
}

// New answers a world on db, taken down when the test ends.
func New(t *testing.T, db *database.DB) *World {
	t.Helper()
	w := &World{T: t, DB: db, Clock: &Clock{}, Log: &testenv.Log{}}
	w.start()
	w.App, w.Other = w.Tenant("app"), w.Tenant("other")
	return w
}

// NewNodes returns several nodes of one service on db, each a world of its own with
// the same apps.
func NewNodes(t *testing.T, db *database.DB, count int) []*World {
	t.Helper()
	return NewNodesAt(t, db, testenv.RedisURL(t), count)
}

// NewNodesAt is NewNodes with a Redis of the test's own.
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

// Restart takes the node down and starts another on the same database, which
// knows only what is in there.
func (w *World) Restart() {
	w.T.Helper()
	w.stop()
	w.start()
}

// start sets a node going.
func (w *World) start() {
	w.T.Helper()
	ctx := context.Background()
	log := slog.New(slog.NewJSONHandler(w.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	keys, err := token.OpenKeys(ctx, w.DB, "", w.Clock.Now)
	if err != nil {
		w.T.Fatal(err)
	}
	w.Keys = keys
	events := &bus.Bus{}
	w.Apps = apps.New(w.DB, events, keys, w.Clock.Now)
	w.Relations = relations.New(w.DB, events, keys.Secret(), w.Clock.Now)
	w.Presence = presence.New(w.DB, events, presence.Options{Clock: w.Clock.Now, Logger: log, Redis: w.redis, Secret: keys.Secret()})
	w.Users = users.New(w.DB, events, keys, users.Erasers{w.Relations, w.Presence}, w.Clock.Now)
	if w.redis != nil {
		link := bus.NewLink(events, w.redis, log)
		w.T.Cleanup(link.Close)
		if err := link.Settle(ctx); err != nil {
			w.T.Fatal(err)
		}
	}
	if err := w.Presence.Start(ctx); err != nil {
		w.T.Fatal(err)
	}
	rates := w.Rates
	if rates == nil && w.redis != nil {
		rates = ratelimit.NewShared(w.redis, log)
	} else if rates == nil {
		rates = ratelimit.NewLocal(w.Clock.Now)
	}
	resolver := graph.NewResolver(w.Apps, w.Users, w.Relations, w.Presence, rates, w.Clock.Now)
	w.Executor = graph.NewExecutor(resolver, graph.Options{Introspection: true, Logger: log, MaxResponse: w.MaxResponse, Timeout: w.Timeout})
	w.Stock = graph.NewExecutor(resolver, graph.Options{Introspection: true, Logger: log, MaxResponse: w.MaxResponse, Stock: true})
	config := transport.Config{
		Executor:    w.Executor,
		Present:     w.Executor.Present,
		Auth:        &auth.Authenticator{Users: w.Users},
		Presence:    w.Presence,
		Clock:       w.Clock.Now,
		SharedByAll: graph.SharedByAll,
		Logger:      log,

		LimitConnects:    graph.LimitConnects(rates),
		PersistedQueries: true,
	}
	if w.Adjust != nil {
		w.Adjust(&config)
	}
	server := transport.New(config)
	events.OnAppChanged(func(context.Context, bus.AppChanged) { server.CheckAppLinks() })
	w.Connections = connections.New(w.DB, events, w.Clock.Now)
	w.Connections.OnClosing(server.CheckAppLinks)
	w.CheckTokens = server.CheckTokens
	front := httptest.NewServer(server)
	w.URL = front.URL
	hub := w.Presence
	w.stop = sync.OnceFunc(func() {
		ending, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ending); err != nil {
			w.T.Errorf("shutting down: %v", err)
		}
		front.Close()
		if err := hub.Close(ending); err != nil {
			w.T.Errorf("closing presence: %v", err)
		}
	})
	w.T.Cleanup(w.stop)
}

// Tenant makes a FLAGSHIP DEVELOPMENT app with all status switches on.
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

// Register makes a user of the tenant, named like its ID, and answers its token.
func (w *World) Register(tenant Tenant, id string) string {
	w.T.Helper()
	r, err := w.Users.Register(context.Background(), tenant.App, users.Registration{ID: id, Name: id})
	if err != nil {
		w.T.Fatal(err)
	}
	return r.Token
}

// AppToken answers an app token of the tenant.
func (w *World) AppToken(tenant Tenant) string {
	w.T.Helper()
	text, _, err := w.Apps.IssueToken(context.Background(), tenant.Key, tenant.Secret, time.Hour)
	if err != nil {
		w.T.Fatal(err)
	}
	return text
}

// Devices answers the devices of a user.
func (w *World) Devices(u *models.User) []models.Device {
	w.T.Helper()
	devices, err := w.Presence.Devices(context.Background(), u.ID)
	if err != nil {
		w.T.Error(err)
	}
	return devices
}

// Watch has sink told of the changes of a user's status, with snapshot from its
// present one on, until stop is called.
func (w *World) Watch(u *models.User, sink fanout.Sink, snapshot bool) (stop func()) {
	w.T.Helper()
	stop, err := w.Presence.WatchUsers(context.Background(), []status.Account{status.AccountOf(u)}, sink, snapshot)
	if err != nil {
		w.T.Fatal(err)
	}
	return stop
}

// Clock is a clock that stands still until a test moves it.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
}

// Now answers the time: a fixed moment plus what has passed.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Date(2026, 11, 20, 8, 15, 30, 123_000_000, time.UTC).Add(c.offset)
}

// Pass moves the clock on.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}
