package memory

import (
	"context"
	"fmt"
	"slices"

	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// Gone removes a device whose link has ended.
func (r *Registry) Gone(d *status.Device) {
	s := r.shard(d.Account().ID)
	s.Lock()
	defer s.Unlock()
	if e := s.holder(d); e != nil {
		s.end(e, only(d), models.PresenceOffline)
		s.save(e)
	}
}

// Connect adds a device; see Hub.Connect.
func (r *Registry) Connect(ctx context.Context, acc status.Account, platform models.Platform, link status.Link,
	read func(context.Context) (status.Account, error)) (*status.Device, error) {
	s := r.shard(acc.ID)
	d, err := s.arrive(acc, platform, link)
	if err != nil {
		return nil, err
	}
	if acc, err = read(ctx); err != nil {
		s.turnAway(d)
		return nil, err
	}
	s.identify(d, acc)
	login, surplus, err := s.letIn(d)
	for _, old := range surplus {
		old.Cut(status.Cause{Reason: status.ReasonDeviceLimit})
	}
	if err != nil || login == nil {
		return d, err
	}
	if err = s.announce(d, login.Wait(ctx)); err != nil {
		return nil, err
	}
	return d, nil
}

// announce publishes the login of a device that was let in, if the database holds it. Otherwise it
// undoes the login.
func (s *shard) announce(d *status.Device, err error) error {
	s.Lock()
	defer s.Unlock()
	e := s.holder(d)
	switch {
	case e != nil && e.online():
		return nil // by the login of another device
	case e != nil && err == nil:
		s.become(e, models.PresenceOnline, e.loginAt)
		return nil
	case e != nil:
		s.end(e, only(d), models.PresenceOffline)
		s.save(e)
	case err == nil && s.closed:
		err = status.ErrClosed
	case err == nil:
		return nil // the link was cut already
	}
	return fmt.Errorf("recording the login of user %d: %w", d.Account().ID, err)
}

// holder returns the entry that has the device, or nil if none has.
func (s *shard) holder(d *status.Device) *entry {
	if e := s.entries[d.Account().ID]; e != nil && e.has(d) {
		return e
	}
	return nil
}

// arrive makes a device that is not visible yet, but is reached by cuts.
func (s *shard) arrive(acc status.Account, platform models.Platform, link status.Link) (*status.Device, error) {
	d := status.NewDevice(s.registry, acc, platform, link, s.registry.Now())
	s.Lock()
	defer s.Unlock()
	if s.closed {
		return nil, status.ErrClosed
	}
	s.arriving[d] = struct{}{}
	return d, nil
}

// identify sets the account of a device that has arrived, as it was read since.
func (s *shard) identify(d *status.Device, acc status.Account) {
	s.Lock()
	defer s.Unlock()
	d.Identify(acc)
}

// turnAway removes a device that may not connect.
func (s *shard) turnAway(d *status.Device) {
	s.Lock()
	defer s.Unlock()
	delete(s.arriving, d)
}

// letIn adds a device to its account. login is the write to wait for, or nil if the user is ONLINE
// already or the link was cut concurrently. surplus are the devices that end because the account has
// too many; the caller cuts them.
func (s *shard) letIn(d *status.Device) (login *mirror.Write, surplus []*status.Device, err error) {
	s.Lock()
	defer s.Unlock()
	_, arriving := s.arriving[d]
	delete(s.arriving, d)
	switch {
	case s.closed:
		return nil, nil, status.ErrClosed
	case !arriving:
		return nil, nil, nil
	}
	e := s.entry(d.Account())
	if len(e.devices) == 0 {
		e.loginAt = e.After(d.Info().ConnectedAt)
	}
	e.devices = append(e.devices, d)
	s.registry.Devices.Add(1)
	if n := len(e.devices) - d.Account().DeviceLimit; d.Account().DeviceLimit > 0 && n > 0 {
		oldest := slices.Clone(e.devices[:n])
		surplus = s.end(e, func(d *status.Device) bool { return slices.Contains(oldest, d) }, models.PresenceOffline)
	}
	if e.online() {
		return nil, surplus, nil
	}
	e.durable = unknown
	// Queued before the lock is released, so that nothing that undoes it can come first.
	login = s.registry.mirror.Login(e.ID, status.State{Presence: models.PresenceOnline, Since: e.loginAt})
	return login, surplus, nil
}

// Logout ends the device own or all of the account; see Hub.Logout.
func (r *Registry) Logout(ctx context.Context, acc status.Account, own *status.Device, all bool) (int, error) {
	leaves := every
	if own != nil && !all {
		leaves = only(own)
	}
	s := r.shard(acc.ID)
	s.Lock()
	if s.closed {
		s.Unlock()
		return 0, status.ErrClosed
	}
	e := s.entry(acc)
	ended := s.end(e, leaves, models.PresenceUnlogined)
	saved := s.save(e)
	s.Unlock()

	if own != nil {
		own.Logout()
	}
	for _, d := range ended {
		d.Logout()
		if d != own {
			d.Cut(status.Cause{Reason: status.ReasonLoggedOut})
		}
	}
	if saved == nil {
		return len(ended), nil
	}
	if err := saved.Wait(ctx); err != nil {
		return 0, fmt.Errorf("recording the logout of user %d: %w", acc.ID, err)
	}
	return len(ended), nil
}

// Cut ends devices of the account; see the hub's registry.
func (r *Registry) Cut(_ context.Context, acc status.Account, deviceIDs []string, to models.Presence, cause status.Cause) (int, error) {
	leaves := every
	if deviceIDs != nil {
		leaves = func(d *status.Device) bool { return slices.Contains(deviceIDs, d.Info().ID) }
	}
	s := r.shard(acc.ID)
	s.Lock()
	ended := s.takeArriving(acc, leaves)
	if e := s.changing(acc, to); e != nil {
		ended = append(ended, s.end(e, leaves, to)...)
		if cause.Reason == status.ReasonDeleted {
			delete(s.entries, e.ID) // its row is gone
		} else {
			s.save(e)
		}
	}
	s.Unlock()
	for _, d := range ended {
		d.Cut(cause)
	}
	return len(ended), nil
}

// takeArriving removes the account's arriving devices that leave, and returns them.
func (s *shard) takeArriving(acc status.Account, leaves func(*status.Device) bool) (taken []*status.Device) {
	for d := range s.arriving {
		if d.Account().ID == acc.ID && leaves(d) {
			delete(s.arriving, d)
			taken = append(taken, d)
		}
	}
	return taken
}

// changing returns the account's entry, or nil if it has none and giving it the presence would change
// nothing.
func (s *shard) changing(acc status.Account, to models.Presence) *entry {
	if e := s.entries[acc.ID]; e != nil {
		return e
	}
	if s.closed || to == models.PresenceOffline || acc.Disconnected().Presence == to {
		return nil
	}
	return s.entry(acc)
}
