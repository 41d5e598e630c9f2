package presence

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/presence/ledger"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

const (
	// homecoming is how long nodes are given to write their devices again after Redis
	// has lost its data, before those that nobody has written count as gone.
	homecoming = leaseLength + 2*time.Second
	// repairWorkers is how many accounts are written again at once.
	repairWorkers = 32
	// repairPause is the time between attempts.
	repairPause = 500 * time.Millisecond
)

// errRenamed ends a repair during which the node's name changed. It starts again under the new name.
var errRenamed = errors.New("the node has entered Redis under another name")

// repair is what this node has to do after a failure here or elsewhere. One goroutine does it, and
// retries what fails.
type repair struct {
	mu sync.Mutex
	// wanted: the devices here must be compared with the database and with Redis.
	wanted bool
	// dead are nodes that must be swept. former are this node's former names, which must be swept
	// when its devices have been written under the present one.
	dead, former []string
	// lapse is when to look for users that are ONLINE in the database and have no device in Redis;
	// zero: not at all.
	lapse time.Time
	// born is the data in Redis for which that holds.
	born int64
	// unheard are users of whom Redis knew nothing when the link was back, and up to
	// which version they had been heard of; looked at when those of lapse have been.
	unheard map[int64]int64
	// owed are departures from here of which Redis could not be told, by users.id. An
	// empty one would never miss the devices, and nobody be told of their end.
	owed map[int64]ledger.Departure
	wake chan struct{}
}

func (r *repair) init() {
	r.wake = make(chan struct{}, 1)
	r.unheard = make(map[int64]int64)
	r.owed = make(map[int64]ledger.Departure)
}

// update changes what there is to do, for the goroutine that does it.
func (r *repair) update(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
}

// change is update for others: it wakes that goroutine.
func (r *repair) change(fn func()) {
	r.update(fn)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// ask schedules a repair of this node's devices.
func (r *repair) ask() { r.change(func() { r.wanted = true }) }

// replace schedules a repair under the node's present name, and after it a sweep of what is in
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

// owe schedules a departure that Redis could not be told of.
func (r *repair) owe(d ledger.Departure) { r.change(func() { r.addOwed(d) }) }

// addOwed notes a departure; r.mu is held.
func (r *repair) addOwed(d ledger.Departure) {
	d.Devices = append(r.owed[d.User.ID].Devices, d.Devices...)
	r.owed[d.User.ID] = d
}

// askLapse has users looked for who are ONLINE in the database alone, when every
// node has had time to write its devices since Redis was first seen empty.
func (r *repair) askLapse(born int64) {
	r.change(func() { r.born, r.lapse = born, time.UnixMicro(born).Add(homecoming) })
}

// doubt has users looked at of whom Redis knows nothing.
func (r *repair) doubt(users map[int64]int64) {
	if len(users) > 0 {
		r.change(func() {
			maps.Copy(r.unheard, users)
			r.lapse = time.Now().Add(homecoming)
		})
	}
}

// repairWhenAsked works until the hub closes.
func (s *shared) repairWhenAsked() {
	r := &s.repair
	var later <-chan time.Time
	for {
		select {
		case <-r.wake:
		case <-later:
		case <-s.hub.closing.Done():
			return
		}
		pause, err := s.doRepairs(s.hub.closing)
		if s.hub.closing.Err() != nil {
			return
		}
		if err != nil {
			if !s.lease.isAway() && !errors.Is(err, errRenamed) && !leaseLost(err) {
				s.hub.log.Error("making up for what was missed failed, will be tried again", "error", err)
			}
			pause = repairPause
		}
		later = nil
		if pause > 0 {
			later = time.After(pause)
		}
	}
}

// doRepairs does what there is to do, and returns how long to wait until there is more.
func (s *shared) doRepairs(ctx context.Context) (pause time.Duration, err error) {
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
		err = s.payOwed(ctx)
	}
	for _, name := range former {
		if err == nil {
			err = s.ledger.Retire(ctx, name)
		}
		if err == nil {
			err = s.sweep(ctx, name)
		}
		if err == nil {
			r.update(func() { r.former = slices.DeleteFunc(r.former, func(n string) bool { return n == name }) })
		}
	}
	for _, name := range dead {
		if err == nil {
			s.hub.log.Warn("sweeping the devices of a node whose lease has lapsed", "node", name)
			s.hub.metrics.nodesSwept.Inc()
			err = s.sweep(ctx, name) // tried again: the next renewal names it again
		}
	}
	if err != nil {
		return 0, err
	}
	return s.lapseWhenDue(ctx)
}

// rewrite cuts the devices here whose users may not be connected any more, and writes the others to
// Redis again, all under that name of this node. Returns errRenamed if the node gets another name
// meanwhile.
func (s *shared) rewrite(ctx context.Context, name string) error {
	rows, err := s.verify(ctx)
	if err == nil {
		err = s.restore(ctx, name, rows)
	}
	return err
}

// payOwed tells Redis of the departures that it could not be told of.
func (s *shared) payOwed(ctx context.Context) error {
	r := &s.repair
	r.mu.Lock()
	owed := r.owed
	r.owed = make(map[int64]ledger.Departure)
	r.mu.Unlock()
	var err error
	for _, d := range owed {
		if err == nil {
			err = s.leave(ctx, d)
		}
		if err != nil {
			r.update(func() { r.addOwed(d) })
		}
	}
	if err != nil {
		return s.failed(err)
	}
	return nil
}

// sweep takes the devices of a node away that is gone.
func (s *shared) sweep(ctx context.Context, node string) error {
	for more := true; more; {
		ids, err := s.ledger.Unswept(ctx, node)
		if err != nil {
			return s.failed(err)
		}
		var turned []*status.Record
		if turned, more, err = s.ledger.Sweep(ctx, node, s.rowsOf(ctx, ids), s.hub.now()); err != nil {
			return s.failed(err)
		}
		for _, r := range turned {
			s.turned(r)
			s.mirror.Keep(r.ID, r.State)
		}
	}
	// It may have known of others who are to lose their subscriptions.
	s.hub.lingerers.unknown.Store(true)
	return nil
}

// rowsOf returns what the database has of users, with nothing but their IDs if it has none or fails:
// their devices must be swept all the same.
func (s *shared) rowsOf(ctx context.Context, ids []int64) []status.Account {
	users, place := make([]status.Account, len(ids)), make(map[int64]int, len(ids))
	for i, id := range ids {
		users[i].ID, place[id] = id, i
	}
	if len(ids) == 0 {
		return users
	}
	rows, err := gorm.G[models.User](s.hub.db.Read(ctx)).Select("id", "presence", "presence_at").Where("id IN ?", ids).Find(ctx)
	if err != nil {
		s.hub.log.Error("reading the rows of swept users failed", "users", len(ids), "error", err)
		return users
	}
	for _, row := range rows {
		users[place[row.ID]].State = status.StateOf(&row)
	}
	return users
}

// accounts answers those with devices here.
func (s *shared) accounts() []*local {
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

// verify cuts the devices here of users that may not be connected any more: this node may have
// missed their revocation. It returns the present rows of those that have devices here.
func (s *shared) verify(ctx context.Context) (rows map[int64]*models.User, err error) {
	rows = make(map[int64]*models.User)
	for chunk := range slices.Chunk(s.accounts(), loadChunk) {
		found, err := s.access(ctx, chunk)
		if err != nil {
			return nil, err
		}
		maps.Copy(rows, found)
		for _, l := range chunk {
			if reason, revoked := status.RevocationOf(found[l.account.ID], s.hub.now()); revoked {
				if _, err := s.cut(ctx, l.account, nil, reason.Leaves(), reason); err != nil {
					return nil, err
				}
			}
		}
	}
	return rows, nil
}

// restore writes the devices here to Redis again, under that name of this node. Returns errRenamed
// if the node gets another name meanwhile.
func (s *shared) restore(ctx context.Context, name string, rows map[int64]*models.User) error {
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
func (s *shared) stillNamed(name string) error {
	if s.lease.current() != name {
		return errRenamed
	}
	return nil
}

// restoreOne writes the account's devices here again, and cuts those that another node has
// disconnected without this one having received it. row is nil if it was not read.
func (s *shared) restoreOne(ctx context.Context, name string, l *local, row *models.User) error {
	l.step.Lock()
	defer l.step.Unlock()
	devices := s.devicesHere(l)
	if len(devices) == 0 {
		return nil
	}
	if err := s.stillNamed(name); err != nil {
		return err
	}
	out, err := s.ledger.Restore(ctx, name, s.known(l, row), devices, s.hub.now())
	switch {
	case leaseLost(err):
		s.lease.hurry()
		return err
	case err != nil:
		// It may be carried out later, when a device has left.
		return s.distrust(err)
	}
	if out.Came {
		s.turned(out.Record)
		s.mirror.Keep(out.Record.ID, out.Record.State)
	}
	s.views.learn(out.Record)
	for device, reason := range out.Cut {
		s.cutHere(l.account.ID, []string{device}, reasonOf(reason), false)
	}
	return nil
}

// known returns what this node knows of an account with devices here: what it heard last, unless
// the database has something newer because another node swept the account, with the custom status
// from when the account was ONLINE.
func (s *shared) known(l *local, row *models.User) *status.Record {
	known := s.views.known(l.account.ID)
	if known.ID == 0 { // all that had been heard of the account has gone with its last watch
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
func (s *shared) devicesHere(l *local) []ledger.Placed {
	s.mu.Lock()
	defer s.mu.Unlock()
	devices := make([]ledger.Placed, len(l.devices))
	for i, d := range l.devices {
		devices[i] = ledger.Placed{Device: d.info, Added: d.added}
	}
	return devices
}

// lapseWhenDue looks for users whom only the database has as ONLINE, and answers
// when that is to be done.
func (s *shared) lapseWhenDue(ctx context.Context) (pause time.Duration, err error) {
	r := &s.repair
	r.mu.Lock()
	due, born, unheard := r.lapse, r.born, r.unheard
	if due.IsZero() {
		r.mu.Unlock()
		return 0, nil
	}
	if pause = time.Until(due); pause > 0 {
		r.mu.Unlock()
		return pause, nil
	}
	r.lapse, r.unheard = time.Time{}, make(map[int64]int64)
	r.mu.Unlock()
	if err = s.lapseAll(ctx, born); err == nil {
		err = s.hearRows(ctx, unheard)
	}
	if err != nil {
		r.update(func() {
			if r.lapse.Before(due) {
				r.lapse = due
			}
			maps.Copy(r.unheard, unheard)
		})
	}
	return 0, err
}

// lapseAll turns the users to OFFLINE whom the database has as ONLINE, and no node
// has a device of: they were left by a service that was killed, or by a node whose
// devices Redis has lost.
func (s *shared) lapseAll(ctx context.Context, born int64) error {
	apps, err := gorm.G[models.App](s.hub.db.Read(ctx)).Select("id").Find(ctx)
	if err != nil {
		return fmt.Errorf("reading apps: %w", err)
	}
	for _, app := range apps {
		for last := int64(0); ; {
			rows, err := gorm.G[models.User](s.hub.db.Read(ctx)).Select("id", "app_id", "external_id", "presence_at").
				Where("app_id = ? AND presence = ? AND id > ?", app.ID, models.PresenceOnline, last).
				Order("id").Limit(mirror.RestartChunk).Find(ctx)
			if err != nil {
				return fmt.Errorf("reading who is ONLINE: %w", err)
			}
			if err := s.lapseSome(ctx, born, rows); err != nil {
				return s.failed(err)
			}
			if len(rows) < mirror.RestartChunk {
				break
			}
			last = rows[len(rows)-1].ID
		}
	}
	return nil
}

func (s *shared) lapseSome(ctx context.Context, born int64, rows []models.User) error {
	ids := make([]int64, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	records, err := s.ledger.Records(ctx, ids)
	if err != nil {
		return err
	}
	for i, record := range records {
		if record != nil && record.Presence == models.PresenceOnline {
			continue
		}
		u := status.AccountOf(&rows[i])
		record, err := s.ledger.Lapse(ctx, born, u.Disconnected(), s.hub.now())
		if err != nil {
			return err
		}
		if record != nil {
			s.turned(record)
			s.mirror.Keep(record.ID, record.State)
		}
	}
	return nil
}

// hearRows tells of users of whom Redis still knows nothing what the database has,
// where that is newer than what was heard.
func (s *shared) hearRows(ctx context.Context, unheard map[int64]int64) error {
	ids := make([]int64, 0, len(unheard))
	for id := range unheard {
		ids = append(ids, id)
	}
	for chunk := range slices.Chunk(ids, loadChunk) {
		records, err := s.ledger.Records(ctx, chunk)
		if err != nil {
			return s.failed(err)
		}
		rows, err := gorm.G[models.User](s.hub.db.Read(ctx)).
			Select("id", "app_id", "external_id", "presence", "presence_at").Where("id IN ?", chunk).Find(ctx)
		if err != nil {
			return fmt.Errorf("reading the statuses of %d users: %w", len(chunk), err)
		}
		for i := range rows {
			row := status.RecordOf(status.AccountOf(&rows[i]))
			// Versions are times in microseconds.
			if record := records[slices.Index(chunk, row.ID)]; record == nil && int64(row.Since)*1000 > unheard[row.ID] {
				row.Version = unheard[row.ID] + 1
				s.tell(userKey(row.ID), &row)
			}
		}
	}
	return nil
}
