package presence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"rollcall/internal/presence/ledger"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

func (s *shared) connect(ctx context.Context, acc status.Account, platform models.Platform, link status.Link,
	who func(context.Context) (status.Account, error)) (*Device, error) {
	check := func(ctx context.Context) error {
		_, err := who(ctx)
		return err
	}
	if acc.AppID == 0 {
		// What is written to Redis for an account, also before the device is let in,
		// takes all of it.
		known, err := who(ctx)
		if err != nil {
			return nil, err
		}
		acc = known
	}
	d := s.hub.newDevice(acc, platform, link)
	l, err := s.arrive(d)
	if err != nil {
		return nil, err
	}
	err = check(ctx)
	if err == nil {
		err = s.letIn(ctx, l, d, check)
	}
	if err != nil {
		s.takeOut(l, func(other *Device) bool { return other == d })
		return nil, err
	}
	return d, nil
}

// arrive makes a place for a device that nobody sees yet, and that cuts reach. The
// account's own topic is followed from here on: what is heard of it tells what to
// write again after Redis was away.
func (s *shared) arrive(d *Device) (*local, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	l := s.useLocked(d.account)
	l.arriving[d] = struct{}{}
	s.views.follow(userKey(d.account.ID))
	return l, nil
}

// letIn has Redis and the database know the device. Where a revocation may have
// come since the user's right was looked at, it is looked at again, so that nobody
// is ever ONLINE by racing with a ban.
func (s *shared) letIn(ctx context.Context, l *local, d *Device, check func(context.Context) error) error {
	login := ledger.Login{
		User: d.account.Disconnected(), Device: d.info, Limit: d.account.DeviceLimit, Reason: word(status.ReasonDeviceLimit),
	}
	for {
		err := ctx.Err()
		if err == nil {
			login.Node, login.Now = s.lease.current(), s.hub.now()
			var there bool
			if there, err = s.register(ctx, l, d, login); there {
				return nil
			}
		}
		var revoked *ledger.RevokedError
		var unrecorded *ledger.LoginError
		switch {
		case err == nil: // once more
		case leaseLost(err):
			err = s.lease.another(ctx, login.Node)
		case errors.As(err, &revoked):
			login.Mark = revoked.Mark
			err = check(ctx)
		case errors.As(err, &unrecorded):
			login.Recorded = unrecorded.At
			err = s.mirror.Login(ctx, d.account.ID, status.State{Presence: models.PresenceOnline, Since: unrecorded.At})
			if err != nil {
				err = fmt.Errorf("recording the login of user %d: %w", d.account.ID, err)
			}
		}
		if err != nil {
			s.abandon(d, login)
			return err
		}
	}
}

// register makes one attempt to have Redis know the device; there: it does, or the
// device was cut meanwhile.
func (s *shared) register(ctx context.Context, l *local, d *Device, login ledger.Login) (there bool, err error) {
	l.step.Lock()
	defer l.step.Unlock()
	fresh := s.views.isFresh(userKey(d.account.ID))
	in, err := s.ledger.Connect(ctx, login)
	var revoked *ledger.RevokedError
	var unrecorded *ledger.LoginError
	if err != nil {
		if !leaseLost(err) && !errors.As(err, &revoked) && !errors.As(err, &unrecorded) {
			s.distrust(err)
		}
		return false, err
	}
	if r := in.Record; in.Came {
		s.turned(r)
		if r.Since != login.Recorded {
			s.mirror.Keep(r.ID, r.State)
		}
	}
	s.cutHere(d.account.ID, in.Surplus, status.ReasonDeviceLimit, false)
	s.views.learn(in.Record)
	if fresh {
		s.views.readOnceHeard(d.account.ID)
	}
	return s.admit(ctx, l, d, login.Node, in.Added), nil
}

// admit makes an arriving device, added to Redis with that version, one that is there. It reports
// false if the device was written under a former name of the node, and must be written again.
func (s *shared) admit(ctx context.Context, l *local, d *Device, node string, added int64) bool {
	s.mu.Lock()
	_, arriving := l.arriving[d]
	if arriving && s.lease.current() != node {
		s.mu.Unlock()
		return false
	}
	if arriving {
		delete(l.arriving, d)
		d.added = added
		l.devices = append(l.devices, d)
		s.hub.metrics.devices.Add(1)
		if len(l.devices) == 1 {
			s.hub.metrics.onlineUsers.Inc()
		}
	}
	s.mu.Unlock()
	if !arriving { // it was cut meanwhile; its end, which takes it out, is still to come
		s.leaveLocked(ctx, d)
	}
	return true
}

// abandon undoes what a login that failed has left behind: the database may hold
// ONLINE for nothing.
func (s *shared) abandon(d *Device, login ledger.Login) {
	if login.Recorded == 0 {
		return
	}
	ctx := context.Background()
	s.leaveLocked(ctx, d)
	records, err := s.ledger.Records(ctx, []int64{d.account.ID})
	if err != nil {
		s.distrust(err)
		return
	}
	if r := records[0]; r != nil && r.Presence != models.PresenceOnline {
		s.mirror.Keep(r.ID, status.State{Presence: r.Presence, Since: max(r.Since, login.Recorded)})
	}
}

func (s *shared) gone(d *Device) {
	if d.ended.Swap(true) {
		return
	}
	l := s.use(d.account)
	defer s.done(l)
	s.takeOut(l, func(other *Device) bool { return other == d })
	l.step.Lock()
	defer l.step.Unlock()
	// Also where a cut has taken it out already: it may have been written again since.
	s.leaveLocked(context.Background(), d)
}

// leaveLocked takes one device out of Redis, if it is there; its account's step is held.
func (s *shared) leaveLocked(ctx context.Context, d *Device) {
	err := s.leave(ctx, ledger.Departure{
		User: d.account.Disconnected(), Devices: []string{d.info.ID}, To: models.PresenceOffline, Now: s.hub.now(),
	})
	if err != nil {
		s.distrust(err)
	}
}

// leave takes devices out of Redis that are not here any more.
func (s *shared) leave(ctx context.Context, d ledger.Departure) error {
	r, turned, _, err := s.ledger.Leave(ctx, d)
	if err == nil && turned {
		s.turned(r)
		s.mirror.Keep(r.ID, r.State)
	}
	return err
}

// takeOut removes the devices that leave from what is here, also those that are still arriving, and
// returns them.
func (s *shared) takeOut(l *local, leaves func(*Device) bool) (taken []*Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d := range l.arriving {
		if leaves(d) {
			delete(l.arriving, d)
			taken = append(taken, d)
		}
	}
	before := len(l.devices)
	l.devices = slices.DeleteFunc(l.devices, func(d *Device) bool {
		if leaves(d) {
			taken = append(taken, d)
			return true
		}
		return false
	})
	s.hub.metrics.devices.Add(-int64(before - len(l.devices)))
	if before > 0 && len(l.devices) == 0 {
		s.hub.metrics.onlineUsers.Dec()
	}
	for range taken {
		s.views.unfollow(userKey(l.account.ID))
		if l.users--; l.users == 0 {
			delete(s.locals, l.account.ID)
		}
	}
	return taken
}

func (s *shared) logout(ctx context.Context, acc status.Account, own *Device, all bool) error {
	l := s.use(acc)
	defer s.done(l)
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	departure := ledger.Departure{
		User: s.leaver(l, acc), All: true, To: models.PresenceUnlogined, Now: s.hub.now(), Reason: word(status.ReasonLoggedOut),
	}
	if own != nil && !all {
		departure.User, departure.All, departure.Devices = acc.Disconnected(), false, []string{own.info.ID}
	}
	if own != nil {
		own.leaving.Store(true) // its link is left to the caller
	}
	l.step.Lock()
	r, turned, gone, err := s.ledger.Leave(ctx, departure)
	l.step.Unlock()
	if err != nil {
		if own != nil {
			own.leaving.Store(false)
		}
		s.distrust(err)
		return fmt.Errorf("logging user %d out: %w", acc.ID, err)
	}
	if own != nil {
		own.loggedOut.Store(true)
	}
	s.cutHere(acc.ID, gone, status.ReasonLoggedOut, false)
	if !turned {
		return nil
	}
	s.turned(r)
	if err := s.mirror.KeepNow(ctx, r.ID, r.State); err != nil {
		return fmt.Errorf("recording the logout of user %d: %w", acc.ID, err)
	}
	return nil
}

func (s *shared) cut(ctx context.Context, acc status.Account, deviceIDs []string, to models.Presence, reason status.Reason) (int, error) {
	revoked := reason.IsRevocation()
	l := s.use(acc)
	defer s.done(l)
	departure := ledger.Departure{
		User: acc.Disconnected(), Devices: deviceIDs, To: to, Now: s.hub.now(),
		Revoke: revoked, Deleted: reason == status.ReasonDeleted, Reason: word(reason),
	}
	if deviceIDs == nil {
		departure.User, departure.All = s.leaver(l, acc), true
	}
	var taken []*Device
	var r *status.Record
	var turned bool
	var gone []string
	err := errSilent
	// While Redis does not answer, a revocation does not try: many users may be revoked at once,
	// and each would wait for a time-out before the next one's devices are cut.
	if !revoked || !s.lease.isSilent() {
		l.step.Lock()
		if revoked {
			// Redis may take its time. The devices' own ends wait for the step.
			taken = s.cutHere(acc.ID, nil, reason, true)
		}
		if r, turned, gone, err = s.ledger.Leave(ctx, departure); err != nil {
			s.distrust(err)
		}
		l.step.Unlock()
	}
	if err != nil {
		departure.All, departure.Devices, departure.Revoke, departure.Reason = false, nil, false, ""
		if revoked {
			taken = append(taken, s.cutHere(acc.ID, nil, reason, true)...)
		}
		for _, d := range taken {
			departure.Devices = append(departure.Devices, d.info.ID)
		}
		if len(departure.Devices) > 0 {
			s.repair.owe(departure)
		}
		return 0, fmt.Errorf("disconnecting user %d: %w", acc.ID, err)
	}
	taken = append(taken, s.cutHere(acc.ID, gone, reason, revoked)...)
	n := len(gone)
	for _, d := range taken {
		if !slices.Contains(gone, d.info.ID) {
			n++ // was arriving
		}
	}
	if turned {
		s.turned(r)
		if reason != status.ReasonDeleted {
			s.mirror.Keep(r.ID, r.State)
		}
	}
	return n, nil
}

// errSilent is returned for a step that was not attempted because Redis does not answer.
var errSilent = errors.New("no answer from Redis")

// leaver is userOf for an account all of whose devices leave: ONLINE where it has
// some here, or the row says so. A Redis that has lost its data knows nothing of that,
// and would take it for one that had not been there, of whose end nobody is told.
func (s *shared) leaver(l *local, acc status.Account) status.Account {
	u := acc.Disconnected()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(l.devices) > 0 || acc.Presence == models.PresenceOnline {
		u.Presence = models.PresenceOnline
	}
	return u
}

// cutHere cuts those of the account's devices that are here and have been taken
// out of Redis; where the user's access was revoked, all there are.
func (s *shared) cutHere(userID int64, gone []string, reason status.Reason, revoked bool) []*Device {
	s.mu.Lock()
	l := s.locals[userID]
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	taken := s.takeOut(l, func(d *Device) bool { return revoked || slices.Contains(gone, d.info.ID) })
	for _, d := range taken {
		if reason == status.ReasonLoggedOut {
			d.loggedOut.Store(true)
		}
		if !d.leaving.Load() {
			d.link.Cut(reason)
		}
	}
	return taken
}

// word is how nodes tell each other a reason; reasonOf reads it.
func word(reason status.Reason) string { return strconv.Itoa(int(reason)) }

func reasonOf(word string) status.Reason {
	n, err := strconv.Atoi(word)
	if err != nil {
		return status.ReasonDisconnected // of a node of another version
	}
	return status.Reason(n)
}
