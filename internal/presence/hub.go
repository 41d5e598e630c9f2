// Package presence knows who is online: it keeps the devices of every account,
// decides each account's status, remembers it in the database and tells those
// who watch: whoever named the users, the app's server, and each account's circle
// of friends and of users that it has subscribed.
//
// Memory is the truth about who is online; the columns users.presence and
// users.presence_at are its durable mirror, which a restart reads. Everything
// that happens to one account happens under the mutex of its shard, so its
// changes have one order, and that is the order in which the database and the
// watchers learn of them:
//
//	Connect, Gone, Logout …  →  shard: one account's transition
//	                              ├→ writer: newest state to the database, many accounts a statement
//	                              └→ the shard's queue → topics → every watcher's Sink
package presence

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/opaque"
	"rollcall/internal/redis"
	"rollcall/models"
)

// shardCount spreads accounts over so many locks and queues. A power of two.
const shardCount = 64

// ErrClosed is returned by Connect and Logout once Close has begun.
var ErrClosed error = fault.New(fault.Unavailable, "the server is going away")

// Options are a Hub's surroundings; the zero value is good for tests.
type Options struct {
	// Clock tells the time of every change; nil: time.Now.
	Clock func() time.Time
	// SubscriptionLinger is how long subscriptions outlive the account's last
	// device; 0: DefaultSubscriptionLinger.
	SubscriptionLinger time.Duration
	// Logger hears of failures that no caller is answered; nil: slog.Default.
	Logger *slog.Logger
	// Metrics is where the hub registers its metrics; nil: nowhere.
	Metrics prometheus.Registerer
	// RevokedSince returns the users that were banned, deactivated or deleted since the time,
	// and complete reports whether these are all. It is called regularly where there is a Redis,
	// so that a node need not rely on being told. nil: not called.
	RevokedSince func(ctx context.Context, since models.Time) (users []bus.RevokedUser, complete bool, err error)
	// Redis is where the nodes of the service know of each other; nil: there is one
	// node, and who is online is in its memory.
	Redis *redis.Client
	// Secret encrypts the cursors of subscriptions; see token.Keys.
	Secret opaque.Secret
}

// Hub holds the devices and statuses of all accounts that are, or lately were,
// connected to this process. All methods may be called from any goroutine.
type Hub struct {
	db      *database.DB
	bus     *bus.Bus
	store   store
	clock   func() time.Time
	revoked func(ctx context.Context, since models.Time) ([]bus.RevokedUser, bool, error)
	log     *slog.Logger
	metrics *metrics
	writer  *writer
	online  onlineCounts
	secret  opaque.Secret
	// seq is the number of the latest change of a status in this process.
	seq    atomic.Int64
	shards [shardCount]shard
	// publishing counts the shards that hand events to watchers at this moment.
	publishing atomic.Int32
	// audience hears of statuses as far as the apps' switches allow; loaders read
	// whom its circles watch.
	audience audience
	// turns order the changes of an account's subscriptions; lingerers have no
	// device, and so keep them for subscriptionLinger only.
	turns              turns
	lingerers          lingerers
	subscriptionLinger time.Duration
	loaders            [len(lists)]*database.Coalescer[int64, []int64]
	// beginnings read all lists of a circle that begins.
	beginnings *database.Coalescer[int64, *[len(lists)][]int64]
	// rereading has room for one wish to read the circles' lists again.
	rereading chan struct{}

	// background is every goroutine of the hub.
	background sync.WaitGroup
	// closing ends when Close begins, life when Close can wait no longer.
	closing, life context.Context
	close, kill   context.CancelFunc
}

// New answers a hub that hears on b whose access was revoked. Call Start before
// any other method, and Close at the end.
func New(db *database.DB, b *bus.Bus, opts Options) *Hub {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.SubscriptionLinger == 0 {
		opts.SubscriptionLinger = DefaultSubscriptionLinger
	}
	h := &Hub{
		subscriptionLinger: opts.SubscriptionLinger,
		db:                 db, bus: b, clock: opts.Clock, revoked: opts.RevokedSince, log: opts.Logger, metrics: newMetrics(opts.Metrics),
		secret:   opts.Secret,
		audience: newAudience(), turns: newTurns(), loaders: newLoaders(db), beginnings: newBeginnings(db), rereading: make(chan struct{}, 1),
	}
	h.closing, h.close = context.WithCancel(context.Background())
	h.life, h.kill = context.WithCancel(context.Background())
	h.writer = newWriter(db, h.metrics, opts.Logger)
	for i := range h.shards {
		h.shards[i] = shard{hub: h, entries: map[int64]*entry{}, arriving: map[*Device]struct{}{}, topics: topics{}}
	}
	if opts.Redis == nil {
		h.store = memory{h}
	} else {
		h.store = newShared(h, opts.Redis)
	}
	b.OnAccessRevoked(h.revoke)
	b.OnFriendshipChanged(h.friendshipChanged)
	b.OnAppChanged(h.appChanged)
	return h
}

// Start turns the users whom an earlier process left ONLINE in the database to
// OFFLINE, then sets the hub going. Without Redis no other hub may run on the
// database; with it, those are left whom another node holds.
func (h *Hub) Start(ctx context.Context) error {
	if err := h.store.start(ctx); err != nil {
		return fmt.Errorf("starting presence: %w", err)
	}
	h.background.Go(h.followSwitches)
	h.background.Go(h.clearRegularly)
	return nil
}

// Close counts every device as gone, writes all statuses to the database,
// delivers the last events and stops the hub. It does not cut links: whoever
// drains the connections does. When ctx ends first, Close answers how many
// statuses the database does not have; the next Start makes up for them.
func (h *Hub) Close(ctx context.Context) error {
	h.store.close(ctx)
	h.close()
	stopped := make(chan struct{})
	go func() {
		h.background.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
		h.kill()
		return nil
	case <-ctx.Done():
		h.kill()
		<-stopped
		return fmt.Errorf("closing presence before %d users' statuses were written: %w", h.store.unwritten(), ctx.Err())
	}
}

// Networked says whether asking for a status goes over the network, and not to
// this process's memory.
func (h *Hub) Networked() bool {
	_, local := h.store.(memory)
	return !local
}

func (h *Hub) shard(userID int64) *shard { return &h.shards[shardIndex(userID)] }

func shardIndex(userID int64) int { return int(userID & (shardCount - 1)) }

func (h *Hub) now() models.Time { return models.TimeOf(h.clock()) }
