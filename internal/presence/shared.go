package presence

import (
	"context"
	"errors"
	"sync"

	"rollcall/internal/fault"
	"rollcall/internal/presence/ledger"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/internal/redis"
	"rollcall/models"
)

// shared is the registry of a service with several nodes. A status depends on the devices of all
// nodes. These are in Redis, where each change is decided in one script. This node keeps its own
// devices with their links, and what it has received about the users and apps that are watched
// here.
//
//	Connect, Gone, Logout …  →  ledger: one account's step, compared and published
//	                              ├→ mirror: this node's transitions, written to the database
//	                              └→ Redis's channels → views → fanout → every watcher's Sink
//
// The node holds a lease, see lease.go. repair.go recovers after Redis or this node was
// unreachable.
type shared struct {
	hub    *Hub
	redis  *redis.Client
	ledger *ledger.Ledger
	mirror *mirror.Mirror
	views  views
	feed   *redis.Feed
	lease  lease
	repair repair

	mu     sync.Mutex
	locals map[int64]*local // by users.id
	closed bool
}

// local is an account with devices here.
type local struct {
	account status.Account
	// step is held during each step in Redis that this node makes for the account, so that these
	// steps have one order.
	step sync.Mutex

	// The rest is guarded by the store's mutex. users counts the references: one for each device
	// here and one for each step in progress. The account is forgotten when it reaches 0.
	users    int
	arriving map[*status.Device]struct{}
	devices  []placed // in the order in which they connected
}

// placed is a connected device, with the version with which Redis added it.
type placed struct {
	*status.Device
	added int64
}

func newShared(h *Hub, client *redis.Client) *shared {
	columns := h.columns()
	columns.Forward = true
	s := &shared{
		hub: h, redis: client, ledger: ledger.New(client), mirror: mirror.New(columns, nil),
		locals: make(map[int64]*local),
	}
	s.views.init(s)
	s.lease.init()
	s.repair.init()
	return s
}

func (s *shared) Start(ctx context.Context) error {
	if err := s.beat(ctx); err != nil {
		return err
	}
	s.feed = s.redis.Listen(redis.Listener{
		Message: s.hear, Gap: s.rehear, Before: s.views.before, After: s.views.after,
	}, s.hub.log, s.ledger.CutChannel())
	if err := s.feed.Settle(ctx); err != nil {
		s.feed.Close()
		return err
	}
	h := s.hub
	h.hearElsewhere()
	h.bus.OnMissed(func(context.Context) { s.repair.ask() })
	h.background.Go(h.rereadWhenAsked)
	return nil
}

func (s *shared) Run(closing, life context.Context) {
	var work sync.WaitGroup
	work.Go(s.beatRegularly)
	work.Go(s.repairWhenAsked)
	work.Go(s.recheckRegularly)
	s.mirror.Run(closing, life)
	work.Wait()
}

// close takes this node's devices out of Redis in one sweep, so that users without a device
// elsewhere go OFFLINE at once.
func (s *shared) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	var err error
	for _, name := range append(s.repair.names(), s.lease.current()) {
		if err == nil {
			err = s.ledger.Retire(ctx, name)
		}
		if err == nil {
			err = s.sweep(ctx, name)
		}
	}
	if err != nil {
		s.hub.log.Warn("removing this node's devices from Redis failed; other nodes will remove them", "error", s.failed(err))
	}
	s.feed.Close()
}

func (s *shared) Unwritten() int { return s.mirror.Unwritten() }

// use returns this node's part of the account. The caller must call done with it afterwards.
func (s *shared) use(acc status.Account) *local {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.useLocked(acc)
}

func (s *shared) useLocked(acc status.Account) *local {
	l := s.locals[acc.ID]
	if l == nil {
		l = &local{account: acc, arriving: make(map[*status.Device]struct{})}
		s.locals[acc.ID] = l
	}
	l.users++
	return l
}

func (s *shared) done(l *local) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(s.locals, l.account.ID)
	}
}

// failed counts a failure of Redis and returns the error.
func (s *shared) failed(err error) error {
	s.hub.metrics.redisFailures.Inc()
	return err
}

// turned counts and notes a transition that this node has made.
func (s *shared) turned(r *status.Record) {
	s.hub.metrics.events.Inc()
	s.hub.observe(r.Version)
	if r.Presence != models.PresenceOnline {
		s.hub.lastDeviceGone(r.ID)
	}
}

// observe raises the latest version that this node has seen.
func (h *Hub) observe(version int64) {
	for {
		seen := h.seq.Load()
		if version <= seen || h.seq.CompareAndSwap(seen, version) {
			return
		}
	}
}

func (s *shared) SetStatus(ctx context.Context, acc status.Account, text string) (models.UserStatus, error) {
	r, err := s.ledger.SetStatus(ctx, acc.ID, text, s.hub.now())
	switch {
	case err != nil:
		return models.UserStatus{}, s.failed(err)
	case r == nil:
		return models.UserStatus{}, fault.New(fault.NotOnline, "the user has no device connected")
	}
	s.hub.observe(r.Version)
	return r.Status(), nil
}

func (s *shared) Status(ctx context.Context, acc status.Account) (models.UserStatus, error) {
	statuses, err := s.Statuses(ctx, []status.Account{acc})
	if err != nil {
		return models.UserStatus{}, err
	}
	return statuses[0], nil
}

func (s *shared) Statuses(ctx context.Context, accs []status.Account) ([]models.UserStatus, error) {
	ids := make([]int64, len(accs))
	for i, acc := range accs {
		ids[i] = acc.ID
	}
	records, err := s.ledger.Records(ctx, ids)
	if err != nil {
		return nil, s.failed(err)
	}
	statuses := make([]models.UserStatus, len(accs))
	for i, r := range records {
		statuses[i], _ = s.seen(accs[i], r)
	}
	return statuses, nil
}

// seen returns an account's status and its version from the record, or from the row if r is nil. A
// row that holds a presence other than ONLINE takes precedence if it is newer than the record:
// Redis's data has then turned back.
func (s *shared) seen(acc status.Account, r *status.Record) (models.UserStatus, int64) {
	row := status.RecordOf(acc)
	if r == nil {
		s.views.mislead(acc)
		return row.Status(), 0
	}
	s.hub.observe(r.Version)
	if acc.Presence != models.PresenceOnline && row.Since > r.Since {
		// The row has no custom status, and its time may come from a clock that is behind.
		row.Since = max(row.Since, r.CustomSince+1)
		return row.Status(), r.Version
	}
	return r.Status(), r.Version
}

func (s *shared) DevicesOf(ctx context.Context, userID int64) ([]models.Device, error) {
	devices, err := s.ledger.Devices(ctx, userID)
	if err != nil {
		return nil, s.failed(err)
	}
	return devices, nil
}

func (s *shared) OnlineCount(ctx context.Context, appID int64) (int, error) {
	n, err := s.ledger.OnlineCount(ctx, appID)
	if err != nil {
		return 0, s.failed(err)
	}
	return n, nil
}

func (s *shared) LastConnected(ctx context.Context, userID int64) (connected bool, at models.Time, err error) {
	records, err := s.ledger.Records(ctx, []int64{userID})
	if err != nil {
		return false, 0, s.failed(err)
	}
	r := records[0]
	if r == nil {
		return false, 0, nil
	}
	return r.Presence == models.PresenceOnline, r.Since, nil
}

// leaseLost reports whether the node must enter Redis under another name before the step can be
// made.
func leaseLost(err error) bool { return errors.Is(err, ledger.ErrLeaseLost) }
