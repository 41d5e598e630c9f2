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

// entry is one account in memory, guarded by its shard's lock.
//
// A login is published only after the database holds it. So an entry that has devices and is not
// ONLINE is one whose login is still being written, the same for all its devices.
type entry struct {
	// Record is the status that was published.
	status.Record
	// devices are in the order in which they connected; few, so a slice.
	devices []*Device
	// loginAt is when the first device connected whose login is being written.
	loginAt models.Time
	// durable is what the columns hold.
	durable status.State
	// queued reports whether the entry is in the writer's queue.
	queued bool
	// dropped reports whether the user is deleted and the entry no longer in its shard.
	dropped bool
	// waiters are callers that wait until the database holds what they did, or a newer state.
	waiters []waiter
	// idleSince is when the entry last had no device and nothing to write.
	idleSince models.Time
}

// waiter is a caller that waits for the database.
type waiter struct {
	// device is the one that logs in, or nil for a logout.
	device *Device
	// done has room for the one result.
	done chan error
}

func newEntry(acc status.Account) *entry {
	return &entry{Record: status.RecordOf(acc), durable: unknown}
}

func (e *entry) online() bool { return e.Presence == models.PresenceOnline }

func (e *entry) has(d *Device) bool { return slices.Contains(e.devices, d) }

// wanted returns what the columns should hold.
func (e *entry) wanted() status.State {
	if len(e.devices) > 0 && !e.online() {
		return status.State{Presence: models.PresenceOnline, Since: e.loginAt}
	}
	return e.State
}

// idle reports whether the row holds everything that the entry does.
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

// become gives e another presence, without a custom status, and publishes it. It does nothing if e
// has the presence already, or would become OFFLINE without having been ONLINE.
func (s *shard) become(e *entry, to models.Presence, at models.Time) {
	from := e.Presence
	if from == to || (to == models.PresenceOffline && from != models.PresenceOnline) {
		return
	}
	e.State = status.State{Presence: to, Since: e.After(at)}
	e.Custom, e.CustomSince = "", 0
	switch models.PresenceOnline {
	case to:
		s.memory.countOnline(e.AppID, 1)
	case from:
		s.memory.countOnline(e.AppID, -1)
	}
	s.publish(e)
}

// publish publishes e's present status.
func (s *shard) publish(e *entry) {
	s.memory.metrics.events.Inc()
	e.Version = s.memory.seq.Add(1)
	now := e.Status()
	s.Publish(fanout.NewAt(e.Version, e.ID, &now), userKey(e.ID), appKey(e.AppID))
}

// end removes the devices that leave from e, and returns them. If e then has no device, it gets the
// presence to, even if it had none before.
func (s *shard) end(e *entry, leaves func(*Device) bool, to models.Presence) (ended []*Device) {
	e.devices = slices.DeleteFunc(e.devices, func(d *Device) bool {
		if leaves(d) {
			ended = append(ended, d)
			return true
		}
		return false
	})
	s.memory.metrics.devices.Add(-int64(len(ended)))
	if len(e.devices) == 0 {
		if len(ended) > 0 {
			s.memory.lingerers.note(e.ID, s.memory.now())
		}
		s.become(e, to, s.memory.now())
	}
	s.save(e)
	return ended
}

func every(*Device) bool { return true }

func only(device *Device) func(*Device) bool {
	return func(d *Device) bool { return d == device }
}

// save queues e for the writer if the columns do not hold what they should.
func (s *shard) save(e *entry) {
	if !e.queued && !e.dropped && e.durable != e.wanted() {
		e.queued = true
		s.memory.writer.push(s, e)
	}
}

// beginWrite returns the state to write and the callers that wait for it. It returns false if there
// is nothing to write.
func (s *shard) beginWrite(e *entry) (write, bool) {
	s.Lock()
	defer s.Unlock()
	e.queued = false
	if e.dropped {
		return write{}, false
	}
	if e.durable == e.wanted() {
		s.written(e)
		return write{}, false
	}
	w := write{shard: s, entry: e, state: e.wanted(), waiters: e.waiters}
	e.waiters = nil
	e.durable = unknown
	return w, true
}

// endWrite carries out what depends on a write: if it succeeded, the login is published; if it
// failed, the logins that waited for it are undone. It reports whether the writer must try the entry
// again.
func (s *shard) endWrite(w write, err error) (again bool) {
	s.Lock()
	defer s.Unlock()
	e := w.entry
	defer finish(w.waiters, err)
	if err == nil {
		e.durable = w.state
		s.written(e)
		return false
	}
	again = !e.queued && !e.dropped
	e.queued = true // before devices end, so that they do not queue it without the pause
	for _, waiter := range w.waiters {
		if waiter.device != nil && e.has(waiter.device) && !e.online() {
			s.end(e, only(waiter.device), models.PresenceOffline)
		}
	}
	return again
}

// written publishes the login that the columns hold since the last write. If they are behind again,
// it queues e once more instead.
func (s *shard) written(e *entry) {
	if e.durable != e.wanted() {
		s.save(e)
		return
	}
	if len(e.devices) > 0 {
		s.become(e, models.PresenceOnline, e.loginAt)
	}
	finish(e.waiters, nil)
	e.waiters = nil
	if e.idle() {
		s.rest(e)
	}
}
