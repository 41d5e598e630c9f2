package presence

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"rollcall/internal/fanout"
	"rollcall/internal/fault"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// memory is the registry of a service of one node: the entries of all accounts that are, or recently
// were, connected.
type memory struct {
	*Hub
	// shards are the entries by fanout queue, whose lock guards them.
	shards [fanout.Queues]shard
	mirror *mirror.Mirror
	online onlineCounts
}

func newMemory(h *Hub) *memory {
	m := &memory{Hub: h}
	m.mirror = mirror.New(h.columns(), func(userID int64, held status.State) { m.shard(userID).written(userID, held) })
	for i := range m.shards {
		m.shards[i] = shard{
			memory: m, Queue: h.board.Queue(int64(i)),
			entries: make(map[int64]*entry), arriving: make(map[*status.Device]struct{}),
		}
	}
	return m
}

func (m *memory) shard(userID int64) *shard { return &m.shards[fanout.Index(userID)] }

func (m *memory) start(ctx context.Context) error {
	if err := mirror.EndEarlierRun(ctx, m.db, m.now()); err != nil {
		return fmt.Errorf("marking users of an earlier run OFFLINE: %w", err)
	}
	m.background.Go(func() { m.mirror.Run(m.closing, m.life) })
	m.background.Go(m.sweepRegularly)
	return nil
}

func (m *memory) close(context.Context) {
	for i := range m.shards {
		m.shards[i].close()
	}
}

func (m *memory) unwritten() int { return m.mirror.Unwritten() }

func (m *memory) Gone(d *status.Device) {
	s := m.shard(d.Account().ID)
	s.Lock()
	defer s.Unlock()
	if e := s.holder(d); e != nil {
		s.end(e, only(d), models.PresenceOffline)
		s.save(e)
	}
}

func (m *memory) connect(ctx context.Context, acc status.Account, platform models.Platform, link status.Link,
	who func(context.Context) (status.Account, error)) (*status.Device, error) {
	s := m.shard(acc.ID)
	d, err := s.arrive(acc, platform, link)
	if err != nil {
		return nil, err
	}
	if acc, err = who(ctx); err != nil {
		s.turnAway(d)
		return nil, err
	}
	s.identify(d, acc)
	login, surplus, err := s.letIn(d)
	for _, old := range surplus {
		old.Cut(status.ReasonDeviceLimit)
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
		err = ErrClosed
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
	d := status.NewDevice(s.memory, acc, platform, link, s.memory.now())
	s.Lock()
	defer s.Unlock()
	if s.closed {
		return nil, ErrClosed
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
		return nil, nil, ErrClosed
	case !arriving:
		return nil, nil, nil
	}
	e := s.entry(d.Account())
	if len(e.devices) == 0 {
		e.loginAt = e.After(d.Info().ConnectedAt)
	}
	e.devices = append(e.devices, d)
	s.memory.metrics.devices.Add(1)
	if n := len(e.devices) - d.Account().DeviceLimit; d.Account().DeviceLimit > 0 && n > 0 {
		oldest := slices.Clone(e.devices[:n])
		surplus = s.end(e, func(d *status.Device) bool { return slices.Contains(oldest, d) }, models.PresenceOffline)
	}
	if e.online() {
		return nil, surplus, nil
	}
	e.durable = unknown
	// Queued before the lock is released, so that nothing that undoes it can come first.
	login = s.memory.mirror.Login(e.ID, status.State{Presence: models.PresenceOnline, Since: e.loginAt})
	return login, surplus, nil
}

func (m *memory) logout(ctx context.Context, acc status.Account, own *status.Device, all bool) error {
	leaves := every
	if own != nil && !all {
		leaves = only(own)
	}
	s := m.shard(acc.ID)
	s.Lock()
	if s.closed {
		s.Unlock()
		return ErrClosed
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
			d.Cut(status.ReasonLoggedOut)
		}
	}
	if saved == nil {
		return nil
	}
	if err := saved.Wait(ctx); err != nil {
		return fmt.Errorf("recording the logout of user %d: %w", acc.ID, err)
	}
	return nil
}

func (m *memory) cut(_ context.Context, acc status.Account, deviceIDs []string, to models.Presence, reason status.Reason) (int, error) {
	leaves := every
	if deviceIDs != nil {
		leaves = func(d *status.Device) bool { return slices.Contains(deviceIDs, d.Info().ID) }
	}
	s := m.shard(acc.ID)
	s.Lock()
	ended := s.takeArriving(acc, leaves)
	if e := s.changing(acc, to); e != nil {
		ended = append(ended, s.end(e, leaves, to)...)
		if reason == status.ReasonDeleted {
			delete(s.entries, e.ID) // its row is gone
		} else {
			s.save(e)
		}
	}
	s.Unlock()
	for _, d := range ended {
		d.Cut(reason)
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

func (m *memory) devices(_ context.Context, userID int64) ([]models.Device, error) {
	s := m.shard(userID)
	s.Lock()
	defer s.Unlock()
	e := s.entries[userID]
	if e == nil || !e.online() {
		return nil, nil
	}
	infos := make([]models.Device, len(e.devices))
	for i, d := range e.devices {
		infos[i] = d.Info()
	}
	return infos, nil
}

func (m *memory) status(_ context.Context, acc status.Account) (models.UserStatus, error) {
	s := m.shard(acc.ID)
	s.Lock()
	defer s.Unlock()
	return s.status(acc), nil
}

func (m *memory) statuses(ctx context.Context, accs []status.Account) ([]models.UserStatus, error) {
	statuses := make([]models.UserStatus, len(accs))
	for i, acc := range accs {
		statuses[i], _ = m.status(ctx, acc)
	}
	return statuses, nil
}

func (m *memory) setStatus(_ context.Context, acc status.Account, text string) (models.UserStatus, error) {
	s := m.shard(acc.ID)
	s.Lock()
	defer s.Unlock()
	e := s.entries[acc.ID]
	if e == nil || !e.online() {
		return models.UserStatus{}, fault.New(fault.NotOnline, "the user has no device connected")
	}
	if e.Custom != text {
		e.Custom, e.CustomSince = text, e.After(m.now())
		s.publish(e)
	}
	return e.Status(), nil
}

func (m *memory) onlineCount(_ context.Context, appID int64) (int, error) {
	return int(m.online.of(appID).Load()), nil
}

// lastConnected returns no time: all of them were published by this one node.
func (m *memory) lastConnected(_ context.Context, userID int64) (connected bool, at models.Time, err error) {
	s := m.shard(userID)
	s.Lock()
	defer s.Unlock()
	e := s.entries[userID]
	return e != nil && len(e.devices) > 0, 0, nil
}

// All changes are made in this process, so there is nothing to follow or to wait for.
func (m *memory) follow(int64)                                                    {}
func (m *memory) unfollow(int64)                                                  {}
func (m *memory) catchUpAll(context.Context) error                                { return nil }
func (m *memory) settle(context.Context) error                                    { return nil }
func (m *memory) catchUp(context.Context, *fanout.Watcher, *status.Absence) error { return nil }

// moment takes the time from the entry, if there is one, and not from the clock, which may be set back.
func (m *memory) moment(userID int64) status.Moment {
	at := m.Hub.moment()
	if e := m.shard(userID).entries[userID]; e != nil {
		at.At = e.Since
	}
	return at
}

// missed returns the present statuses of the users that have changed in the absence.
func (m *memory) missed(watches []*fanout.Watch, a *status.Absence) (events []*fanout.Event) {
	s := m.shard(watches[0].Key)
	for _, w := range watches {
		since, e, row := a.Left(w.Key), s.entries[w.Key], a.Rows[w.Key]
		seq := s.memory.seq.Load()
		var now models.UserStatus
		switch {
		case e != nil && e.Version > since.Version:
			seq, now = e.Version, e.Status()
		case e != nil && e.Version == 0 && e.Since > since.At:
			now = e.Status() // memory had forgotten the account, and knows it by the row
		case e == nil && row != nil && *row.PresenceAt > since.At:
			now = s.status(status.AccountOf(row))
		default:
			continue
		}
		events = append(events, fanout.NewAt(seq, w.Key, &now))
	}
	return events
}

func (m *memory) present(_ context.Context, accs []status.Account) ([]*fanout.Event, error) {
	events := make([]*fanout.Event, len(accs))
	for i, acc := range accs {
		s := m.shard(acc.ID)
		s.Lock()
		now := s.status(acc)
		events[i] = fanout.NewAt(m.seq.Load(), acc.ID, &now)
		s.Unlock()
	}
	return events, nil
}

func (m *memory) countOnline(appID int64, by int64) {
	m.online.of(appID).Add(by)
	m.metrics.onlineUsers.Add(float64(by))
}

// onlineCounts are the numbers of ONLINE users by app.
type onlineCounts struct {
	apps sync.Map // apps.id → *atomic.Int64
}

func (c *onlineCounts) of(appID int64) *atomic.Int64 {
	n, ok := c.apps.Load(appID)
	if !ok {
		n, _ = c.apps.LoadOrStore(appID, new(atomic.Int64))
	}
	return n.(*atomic.Int64)
}
