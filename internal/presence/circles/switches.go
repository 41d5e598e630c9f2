package circles

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/models"
)

// switchInterval is how often the switches of the apps in use are read, in case the message of
// another node that changes them is lost. Without other nodes, a command may change them.
const switchInterval = time.Second

// app is an app in use: it has circles, or operations that query statuses.
type app struct {
	// on are the reasons that the app's switches permit.
	on reasons
	// behind reports whether a circle could not follow a switch and must try again.
	behind  bool
	circles int
	queries map[*query]struct{}
}

// query is an operation that ends when the app's statusQueryEnabled is turned off.
type query struct{ end func() }

// permitted returns the reasons that an app's switches permit.
func permitted(s models.AppSettings) (on reasons) {
	if s.FriendStatusNotifyEnabled {
		on |= friendship
	}
	if s.StatusQueryEnabled {
		on |= subscription
	}
	return on
}

// app returns the app in use, and begins its use if necessary. The row was read for the present
// request; if its switches differ from the known ones, one of the two is outdated. The caller holds
// cs.mu.
func (cs *Circles) app(row *models.App) *app {
	a := cs.apps[row.ID]
	if a == nil {
		a = &app{on: permitted(row.Settings), queries: make(map[*query]struct{})}
		cs.apps[row.ID] = a
		// The switches may have been changed since the request began.
		cs.requestSwitches()
	} else if a.on != permitted(row.Settings) {
		cs.requestSwitches()
	}
	return a
}

// dropIfUnused ends the use of an app that has neither circles nor queries. The caller holds cs.mu.
func (cs *Circles) dropIfUnused(appID int64) {
	if a := cs.apps[appID]; a != nil && a.circles == 0 && len(a.queries) == 0 {
		delete(cs.apps, appID)
	}
}

// requestSwitches requests that the switches be read now.
func (cs *Circles) requestSwitches() {
	select {
	case cs.readSwitches <- struct{}{}:
	default: // already requested
	}
}

// followAgain makes the app's circles follow the switches again when these are read next.
func (cs *Circles) followAgain(appID int64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if a := cs.apps[appID]; a != nil {
		a.behind = true
	}
}

// WhileQueried calls end when the app's statusQueryEnabled is turned off, under a lock, so end must
// not block. stop prevents that; calling it again does nothing.
func (cs *Circles) WhileQueried(of *models.App, end func()) (stop func()) {
	q := &query{end: end}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.app(of).queries[q] = struct{}{}
	return func() {
		cs.mu.Lock()
		defer cs.mu.Unlock()
		if a := cs.apps[of.ID]; a != nil {
			delete(a.queries, q)
			cs.dropIfUnused(of.ID)
		}
	}
}

// follow makes the circles and queries of an app follow its switches. The caller holds cs.mu.
func (cs *Circles) follow(appID int64, settings models.AppSettings) {
	a := cs.apps[appID]
	if a == nil {
		return
	}
	now := permitted(settings)
	mustFollow := now != a.on || a.behind
	a.on, a.behind = now, false
	if now&subscription == 0 {
		for q := range a.queries {
			q.end()
		}
		clear(a.queries)
	}
	if mustFollow {
		for _, c := range cs.byUser {
			if c.appID == appID {
				c.follow(now)
			}
		}
	}
	cs.dropIfUnused(appID)
}

// appChanged follows a change that was made in this process.
func (cs *Circles) appChanged(_ context.Context, ev bus.AppChanged) {
	appMessage.Tell(cs.Bus, ev.App.ID)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.appChanges++
	cs.follow(ev.App.ID, ev.App.Settings)
	// Of two concurrent changes, the one received last need not be the later one.
	cs.requestSwitches()
}

// followSwitches reads the switches of the apps in use until Closing ends.
func (cs *Circles) followSwitches() {
	ticker := time.NewTicker(switchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			cs.forgetBeginnings(time.Now().Add(-beginningKept))
		case <-cs.readSwitches:
		case <-cs.Closing.Done():
			return
		}
		if err := cs.readAndFollow(cs.Closing); err != nil && cs.Closing.Err() == nil {
			cs.Log.Error("reading the apps' switches failed; retrying", "error", err)
		}
	}
}

func (cs *Circles) readAndFollow(ctx context.Context) error {
	cs.mu.Lock()
	changes := cs.appChanges
	ids := make([]int64, 0, len(cs.apps))
	for id := range cs.apps {
		ids = append(ids, id)
	}
	cs.mu.Unlock()
	for chunk := range slices.Chunk(ids, keysPerQuery) {
		rows, err := gorm.G[models.App](cs.DB.Read(ctx)).
			Select("id", "status_query_enabled", "friend_status_notify_enabled").Where("id IN ?", chunk).Find(ctx)
		if err != nil {
			return err
		}
		if !cs.followRows(rows, changes) {
			cs.requestSwitches() // the rows may be older than the changes received from the bus
			return nil
		}
	}
	return nil
}

// followRows follows switches that were read after that many changes of apps. It returns false if
// there was another one since.
func (cs *Circles) followRows(rows []models.App, changes int) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.appChanges != changes {
		return false
	}
	for _, row := range rows {
		cs.follow(row.ID, row.Settings)
	}
	return true
}
