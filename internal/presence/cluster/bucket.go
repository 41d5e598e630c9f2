package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"rollcall/internal/once"
	"rollcall/internal/presence/cluster/ledger"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/internal/redis"
	"rollcall/models"
)

// bucket is this node's part of a bucket: the users whose keys one slot of Redis has, or all of them.
type bucket struct {
	Config   // Redis is the bucket's part of it
	registry *Registry
	mirror   *mirror.Mirror
	ledger   *ledger.Ledger
	views    views
	feed     *redis.Feed
	lease    lease
	repair   repair
	sweeps   *once.Work // of dead nodes
	// version is the latest version in the bucket that this node has seen.
	version atomic.Int64

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

	// The rest is guarded by the bucket's mutex. users counts the references: one for each device
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

// newBucket returns the bucket that is in that part of Redis.
func newBucket(s *Registry, part *redis.Client) *bucket {
	b := &bucket{Config: s.Config, registry: s, mirror: s.mirror, ledger: ledger.New(part), locals: make(map[int64]*local)}
	b.Redis = part
	b.sweeps = once.New(part, "sweep")
	b.views.init(b)
	b.lease.init(s.identity)
	b.repair.init()
	return b
}

// start enters Redis and begins to receive its messages.
func (b *bucket) start(ctx context.Context) error {
	if err := b.beat(ctx); err != nil {
		return err
	}
	b.feed = b.Redis.Listen(redis.Listener{
		Message: b.receiveMessage, Gap: b.readMissed, Before: b.views.before, After: b.views.after,
	}, b.Log, b.ledger.CutChannels(b.registry.identity)...)
	return b.feed.Settle(ctx)
}

// close refuses new devices from now on.
func (b *bucket) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// leaveRedis takes this node's devices out of Redis.
func (b *bucket) leaveRedis(ctx context.Context) error {
	for _, name := range append(b.repair.names(), b.lease.current()) {
		err := b.ledger.Retire(ctx, name)
		if err != nil {
			return b.failed(err)
		}
		if err := b.sweep(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// addStats adds what the bucket holds now.
func (b *bucket) addStats(stats *Stats) {
	users, _ := b.views.deliveredOf()
	for id := range users {
		stats.Users[id] = true
	}
	b.lease.mu.Lock()
	stats.Names = append(stats.Names, b.lease.name)
	stats.LeaseEnds = append(stats.LeaseEnds, b.lease.end)
	stats.Born = append(stats.Born, b.lease.born)
	stats.Repairing = stats.Repairing || b.lease.stepFailed || !b.lease.away.IsZero()
	b.lease.mu.Unlock()
	r := &b.repair
	r.mu.Lock()
	defer r.mu.Unlock()
	stats.Repairing = stats.Repairing || r.wanted || len(r.former) > 0 || len(r.departures) > 0
	stats.Searching = stats.Searching || !r.lapse.IsZero()
}

// hold keeps this node from steps in Redis for the account until release is called.
func (b *bucket) hold(acc status.Account) (release func()) {
	l := b.use(acc)
	l.step.Lock()
	return sync.OnceFunc(func() {
		l.step.Unlock()
		b.done(l)
	})
}

// use returns this node's part of the account. The caller must call done with it afterwards.
func (b *bucket) use(acc status.Account) *local {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.useLocked(acc)
}

func (b *bucket) useLocked(acc status.Account) *local {
	l := b.locals[acc.ID]
	if l == nil {
		l = &local{account: acc, arriving: make(map[*status.Device]struct{})}
		b.locals[acc.ID] = l
	}
	l.users++
	return l
}

func (b *bucket) done(l *local) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(b.locals, l.account.ID)
	}
}

// failed counts a failure of Redis and returns the error.
func (b *bucket) failed(err error) error { return b.registry.failed(err) }

// noteTransition counts and notes a transition that this node has made.
func (b *bucket) noteTransition(r *status.Record) {
	b.Events.Inc()
	b.observe(r.Version)
	status.Notify(b.Observer, r)
	if r.Presence != models.PresenceOnline {
		b.LastDeviceGone(r.ID)
	}
}

// observe raises the latest version in the bucket that this node has seen.
func (b *bucket) observe(version int64) {
	for {
		seen := b.version.Load()
		if version <= seen || b.version.CompareAndSwap(seen, version) {
			return
		}
	}
}

// records returns the records of these users of the bucket, in their order, with nil for a user that
// has none.
func (b *bucket) records(ctx context.Context, userIDs []int64) ([]*status.Record, error) {
	return b.registry.records(ctx, userIDs)
}

// seen returns an account's status and its version from the record, or from the row if r is nil. A
// row that holds a presence other than ONLINE takes precedence if it is newer than the record:
// Redis's data was then rolled back.
func (b *bucket) seen(acc status.Account, r *status.Record) (models.UserStatus, int64) {
	row := status.RecordOf(acc)
	if r == nil {
		b.views.noteRowRead(acc)
		return row.Status(), 0
	}
	b.observe(r.Version)
	if acc.Presence != models.PresenceOnline && row.Since > r.Since {
		// The row has no custom status, and its time may come from a clock that is behind.
		row.Since = max(row.Since, r.CustomSince+1)
		return row.Status(), r.Version
	}
	return r.Status(), r.Version
}

// devicesOf returns the devices of the user, the first to connect first.
func (b *bucket) devicesOf(ctx context.Context, userID int64) ([]models.Device, error) {
	devices, err := b.ledger.Devices(ctx, userID)
	if err != nil {
		return nil, b.failed(err)
	}
	return devices, nil
}

// devicesAtNode returns the user's devices of this node, the first to connect first.
func (b *bucket) devicesAtNode(userID int64) (list []*status.Device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.locals[userID]; l != nil {
		for _, d := range l.devices {
			list = append(list, d.Device)
		}
	}
	return list
}

// lastConnected reports whether the user has a device at any node. If it has none, it returns since
// when, or 0 if Redis does not know.
func (b *bucket) lastConnected(ctx context.Context, userID int64) (connected bool, at models.Time, err error) {
	records, err := b.records(ctx, []int64{userID})
	if err != nil {
		return false, 0, err
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
