package presence

import (
	"context"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// switchInterval is how often the apps' switches are read while they have an audience: another
// process may change them.
const switchInterval = time.Second

// audience is what receives statuses only as far as an app's switches allow: the circles, and the
// operations in which a user watches others. It follows a switch at once if this process changes it,
// and within switchInterval if another does.
type audience struct {
	mu      sync.Mutex
	circles map[int64]*circle // by users.id
	apps    map[int64]*gallery
	// heard counts the changes of apps received from the bus: switches that were read before the
	// latest of them may be outdated.
	heard int
	// wake requests that the switches be read now.
	wake chan struct{}
}

// gallery is the audience in one app. It exists while it is not empty.
type gallery struct {
	// on are the lists that the app's switches let a circle carry.
	on sources
	// behind reports whether a circle could not follow a switch and must try again.
	behind  bool
	circles int
	asking  map[*asking]struct{}
}

// asking is an operation that ends when the app's statusQueryEnabled goes off.
type asking struct{ off func() }

func newAudience() audience {
	return audience{
		circles: make(map[int64]*circle), apps: make(map[int64]*gallery), wake: make(chan struct{}, 1),
	}
}

// switchedOn returns the lists that an app's switches let a circle carry.
func switchedOn(s models.AppSettings) (on sources) {
	if s.FriendStatusNotifyEnabled {
		on |= fromFriends
	}
	if s.StatusQueryEnabled {
		on |= fromSubscriptions
	}
	return on
}

// gallery returns the app's gallery. It creates it if there is none. app was read for the present
// request; if its switches differ from the known ones, one of the two is outdated.
func (a *audience) gallery(app *models.App) *gallery {
	g := a.apps[app.ID]
	if g == nil {
		g = &gallery{on: switchedOn(app.Settings), asking: make(map[*asking]struct{})}
		a.apps[app.ID] = g
		// The switches may have been changed since the request began.
		a.look()
	} else if g.on != switchedOn(app.Settings) {
		a.look()
	}
	return g
}

// look requests that the switches be read now.
func (a *audience) look() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// release removes the app's gallery if it is empty.
func (a *audience) release(appID int64) {
	if g := a.apps[appID]; g != nil && g.circles == 0 && len(g.asking) == 0 {
		delete(a.apps, appID)
	}
}

// join adds l to the account's circle. first reports whether there was none, so that the caller must
// load it.
func (a *audience) join(h *Hub, app *models.App, acc status.Account, l *listener) (c *circle, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.gallery(app)
	c = a.circles[acc.ID]
	if first = c == nil; first {
		c = newCircle(h, acc, g.on)
		a.circles[acc.ID] = c
		g.circles++
	}
	listeners := append(slices.Clone(*c.listeners.Load()), l)
	c.listeners.Store(&listeners)
	return c, first
}

// part removes l from c, and reports whether c is empty.
func (a *audience) part(c *circle, l *listener) (empty bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	listeners := slices.DeleteFunc(slices.Clone(*c.listeners.Load()), func(other *listener) bool { return other == l })
	c.listeners.Store(&listeners)
	if len(listeners) == 0 {
		a.remove(c)
	}
	return len(listeners) == 0
}

// forget makes the account's next operation begin another circle.
func (a *audience) forget(c *circle) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(c)
}

func (a *audience) remove(c *circle) {
	if a.circles[c.id] != c {
		return
	}
	delete(a.circles, c.id)
	a.apps[c.appID].circles--
	a.release(c.appID)
}

// circle returns the account's circle, or nil if it has none.
func (a *audience) circle(userID int64) *circle {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.circles[userID]
}

// retry makes the app's circles follow the switches again.
func (a *audience) retry(appID int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if g := a.apps[appID]; g != nil {
		g.behind = true
	}
}

// WhileQueried calls off when the app's statusQueryEnabled is turned off, under a lock, so off must not
// block. stop ends that; calling it again does nothing.
func (h *Hub) WhileQueried(app *models.App, off func()) (stop func()) {
	a, q := &h.audience, &asking{off: off}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gallery(app).asking[q] = struct{}{}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if g := a.apps[app.ID]; g != nil {
			delete(g.asking, q)
			a.release(app.ID)
		}
	}
}

// follow makes the app's audience follow its switches. The caller holds a.mu.
func (a *audience) follow(appID int64, settings models.AppSettings) {
	g := a.apps[appID]
	if g == nil {
		return
	}
	on := switchedOn(settings)
	turned := on != g.on || g.behind
	g.on, g.behind = on, false
	if on&fromSubscriptions == 0 {
		for q := range g.asking {
			q.off()
		}
		clear(g.asking)
	}
	if turned {
		for _, c := range a.circles {
			if c.appID == appID {
				c.follow(on)
			}
		}
	}
	a.release(appID)
}

// appChanged follows a change that was made in this process.
func (h *Hub) appChanged(_ context.Context, ev bus.AppChanged) {
	aboutApp.Tell(h.bus, ev.App.ID)
	a := &h.audience
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard++
	a.follow(ev.App.ID, ev.App.Settings)
	// Of two concurrent changes, the one received last need not be the later one.
	a.look()
}

// followSwitches reads the switches of the apps that have an audience, until the hub closes.
func (h *Hub) followSwitches() {
	ticker := time.NewTicker(switchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-h.audience.wake:
		case <-h.closing.Done():
			return
		}
		if err := h.readSwitches(h.closing); err != nil && h.closing.Err() == nil {
			h.log.Error("reading the apps' switches failed; retrying", "error", err)
		}
	}
}

func (h *Hub) readSwitches(ctx context.Context) error {
	a := &h.audience
	a.mu.Lock()
	heard := a.heard
	ids := make([]int64, 0, len(a.apps))
	for id := range a.apps {
		ids = append(ids, id)
	}
	a.mu.Unlock()
	for chunk := range slices.Chunk(ids, loadChunk) {
		rows, err := gorm.G[models.App](h.db.Read(ctx)).
			Select("id", "status_query_enabled", "friend_status_notify_enabled").Where("id IN ?", chunk).Find(ctx)
		if err != nil {
			return err
		}
		a.mu.Lock()
		if a.heard != heard {
			a.mu.Unlock()
			a.look() // the rows may be older than the changes received from the bus
			return nil
		}
		for _, app := range rows {
			a.follow(app.ID, app.Settings)
		}
		a.mu.Unlock()
	}
	return nil
}

// friendshipChanged makes the user's circle follow its friends.
func (h *Hub) friendshipChanged(_ context.Context, ev bus.FriendshipChanged) {
	if c := h.audience.circle(ev.UserID); c != nil {
		c.change(fromFriends, change{ids: []int64{ev.FriendID}, on: ev.Friends})
	}
	h.tellList(fromFriends, ev.UserID, ev.FriendID)
}

// subscriptionsChanged makes the user's circle follow its subscriptions.
func (h *Hub) subscriptionsChanged(_ context.Context, ev bus.SubscriptionsChanged) {
	if c := h.audience.circle(ev.UserID); c != nil {
		c.change(fromSubscriptions, change{ids: ev.Added, on: true})
		c.change(fromSubscriptions, change{ids: ev.Removed})
	}
	h.tellList(fromSubscriptions, ev.UserID, slices.Concat(ev.Added, ev.Removed)...)
}
