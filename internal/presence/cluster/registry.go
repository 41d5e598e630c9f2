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
// The node holds a lease (lease.go). A failure here, of another node or of Redis is followed by a
// repair (repair.go), and by a search for users that are ONLINE only in the database (lapse.go).
// recheck.go finds revocations whose messages were missed.
package cluster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fanout"
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
	// Version is the latest version that this node has seen, which the registry raises.
	Version *atomic.Int64
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
	ledger *ledger.Ledger
	mirror *mirror.Mirror
	views  views
	feed   *redis.Feed
	lease  lease
	repair repair

	mu     sync.Mutex
	locals map[int64]*local // by users.id
	closed bool
}

// local is an account with devices here.
type local struct {
	account status.Account
	// step is held during each step in Redis that this node makes for the account, so that these
	// steps have one order.
	step sync.Mutex

	// The rest is guarded by the registry's mutex. users counts the references: one for each device
	// here and one for each step in progress. The account is forgotten when it reaches 0.
	users    int
	arriving map[*status.Device]struct{}
	devices  []placed // in the order in which they connected
}

// placed is a connected device, with the version with which Redis added it.
type placed struct {
	*status.Device
	added int64
}

// New returns a registry. Call Start before any other method.
func New(c Config) *Registry {
	s := &Registry{Config: c, ledger: ledger.New(c.Redis), mirror: mirror.New(c.Columns, nil), locals: make(map[int64]*local)}
	s.views.init(s)
	s.lease.init()
	s.repair.init()
	return s
}

// Start enters Redis and begins to receive its messages.
func (s *Registry) Start(ctx context.Context) error {
	if err := s.beat(ctx); err != nil {
		return err
	}
	s.feed = s.Redis.Listen(redis.Listener{
		Message: s.receive, Gap: s.readMissed, Before: s.views.before, After: s.views.after,
	}, s.Log, s.ledger.CutChannel())
	if err := s.feed.Settle(ctx); err != nil {
		s.feed.Close()
		return err
	}
	return nil
}

// Run does the work in the background. It returns when closing has ended and everything is written,
// or when life ends.
func (s *Registry) Run(closing, life context.Context) {
	var work sync.WaitGroup
	work.Go(func() { s.beatRegularly(closing) })
	work.Go(func() { s.repairWhenAsked(closing) })
	work.Go(func() { s.recheckRegularly(closing) })
	s.mirror.Run(closing, life)
	work.Wait()
}

// Repair makes the node compare its devices with the database and with Redis, because messages were
// missed.
func (s *Registry) Repair() { s.repair.ask() }

// Close takes this node's devices out of Redis in one sweep, so that users without a device
// elsewhere go OFFLINE at once.
func (s *Registry) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	var err error
	for _, name := range append(s.repair.names(), s.lease.current()) {
		if err == nil {
			err = s.ledger.Retire(ctx, name)
		}
		if err == nil {
			err = s.Sweep(ctx, name)
		}
	}
	if err != nil {
		s.Log.Warn("removing this node's devices from Redis failed; other nodes will remove them", "error", s.failed(err))
	}
	s.feed.Close()
}

// Abandon ends the connection to Redis and leaves this node's devices there, as a process that is
// killed does. It is for tests.
func (s *Registry) Abandon() { s.feed.Close() }

// Unwritten returns how many statuses the database does not have yet.
func (s *Registry) Unwritten() int { return s.mirror.Unwritten() }

// Stats describes a registry for tests.
type Stats struct {
	// Name is the node's name in Redis, LeaseEnd the end of its lease, and Born identifies the data
	// there; see ledger.Lease.
	Name           string
	LeaseEnd, Born int64
	// Repairing reports whether something must be repaired, or Redis does not respond.
	Repairing bool
	// Users are those whose changes the node receives, by users.id.
	Users map[int64]bool
}

// Stats returns what the registry holds now.
func (s *Registry) Stats() Stats {
	stats := Stats{Users: make(map[int64]bool)}
	users, _ := s.views.deliveredOf()
	for id := range users {
		stats.Users[id] = true
	}
	s.lease.mu.Lock()
	stats.Name, stats.LeaseEnd, stats.Born = s.lease.name, s.lease.end, s.lease.born
	stats.Repairing = s.lease.stepFailed || !s.lease.away.IsZero()
	s.lease.mu.Unlock()
	r := &s.repair
	r.mu.Lock()
	defer r.mu.Unlock()
	stats.Repairing = stats.Repairing || r.wanted || len(r.former) > 0 || len(r.departures) > 0
	return stats
}

// Hold keeps this node from steps in Redis for the account until release is called. It is for tests.
func (s *Registry) Hold(acc status.Account) (release func()) {
	l := s.use(acc)
	l.step.Lock()
	return sync.OnceFunc(func() {
		l.step.Unlock()
		s.done(l)
	})
}

// use returns this node's part of the account. The caller must call done with it afterwards.
func (s *Registry) use(acc status.Account) *local {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.useLocked(acc)
}

func (s *Registry) useLocked(acc status.Account) *local {
	l := s.locals[acc.ID]
	if l == nil {
		l = &local{account: acc, arriving: make(map[*status.Device]struct{})}
		s.locals[acc.ID] = l
	}
	l.users++
	return l
}

func (s *Registry) done(l *local) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(s.locals, l.account.ID)
	}
}

// failed counts a failure of Redis and returns the error.
func (s *Registry) failed(err error) error {
	s.RedisFailures.Inc()
	return err
}

// noteTransition counts and notes a transition that this node has made.
func (s *Registry) noteTransition(r *status.Record) {
	s.Events.Inc()
	s.observe(r.Version)
	status.Notify(s.Observer, r)
	if r.Presence != models.PresenceOnline {
		s.LastDeviceGone(r.ID)
	}
}

// observe raises the latest version that this node has seen.
func (s *Registry) observe(version int64) {
	for {
		seen := s.Version.Load()
		if version <= seen || s.Version.CompareAndSwap(seen, version) {
			return
		}
	}
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
	ids := make([]int64, len(accs))
	for i, acc := range accs {
		ids[i] = acc.ID
	}
	records, err := s.ledger.Records(ctx, ids)
	if err != nil {
		return nil, s.failed(err)
	}
	statuses := make([]models.UserStatus, len(accs))
	for i, r := range records {
		statuses[i], _ = s.seen(accs[i], r)
	}
	return statuses, nil
}

// seen returns an account's status and its version from the record, or from the row if r is nil. A
// row that holds a presence other than ONLINE takes precedence if it is newer than the record:
// Redis's data was then rolled back.
func (s *Registry) seen(acc status.Account, r *status.Record) (models.UserStatus, int64) {
	row := status.RecordOf(acc)
	if r == nil {
		s.views.noteRowRead(acc)
		return row.Status(), 0
	}
	s.observe(r.Version)
	if acc.Presence != models.PresenceOnline && row.Since > r.Since {
		// The row has no custom status, and its time may come from a clock that is behind.
		row.Since = max(row.Since, r.CustomSince+1)
		return row.Status(), r.Version
	}
	return r.Status(), r.Version
}

// DevicesOf returns the devices of the user, the first to connect first.
func (s *Registry) DevicesOf(ctx context.Context, userID int64) ([]models.Device, error) {
	devices, err := s.ledger.Devices(ctx, userID)
	if err != nil {
		return nil, s.failed(err)
	}
	return devices, nil
}

// DevicesHere returns the user's devices of this node, the first to connect first.
func (s *Registry) DevicesHere(userID int64) (list []*status.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.locals[userID]; l != nil {
		for _, d := range l.devices {
			list = append(list, d.Device)
		}
	}
	return list
}

// OnlineCount returns how many users of the app are ONLINE.
func (s *Registry) OnlineCount(ctx context.Context, appID int64) (int, error) {
	n, err := s.ledger.OnlineCount(ctx, appID)
	if err != nil {
		return 0, s.failed(err)
	}
	return n, nil
}

// LastConnected reports whether the user has a device at any node. If it has none, it returns since
// when, or 0 if Redis does not know.
func (s *Registry) LastConnected(ctx context.Context, userID int64) (connected bool, at models.Time, err error) {
	records, err := s.ledger.Records(ctx, []int64{userID})
	if err != nil {
		return false, 0, s.failed(err)
	}
	r := records[0]
	if r == nil {
		return false, 0, nil
	}
	return r.Presence == models.PresenceOnline, r.Since, nil
}

// leaseLost reports whether the node must enter Redis under another name before the step can be
// made.
func leaseLost(err error) bool { return errors.Is(err, ledger.ErrLeaseLost) }
