package presence

import (
	"slices"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// unknown stands for columns that may hold anything: nothing was written yet, a write failed, or one
// is under way.
var unknown = status.State{Presence: -1}

// entry is one account in memory, guarded by its shard's mutex.
//
// A login is announced only after the database holds it. So devices without
// ONLINE are devices whose login is still being written, all of them alike.
type entry struct {
	// Record is the status that everybody may know, and was published.
	status.Record
	// devices in the order in which they came; few, so a slice.
	devices []*Device
	// loginAt is when the first of the devices came whose login is being written.
	loginAt models.Time
	// durable is what the columns hold.
	durable status.State
	// queued: the writer will come by.
	queued bool
	// dropped: the user is deleted, the entry forgotten.
	dropped bool
	// waiters want to know when the database holds what they did, or newer.
	waiters []waiter
	// idleSince is when the entry last had no device and nothing to write.
	idleSince models.Time
}

// waiter is a caller that waits for the database.
type waiter struct {
	// device is the one that logs in; nil: a logout.
	device *Device
	// done has room for the one answer.
	done chan error
}

func newEntry(acc status.Account) *entry {
	return &entry{Record: status.RecordOf(acc), durable: unknown}
}

func (e *entry) online() bool { return e.Presence == models.PresenceOnline }

func (e *entry) has(d *Device) bool { return slices.Contains(e.devices, d) }

// wanted is what the columns should hold.
func (e *entry) wanted() status.State {
	if len(e.devices) > 0 && !e.online() {
		return status.State{Presence: models.PresenceOnline, Since: e.loginAt}
	}
	return e.State
}

// idle says whether the row tells everything that the entry does.
func (e *entry) idle() bool {
	return len(e.devices) == 0 && !e.queued && e.durable == e.State
}

func (e *entry) wait(d *Device) waiter {
	w := waiter{device: d, done: make(chan error, 1)}
	e.waiters = append(e.waiters, w)
	return w
}

func finish(waiters []waiter, err error) {
	for _, w := range waiters {
		w.done <- err
	}
}

// turn gives e another presence, without a custom status, and announces it. What
// is none changes nothing: links that break make OFFLINE only of who is ONLINE.
func (s *shard) turn(e *entry, to models.Presence, at models.Time) {
	from := e.Presence
	if from == to || (to == models.PresenceOffline && from != models.PresenceOnline) {
		return
	}
	e.State = status.State{Presence: to, Since: e.After(at)}
	e.Custom, e.CustomSince = "", 0
	switch models.PresenceOnline {
	case to:
		s.hub.countOnline(e.AppID, 1)
	case from:
		s.hub.countOnline(e.AppID, -1)
	}
	s.announce(e)
}

// announce tells those who watch what e's status is now.
func (s *shard) announce(e *entry) {
	s.hub.metrics.events.Inc()
	e.Version = s.hub.seq.Add(1)
	now := e.Status()
	s.Publish(fanout.NewAt(e.Version, e.ID, &now), userKey(e.ID), appKey(e.AppID))
}

// end takes the devices that leave out of e, turns e to the presence after the
// last one, and answers those taken out. Without any device e turns all the same.
func (s *shard) end(e *entry, leaves func(*Device) bool, to models.Presence) (ended []*Device) {
	e.devices = slices.DeleteFunc(e.devices, func(d *Device) bool {
		if leaves(d) {
			ended = append(ended, d)
			return true
		}
		return false
	})
	s.hub.metrics.devices.Add(-int64(len(ended)))
	if len(e.devices) == 0 {
		if len(ended) > 0 {
			s.hub.lingerers.note(e.ID, s.hub.now())
		}
		s.turn(e, to, s.hub.now())
	}
	s.save(e)
	return ended
}

func every(*Device) bool { return true }

func only(device *Device) func(*Device) bool {
	return func(d *Device) bool { return d == device }
}

// save has the writer come by where the columns are not as they should be.
func (s *shard) save(e *entry) {
	if !e.queued && !e.dropped && e.durable != e.wanted() {
		e.queued = true
		s.hub.writer.push(s, e)
	}
}

// beginWrite answers the state that the writer is to write, and who waits for
// it; false where there is nothing to write.
func (s *shard) beginWrite(e *entry) (write, bool) {
	s.Lock()
	defer s.Unlock()
	e.queued = false
	if e.dropped {
		return write{}, false
	}
	if e.durable == e.wanted() {
		s.settle(e)
		return write{}, false
	}
	w := write{shard: s, entry: e, state: e.wanted(), waiters: e.waiters}
	e.waiters = nil
	e.durable = unknown
	return w, true
}

// endWrite carries out what hangs on a write: when it succeeded, the login is
// announced; when it failed, the logins that waited for it are undone. It
// answers whether the writer must try this entry again.
func (s *shard) endWrite(w write, err error) (again bool) {
	s.Lock()
	defer s.Unlock()
	e := w.entry
	defer finish(w.waiters, err)
	if err == nil {
		e.durable = w.state
		s.settle(e)
		return false
	}
	again = !e.queued && !e.dropped
	e.queued = true // by the writer's own hand, so that ending devices does not hurry it
	for _, waiter := range w.waiters {
		if waiter.device != nil && e.has(waiter.device) && !e.online() {
			s.end(e, only(waiter.device), models.PresenceOffline)
		}
	}
	return again
}

// settle follows a write: what the columns hold now may be announced. Where they
// are behind again already, the writer comes by once more.
func (s *shard) settle(e *entry) {
	if e.durable != e.wanted() {
		s.save(e)
		return
	}
	if len(e.devices) > 0 {
		s.turn(e, models.PresenceOnline, e.loginAt)
	}
	finish(e.waiters, nil)
	e.waiters = nil
	if e.idle() {
		s.rest(e)
	}
}
