package users

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/fanout"
	"rollcall/internal/userlock"
	"rollcall/models"
)

const (
	// bansEvery is how often the ends of watched users' bans are looked for, and how long a read
	// that has failed waits.
	bansEvery = time.Second
	// showTimeout limits a read of a watched user that has changed.
	showTimeout = 5 * time.Second
)

// aboutUsers is the subject of messages to other nodes about a user that has changed, with its
// users.id; a node of an earlier release sends those of several users in one message. It holds no
// profiles: a node that watches the user reads its row.
const aboutUsers bus.UserSubject[[]int64] = "user"

// shown is what the watchers of a user have last been shown of it.
type shown struct {
	name, avatar string
	state        models.UserState
	// until is when a ban ends, or 0.
	until models.Time
}

func shownOf(u *models.User, now models.Time) *shown {
	out := &shown{name: u.Name, state: u.State(now)}
	if u.AvatarURL != nil {
		out.avatar = *u.AvatarURL
	}
	if u.BannedUntil != nil {
		out.until = *u.BannedUntil
	}
	return out
}

// differs reports whether the watchers must be shown the user again.
func (s *shown) differs(now *shown) bool {
	return s == nil || s.name != now.name || s.avatar != now.avatar || s.state != now.state
}

// watched is a user that subscribers on this node watch.
type watched struct {
	id int64
	// mu gives the reads of the user and the events that follow from them one order.
	mu sync.Mutex
	// last is nil until the user has been read after its first watcher had joined.
	last atomic.Pointer[shown]
	// sinks belongs to the mutex of watchers. A list that may be read is never modified in place.
	sinks []fanout.Sink
}

// watchers are the watched users.
type watchers struct {
	mu   sync.Mutex
	byID map[int64]*watched
	// unread are the users to read again in the background.
	unread map[int64]bool
	// following reports whether the goroutine runs that reads them; wake wakes it.
	following bool
	wake      chan struct{}
}

// Watch delivers the app's users with these IDs, as *models.User, to sink whenever a name, an avatar
// or a state changes, until stop is called. Each event has the row as it is then, and those of one
// user come in the order of its changes; changes that other nodes make in quick succession may come
// as one event. A user that is deleted sends nothing more. Returns USER_NOT_FOUND for an unknown ID.
func (s *Service) Watch(ctx context.Context, appID int64, ids []string, sink fanout.Sink) (stop func(), err error) {
	found, err := s.ByIDs(ctx, appID, ids)
	if err != nil {
		return nil, err
	}
	keys := make([]int64, len(found))
	for i, u := range found {
		if u == nil {
			return nil, userlock.Unknown(ids[i])
		}
		keys[i] = u.ID
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	joined := s.watchers.join(keys, sink, s.follow)
	unfollow := s.bus.Follow(ctx, keys...)
	stop = func() {
		s.watchers.leave(keys, sink)
		unfollow()
	}
	// What changed before the watches joined is in this read, and what changes later is announced.
	if found, err = s.ByIDs(ctx, appID, ids); err != nil {
		stop()
		return nil, err
	}
	now := s.now()
	for _, u := range found {
		if u != nil && joined[u.ID] != nil {
			joined[u.ID].last.CompareAndSwap(nil, shownOf(u, now))
		}
	}
	return stop, nil
}

// announce shows users that have changed to their watchers, on this node before it returns. It is
// called after the commit. For a user that is not watched it costs a look-up in a map.
func (s *Service) announce(ctx context.Context, keys ...int64) {
	if len(keys) == 0 {
		return
	}
	for _, key := range keys {
		if w := s.watchers.find(key); w != nil {
			s.show(ctx, w)
		}
	}
	for _, key := range keys {
		aboutUsers.Tell(s.bus, key, []int64{key})
	}
}

// show reads a user and delivers it to its watchers if it differs from what they were shown. If the
// read fails, it is repeated in the background.
func (s *Service) show(ctx context.Context, w *watched) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), showTimeout)
	defer cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	row, found, err := s.access.Get(ctx, w.id)
	if err != nil {
		s.readFailures.Warn(ctx, "a watched user that has changed cannot be read; userChanged is late until a read succeeds", "error", err)
		s.watchers.readLater(w.id)
		return
	}
	if !found {
		return // deleted
	}
	now := shownOf(&row.User, s.now())
	if !w.last.Swap(now).differs(now) {
		return
	}
	user := row.User
	ev := fanout.NewUnique(&user)
	for _, sink := range s.watchers.sinksOf(w) {
		sink.Deliver(ev)
	}
}

// follow reads users again that other nodes have changed, that could not be read, or whose ban has
// ended, while there are watched users.
func (s *Service) follow() {
	tick := time.NewTicker(bansEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.watchers.wake:
		case <-tick.C:
		}
		due, any := s.watchers.due(s.now())
		if !any {
			return
		}
		for _, w := range due {
			s.show(context.Background(), w)
		}
	}
}

// listen follows what other nodes announce. After a lost link, all watched users are read again.
func (s *Service) listen() {
	aboutUsers.Hear(s.bus, func(_ context.Context, keys []int64) { s.watchers.reread(keys) })
	s.bus.OnMissed(func(context.Context) { s.watchers.rereadAll() })
}

// join adds the sink to the users with these users.id, and runs follow if it does not run.
func (ws *watchers) join(keys []int64, sink fanout.Sink, follow func()) map[int64]*watched {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	joined := make(map[int64]*watched, len(keys))
	for _, key := range keys {
		w := ws.byID[key]
		if w == nil {
			w = &watched{id: key}
			ws.byID[key] = w
		}
		w.sinks = append(slices.Clip(w.sinks), sink)
		joined[key] = w
	}
	if len(keys) > 0 && !ws.following {
		ws.following = true
		go follow()
	}
	return joined
}

// leave removes the sink from the users with these users.id.
func (ws *watchers) leave(keys []int64, sink fanout.Sink) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, key := range keys {
		w := ws.byID[key]
		list := slices.Clone(w.sinks)
		if i := slices.Index(list, sink); i >= 0 {
			list = slices.Delete(list, i, i+1)
		}
		if w.sinks = list; len(list) == 0 {
			delete(ws.byID, key)
			delete(ws.unread, key)
		}
	}
}

// find returns the watched user with that users.id, or nil if it is not watched.
func (ws *watchers) find(key int64) *watched {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.byID[key]
}

func (ws *watchers) sinksOf(w *watched) []fanout.Sink {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return w.sinks
}

// readLater makes follow read the user with its next tick.
func (ws *watchers) readLater(key int64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.byID[key] != nil {
		ws.unread[key] = true
	}
}

// reread makes follow read those of the users that are watched, at once.
func (ws *watchers) reread(keys []int64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, key := range keys {
		if ws.byID[key] != nil {
			ws.unread[key] = true
		}
	}
	ws.signal()
}

// rereadAll makes follow read all watched users, at once.
func (ws *watchers) rereadAll() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for key := range ws.byID {
		ws.unread[key] = true
	}
	ws.signal()
}

// signal wakes follow if there is something to read. The caller holds the mutex.
func (ws *watchers) signal() {
	if len(ws.unread) == 0 {
		return
	}
	select {
	case ws.wake <- struct{}{}:
	default:
	}
}

// due returns the users to read now. It reports false, and follow must end, if none is watched.
func (ws *watchers) due(now models.Time) (due []*watched, any bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.byID) == 0 {
		ws.following = false
		return nil, false
	}
	for key, w := range ws.byID {
		last := w.last.Load()
		if ws.unread[key] || last != nil && last.state == models.UserBanned && last.until != 0 && last.until <= now {
			due = append(due, w)
		}
	}
	clear(ws.unread)
	return due, true
}
