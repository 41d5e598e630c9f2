package presence

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync/atomic"

	"rollcall/internal/bus"
	"rollcall/models"
)

// Reason says why a device's link must end.
type Reason int8

// The reasons.
const (
	// ReasonLoggedOut: another device, or a request, logged the user out.
	ReasonLoggedOut Reason = iota + 1
	// ReasonBanned: the user was banned.
	ReasonBanned
	// ReasonDeactivated: the user was deactivated.
	ReasonDeactivated
	// ReasonDeleted: the user was deleted.
	ReasonDeleted
	// ReasonDisconnected: the App Server had the device disconnected.
	ReasonDisconnected
)

// String is the reason in a few words, for logs.
func (r Reason) String() string {
	switch r {
	case ReasonLoggedOut:
		return "logged out"
	case ReasonBanned:
		return "banned"
	case ReasonDeactivated:
		return "deactivated"
	case ReasonDeleted:
		return "deleted"
	case ReasonDisconnected:
		return "disconnected"
	}
	return "unknown"
}

// Link is the transport's side of a device.
type Link interface {
	// Cut ends the connection for that reason. It must not block; it may be
	// called from any goroutine, more than once, and before Connect has answered.
	Cut(reason Reason)
}

// deviceIDLength gives 80 random bits.
const deviceIDLength = 16

// Device is one live connection of a user.
type Device struct {
	hub *Hub
	// entry is nil until the device has been let in; see Connect.
	entry     *entry
	account   Account
	info      models.Device
	link      Link
	loggedOut atomic.Bool
}

// Info is what the API shows of the device.
func (d *Device) Info() models.Device { return d.info }

// Account is whose device it is, as of the moment it connected.
func (d *Device) Account() Account { return d.account }

// LoggedOut says whether a logout has ended the device.
func (d *Device) LoggedOut() bool { return d.loggedOut.Load() }

// Gone says that the link has ended. Calling it again, or after the hub has cut
// the device or a logout has ended it, does nothing.
func (d *Device) Gone() {
	s := d.hub.shard(d.account.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.entry != nil && d.entry.has(d) {
		s.end(d.entry, only(d), models.PresenceOffline)
	}
}

// Connect adds a device to the account. It answers once the database holds that
// the user has logged in, so a crash from then on leaves OFFLINE, and the user
// is ONLINE. On an error (the database does not answer, ctx ends first, ErrClosed,
// what check answers) nothing remains of the device.
//
// check says whether the user may still connect, as the database has it now. It is
// called when the hub would already cut the device, and before anybody sees it: a
// ban that commits before check is answered by check, and one that commits later
// cuts the link. So whoever races with a ban loses, and was never ONLINE.
func (h *Hub) Connect(ctx context.Context, acc Account, platform models.Platform, link Link,
	check func(context.Context) error) (*Device, error) {
	s := h.shard(acc.ID)
	d, err := s.arrive(acc, platform, link)
	if err != nil {
		return nil, err
	}
	if err := check(ctx); err != nil {
		s.turnAway(d)
		return nil, err
	}
	w, err := s.letIn(d)
	if err != nil || w == nil {
		return d, err
	}
	select {
	case err = <-w.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case d.entry.has(d) && d.entry.online():
		return d, nil
	case err == nil && s.closed:
		err = ErrClosed
	case err == nil:
		return d, nil // the link was cut already
	case d.entry.has(d):
		s.end(d.entry, only(d), models.PresenceOffline)
	}
	return nil, fmt.Errorf("recording the login of user %d: %w", acc.ID, err)
}

// arrive makes a device that nobody sees yet, and that cuts reach.
func (s *shard) arrive(acc Account, platform models.Platform, link Link) (*Device, error) {
	d := &Device{
		hub:     s.hub,
		account: acc,
		info:    models.Device{ID: rand.Text()[:deviceIDLength], Platform: platform, ConnectedAt: s.hub.now()},
		link:    link,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	s.arriving[d] = struct{}{}
	return d, nil
}

// turnAway forgets a device that may not connect.
func (s *shard) turnAway(d *Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.arriving, d)
}

// letIn adds a device to its account. The waiter is nil where there is nothing to
// wait for: the user is ONLINE already, or the link was cut meanwhile.
func (s *shard) letIn(d *Device) (*waiter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, arriving := s.arriving[d]
	delete(s.arriving, d)
	switch {
	case s.closed:
		return nil, ErrClosed
	case !arriving:
		return nil, nil
	}
	e := s.entry(d.account)
	if len(e.devices) == 0 {
		e.loginAt = e.after(d.info.ConnectedAt)
	}
	d.entry = e
	e.devices = append(e.devices, d)
	s.hub.metrics.devices.Inc()
	if e.online() {
		return nil, nil
	}
	w := e.wait(d)
	s.save(e)
	return &w, nil
}

// Logout ends the device own, or all of the account's devices where all is set
// or own is nil, and answers once the database holds what follows: UNLOGINED
// unless a device remains. The other devices' links are cut; own's is left to the
// caller, who answers over it first: own.LoggedOut() is true from now on.
//
// When the database does not answer or ctx ends, the devices are logged out all
// the same, but a crash may still leave the user OFFLINE. ErrClosed: nothing was
// done.
func (h *Hub) Logout(ctx context.Context, acc Account, own *Device, all bool) error {
	leaves := every
	if own != nil && !all {
		leaves = only(own)
	}
	s := h.shard(acc.ID)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	e := s.entry(acc)
	ended := s.end(e, leaves, models.PresenceUnlogined)
	var done chan error
	if len(e.devices) == 0 && e.durable != e.current {
		done = e.wait(nil).done
	}
	s.mu.Unlock()

	if own != nil {
		own.loggedOut.Store(true)
	}
	for _, d := range ended {
		d.loggedOut.Store(true)
		if d != own {
			d.link.Cut(ReasonLoggedOut)
		}
	}
	if done == nil {
		return nil
	}
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("recording the logout of user %d: %w", acc.ID, err)
	}
	return nil
}

// Disconnect cuts the account's devices with these IDs, nil: all of them, and
// answers how many there were.
func (h *Hub) Disconnect(_ context.Context, acc Account, deviceIDs []string, reason Reason) int {
	leaves := every
	if deviceIDs != nil {
		leaves = func(d *Device) bool { return slices.Contains(deviceIDs, d.info.ID) }
	}
	return h.cut(acc, leaves, models.PresenceOffline, reason)
}

// cut ends devices from outside, turns the account to the presence after the last
// one, and answers how many there were. Those that are arriving go with the rest.
func (h *Hub) cut(acc Account, leaves func(*Device) bool, to models.Presence, reason Reason) int {
	s := h.shard(acc.ID)
	s.mu.Lock()
	ended := s.takeArriving(acc, leaves)
	if e := s.changing(acc, to); e != nil {
		ended = append(ended, s.end(e, leaves, to)...)
		if reason == ReasonDeleted {
			s.drop(e)
		}
	}
	s.mu.Unlock()
	for _, d := range ended {
		d.link.Cut(reason)
	}
	return len(ended)
}

// takeArriving takes the account's arriving devices that leave.
func (s *shard) takeArriving(acc Account, leaves func(*Device) bool) (taken []*Device) {
	for d := range s.arriving {
		if d.account.ID == acc.ID && leaves(d) {
			delete(s.arriving, d)
			taken = append(taken, d)
		}
	}
	return taken
}

// changing answers the account's entry; nil where it is not in memory and turning
// it to the presence changes nothing.
func (s *shard) changing(acc Account, to models.Presence) *entry {
	if e := s.entries[acc.ID]; e != nil {
		return e
	}
	if s.closed || to == models.PresenceOffline || stateOf(acc.Presence, acc.PresenceAt).presence == to {
		return nil
	}
	return s.entry(acc)
}

// revoke ends all devices of a user who may no longer be connected.
func (h *Hub) revoke(_ context.Context, ev bus.AccessRevoked) {
	acc := AccountOf(ev.User)
	switch ev.Reason {
	case bus.ReasonBanned:
		h.cut(acc, every, models.PresenceOffline, ReasonBanned)
	case bus.ReasonDeactivated:
		h.cut(acc, every, models.PresenceUnlogined, ReasonDeactivated)
	case bus.ReasonDeleted:
		h.cut(acc, every, models.PresenceUnlogined, ReasonDeleted)
	}
}

// Devices answers the devices of the user with that users.id, the first to
// connect first.
func (h *Hub) Devices(userID int64) []models.Device {
	s := h.shard(userID)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[userID]
	if e == nil || !e.online() {
		return nil
	}
	infos := make([]models.Device, len(e.devices))
	for i, d := range e.devices {
		infos[i] = d.info
	}
	return infos
}
