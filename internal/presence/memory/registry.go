// Package memory is the registry of a service of one node: it decides in this process who is online.
//
// The truth is the entries of the accounts that are, or recently were, connected; the columns
// users.presence and users.presence_at are their durable copy, which a restart reads. All changes of
// one account are decided under the lock of its fanout.Queue, so they have one order, in which the
// database and the watchers receive them:
//
//	Connect, Gone, Logout …  →  shard: one account's transition
//	                              ├→ mirror: newest state to the database, many accounts a statement
//	                              └→ the shard's fanout.Queue → every watcher's Sink
package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// Config is what a registry depends on. All fields are required.
type Config struct {
	Columns *mirror.Columns
	Board   *fanout.Board
	// Now returns the time of a change.
	Now func() models.Time
	// LastDeviceGone is called with each user whose last device has left. A queue of the board is
	// locked.
	LastDeviceGone func(userID int64)
	// Observer is notified of the changes, while a queue of the board is locked, except at the start.
	Observer status.Observer
	// Devices counts the devices, OnlineUsers the users that are ONLINE, and Events the changes.
	Devices     *atomic.Int64
	OnlineUsers prometheus.Gauge
	Events      prometheus.Counter
}

// Registry holds the entries of all accounts that are, or recently were, connected. See
// presence.Hub for the contract of its methods, which any goroutine may call.
type Registry struct {
	Config
	// shards are the entries by fanout queue, whose lock guards them.
	shards [fanout.Queues]shard
	mirror *mirror.Mirror
	online onlineCounts
	// version is that of the latest change.
	version atomic.Int64
}

// New returns a registry. Call Start before any other method.
func New(c Config) *Registry {
	r := &Registry{Config: c}
	r.mirror = mirror.New(c.Columns, r.written)
	for i := range r.shards {
		r.shards[i] = shard{
			registry: r, Queue: c.Board.Queue(int64(i)),
			entries: make(map[int64]*entry), arriving: make(map[*status.Device]struct{}),
		}
	}
	return r
}

func (r *Registry) shard(userID int64) *shard { return &r.shards[fanout.Index(userID)] }

// written notes what a user's columns hold now.
func (r *Registry) written(userID int64, held status.State) { r.shard(userID).written(userID, held) }

// Start sets the users to OFFLINE that an earlier process left ONLINE.
func (r *Registry) Start(ctx context.Context) error {
	if err := mirror.EndEarlierRun(ctx, r.Columns.DB, r.Now(), r.Observer); err != nil {
		return fmt.Errorf("marking users of an earlier run OFFLINE: %w", err)
	}
	return nil
}

// Run does the work in the background. It returns when closing has ended and everything is written,
// or when life ends.
func (r *Registry) Run(closing, life context.Context) {
	var sweeping sync.WaitGroup
	sweeping.Go(func() { r.sweepRegularly(closing) })
	r.mirror.Run(closing, life)
	sweeping.Wait()
}

// Close counts every device as gone and refuses new ones.
func (r *Registry) Close(context.Context) {
	for i := range r.shards {
		r.shards[i].close()
	}
}

// Unwritten returns how many statuses the database does not have yet.
func (r *Registry) Unwritten() int { return r.mirror.Unwritten() }

// Stats describes a registry for tests.
type Stats struct {
	// Entries is how many accounts are in memory, and Unwritten those of them whose status the
	// database does not hold yet.
	Entries, Unwritten int
	// Arriving is how many devices are being checked.
	Arriving int
	// Devices are the numbers of the accounts' devices, by users.id, with those whose login is being
	// written.
	Devices map[int64]int
}

// Stats returns what the registry holds now.
func (r *Registry) Stats() Stats {
	stats := Stats{Devices: make(map[int64]int)}
	for i := range r.shards {
		s := &r.shards[i]
		s.Lock()
		stats.Entries += len(s.entries)
		stats.Arriving += len(s.arriving)
		for id, e := range s.entries {
			stats.Devices[id] = len(e.devices)
			if e.durable != e.State {
				stats.Unwritten++
			}
		}
		s.Unlock()
	}
	return stats
}

// DevicesOf returns the devices of the user, the first to connect first.
func (r *Registry) DevicesOf(_ context.Context, userID int64) ([]models.Device, error) {
	var infos []models.Device
	for _, d := range r.DevicesHere(userID) {
		infos = append(infos, d.Info())
	}
	return infos, nil
}

// DevicesHere returns the same devices as DevicesOf.
func (r *Registry) DevicesHere(userID int64) []*status.Device {
	s := r.shard(userID)
	s.Lock()
	defer s.Unlock()
	e := s.entries[userID]
	if e == nil || !e.online() {
		return nil
	}
	return slices.Clone(e.devices)
}

// AccountsHere returns the accounts with devices in the apps that in selects.
func (r *Registry) AccountsHere(in func(appID int64) bool) (list []status.Account) {
	for i := range r.shards {
		s := &r.shards[i]
		s.Lock()
		for _, e := range s.entries {
			if len(e.devices) > 0 && in(e.AppID) {
				list = append(list, e.devices[0].Account())
			}
		}
		s.Unlock()
	}
	return list
}

// Status returns the account's present status.
func (r *Registry) Status(_ context.Context, acc status.Account) (models.UserStatus, error) {
	s := r.shard(acc.ID)
	s.Lock()
	defer s.Unlock()
	return s.status(acc), nil
}

// Statuses returns the accounts' present statuses, in their order.
func (r *Registry) Statuses(ctx context.Context, accs []status.Account) ([]models.UserStatus, error) {
	statuses := make([]models.UserStatus, len(accs))
	for i, acc := range accs {
		statuses[i], _ = r.Status(ctx, acc)
	}
	return statuses, nil
}

// OnlineCount returns how many users of the app are ONLINE.
func (r *Registry) OnlineCount(_ context.Context, appID int64) (int, error) {
	return int(r.online.of(appID).Load()), nil
}

// LastConnected reports whether the user has a device. It returns no time: all of them were published
// by this one node.
func (r *Registry) LastConnected(_ context.Context, userID int64) (connected bool, at models.Time, err error) {
	s := r.shard(userID)
	s.Lock()
	defer s.Unlock()
	e := s.entries[userID]
	return e != nil && len(e.devices) > 0, 0, nil
}

// Follow does nothing: all changes are made in this process.
func (r *Registry) Follow(int64) {}

// Unfollow does nothing.
func (r *Registry) Unfollow(int64) {}

// Settle does nothing: there is nothing to wait for.
func (r *Registry) Settle(context.Context, ...int64) error { return nil }

// Receive does nothing.
func (r *Registry) Receive(context.Context, ...int64) error { return nil }

// CatchUp does nothing: Missed has returned everything.
func (r *Registry) CatchUp(context.Context, *fanout.Watcher, *status.Absence) error { return nil }

// Moment returns the present moment.
func (r *Registry) Moment() status.Moment {
	return status.Moment{Version: r.version.Load(), At: r.Now() - 1}
}

// MomentOf returns how far the user's changes have been published. The user's queue is locked. If the
// user has an entry, the time is the entry's and not the clock's, which may be set back.
func (r *Registry) MomentOf(userID int64) status.Moment {
	at := r.Moment()
	if e := r.shard(userID).entries[userID]; e != nil {
		at.At = e.Since
	}
	return at
}

// Missed returns the present statuses of the users that have changed in the absence.
func (r *Registry) Missed(watches []*fanout.Watch, a *status.Absence) (events []*fanout.Event) {
	s := r.shard(watches[0].Key)
	for _, w := range watches {
		since, e, row := a.Left(w.Key), s.entries[w.Key], a.Rows[w.Key]
		seq := s.registry.version.Load()
		var now models.UserStatus
		switch {
		case e != nil && e.Version > since.Version:
			seq, now = e.Version, e.Status()
		case e != nil && e.Version == 0 && e.Since > since.At:
			now = e.Status() // memory had forgotten the account, and knows it by the row
		case e == nil && row != nil && *row.PresenceAt > since.At:
			now = s.status(status.AccountOf(row))
		default:
			continue
		}
		events = append(events, fanout.NewAt(seq, w.Key, &now))
	}
	return events
}

// Present returns events of the accounts' present statuses, in their order.
func (r *Registry) Present(_ context.Context, accs []status.Account) ([]*fanout.Event, error) {
	events := make([]*fanout.Event, len(accs))
	for i, acc := range accs {
		s := r.shard(acc.ID)
		s.Lock()
		now := s.status(acc)
		events[i] = fanout.NewAt(r.version.Load(), acc.ID, &now)
		s.Unlock()
	}
	return events, nil
}

func (r *Registry) countOnline(appID int64, by int64) {
	r.online.of(appID).Add(by)
	r.OnlineUsers.Add(float64(by))
}

// onlineCounts are the numbers of ONLINE users by app.
type onlineCounts struct {
	apps sync.Map // apps.id → *atomic.Int64
}

func (c *onlineCounts) of(appID int64) *atomic.Int64 {
	n, ok := c.apps.Load(appID)
	if !ok {
		n, _ = c.apps.LoadOrStore(appID, new(atomic.Int64))
	}
	return n.(*atomic.Int64)
}
