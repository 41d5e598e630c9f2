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
	// repairWorkers is how many accounts are written again concurrently. Of several buckets, which are
	// often repaired at the same time, each has bucketWorkers.
	repairWorkers = 32
	bucketWorkers = 4
	// loadChunk is how many rows one query looks up by key.
	loadChunk = 1000
	// repairPause is the time between attempts.
	repairPause = 500 * time.Millisecond
)

// errRenamed ends a repair during which the node's name changed. It starts again under the new name.
var errRenamed = errors.New("the node has entered Redis under another name")

// repair is the work that this node must do in a bucket after a failure here or elsewhere. One
// goroutine does it, and retries the parts that fail.
type repair struct {
	mu sync.Mutex
	// wanted reports whether the devices here must be compared with the database and with Redis.
	wanted bool
	// dead are nodes that must be swept. former are this node's former names, which must be swept
	// after its devices have been written under the present one.
	dead, former []string
	// lapse is when to look for users that are ONLINE in the database and have no device in Redis;
	// zero if there is no need. entered reports whether the reason is this node's start, so that an
	// earlier search of the same data is not enough.
	lapse   time.Time
	entered bool
	// born identifies the data in Redis that lapse refers to; see ledger.Lease.
	born int64
	// absent are the users that Redis did not know when the connection was back, each with the
	// version up to which its watchers here know everything. They are examined after that time.
	absent  map[int64]int64
	examine time.Time
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
// node has had time to write its devices since this data in Redis began. entered reports whether this
// node has just started.
func (r *repair) askLapse(born int64, entered bool) {
	r.change(func() {
		r.born, r.lapse, r.entered = born, time.UnixMicro(born).Add(rewriteTime), entered
	})
}

// data returns what identifies the data in Redis.
func (r *repair) data() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.born
}

// examineAbsent schedules an examination of users that Redis does not know.
func (r *repair) examineAbsent(users map[int64]int64) {
	if len(users) > 0 {
		r.change(func() {
			maps.Copy(r.absent, users)
			r.examine = time.Now().Add(rewriteTime)
		})
	}
}

// repairWhenAsked works until closing ends.
func (b *bucket) repairWhenAsked(closing context.Context) {
	r := &b.repair
	var later <-chan time.Time
	for {
		select {
		case <-r.wake:
		case <-later:
		case <-closing.Done():
			return
		}
		pause, err := b.doRepairs(closing)
		if closing.Err() != nil {
			return
		}
		if err != nil {
			b.repairFailed(closing, err)
			pause = repairPause
		}
		later = nil
		if pause > 0 {
			later = time.After(pause)
		}
	}
}

// repairFailed logs why a repair failed, unless that is known.
func (b *bucket) repairFailed(ctx context.Context, err error) {
	if !b.lease.isAway() && !errors.Is(err, errRenamed) && !leaseLost(err) {
		b.registry.notices.outages.Warn(ctx, "repairing presence after a failure failed; retrying", "error", err)
	}
}

// doRepairs does the pending work. It returns how long to wait until more is due, or 0 if no more
// is scheduled.
func (b *bucket) doRepairs(ctx context.Context) (pause time.Duration, err error) {
	r := &b.repair
	r.mu.Lock()
	wanted, dead, former := r.wanted, r.dead, slices.Clone(r.former)
	r.wanted, r.dead = false, nil
	r.mu.Unlock()

	if wanted {
		if err = b.rewrite(ctx, b.lease.current()); err != nil {
			r.update(func() { r.wanted = true })
		}
	}
	if err == nil {
		err = b.writeDepartures(ctx)
	}
	for _, name := range former {
		if err == nil {
			err = b.ledger.Retire(ctx, name)
		}
		if err == nil {
			err = b.sweep(ctx, name)
		}
		if err == nil {
			r.update(func() { r.former = slices.DeleteFunc(r.former, func(n string) bool { return n == name }) })
		}
	}
	if err == nil && len(dead) > 0 {
		err = b.sweepAll(ctx, dead)
	}
	if err != nil {
		return 0, err
	}
	pause = b.lapseWhenDue()
	more, err := b.examineWhenDue(ctx)
	if more > 0 && (pause == 0 || more < pause) {
		pause = more
	}
	return pause, err
}

// rewrite cuts the devices here that may no longer be connected, and writes the others to
// Redis again under that name of this node. It returns errRenamed if the node's name changes
// concurrently.
func (b *bucket) rewrite(ctx context.Context, name string) error {
	rows, err := b.verify(ctx)
	if err == nil {
		err = b.restore(ctx, name, rows)
	}
	return err
}

// writeDepartures writes the scheduled departures to Redis.
func (b *bucket) writeDepartures(ctx context.Context) error {
	r := &b.repair
	r.mu.Lock()
	departures := r.departures
	r.departures = make(map[int64]ledger.Departure)
	r.mu.Unlock()
	var err error
	for _, d := range departures {
		if err == nil {
			err = b.leave(ctx, d)
		}
		if err != nil {
			r.update(func() { r.addDeparture(d) })
		}
	}
	if err != nil {
		return b.failed(err)
	}
	return nil
}

// sweepAll sweeps dead nodes, unless another node does. If that fails, or dies, the next renewal returns
// the dead nodes again.
func (b *bucket) sweepAll(ctx context.Context, dead []string) error {
	_, err := b.sweeps.Try(ctx, func(ctx context.Context) error {
		for _, name := range dead {
			b.registry.sweepDead(name)
			if err := b.sweep(ctx, name); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// sweep removes the devices of a dead node, or of a former name, from the bucket. NodeSwept is called
// when no sweep is under way any more.
func (b *bucket) sweep(ctx context.Context, node string) (err error) {
	sweeping := &b.registry.sweeping
	sweeping.Add(1)
	defer func() {
		if sweeping.Add(-1) == 0 {
			b.NodeSwept(ctx)
		}
	}()
	for more := true; more; {
		ids, err := b.ledger.Unswept(ctx, node)
		if err != nil {
			return b.failed(err)
		}
		var changed []*status.Record
		if changed, more, err = b.ledger.Sweep(ctx, node, b.rowsOf(ctx, ids), b.Now()); err != nil {
			return b.failed(err)
		}
		for _, r := range changed {
			b.noteTransition(r)
			b.mirror.Keep(r.ID, r.State)
		}
	}
	return nil
}

// rowsOf returns users' states in the database. A user has only its ID if it has no row or if
// reading fails: its devices must be swept all the same.
func (b *bucket) rowsOf(ctx context.Context, ids []int64) []status.Account {
	users, place := make([]status.Account, len(ids)), make(map[int64]int, len(ids))
	for i, id := range ids {
		users[i].ID, place[id] = id, i
	}
	if len(ids) == 0 {
		return users
	}
	rows, err := gorm.G[models.User](b.DB.Read(ctx)).Select("id", "presence", "presence_at").Where("id IN ?", ids).Find(ctx)
	if err != nil {
		b.Log.Error("reading the rows of swept users failed", "users", len(ids), "error", err)
		return users
	}
	for _, row := range rows {
		users[place[row.ID]].State = status.StateOf(&row)
	}
	return users
}

// accounts returns the accounts with devices here.
func (b *bucket) accounts() []*local {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]*local, 0, len(b.locals))
	for _, l := range b.locals {
		if len(l.devices) > 0 {
			out = append(out, l)
		}
	}
	return out
}

// verify cuts the devices here that may no longer be connected: this node may have missed a revocation
// or a sign-out. It returns the present rows of the users with devices here.
func (b *bucket) verify(ctx context.Context) (rows map[int64]*models.User, err error) {
	rows = make(map[int64]*models.User)
	for chunk := range slices.Chunk(b.accounts(), loadChunk) {
		found, err := b.registry.access(ctx, chunk)
		if err != nil {
			return nil, err
		}
		maps.Copy(rows, found)
		for _, l := range chunk {
			if err := b.enforce(ctx, l, found[l.account.ID]); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

// restore writes the devices here to Redis again under that name of this node. It returns
// errRenamed if the node's name changes concurrently.
func (b *bucket) restore(ctx context.Context, name string, rows map[int64]*models.User) error {
	var mu sync.Mutex
	var failed error
	accounts := b.accounts()
	var workers sync.WaitGroup
	most := repairWorkers
	if len(b.registry.buckets) > 1 {
		most = bucketWorkers
	}
	for range min(most, len(accounts)) {
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
				if err := b.restoreOne(ctx, name, l, rows[l.account.ID]); err != nil {
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
	return b.stillNamed(name)
}

// stillNamed returns errRenamed if this is not the node's present name.
func (b *bucket) stillNamed(name string) error {
	if b.lease.current() != name {
		return errRenamed
	}
	return nil
}

// restoreOne writes the account's devices here to Redis again. It cuts those that another node has
// disconnected, if this node missed the message. row is nil if it was not read.
func (b *bucket) restoreOne(ctx context.Context, name string, l *local, row *models.User) error {
	l.step.Lock()
	defer l.step.Unlock()
	devices := b.devicesHere(l)
	if len(devices) == 0 {
		return nil
	}
	if err := b.stillNamed(name); err != nil {
		return err
	}
	out, err := b.ledger.Restore(ctx, name, b.known(l, row), devices, b.Now())
	switch {
	case leaseLost(err):
		b.lease.renewNow()
		return err
	case err != nil:
		// Redis may still carry it out later, after a device has left.
		return b.noteFailedStep(err)
	}
	if out.Came {
		b.noteTransition(out.Record)
		b.mirror.Keep(out.Record.ID, out.Record.State)
	}
	b.views.learn(out.Record)
	for device, reason := range out.Cut {
		b.cutHere(l.account.ID, []string{device}, decodeCause(reason), false)
	}
	return nil
}

// known returns what this node knows of an account with devices here: the record that it received
// last, with the custom status from when the account was last ONLINE. If the database has a newer
// state, because another node swept the account, that state replaces the record'b.
func (b *bucket) known(l *local, row *models.User) *status.Record {
	known := b.views.known(l.account.ID)
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
func (b *bucket) devicesHere(l *local) []ledger.Placed {
	b.mu.Lock()
	defer b.mu.Unlock()
	devices := make([]ledger.Placed, len(l.devices))
	for i, d := range l.devices {
		devices[i] = ledger.Placed{Device: d.Info(), Added: d.added}
	}
	return devices
}
