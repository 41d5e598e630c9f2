// Package presence knows who is online. It keeps the devices of every account, decides each
// account's status, records it in the database, and publishes its changes to its watchers:
// operations that name the user, App Servers that watch the whole app, and users that are friends of
// the user or have subscribed to it. The users that an account watches in this last way are its
// circle; circles.Interests names the tables that have them.
//
// A registry decides the statuses: without Redis that of package memory, and with Redis, through which
// the nodes of the service decide together, that of package cluster. Both write them through a
// mirror.Mirror into the columns users.presence and users.presence_at, and publish them on the Hub's
// fanout.Board.
package presence

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/outage"
	"rollcall/internal/presence/circles"
	"rollcall/internal/presence/cluster"
	"rollcall/internal/presence/memory"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/internal/redis"
	"rollcall/models"
)

// Options are the optional dependencies of a Hub. The zero value suits tests.
type Options struct {
	// Clock returns the time of a change; nil means time.Now.
	Clock func() time.Time
	// Logger logs failures that are returned to no caller; nil means slog.Default.
	Logger *slog.Logger
	// Metrics is where the hub registers its metrics, if it is not nil.
	Metrics prometheus.Registerer
	// RevokedSince returns the users that were banned, signed out, deactivated or deleted since the
	// time, and complete reports whether these are all. With Redis, the hub calls it regularly, so that a
	// node notices revocations whose messages it missed. If it is nil, the hub does not.
	RevokedSince func(ctx context.Context, since models.Time) (users []bus.RevokedUser, complete bool, err error)
	// Redis is where the nodes of the service share their devices; nil means that this is the only
	// node, which keeps them in memory.
	Redis *redis.Client
	// Observer is notified of the changes that this node has made; nil means none is.
	Observer status.Observer
	// Node is the name of this node for operators.
	Node string
}

// Hub holds the devices and statuses of all accounts that are, or recently were, connected to this
// process. All methods may be called by any goroutine.
type Hub struct {
	db       *database.DB
	bus      *bus.Bus
	registry registry
	clock    func() time.Time
	log      *slog.Logger
	metrics  *metrics
	// board delivers the changes; each of its queues orders those of its accounts.
	board *fanout.Board
	// circles receive statuses as far as friendships, subscriptions and the apps' switches allow.
	circles *circles.Circles
	// disabled ends the devices of disabled apps.
	disabled *disabledApps
	// clients finds what is known of the clients of devices.
	clients clients

	// background is every goroutine of the hub.
	background sync.WaitGroup
	// closing ends when Close begins, life when Close can wait no longer.
	closing, life context.Context
	close, kill   context.CancelFunc
}

// New returns a hub that follows the events on b. Call Start before any other method, and Close at
// the end.
func New(db *database.DB, b *bus.Bus, interests circles.Interests, opts Options) *Hub {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Observer == nil {
		opts.Observer = status.NoObserver{}
	}
	h := &Hub{
		db: db, bus: b, clock: opts.Clock, log: opts.Logger, metrics: newMetrics(opts.Metrics),
	}
	h.closing, h.close = context.WithCancel(context.Background())
	h.life, h.kill = context.WithCancel(context.Background())
	h.board = fanout.NewBoard(func(n int) { h.metrics.deliveries.Add(float64(n)) })
	if opts.Redis == nil {
		h.registry = memory.New(memory.Config{
			Columns: h.columns(), Board: h.board, Now: h.now, LastDeviceGone: h.lastDeviceGone,
			Observer: opts.Observer, Devices: &h.metrics.devices, OnlineUsers: h.metrics.onlineUsers, Events: h.metrics.events,
		})
	} else {
		columns := h.columns()
		columns.Forward = true
		h.registry = cluster.New(cluster.Config{
			Redis: opts.Redis, DB: db, Columns: columns, Board: h.board, Log: h.log, Now: h.now,
			LastDeviceGone: h.lastDeviceGone, NodeSwept: func(ctx context.Context) { b.PublishNodeSwept(ctx, bus.NodeSwept{}) },
			RevokedSince: opts.RevokedSince, Observer: opts.Observer, Devices: &h.metrics.devices, OnlineUsers: h.metrics.onlineUsers,
			Events: h.metrics.events, RedisFailures: h.metrics.redisFailures, NodesSwept: h.metrics.nodesSwept,
		})
	}
	h.metrics.observe(opts.Metrics, h.registry)
	h.clients = clients{node: opts.Node, open: make(map[string]*clientsSearch)}
	clientsMessage.Hear(b, h.respondClients)
	foundMessage.Hear(b, h.receiveClients)
	b.OnAccessRevoked(h.revoke)
	h.disabled = newDisabledApps(h)
	b.OnAppChanged(h.disabled.appChanged)
	h.circles = circles.New(circles.Config{
		DB: db, Bus: b, Board: h.board, Registry: h.registry, Interests: interests, Log: h.log,
		Closing: h.closing, Life: h.life,
	})
	return h
}

// Start starts the hub. First it sets the users to OFFLINE that an earlier process left ONLINE in
// the database; with Redis, only those that are not connected to another node. Without Redis no
// other hub may run on the database.
func (h *Hub) Start(ctx context.Context) error {
	if err := h.registry.Start(ctx); err != nil {
		return fmt.Errorf("starting presence: %w", err)
	}
	if nodes, several := h.registry.(*cluster.Registry); several {
		h.bus.OnMissed(func(context.Context) { nodes.Repair() })
	}
	h.background.Go(func() { h.registry.Run(h.closing, h.life) })
	h.background.Go(h.circles.Run)
	h.background.Go(h.disabled.run)
	return nil
}

// Close counts every device as gone, writes all statuses to the database, delivers the last events
// and stops the hub. It does not cut links; the caller drains the connections. If ctx
// ends first, the error says how many statuses the database does not have; the next Start corrects
// them.
func (h *Hub) Close(ctx context.Context) error {
	h.registry.Close(ctx)
	h.board.Close()
	h.close()
	stopped := make(chan struct{})
	go func() {
		h.background.Wait()
		h.board.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
		h.kill()
		return nil
	case <-ctx.Done():
		h.kill()
		<-stopped
		return fmt.Errorf("closing presence before %d users' statuses were written: %w", h.registry.Unwritten(), ctx.Err())
	}
}

// Networked reports whether the service may have other nodes, so that reading a status takes a round
// trip over the network.
func (h *Hub) Networked() bool {
	_, local := h.registry.(*memory.Registry)
	return !local
}

func (h *Hub) now() models.Time { return models.TimeOf(h.clock()) }

// lastDeviceGone publishes that a user has no device any more.
func (h *Hub) lastDeviceGone(userID int64) {
	h.bus.PublishLastDeviceGone(context.Background(), bus.LastDeviceGone{UserID: userID, At: h.now()})
}

// LastConnected reports whether the user has a device at any node. If it has none, it returns when
// the user last had one, or 0 if the registry does not know.
func (h *Hub) LastConnected(ctx context.Context, userID int64) (connected bool, at models.Time, err error) {
	return h.registry.LastConnected(ctx, userID)
}

// columns returns the columns that the hub's registry writes.
func (h *Hub) columns() *mirror.Columns {
	return &mirror.Columns{DB: h.db, Seconds: h.metrics.writeSeconds, Failures: h.metrics.writeFailures, Log: outage.NewLog(h.log)}
}
