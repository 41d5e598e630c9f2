package memory

import (
	"slices"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// unknown stands for columns that may hold anything: nothing was written yet, or a write is queued or
// under way.
var unknown = status.State{Presence: -1}

// entry is one account in memory, guarded by its shard's lock.
//
// A login is published only after the database holds it. So an entry that has devices and is not
// ONLINE is one whose login is still being written, the same for all its devices.
type entry struct {
	// Record is the status that was published.
	status.Record
	// devices are in the order in which they connected; few, so a slice.
	devices []*status.Device
	// loginAt is when the first device connected whose login is being written.
	loginAt models.Time
	// durable is what the columns hold.
	durable status.State
	// idleSince is when the entry last had no device and nothing to write.
	idleSince models.Time
}

func newEntry(acc status.Account) *entry {
	return &entry{Record: status.RecordOf(acc), durable: unknown}
}

func (e *entry) online() bool { return e.Presence == models.PresenceOnline }

func (e *entry) has(d *status.Device) bool { return slices.Contains(e.devices, d) }

// idle reports whether the row holds everything that the entry does.
func (e *entry) idle() bool { return len(e.devices) == 0 && e.durable == e.State }

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
		s.registry.countOnline(e.AppID, 1)
	case from:
		s.registry.countOnline(e.AppID, -1)
	}
	s.publish(e)
}

// publish publishes e's present status.
func (s *shard) publish(e *entry) {
	s.registry.Events.Inc()
	e.Version = s.registry.version.Add(1)
	status.Notify(s.registry.Observer, &e.Record)
	now := e.Status()
	s.Publish(fanout.NewAt(e.Version, e.ID, &now), status.UserKey(e.ID), status.AppKey(e.AppID))
}

// end removes the devices that leave from e, and returns them. If e then has no device, it gets the
// presence to, even if it had none before. The caller saves e, unless its user is deleted.
func (s *shard) end(e *entry, leaves func(*status.Device) bool, to models.Presence) (ended []*status.Device) {
	e.devices = slices.DeleteFunc(e.devices, func(d *status.Device) bool {
		if leaves(d) {
			ended = append(ended, d)
			return true
		}
		return false
	})
	s.registry.Devices.Add(-int64(len(ended)))
	if len(e.devices) == 0 {
		if len(ended) > 0 {
			s.registry.LastDeviceGone(e.ID)
		}
		s.become(e, to, s.registry.Now())
	}
	return ended
}

func every(*status.Device) bool { return true }

func only(device *status.Device) func(*status.Device) bool {
	return func(d *status.Device) bool { return d == device }
}

// save writes the state of an entry without a device into its columns, in place of a login that is
// queued. It returns nil if the columns hold the state, or if e has a device: then they hold its
// login, or will.
func (s *shard) save(e *entry) *mirror.Write {
	if len(e.devices) > 0 || e.durable == e.State {
		return nil
	}
	e.durable = unknown
	return s.registry.mirror.Set(e.ID, e.State)
}

// written notes what a user's columns hold now.
func (s *shard) written(userID int64, held status.State) {
	s.Lock()
	defer s.Unlock()
	e := s.entries[userID]
	if e == nil {
		return
	}
	if e.durable = held; e.idle() {
		s.rest(e)
	}
}
