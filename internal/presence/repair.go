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

// repairs are kinds of work.
type repairs uint8

const (
	// restoreDevices writes this node's devices to Redis again.
	restoreDevices repairs = 1 << iota
	// verifyDevices looks whether their users may still be connected, and whether
	// another node has taken any of them out.
	verifyDevices
)

// repair is what this node has to do about what went wrong, here or elsewhere. One
// goroutine does it, and tries again what fails.
type repair struct {
	mu     sync.Mutex
	wanted repairs
	// dead are nodes to be swept, retired those of them that were this one.
	dead, retired []string
	// lapse is when to look for users whom the database has as ONLINE and nobody
	// holds; zero: not at all.
	lapse time.Time
	// born is the Redis for which that holds.
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

func (r *repair) change(fn func()) {
	r.mu.Lock()
	fn()
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *repair) ask(what repairs) { r.change(func() { r.wanted |= what }) }

// retire has the devices swept that this node has under a name of before.
func (r *repair) retire(name string) { r.change(func() { r.retired = append(r.retired, name) }) }

func (r *repair) sweep(dead []string) {
	if len(dead) > 0 {
		r.change(func() { r.dead = dead })
	}
}

// owe has Redis told later which devices have left.
func (r *repair) owe(d ledger.Departure) {
	r.change(func() {
		d.Devices = append(r.owed[d.User.ID].Devices, d.Devices...)
		r.owed[d.User.ID] = d
	})
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
			if !s.lease.isAway() {
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

// doRepairs does what there is to do, and answers when there is more.
func (s *shared) doRepairs(ctx context.Context) (pause time.Duration, err error) {
	r := &s.repair
	r.mu.Lock()
	wanted, dead, retired := r.wanted, r.dead, r.retired
	r.wanted, r.dead, r.retired = 0, nil, nil
	r.mu.Unlock()

	if wanted != 0 {
		if err = s.verify(ctx); err == nil && wanted&restoreDevices != 0 {
			err = s.restore(ctx)
		}
		if err == nil {
			err = s.cutMissing(ctx)
		}
		if err != nil {
			r.ask(wanted)
		}
	}
	if err == nil {
		err = s.payOwed(ctx)
	}
	// After what is true has been written again.
	for i, name := range retired {
		if err == nil {
			if err = s.ledger.Retire(ctx, name); err == nil {
				err = s.sweep(ctx, name)
			}
		}
		if err != nil {
			r.change(func() { r.retired = append(r.retired, retired[i:]...) })
			return 0, err
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
			r.owe(d)
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
		var turned []*ledger.Record
		var err error
		if turned, more, err = s.ledger.Sweep(ctx, node, s.hub.now()); err != nil {
			return s.failed(err)
		}
		for _, r := range turned {
			s.turned(r)
			s.mirror.keep(r.ID, stateIn(r))
		}
	}
	// It may have known of others who are to lose their subscriptions.
	s.hub.lingerers.unknown.Store(true)
	return nil
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

// verify cuts the devices here of users who may not be connected any more: their
// revocation may not have been heard.
func (s *shared) verify(ctx context.Context) error {
	for chunk := range slices.Chunk(s.accounts(), loadChunk) {
		found, err := s.access(ctx, chunk)
		if err != nil {
			return err
		}
		for _, l := range chunk {
			if reason, revoked := revocationOf(found[l.account.ID], s.hub.now()); revoked {
				if _, err := s.cut(ctx, l.account, nil, reason.leaves(), reason); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// restore writes the devices here to Redis again.
func (s *shared) restore(ctx context.Context) error {
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
				if err := s.restoreOne(ctx, l); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return errors.Join(failed, ctx.Err())
}

// devicesHere answers the account's devices at this node.
func (s *shared) devicesHere(l *local) []models.Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	devices := make([]models.Device, len(l.devices))
	for i, d := range l.devices {
		devices[i] = d.info
	}
	return devices
}

// cutMissing cuts the devices here that are not in Redis: another node has taken
// them out, and this one has not heard of it.
func (s *shared) cutMissing(ctx context.Context) error {
	for _, l := range s.accounts() {
		if err := s.cutMissingOf(ctx, l); err != nil {
			return s.failed(err)
		}
	}
	return nil
}

func (s *shared) cutMissingOf(ctx context.Context, l *local) error {
	l.step.Lock()
	defer l.step.Unlock()
	var ids []string
	for _, d := range s.devicesHere(l) {
		ids = append(ids, d.ID)
	}
	if len(ids) == 0 {
		return nil
	}
	missing, err := s.ledger.Missing(ctx, l.account.ID, ids)
	if err != nil || len(missing) == 0 {
		return err
	}
	// A node that has lost its lease misses all of its devices; it will write them.
	answer, err := s.ledger.Renew(ctx, s.lease.current(), leaseLength, false)
	if err == nil && answer.Held {
		s.cutHere(l.account.ID, missing, ReasonDisconnected, false)
	}
	return err
}

func (s *shared) restoreOne(ctx context.Context, l *local) error {
	l.step.Lock()
	defer l.step.Unlock()
	devices := s.devicesHere(l)
	if len(devices) == 0 {
		return nil
	}
	known := s.views.record(userTopic(l.account.ID))
	if known == nil { // all that had been heard of the account has gone with its last watch
		row := userOf(l.account)
		known = &ledger.Record{ID: row.ID, AppID: row.AppID, ExternalID: row.ExternalID, Presence: row.Presence, Since: row.Since}
	}
	r, came, err := s.ledger.Restore(ctx, s.lease.current(), known, devices, s.hub.now())
	if err != nil {
		return s.failed(err)
	}
	if came {
		s.turned(r)
		s.mirror.keep(r.ID, stateIn(r))
	}
	s.views.learn(r)
	return nil
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
		r.change(func() {
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
				Order("id").Limit(restartChunk).Find(ctx)
			if err != nil {
				return fmt.Errorf("reading who is ONLINE: %w", err)
			}
			if err := s.lapseSome(ctx, born, rows); err != nil {
				return s.failed(err)
			}
			if len(rows) < restartChunk {
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
		u := AccountOf(&rows[i])
		record, err := s.ledger.Lapse(ctx, born, userOf(u), s.hub.now())
		if err != nil {
			return err
		}
		if record != nil {
			s.turned(record)
			s.mirror.keep(record.ID, stateIn(record))
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
			u := userOf(AccountOf(&rows[i]))
			// Versions are times in microseconds.
			if record := records[slices.Index(chunk, u.ID)]; record == nil && int64(u.Since)*1000 > unheard[u.ID] {
				s.tell(userTopic(u.ID), &ledger.Record{ID: u.ID, AppID: u.AppID, ExternalID: u.ExternalID,
					Version: unheard[u.ID] + 1, Presence: u.Presence, Since: u.Since})
			}
		}
	}
	return nil
}
