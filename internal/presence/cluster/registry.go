// Package cluster is the registry of a service with several nodes, which decide together through
// Redis who is online.
//
// A status depends on the devices of all nodes. These are in Redis, where each change is decided in
// one script, of package ledger. This node keeps its own devices with their links, and what it has
// received about the users and apps that are watched here.
//
//	Connect, Gone, Logout …  →  ledger: one account's step, compared and published
//	                              ├→ mirror: this node's transitions, written to the database
//	                              └→ Redis's channels → views → fanout → every watcher's Sink
//
// In a Redis Cluster the users are divided into buckets, which the masters share; otherwise there is
// one bucket. A bucket knows nothing of the others: it has keys, versions and messages of its own, so
// that a script needs one master only, and a failure of one concerns only its buckets. The Registry
// does what concerns several buckets.
//
// The node holds a lease in each bucket (lease.go). A failure here, of another node or of Redis is
// followed by a repair of the bucket (repair.go), and by a search for users that are ONLINE only in
// the database (lapse.go). recheck.go finds revocations whose messages were missed.
package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/outage"
	"rollcall/internal/presence/cluster/ledger"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/internal/redis"
	"rollcall/models"
)

// Config is what a registry depends on. All fields except RevokedSince are required.
type Config struct {
	Redis   *redis.Client
	DB      *database.DB
	Columns *mirror.Columns // with Forward
	Board   *fanout.Board
	Log     *slog.Logger
	// Now returns the time of a change.
	Now func() models.Time
	// LastDeviceGone is called with each user whose last device this node has taken out of Redis, and
	// NodeSwept after all devices of a node have been.
	LastDeviceGone func(userID int64)
	NodeSwept      func(ctx context.Context)
	// Observer is notified of the changes that this node has made.
	Observer status.Observer
	// RevokedSince is presence.Options.RevokedSince; nil: recent revocations are not looked for.
	RevokedSince func(ctx context.Context, since models.Time) (users []bus.RevokedUser, complete bool, err error)
	// Devices counts the devices here, OnlineUsers the users that have one, Events the changes that
	// this node has made, RedisFailures the failed steps, and NodesSwept the dead nodes.
	Devices                           *atomic.Int64
	OnlineUsers                       prometheus.Gauge
	Events, RedisFailures, NodesSwept prometheus.Counter
}

// Registry is this node's part of the registry. See presence.Hub for the contract of its methods,
// which any goroutine may call.
type Registry struct {
	Config
	// identity begins the names of this process in Redis.
	identity string
	// buckets has one bucket, or status.Buckets.
	buckets []*bucket
	mirror  *mirror.Mirror
	lapses  lapses
	notices notices
	// moment are the versions in the latest Moment.
	moment atomic.Pointer[status.Versions]
	// sweeping is how many sweeps are under way.
	sweeping atomic.Int64
}

// New returns a registry. Call Start before any other method.
func New(c Config) *Registry {
	s := &Registry{Config: c, identity: rand.Text()[:identityLength], mirror: mirror.New(c.Columns, nil)}
	s.lapses.init(c.Redis)
	s.notices.init(c.Log)
	for _, part := range c.Redis.Parts(status.Buckets) {
		s.buckets = append(s.buckets, newBucket(s, part))
	}
	return s
}

// bucketOf returns the bucket of the user with that users.id.
func (s *Registry) bucketOf(userID int64) *bucket {
	if len(s.buckets) == 1 {
		return s.buckets[0]
	}
	return s.buckets[status.BucketOf(userID)]
}

// each calls do for buckets, for several at the same time, and returns their errors.
func each(buckets []*bucket, do func(*bucket) error) error {
	if len(buckets) == 1 {
		return do(buckets[0])
	}
	errs := make([]error, len(buckets))
	var running sync.WaitGroup
	for i, b := range buckets {
		running.Go(func() { errs[i] = do(b) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// Start enters Redis and begins to receive its messages.
func (s *Registry) Start(ctx context.Context) error {
	s.Log.Info("this node's devices are in Redis under its ID", "node", s.identity) // which sweepDead logs
	err := each(s.buckets, func(b *bucket) error { return b.start(ctx) })
	if err != nil {
		s.Abandon()
	}
	return err
}

// Run does the work in the background. It returns when closing has ended and everything is written,
// or when life ends.
func (s *Registry) Run(closing, life context.Context) {
	var work sync.WaitGroup
	for _, b := range s.buckets {
		work.Go(func() { b.beatRegularly(closing) })
		work.Go(func() { b.repairWhenAsked(closing) })
	}
	work.Go(func() { s.lapseWhenAsked(closing) })
	work.Go(func() { s.recheckRegularly(closing) })
	s.mirror.Run(closing, life)
	work.Wait()
}

// Repair makes the node compare its devices with the database and with Redis, because messages were
// missed.
func (s *Registry) Repair() {
	for _, b := range s.buckets {
		b.repair.ask()
	}
}

// Close takes this node's devices out of Redis in one sweep, so that users without a device
// elsewhere go OFFLINE at once.
func (s *Registry) Close(ctx context.Context) {
	for _, b := range s.buckets {
		b.close()
	}
	err := each(s.buckets, func(b *bucket) error { return b.leaveRedis(ctx) })
	if err != nil {
		s.Log.Warn("removing this node's devices from Redis failed; other nodes will remove them", "error", err)
	}
	s.Abandon()
}

// Abandon ends the connection to Redis and leaves this node's devices there, as a process that is
// killed does. Only Close and tests call it, and a Start that fails.
func (s *Registry) Abandon() {
	_ = each(s.buckets, func(b *bucket) error {
		if b.feed != nil {
			b.feed.Close()
		}
		return nil
	})
}

// Unwritten returns how many statuses the database does not have yet.
func (s *Registry) Unwritten() int { return s.mirror.Unwritten() }

// Stats describes a registry for tests.
type Stats struct {
	// Names are the node's names in Redis, LeaseEnds the ends of its leases, and Born identifies the
	// data there, for each bucket; see ledger.Lease.
	Names           []string
	LeaseEnds, Born []int64
	// Repairing reports whether something must be repaired, or Redis does not respond.
	Repairing bool
	// Searching reports whether users must be looked for that are ONLINE only in the database.
	Searching bool
	// Users are those whose changes the node receives, by users.id.
	Users map[int64]bool
}

// Stats returns what the registry holds now.
func (s *Registry) Stats() Stats {
	stats := Stats{Users: make(map[int64]bool)}
	for _, b := range s.buckets {
		b.addStats(&stats)
	}
	stats.Searching = stats.Searching || s.lapses.open()
	return stats
}

// Hold keeps this node from steps in Redis for the account until release is called. It is for tests.
func (s *Registry) Hold(acc status.Account) (release func()) { return s.bucketOf(acc.ID).hold(acc) }

// Sweep removes the devices of a dead node, with these Stats.Names, from Redis. It is for tests.
func (s *Registry) Sweep(ctx context.Context, names []string) error {
	for i, b := range s.buckets {
		if err := b.sweep(ctx, names[i]); err != nil {
			return err
		}
	}
	return nil
}

// Connect adds a device; see Hub.Connect.
func (s *Registry) Connect(ctx context.Context, acc status.Account, platform models.Platform, link status.Link,
	read func(context.Context) (status.Account, error)) (*status.Device, error) {
	return s.bucketOf(acc.ID).connect(ctx, acc, platform, link, read)
}

// Logout ends the device own or all of the account; see Hub.Logout.
func (s *Registry) Logout(ctx context.Context, acc status.Account, own *status.Device, all bool) (int, error) {
	return s.bucketOf(acc.ID).logout(ctx, acc, own, all)
}

// Cut ends devices of the account; see the hub's registry.
func (s *Registry) Cut(ctx context.Context, acc status.Account, deviceIDs []string, to models.Presence, cause status.Cause) (int, error) {
	return s.bucketOf(acc.ID).cut(ctx, acc, deviceIDs, to, cause)
}

// SetStatus gives an ONLINE user a custom status, or clears it. It returns fault.NotOnline if the user
// is not ONLINE.
func (s *Registry) SetStatus(ctx context.Context, acc status.Account, text string) (models.UserStatus, error) {
	return s.bucketOf(acc.ID).setStatus(ctx, acc, text)
}

// DevicesOf returns the devices of the user, the first to connect first.
func (s *Registry) DevicesOf(ctx context.Context, userID int64) ([]models.Device, error) {
	return s.bucketOf(userID).devicesOf(ctx, userID)
}

// DevicesHere returns the user's devices of this node, the first to connect first.
func (s *Registry) DevicesHere(userID int64) []*status.Device {
	return s.bucketOf(userID).devicesAtNode(userID)
}

// LastConnected reports whether the user has a device at any node. If it has none, it returns since
// when, or 0 if Redis does not know.
func (s *Registry) LastConnected(ctx context.Context, userID int64) (connected bool, at models.Time, err error) {
	return s.bucketOf(userID).lastConnected(ctx, userID)
}

// AccountsHere returns the accounts with devices of this node in the apps that in selects.
func (s *Registry) AccountsHere(in func(appID int64) bool) (list []status.Account) {
	for _, b := range s.buckets {
		for _, l := range b.accounts() {
			if in(l.account.AppID) {
				list = append(list, l.account)
			}
		}
	}
	return list
}

// OnlineCount returns how many users of the app are ONLINE.
func (s *Registry) OnlineCount(ctx context.Context, appID int64) (int, error) {
	ledgers := make([]*ledger.Ledger, len(s.buckets))
	for i, b := range s.buckets {
		ledgers[i] = b.ledger
	}
	n, err := ledger.OnlineCount(ctx, s.Redis, ledgers, appID)
	if err != nil {
		return 0, s.failed(err)
	}
	return n, nil
}

// Status returns the account's present status.
func (s *Registry) Status(ctx context.Context, acc status.Account) (models.UserStatus, error) {
	statuses, err := s.Statuses(ctx, []status.Account{acc})
	if err != nil {
		return models.UserStatus{}, err
	}
	return statuses[0], nil
}

// Statuses returns the accounts' present statuses, in their order.
func (s *Registry) Statuses(ctx context.Context, accs []status.Account) ([]models.UserStatus, error) {
	records, err := s.recordsOf(ctx, accs)
	if err != nil {
		return nil, err
	}
	statuses := make([]models.UserStatus, len(accs))
	for i, r := range records {
		statuses[i], _ = s.bucketOf(accs[i].ID).seen(accs[i], r)
	}
	return statuses, nil
}

// Present returns events of the accounts' present statuses, in their order.
func (s *Registry) Present(ctx context.Context, accs []status.Account) ([]*fanout.Event, error) {
	records, err := s.recordsOf(ctx, accs)
	if err != nil {
		return nil, err
	}
	events := make([]*fanout.Event, len(accs))
	for i, r := range records {
		b := s.bucketOf(accs[i].ID)
		shown, version := b.seen(accs[i], r)
		events[i] = fanout.NewAt(version, accs[i].ID, &shown)
		if r != nil {
			// A change that is under way to this node counts as late from now on.
			b.publish(status.UserKey(r.ID), r)
		}
	}
	return events, nil
}

// recordsOf returns the accounts' records, in their order, with nil for an account that has none.
func (s *Registry) recordsOf(ctx context.Context, accs []status.Account) ([]*status.Record, error) {
	ids := make([]int64, len(accs))
	for i, acc := range accs {
		ids[i] = acc.ID
	}
	return s.records(ctx, ids)
}

// records returns the records of these users, in their order, with nil for a user that has none.
func (s *Registry) records(ctx context.Context, userIDs []int64) ([]*status.Record, error) {
	records, err := ledger.Records(ctx, s.Redis, userIDs, func(id int64) *ledger.Ledger { return s.bucketOf(id).ledger })
	if err != nil {
		return nil, s.failed(err)
	}
	return records, nil
}

// Follow makes the node receive the changes of a key, once for each call.
func (s *Registry) Follow(topic int64) {
	for _, b := range s.having(topic) {
		b.views.follow(topic)
	}
}

// Unfollow ends what one call of Follow began.
func (s *Registry) Unfollow(topic int64) {
	for _, b := range s.having(topic) {
		b.views.unfollow(topic)
	}
}

// having returns the buckets that have changes of the topic: that of the user, or all for an app.
func (s *Registry) having(topic int64) []*bucket {
	if topic < 0 || len(s.buckets) == 1 {
		return s.buckets
	}
	i := status.BucketOf(topic)
	return s.buckets[i : i+1]
}

// havingAny returns the buckets that have changes of any of the topics, or all if there are none.
func (s *Registry) havingAny(topics []int64) (list []*bucket) {
	if len(topics) == 0 || len(s.buckets) == 1 {
		return s.buckets
	}
	var found [status.Buckets]bool
	for _, topic := range topics {
		if topic < 0 {
			return s.buckets
		}
		if i := status.BucketOf(topic); !found[i] {
			found[i] = true
			list = append(list, s.buckets[i])
		}
	}
	return list
}

// Settle waits until this node receives the changes of these followed keys, or of all that are
// followed if none is given.
func (s *Registry) Settle(ctx context.Context, keys ...int64) error {
	pending := s.buckets
	if len(s.buckets) > 1 { // otherwise one round trip costs little, and shows that Redis responds
		pending = nil
		for _, b := range s.havingAny(keys) {
			if b.views.isPending() || !b.feed.Connected() {
				pending = append(pending, b)
			}
		}
	}
	if err := each(pending, func(b *bucket) error { return b.feed.Settle(ctx) }); err != nil {
		return s.failed(err)
	}
	return nil
}

// Receive waits until this node has received all changes so far of these users, or of all users if
// none is named.
func (s *Registry) Receive(ctx context.Context, userIDs ...int64) error {
	return each(s.havingAny(userIDs), func(b *bucket) error { return b.feed.CatchUp(ctx) })
}

// Moment returns the present moment.
func (s *Registry) Moment() status.Moment {
	m := status.Moment{At: s.Now() - 1}
	if len(s.buckets) == 1 {
		m.Version = s.buckets[0].version.Load()
		return m
	}
	var now status.Versions
	for i, b := range s.buckets {
		now[i] = b.version.Load()
	}
	if m.Versions = s.moment.Load(); m.Versions == nil || *m.Versions != now {
		versions := now // now itself stays on the stack if nothing has changed
		m.Versions = &versions
		s.moment.Store(m.Versions)
	}
	return m
}

// MomentOf returns how far the user's changes have been published.
func (s *Registry) MomentOf(userID int64) status.Moment {
	return status.Moment{Version: s.bucketOf(userID).version.Load(), At: s.Now() - 1}
}

// Missed notes what the watches have missed, for CatchUp.
func (s *Registry) Missed(watches []*fanout.Watch, a *status.Absence) []*fanout.Event {
	for _, w := range watches {
		until := s.bucketOf(w.Key).views.mark(status.UserKey(w.Key))
		a.Gaps = append(a.Gaps, status.Gap{UserID: w.Key, Since: a.Left(w.Key).Of(w.Key), Until: until})
	}
	return nil
}

// CatchUp sends the watcher what it has missed of the users in the gaps of a.
func (s *Registry) CatchUp(ctx context.Context, w *fanout.Watcher, a *status.Absence) error {
	ids := make([]int64, len(a.Gaps))
	for i, g := range a.Gaps {
		ids[i] = g.UserID
	}
	if err := s.Settle(ctx, ids...); err != nil {
		return err
	}
	records, err := s.records(ctx, ids)
	if err != nil {
		return err
	}
	for i, g := range a.Gaps {
		s.bucketOf(g.UserID).catchUp(w, g, records[i], a.Rows[g.UserID])
	}
	return nil
}

// failed counts a failure of Redis and returns the error.
func (s *Registry) failed(err error) error {
	s.RedisFailures.Inc()
	return err
}

// identityLength is how long a process's identity is: 100 random bits.
const identityLength = 20

// identityOf returns the identity in the name of a node. A node of another version may have none; its
// name is returned then.
func identityOf(name string) string {
	identity, _, _ := strings.Cut(name, ".")
	return identity
}

// sweepDead counts and logs a dead node, once for its buckets together, before one is swept.
func (s *Registry) sweepDead(name string) {
	if s.notices.isNew("dead "+identityOf(name), nil, deadPause) {
		s.Log.Warn("sweeping the devices of a node whose lease has lapsed", "node", identityOf(name))
		s.NodesSwept.Inc()
	}
}

const (
	// noticePause is how long other buckets do not log what one has logged. Usually a server has failed
	// that has several.
	noticePause = 5 * time.Second
	// deadPause is how long a dead node is not counted again.
	deadPause = time.Minute
)

// notices keeps the buckets from logging the same.
type notices struct {
	log *slog.Logger
	// outages logs what fails again and again while a server is away.
	outages *outage.Log

	mu sync.Mutex
	// noticed has when, and by which bucket, something was noticed last.
	noticed map[string]notice
	// away are the buckets for which Redis does not respond, and since when the first.
	away  map[*bucket]bool
	since time.Time
}

type notice struct {
	by *bucket
	at time.Time
}

func (n *notices) init(log *slog.Logger) {
	n.log, n.outages = log, outage.NewLog(log)
	n.noticed, n.away = make(map[string]notice), make(map[*bucket]bool)
}

// isNew reports whether nothing of that name was noticed by another bucket within the pause, or, for
// the nil bucket, at all.
func (n *notices) isNew(name string, by *bucket, pause time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for other, last := range n.noticed {
		if now.Sub(last.at) > deadPause {
			delete(n.noticed, other)
		}
	}
	last, known := n.noticed[name]
	if known && now.Sub(last.at) < pause && (by == nil || last.by != by) {
		return false
	}
	n.noticed[name] = notice{by, now}
	return true
}

// warn logs a warning of a bucket, unless another one has just logged it.
func (n *notices) warn(by *bucket, message string, args ...any) {
	if n.isNew(message, by, noticePause) {
		n.log.Warn(message, args...)
	}
}

// gone notes that Redis does not respond to a bucket, and logs the first of them.
func (n *notices) gone(b *bucket, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.away) == 0 {
		n.since = time.Now()
		n.log.Error("Redis is unreachable; devices stay connected, status reads and updates fail", "redis", b.Redis.String(), "error", err)
	}
	n.away[b] = true
}

// back notes that Redis responds to a bucket again, and logs the last of them.
func (n *notices) back(b *bucket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.away, b)
	if len(n.away) == 0 {
		n.log.Info("Redis is reachable again", "redis", b.Redis.String(), "away", time.Since(n.since).Round(time.Millisecond).String())
	}
}
