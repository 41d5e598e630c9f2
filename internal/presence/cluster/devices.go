package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/presence/cluster/ledger"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

var (
	deviceLimit = status.Cause{Reason: status.ReasonDeviceLimit}
	loggedOut   = status.Cause{Reason: status.ReasonLoggedOut}
)

// connect adds a device; see Hub.Connect.
func (b *bucket) connect(ctx context.Context, acc status.Account, platform models.Platform, link status.Link,
	read func(context.Context) (status.Account, error)) (*status.Device, error) {
	check := func(ctx context.Context) error {
		_, err := read(ctx)
		return err
	}
	if acc.AppID == 0 {
		// Writing an account to Redis needs all of its fields, even before the device is connected.
		known, err := read(ctx)
		if err != nil {
			return nil, err
		}
		acc = known
	}
	d := status.NewDevice(b, acc, platform, link, b.Now())
	l, err := b.arrive(d)
	if err != nil {
		return nil, err
	}
	err = check(ctx)
	if err == nil {
		err = b.letIn(ctx, l, d, check)
	}
	if err != nil {
		b.takeOut(l, func(other *status.Device) bool { return other == d })
		return nil, err
	}
	return d, nil
}

// arrive registers a device that does not count as connected yet but can already be cut. From here
// on this node follows the account's own topic: the records received on it are what is written
// again after Redis was unreachable.
func (b *bucket) arrive(d *status.Device) (*local, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, status.ErrClosed
	}
	l := b.useLocked(d.Account())
	l.arriving[d] = struct{}{}
	b.views.follow(status.UserKey(d.Account().ID))
	return l, nil
}

// letIn adds the device to Redis and records the login in the database. If the user's access may
// have been revoked since it was checked, letIn checks it again, so that no user comes ONLINE by
// racing with a ban.
func (b *bucket) letIn(ctx context.Context, l *local, d *status.Device, check func(context.Context) error) error {
	login := ledger.Login{
		User: d.Account().Disconnected(), Device: d.Info(), Limit: d.Account().DeviceLimit, Reason: encodeCause(deviceLimit),
	}
	for {
		err := ctx.Err()
		if err == nil {
			login.Node, login.Now = b.lease.current(), b.Now()
			var there bool
			if there, err = b.register(ctx, l, d, login); there {
				return nil
			}
		}
		var revoked *ledger.RevokedError
		var unrecorded *ledger.LoginError
		switch {
		case err == nil: // the node was renamed: try again
		case leaseLost(err):
			err = b.lease.awaitRename(ctx, login.Node)
		case errors.As(err, &revoked):
			login.Mark = revoked.Mark
			err = check(ctx)
		case errors.As(err, &unrecorded):
			login.Recorded = unrecorded.At
			err = b.mirror.Login(d.Account().ID, status.State{Presence: models.PresenceOnline, Since: unrecorded.At}).Wait(ctx)
			if err != nil {
				err = fmt.Errorf("recording the login of user %d: %w", d.Account().ID, err)
			}
		}
		if err != nil {
			b.abandon(d, login)
			return err
		}
	}
}

// register makes one attempt to add the device to Redis. It returns there as true if the device is
// in Redis, or was cut concurrently.
func (b *bucket) register(ctx context.Context, l *local, d *status.Device, login ledger.Login) (there bool, err error) {
	l.step.Lock()
	defer l.step.Unlock()
	unsubscribed := b.views.isUnsubscribed(status.UserKey(d.Account().ID))
	in, err := b.ledger.Connect(ctx, login)
	var revoked *ledger.RevokedError
	var unrecorded *ledger.LoginError
	if err != nil {
		if !leaseLost(err) && !errors.As(err, &revoked) && !errors.As(err, &unrecorded) {
			b.noteFailedStep(err)
		}
		return false, err
	}
	if r := in.Record; in.Came {
		b.noteTransition(r)
		if r.Since != login.Recorded {
			b.mirror.Keep(r.ID, r.State)
		}
	}
	b.cutHere(d.Account().ID, in.Surplus, deviceLimit, false)
	b.views.learn(in.Record)
	if unsubscribed {
		b.views.readOnceSubscribed(d.Account().ID)
	}
	return b.markConnected(ctx, l, d, login.Node, in.Added), nil
}

// markConnected turns an arriving device, added to Redis with that version, into a connected one. It
// reports false if the device was written under a former name of the node and must be written
// again.
func (b *bucket) markConnected(ctx context.Context, l *local, d *status.Device, node string, added int64) bool {
	b.mu.Lock()
	_, arriving := l.arriving[d]
	if arriving && b.lease.current() != node {
		b.mu.Unlock()
		return false
	}
	if arriving {
		delete(l.arriving, d)
		l.devices = append(l.devices, placed{d, added})
		b.Devices.Add(1)
		if len(l.devices) == 1 {
			b.OnlineUsers.Inc()
		}
	}
	b.mu.Unlock()
	if !arriving { // it was cut concurrently, possibly before it was added to Redis; Gone follows
		b.leaveLocked(ctx, d)
	}
	return true
}

// abandon undoes what a failed login has left behind: the database may hold ONLINE for a user
// without a device.
func (b *bucket) abandon(d *status.Device, login ledger.Login) {
	if login.Recorded == 0 {
		return
	}
	ctx := context.Background()
	b.leaveLocked(ctx, d)
	records, err := b.records(ctx, []int64{d.Account().ID})
	if err != nil {
		b.noteFailedStep(err)
		return
	}
	if r := records[0]; r != nil && r.Presence != models.PresenceOnline {
		b.mirror.Keep(r.ID, status.State{Presence: r.Presence, Since: max(r.Since, login.Recorded)})
	}
}

// Gone removes a device whose link has ended.
func (b *bucket) Gone(d *status.Device) {
	l := b.use(d.Account())
	defer b.done(l)
	b.takeOut(l, func(other *status.Device) bool { return other == d })
	l.step.Lock()
	defer l.step.Unlock()
	// Even if a cut has taken it out already: it may have been written again since.
	b.leaveLocked(context.Background(), d)
}

// leaveLocked takes one device out of Redis, if it is there. The caller holds the account's step.
func (b *bucket) leaveLocked(ctx context.Context, d *status.Device) {
	err := b.leave(ctx, ledger.Departure{
		User: d.Account().Disconnected(), Devices: []string{d.Info().ID}, To: models.PresenceOffline, Now: b.Now(),
	})
	if err != nil {
		b.noteFailedStep(err)
	}
}

// leave takes devices out of Redis that are no longer at this node.
func (b *bucket) leave(ctx context.Context, d ledger.Departure) error {
	r, changed, _, err := b.ledger.Leave(ctx, d)
	if err == nil && changed {
		b.noteTransition(r)
		b.mirror.Keep(r.ID, r.State)
	}
	return err
}

// takeOut removes the account's devices at this node for which leaves returns true, including
// arriving ones, and returns them.
func (b *bucket) takeOut(l *local, leaves func(*status.Device) bool) (taken []*status.Device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for d := range l.arriving {
		if leaves(d) {
			delete(l.arriving, d)
			taken = append(taken, d)
		}
	}
	before := len(l.devices)
	l.devices = slices.DeleteFunc(l.devices, func(d placed) bool {
		if leaves(d.Device) {
			taken = append(taken, d.Device)
			return true
		}
		return false
	})
	b.Devices.Add(-int64(before - len(l.devices)))
	if before > 0 && len(l.devices) == 0 {
		b.OnlineUsers.Dec()
	}
	for range taken {
		b.views.unfollow(status.UserKey(l.account.ID))
		if l.users--; l.users == 0 {
			delete(b.locals, l.account.ID)
		}
	}
	return taken
}

// logout ends the device own or all of the account; see Hub.Logout.
func (b *bucket) logout(ctx context.Context, acc status.Account, own *status.Device, all bool) (int, error) {
	l := b.use(acc)
	defer b.done(l)
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return 0, status.ErrClosed
	}
	departure := ledger.Departure{
		User: b.departing(l, acc), All: true, To: models.PresenceUnlogined, Now: b.Now(), Reason: encodeCause(loggedOut),
	}
	if own != nil && !all {
		departure.User, departure.All, departure.Devices = acc.Disconnected(), false, []string{own.Info().ID}
	}
	if own != nil {
		own.Leave(true) // the caller closes its link
	}
	l.step.Lock()
	r, changed, gone, err := b.ledger.Leave(ctx, departure)
	l.step.Unlock()
	if err != nil {
		if own != nil {
			own.Leave(false)
		}
		b.noteFailedStep(err)
		return 0, fmt.Errorf("logging user %d out: %w", acc.ID, err)
	}
	if own != nil {
		own.Logout()
	}
	b.cutHere(acc.ID, gone, loggedOut, false)
	if !changed {
		return len(gone), nil
	}
	b.noteTransition(r)
	if err := b.mirror.Keep(r.ID, r.State).Wait(ctx); err != nil {
		return 0, fmt.Errorf("recording the logout of user %d: %w", acc.ID, err)
	}
	return len(gone), nil
}

// cut ends devices of the account; see the hub's registry.
func (b *bucket) cut(ctx context.Context, acc status.Account, deviceIDs []string, to models.Presence, cause status.Cause) (int, error) {
	revoked := cause.Reason.IsRevocation()
	l := b.use(acc)
	defer b.done(l)
	departure := ledger.Departure{
		User: acc.Disconnected(), Devices: deviceIDs, To: to, Now: b.Now(),
		Revoke: revoked, Deleted: cause.Reason == status.ReasonDeleted, Reason: encodeCause(cause),
	}
	if deviceIDs == nil {
		departure.User, departure.All = b.departing(l, acc), true
	}
	var taken []*status.Device
	var r *status.Record
	var changed bool
	var gone []string
	err := errSilent
	// While Redis does not respond, a revocation does not attempt the step: many users may be
	// revoked at once, and each would wait for a time-out before the next one's devices are cut.
	if !revoked || !b.lease.isSilent() {
		l.step.Lock()
		if revoked {
			// Cut before the step, because Redis may be slow. Gone waits until the step is over.
			taken = b.cutHere(acc.ID, nil, cause, true)
		}
		if r, changed, gone, err = b.ledger.Leave(ctx, departure); err != nil {
			b.noteFailedStep(err)
		}
		l.step.Unlock()
	}
	if err != nil {
		departure.All, departure.Devices, departure.Revoke, departure.Reason = false, nil, false, ""
		if revoked {
			taken = append(taken, b.cutHere(acc.ID, nil, cause, true)...)
		}
		for _, d := range taken {
			departure.Devices = append(departure.Devices, d.Info().ID)
		}
		if len(departure.Devices) > 0 {
			b.repair.scheduleDeparture(departure)
		}
		return 0, fmt.Errorf("disconnecting user %d: %w", acc.ID, err)
	}
	taken = append(taken, b.cutHere(acc.ID, gone, cause, revoked)...)
	n := len(gone)
	for _, d := range taken {
		if !slices.Contains(gone, d.Info().ID) {
			n++ // it was arriving
		}
	}
	if changed {
		b.noteTransition(r)
		if cause.Reason != status.ReasonDeleted {
			b.mirror.Keep(r.ID, r.State)
		}
	}
	return n, nil
}

// cutOlder cuts the account's devices at this node that connected under an earlier device generation. It
// closes them at once and leaves their departures, which may have to wait for Redis, to the repair.
func (b *bucket) cutOlder(acc status.Account, generation int) {
	l := b.use(acc)
	defer b.done(l)
	departure := ledger.Departure{User: b.departing(l, acc), To: models.PresenceOffline, Now: b.Now()}
	older := b.takeOut(l, func(d *status.Device) bool { return d.Account().DeviceGeneration < generation })
	for _, d := range older {
		d.Cut(status.Cause{Reason: status.ReasonDisconnected})
		departure.Devices = append(departure.Devices, d.Info().ID)
	}
	if len(older) > 0 {
		b.repair.scheduleDeparture(departure)
	}
}

// errSilent is returned for a step that was not attempted because Redis does not respond.
var errSilent = errors.New("no response from Redis")

// departing returns the account for a departure of all its devices: ONLINE if it has devices here or
// its row holds ONLINE, else as acc.Disconnected. Otherwise, if Redis has lost its data, the account
// would look as if it had never been connected, and its departure would not be published.
func (b *bucket) departing(l *local, acc status.Account) status.Account {
	u := acc.Disconnected()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(l.devices) > 0 || acc.Presence == models.PresenceOnline {
		u.Presence = models.PresenceOnline
	}
	return u
}

// cutHere cuts the account's devices at this node that have been taken out of Redis, or all of
// them if the user's access was revoked. It returns the devices that it cut.
func (b *bucket) cutHere(userID int64, gone []string, cause status.Cause, revoked bool) []*status.Device {
	b.mu.Lock()
	l := b.locals[userID]
	b.mu.Unlock()
	if l == nil {
		return nil
	}
	taken := b.takeOut(l, func(d *status.Device) bool { return revoked || slices.Contains(gone, d.Info().ID) })
	for _, d := range taken {
		d.Cut(cause)
	}
	return taken
}

// encodeCause encodes a cause as one word for messages between nodes, such as 3, or 2:1764374400000
// for a ban with its end. decodeCause decodes it.
func encodeCause(cause status.Cause) string {
	reason := strconv.Itoa(int(cause.Reason))
	if cause.BannedUntil == nil {
		return reason
	}
	return reason + ":" + strconv.FormatInt(int64(*cause.BannedUntil), 10)
}

func decodeCause(text string) status.Cause {
	reason, until, ends := strings.Cut(text, ":")
	n, err := strconv.Atoi(reason)
	if err != nil {
		return status.Cause{Reason: status.ReasonDisconnected} // sent by a node of another version
	}
	cause := status.Cause{Reason: status.Reason(n)}
	if at, err := strconv.ParseInt(until, 10, 64); ends && err == nil {
		cause.BannedUntil = new(models.Time(at))
	}
	return cause
}
