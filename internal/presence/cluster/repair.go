package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/presence/cluster/ledger"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

const (
	// rewriteTime is how long nodes have to write their devices again after Redis has lost its data.
	// Devices that no node has written by then count as gone.
	rewriteTime = LeaseLength + 2*time.Second
	// repairWorkers is how many accounts are written again concurrently.
	repairWorkers = 32
	// loadChunk is how many rows one query looks up by key.
	loadChunk = 1000
	// repairPause is the time between attempts.
	repairPause = 500 * time.Millisecond
)

// errRenamed ends a repair during which the node's name changed. It starts again under the new name.
var errRenamed = errors.New("the node has entered Redis under another name")

// repair is the work that this node must do after a failure here or elsewhere. One goroutine does
// it, and retries the parts that fail.
type repair struct {
	mu sync.Mutex
	// wanted reports whether the devices here must be compared with the database and with Redis.
	wanted bool
	// dead are nodes that must be swept. former are this node's former names, which must be swept
	// after its devices have been written under the present one.
	dead, former []string
	// lapse is when to look for users that are ONLINE in the database and have no device in Redis;
	// zero if there is no need.
	lapse time.Time
	// born identifies the data in Redis that lapse refers to; see ledger.Lease.
	born int64
	// absent are the users that Redis did not know when the connection was back, each with the
	// version up to which its watchers here know everything. They are examined after lapse.
	absent map[int64]int64
	// departures are those from here that are not written to Redis yet, by users.id. If Redis has
	// lost its data, it does not know the devices, and only a departure makes it publish that they
	// have left.
	departures map[int64]ledger.Departure
	wake       chan struct{}
}

func (r *repair) init() {
	r.wake = make(chan struct{}, 1)
	r.absent = make(map[int64]int64)
	r.departures = make(map[int64]ledger.Departure)
}

// update changes the pending work. It is for the goroutine that does the work.
func (r *repair) update(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
}

// change is update for other goroutines: it also wakes the one that does the work.
func (r *repair) change(fn func()) {
	r.update(fn)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// ask schedules a repair of this node's devices.
func (r *repair) ask() { r.change(func() { r.wanted = true }) }

// replace schedules a repair under the node's present name, and after it a sweep of the devices in
// Redis under the former one.
func (r *repair) replace(former string) {
	r.change(func() {
		r.wanted = true
		r.former = append(r.former, former)
	})
}

// names returns this node's former names that are not swept yet.
func (r *repair) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.former)
}

func (r *repair) sweep(dead []string) {
	if len(dead) > 0 {
		r.change(func() { r.dead = dead })
	}
}

// scheduleDeparture schedules a departure that is not written to Redis yet.
func (r *repair) scheduleDeparture(d ledger.Departure) { r.change(func() { r.addDeparture(d) }) }

// addDeparture adds a departure to departures. The caller holds r.mu.
func (r *repair) addDeparture(d ledger.Departure) {
	d.Devices = append(r.departures[d.User.ID].Devices, d.Devices...)
	r.departures[d.User.ID] = d
}

// askLapse schedules a search for users that are ONLINE only in the database. It runs once every
// node has had time to write its devices since this data in Redis began.
func (r *repair) askLapse(born int64) {
	r.change(func() { r.born, r.lapse = born, time.UnixMicro(born).Add(rewriteTime) })
}

// examineAbsent schedules an examination of users that Redis does not know.
func (r *repair) examineAbsent(users map[int64]int64) {
	if len(users) > 0 {
		r.change(func() {
			maps.Copy(r.absent, users)
			r.lapse = time.Now().Add(rewriteTime)
		})
	}
}

// repairWhenAsked works until closing ends.
func (s *Registry) repairWhenAsked(closing context.Context) {
	r := &s.repair
	var later <-chan time.Time
	for {
		select {
		case <-r.wake:
		case <-later:
		case <-closing.Done():
			return
		}
		pause, err := s.doRepairs(closing)
		if closing.Err() != nil {
			return
		}
		if err != nil {
			if !s.lease.isAway() && !errors.Is(err, errRenamed) && !leaseLost(err) {
				s.Log.Error("repairing presence after a failure failed; retrying", "error", err)
			}
			pause = repairPause
		}
		later = nil
		if pause > 0 {
			later = time.After(pause)
		}
	}
}

// doRepairs does the pending work. It returns how long to wait until more is due, or 0 if no more
// is scheduled.
func (s *Registry) doRepairs(ctx context.Context) (pause time.Duration, err error) {
	r := &s.repair
	r.mu.Lock()
	wanted, dead, former := r.wanted, r.dead, slices.Clone(r.former)
	r.wanted, r.dead = false, nil
	r.mu.Unlock()

	if wanted {
		if err = s.rewrite(ctx, s.lease.current()); err != nil {
			r.update(func() { r.wanted = true })
		}
	}
	if err == nil {
		err = s.writeDepartures(ctx)
	}
	for _, name := range former {
		if err == nil {
			err = s.ledger.Retire(ctx, name)
		}
		if err == nil {
			err = s.Sweep(ctx, name)
		}
		if err == nil {
			r.update(func() { r.former = slices.DeleteFunc(r.former, func(n string) bool { return n == name }) })
		}
	}
	for _, name := range dead {
		if err == nil {
			s.Log.Warn("sweeping the devices of a node whose lease has lapsed", "node", name)
			s.NodesSwept.Inc()
			err = s.Sweep(ctx, name) // if it fails, the next renewal returns the node again
		}
	}
	if err != nil {
		return 0, err
	}
	return s.lapseWhenDue(ctx)
}

// rewrite cuts the devices here that may no longer be connected, and writes the others to
// Redis again under that name of this node. It returns errRenamed if the node's name changes
// concurrently.
func (s *Registry) rewrite(ctx context.Context, name string) error {
	rows, err := s.verify(ctx)
	if err == nil {
		err = s.restore(ctx, name, rows)
	}
	return err
}

// writeDepartures writes the scheduled departures to Redis.
func (s *Registry) writeDepartures(ctx context.Context) error {
	r := &s.repair
	r.mu.Lock()
	departures := r.departures
	r.departures = make(map[int64]ledger.Departure)
	r.mu.Unlock()
	var err error
	for _, d := range departures {
		if err == nil {
			err = s.leave(ctx, d)
		}
		if err != nil {
			r.update(func() { r.addDeparture(d) })
		}
	}
	if err != nil {
		return s.failed(err)
	}
	return nil
}

// Sweep removes the devices of a dead node, or of a former name, from Redis.
func (s *Registry) Sweep(ctx context.Context, node string) error {
	for more := true; more; {
		ids, err := s.ledger.Unswept(ctx, node)
		if err != nil {
			return s.failed(err)
		}
		var changed []*status.Record
		if changed, more, err = s.ledger.Sweep(ctx, node, s.rowsOf(ctx, ids), s.Now()); err != nil {
			return s.failed(err)
		}
		for _, r := range changed {
			s.noteTransition(r)
			s.mirror.Keep(r.ID, r.State)
		}
	}
	s.NodeSwept(ctx)
	return nil
}

// rowsOf returns users' states in the database. A user has only its ID if it has no row or if
// reading fails: its devices must be swept all the same.
func (s *Registry) rowsOf(ctx context.Context, ids []int64) []status.Account {
	users, place := make([]status.Account, len(ids)), make(map[int64]int, len(ids))
	for i, id := range ids {
		users[i].ID, place[id] = id, i
	}
	if len(ids) == 0 {
		return users
	}
	rows, err := gorm.G[models.User](s.DB.Read(ctx)).Select("id", "presence", "presence_at").Where("id IN ?", ids).Find(ctx)
	if err != nil {
		s.Log.Error("reading the rows of swept users failed", "users", len(ids), "error", err)
		return users
	}
	for _, row := range rows {
		users[place[row.ID]].State = status.StateOf(&row)
	}
	return users
}

// accounts returns the accounts with devices here.
func (s *Registry) accounts() []*local {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*local, 0, len(s.locals))
	for _, l := range s.locals {
		if len(l.devices) > 0 {
			out = append(out, l)
		}
	}
	return out
}

// verify cuts the devices here that may no longer be connected: this node may have missed a revocation
// or a sign-out. It returns the present rows of the users with devices here.
func (s *Registry) verify(ctx context.Context) (rows map[int64]*models.User, err error) {
	rows = make(map[int64]*models.User)
	for chunk := range slices.Chunk(s.accounts(), loadChunk) {
		found, err := s.access(ctx, chunk)
		if err != nil {
			return nil, err
		}
		maps.Copy(rows, found)
		for _, l := range chunk {
			if err := s.enforce(ctx, l, found[l.account.ID]); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

// restore writes the devices here to Redis again under that name of this node. It returns
// errRenamed if the node's name changes concurrently.
func (s *Registry) restore(ctx context.Context, name string, rows map[int64]*models.User) error {
	var mu sync.Mutex
	var failed error
	accounts := s.accounts()
	var workers sync.WaitGroup
	for range min(repairWorkers, len(accounts)) {
		workers.Go(func() {
			for {
				mu.Lock()
				if len(accounts) == 0 || failed != nil || ctx.Err() != nil {
					mu.Unlock()
					return
				}
				l := accounts[0]
				accounts = accounts[1:]
				mu.Unlock()
				if err := s.restoreOne(ctx, name, l, rows[l.account.ID]); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	if err := errors.Join(failed, ctx.Err()); err != nil {
		return err
	}
	return s.stillNamed(name)
}

// stillNamed returns errRenamed if this is not the node's present name.
func (s *Registry) stillNamed(name string) error {
	if s.lease.current() != name {
		return errRenamed
	}
	return nil
}

// restoreOne writes the account's devices here to Redis again. It cuts those that another node has
// disconnected, if this node missed the message. row is nil if it was not read.
func (s *Registry) restoreOne(ctx context.Context, name string, l *local, row *models.User) error {
	l.step.Lock()
	defer l.step.Unlock()
	devices := s.devicesHere(l)
	if len(devices) == 0 {
		return nil
	}
	if err := s.stillNamed(name); err != nil {
		return err
	}
	out, err := s.ledger.Restore(ctx, name, s.known(l, row), devices, s.Now())
	switch {
	case leaseLost(err):
		s.lease.renewNow()
		return err
	case err != nil:
		// Redis may still carry it out later, after a device has left.
		return s.noteFailedStep(err)
	}
	if out.Came {
		s.noteTransition(out.Record)
		s.mirror.Keep(out.Record.ID, out.Record.State)
	}
	s.views.learn(out.Record)
	for device, reason := range out.Cut {
		s.cutHere(l.account.ID, []string{device}, decodeCause(reason), false)
	}
	return nil
}

// known returns what this node knows of an account with devices here: the record that it received
// last, with the custom status from when the account was last ONLINE. If the database has a newer
// state, because another node swept the account, that state replaces the record's.
func (s *Registry) known(l *local, row *models.User) *status.Record {
	known := s.views.known(l.account.ID)
	if known.ID == 0 { // what was received was forgotten with the account's last watch
		known = status.RecordOf(l.account)
	}
	if row != nil {
		if now := status.StateOf(row); now.Presence != models.PresenceOnline && now.Since > known.Since {
			known.State = now
		}
	}
	return &known
}

// devicesHere returns the account's devices at this node.
func (s *Registry) devicesHere(l *local) []ledger.Placed {
	s.mu.Lock()
	defer s.mu.Unlock()
	devices := make([]ledger.Placed, len(l.devices))
	for i, d := range l.devices {
		devices[i] = ledger.Placed{Device: d.Info(), Added: d.added}
	}
	return devices
}
