// Package circles decides whose changes an open statusChanged receives, and how that follows
// friendships, subscriptions and switches.
//
// A circle is the users that one account watches: itself, its friends and the targets of its
// subscriptions. All statusChanged operations of the account share it. circle.go adds and removes
// users, one reason at a time: a user that is a friend and a target is watched once. switches.go
// follows the app's settings, which may turn the friends or the targets of all circles off. reread.go
// follows changes that other nodes make, of which it receives hints, and reads what they are in the
// database.
//
// The statuses themselves come from the registry through the fanout.Board. What a circle has missed
// while a switch was off is a status.Absence, which the registry fills in.
package circles

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// Registry is what circles need of the registry that decides statuses.
type Registry interface {
	// Follow and Unfollow count the watches of a key of the board.
	Follow(key int64)
	Unfollow(key int64)
	// Settle waits until this node receives the changes of these followed keys, or of all that are
	// followed if none is given.
	Settle(ctx context.Context, keys ...int64) error
	// Receive waits until this node has received all changes so far of these users, or of all users if
	// none is named.
	Receive(ctx context.Context, userIDs ...int64) error
	// Moment returns the present moment.
	Moment() status.Moment
	// MomentOf returns how far the user's changes have been published. The user's queue is locked.
	MomentOf(userID int64) status.Moment
	// Missed returns what the watcher of watches that join now, all of one locked queue, must
	// receive first because of an absence. CatchUp, called afterwards, delivers what Missed cannot
	// know.
	Missed(watches []*fanout.Watch, a *status.Absence) []*fanout.Event
	CatchUp(ctx context.Context, w *fanout.Watcher, a *status.Absence) error
}

// Interests are the lists of users that an account's circle watches. Their owners describe them, and
// publish bus.FriendshipChanged and bus.SubscriptionsChanged.
type Interests struct{ Friends, Subscriptions database.Pairs }

// Config is what Circles are made of. All fields are required.
type Config struct {
	DB        *database.DB
	Bus       *bus.Bus
	Board     *fanout.Board
	Registry  Registry
	Interests Interests
	Log       *slog.Logger
	// Closing ends when no further work should begin, Life when the work must end.
	Closing, Life context.Context
}

// Circles are the circles of this node, and the operations that depend on switches. All methods may
// be called by any goroutine.
type Circles struct {
	Config
	readers readers
	// rereading has room for one request to read all lists again.
	rereading chan struct{}
	// readSwitches has room for one request to read the switches now.
	readSwitches chan struct{}

	mu     sync.Mutex
	byUser map[int64]*circle // by users.id of the owner
	// apps are the apps with circles or with operations that query statuses, by apps.id.
	apps map[int64]*app
	// beginnings are those of the operations that began last, in their order.
	beginnings []beginning
	// appChanges counts the changes of apps received from the bus. Switches that were read before
	// the latest of them may be outdated.
	appChanges int
}

// New returns Circles that follow the events on the bus. Run must be called once.
func New(cfg Config) *Circles {
	cs := &Circles{
		Config: cfg, readers: newReaders(cfg.DB, cfg.Interests),
		rereading: make(chan struct{}, 1), readSwitches: make(chan struct{}, 1),
		byUser: make(map[int64]*circle), apps: make(map[int64]*app),
	}
	cs.Bus.OnFriendshipChanged(cs.friendshipChanged)
	cs.Bus.OnSubscriptionsChanged(cs.subscriptionsChanged)
	cs.Bus.OnAppChanged(cs.appChanged)
	cs.followOtherNodes()
	return cs
}

// Run follows the switches, and rereads lists when that is requested, until Closing ends.
func (cs *Circles) Run() {
	var running sync.WaitGroup
	running.Go(cs.followSwitches)
	running.Go(cs.rereadWhenRequested)
	running.Wait()
}

// Watch delivers to sink the changes of the users in the account's circle. It reads the database at
// most twice, and not at all if another operation of the account has the circle already. The events
// come from another goroutine, possibly before Watch has returned.
//
// stop ends the watch; calling it again does nothing.
func (cs *Circles) Watch(ctx context.Context, of *models.App, acc status.Account, sink fanout.Sink) (stop func(), err error) {
	op := cs.operation(sink)
	c, first := cs.join(of, acc, op)
	if first {
		ctx := context.WithoutCancel(ctx)
		c.unfollow = cs.Bus.Follow(ctx, acc.ID) // what other nodes change from now on is not missed
		c.err = c.loadFirst(ctx)
		if c.err != nil {
			cs.remove(c)
		}
		close(c.ready)
	}
	select {
	case <-c.ready:
		err = c.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		err = cs.Registry.Settle(ctx, c.watched(self|friendship|subscription)...)
	}
	stop = sync.OnceFunc(func() {
		if cs.leave(c, op) {
			c.close()
		}
	})
	if err != nil {
		stop()
		return nil, fmt.Errorf("reading the users that user %d watches: %w", acc.ID, err)
	}
	return stop, nil
}

// join adds an operation to the account's circle. first reports whether there was none, so that the
// caller must load it.
func (cs *Circles) join(of *models.App, acc status.Account, op *operation) (c *circle, first bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	a := cs.app(of)
	c = cs.byUser[acc.ID]
	if first = c == nil; first {
		c = newCircle(cs, acc, a.on)
		cs.byUser[acc.ID] = c
		a.circles++
	}
	operations := append(slices.Clone(*c.operations.Load()), op)
	c.operations.Store(&operations)
	return c, first
}

// leave removes an operation from its circle. last reports whether it was the last one, so that the
// caller must close the circle.
func (cs *Circles) leave(c *circle, op *operation) (last bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	operations := slices.DeleteFunc(slices.Clone(*c.operations.Load()), func(other *operation) bool { return other == op })
	c.operations.Store(&operations)
	if len(operations) == 0 {
		cs.removeLocked(c)
	}
	return len(operations) == 0
}

// remove makes the account's next operation begin another circle.
func (cs *Circles) remove(c *circle) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.removeLocked(c)
}

func (cs *Circles) removeLocked(c *circle) {
	if cs.byUser[c.id] != c {
		return
	}
	delete(cs.byUser, c.id)
	cs.apps[c.appID].circles--
	cs.dropIfUnused(c.appID)
}

// circle returns the account's circle, or nil if it has none.
func (cs *Circles) circle(userID int64) *circle {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.byUser[userID]
}

// friendshipChanged makes the user's circle follow its friends.
func (cs *Circles) friendshipChanged(_ context.Context, ev bus.FriendshipChanged) {
	if c := cs.circle(ev.UserID); c != nil {
		c.edit(friendship, edit{ids: []int64{ev.FriendID}, add: ev.Friends})
	}
	cs.notifyOtherNodes(friendship, ev.UserID, ev.FriendID)
}

// subscriptionsChanged makes the user's circle follow its subscriptions.
func (cs *Circles) subscriptionsChanged(_ context.Context, ev bus.SubscriptionsChanged) {
	if c := cs.circle(ev.UserID); c != nil {
		c.edit(subscription, edit{ids: ev.Added, add: true})
		c.edit(subscription, edit{ids: ev.Removed})
	}
	cs.notifyOtherNodes(subscription, ev.UserID, slices.Concat(ev.Added, ev.Removed)...)
}

// Stats describes Circles for tests.
type Stats struct {
	// Circles is how many circles there are, and Loading how many of them read a list.
	Circles, Loading int
	// Watched are the users.id that each circle watches, by that of its owner.
	Watched map[int64][]int64
	// Friends and Subscriptions report, by apps.id, which switches of the apps in use are on.
	Friends, Subscriptions map[int64]bool
}

// Stats returns what the circles are now.
func (cs *Circles) Stats() Stats {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	s := Stats{
		Circles: len(cs.byUser), Watched: make(map[int64][]int64, len(cs.byUser)),
		Friends: make(map[int64]bool, len(cs.apps)), Subscriptions: make(map[int64]bool, len(cs.apps)),
	}
	for id, a := range cs.apps {
		s.Friends[id], s.Subscriptions[id] = a.on&friendship != 0, a.on&subscription != 0
	}
	for id, c := range cs.byUser {
		s.Watched[id] = c.watched(self | friendship | subscription)
		c.mu.Lock()
		if slices.ContainsFunc(c.lists[:], func(l list) bool { return l.state == loading }) {
			s.Loading++
		}
		c.mu.Unlock()
	}
	return s
}
