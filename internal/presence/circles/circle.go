package circles

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
)

// reasons are why an account watches a user. A user with several is still watched once, and each of
// its changes delivered once.
type reasons uint8

const (
	// self: the user is the account.
	self reasons = 1 << iota
	// friendship: the user is a friend, and the app's friendStatusNotifyEnabled is on.
	friendship
	// subscription: the account has subscribed to the user, and the app's statusQueryEnabled is on.
	subscription
)

// lists are the reasons of which the database has a list. A circle's lists have the same indexes.
var lists = [...]reasons{friendship, subscription}

// circle is the users whose changes one account receives. It is one watcher for the statusChanged
// operations of all the account's devices. The watch of a user begins with the first reason for it,
// and ends with the last.
type circle struct {
	watcher fanout.Watcher // its sink is the circle
	all     *Circles
	id      int64 // the owner's users.id
	appID   int64
	// operations receive the changes; the slice is replaced, never changed.
	operations atomic.Pointer[[]*operation]
	// ready is closed when the first lists have been loaded; err is the result.
	ready chan struct{}
	err   error
	// unfollow ends the messages of other nodes about the owner. It is set before ready is closed.
	unfollow func()

	mu     sync.Mutex
	closed bool
	// watches are in the order of fanout.Compare. Their tags are the reasons.
	watches []*fanout.Watch
	lists   [len(lists)]list
	// left has, by users.id, when the circle stopped watching a user. It has only users that the
	// circle may watch again when a list is turned on.
	left map[int64]status.Moment
}

// list is one of the circle's lists.
type list struct {
	state listState
	// loads counts the loads, and edits the edits, so that what was read before the latest of them
	// is recognised.
	loads, edits int
	// offSince is when the list was turned off, or the circle began without it.
	offSince status.Moment
	// pending are the edits that came while the list was loading, in their order.
	pending []edit
}

type listState int8

const (
	off listState = iota
	loading
	on
)

// edit is users that were added to a list or removed from it.
type edit struct {
	ids []int64
	add bool
}

// newCircle returns a circle that watches only its owner, and must load the wanted lists.
func newCircle(all *Circles, acc status.Account, wanted reasons) *circle {
	c := &circle{all: all, id: acc.ID, appID: acc.AppID, ready: make(chan struct{})}
	c.watcher.Sink = c
	c.operations.Store(new([]*operation))
	for i, reason := range lists {
		if wanted&reason != 0 {
			c.lists[i] = list{state: loading, loads: 1}
		} else {
			c.lists[i].offSince = all.Registry.Moment()
		}
	}
	c.add([]int64{acc.ID}, self, nil)
	return c
}

// Deliver delivers a change to all operations that began before it.
func (c *circle) Deliver(ev *fanout.Event) {
	for _, op := range *c.operations.Load() {
		if op.precedes(ev) {
			op.sink.Deliver(ev)
		}
	}
}

// Gather is like Deliver, but what the operations gather waits for Flush.
func (c *circle) Gather(ev *fanout.Event) {
	for _, op := range *c.operations.Load() {
		if !op.precedes(ev) {
			continue
		}
		if g, ok := op.sink.(fanout.Gatherer); ok {
			g.Gather(ev)
		} else {
			op.sink.Deliver(ev)
		}
	}
}

// Flush makes all operations send what they have gathered.
func (c *circle) Flush() {
	for _, op := range *c.operations.Load() {
		if g, ok := op.sink.(fanout.Gatherer); ok {
			g.Flush()
		}
	}
}

// close ends all watches.
func (c *circle) close() {
	c.watcher.Stop()
	c.unfollow()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.all.Board.Leave(c.watches)
	for _, w := range c.watches {
		c.all.Registry.Unfollow(w.Key)
	}
	c.watches = nil
}

// loadFirst loads the lists that the circle begins with, in one query if it is all of them.
func (c *circle) loadFirst(ctx context.Context) error {
	var wanted []int
	c.mu.Lock()
	for i, l := range c.lists {
		if l.state == loading && l.loads == 1 {
			wanted = append(wanted, i)
		}
	}
	c.mu.Unlock()
	if len(wanted) == len(lists) {
		found, _, err := c.all.readers.together.Get(ctx, c.id)
		if err != nil {
			return err
		}
		for i := range lists {
			var ids []int64
			if found != nil {
				ids = slices.Clone(found[i])
			}
			c.loaded(i, 1, ids, nil)
		}
		return nil
	}
	for _, i := range wanted {
		if err := c.load(ctx, i, 1); err != nil {
			return err
		}
	}
	return nil
}

// follow turns lists on and off as the app's switches are. It does not wait: a list that is turned on
// is loaded in the background, and if that fails, by the next call.
func (c *circle) follow(wanted reasons) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, reason := range lists {
		l := &c.lists[i]
		switch {
		case c.closed:
		case wanted&reason == 0 && l.state != off:
			if l.state == on || l.offSince == (status.Moment{}) {
				l.offSince = c.all.Registry.Moment()
			}
			l.state, l.pending = off, nil
			c.removeAll(reason)
		case wanted&reason != 0 && l.state == off:
			l.state = loading
			l.loads++
			go c.resume(i, l.loads)
		}
	}
}

// resume loads a list that was turned on.
func (c *circle) resume(i, load int) {
	err := c.load(c.all.Life, i, load)
	if err == nil || c.all.Closing.Err() != nil {
		return
	}
	c.all.Log.Error("loading the users that a user watches failed; retrying", "user", c.id, "error", err)
	c.mu.Lock()
	if l := &c.lists[i]; l.loads == load && l.state == loading {
		l.state, l.pending = off, nil
	}
	c.mu.Unlock()
	c.all.followAgain(c.appID)
}

// load reads a list and watches all users on it. Their changes since the list was turned off are
// delivered.
func (c *circle) load(ctx context.Context, i, load int) error {
	shared, _, err := c.all.readers.single[i].Get(ctx, c.id)
	if err != nil {
		return err
	}
	ids := slices.Clone(shared)
	c.mu.Lock()
	since := c.lists[i].offSince
	earliest := since.At
	for _, at := range c.left {
		earliest = min(earliest, at.At)
	}
	c.mu.Unlock()
	var absence *status.Absence
	if since != (status.Moment{}) {
		if absence, err = c.all.absence(ctx, since, earliest, ids); err != nil {
			return err
		}
	}
	if !c.loaded(i, load, ids, absence) || absence == nil {
		return nil
	}
	return c.all.Registry.CatchUp(ctx, &c.watcher, absence)
}

// loaded watches all users on a list that was read. It returns false if the list is no longer wanted.
func (c *circle) loaded(i, load int, ids []int64, absence *status.Absence) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.lists[i]
	if c.closed || l.loads != load || l.state != loading {
		return false
	}
	l.state = on
	c.add(ids, lists[i], absence)
	for _, e := range l.pending {
		c.apply(i, e)
	}
	l.pending = nil
	if c.complete() {
		c.left = nil
	}
	return true
}

// edit edits one of the circle's lists. The edits of one user on it come in their order.
func (c *circle) edit(reason reasons, e edit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.editLocked(slices.Index(lists[:], reason), e)
}

func (c *circle) editLocked(i int, e edit) {
	l := &c.lists[i]
	l.edits++
	switch {
	case c.closed:
	case l.state == loading:
		l.pending = append(l.pending, e)
	case l.state == on:
		c.apply(i, e)
	}
}

func (c *circle) apply(i int, e edit) {
	if e.add {
		c.add(slices.Clone(e.ids), lists[i], nil)
		return
	}
	for _, id := range e.ids {
		c.remove(id, lists[i])
	}
}

// find returns where the watch of the user is, or would be.
func (c *circle) find(id int64) (at int, found bool) {
	return slices.BinarySearchFunc(c.watches, status.UserKey(id), func(w *fanout.Watch, key int64) int {
		return fanout.Compare(w.Key, key)
	})
}

// add watches users for a further reason. The caller must not use ids afterwards. After an absence,
// changes in it of users that the circle does not watch are delivered first.
func (c *circle) add(ids []int64, reason reasons, absence *status.Absence) {
	slices.SortFunc(ids, fanout.Compare)
	fresh := slices.DeleteFunc(slices.Compact(ids), func(id int64) bool {
		at, found := c.find(id)
		if found {
			c.watches[at].Tag |= uint8(reason)
		}
		return found
	})
	if len(fresh) == 0 {
		return
	}
	watches := fanout.Pointers(fanout.Watches(&c.watcher, fresh))
	for _, w := range watches {
		w.Tag = uint8(reason)
		c.all.Registry.Follow(w.Key)
	}
	merged := make([]*fanout.Watch, 0, len(c.watches)+len(watches))
	merged = append(append(merged, c.watches...), watches...)
	slices.SortFunc(merged, func(a, b *fanout.Watch) int { return fanout.Compare(a.Key, b.Key) })
	c.watches = merged
	if absence != nil {
		absence.Lost = c.left
	}
	c.all.Board.Each(watches, func(q *fanout.Queue, part []*fanout.Watch) {
		var first []*fanout.Event
		if absence != nil {
			first = c.all.Registry.Missed(part, absence)
		}
		q.Join(part, first)
	})
	for _, w := range watches {
		delete(c.left, w.Key)
	}
}

// remove removes a reason for watching a user.
func (c *circle) remove(id int64, reason reasons) {
	at, found := c.find(id)
	if !found {
		return
	}
	w := c.watches[at]
	if w.Tag &^= uint8(reason); w.Tag == 0 {
		c.watches = slices.Delete(c.watches, at, at+1)
		c.leave([]*fanout.Watch{w})
	}
}

// removeAll removes a reason from all users.
func (c *circle) removeAll(reason reasons) {
	var gone []*fanout.Watch
	c.watches = slices.DeleteFunc(c.watches, func(w *fanout.Watch) bool {
		w.Tag &^= uint8(reason)
		if w.Tag == 0 {
			gone = append(gone, w)
		}
		return w.Tag == 0
	})
	c.leave(gone)
}

// leave ends watches, which are in the order of fanout.Compare. While some list is off, it notes how
// far the circle has received each user's changes. It does so under the lock under which they are
// published, so that a change of the same instant comes either before, or with the list that brings
// the user back, and not twice.
func (c *circle) leave(gone []*fanout.Watch) {
	mayReturn := !c.complete()
	if mayReturn && c.left == nil {
		c.left = make(map[int64]status.Moment, len(gone))
	}
	c.all.Board.Each(gone, func(q *fanout.Queue, part []*fanout.Watch) {
		q.Leave(part)
		if mayReturn {
			for _, w := range part {
				c.left[w.Key] = c.all.Registry.MomentOf(w.Key)
			}
		}
	})
	for _, w := range gone {
		c.all.Registry.Unfollow(w.Key)
	}
}

// complete reports whether all lists are on.
func (c *circle) complete() bool {
	return !slices.ContainsFunc(c.lists[:], func(l list) bool { return l.state != on })
}

// watched returns the users.id that the circle watches for one of the reasons.
func (c *circle) watched(why reasons) (ids []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.watches {
		if reasons(w.Tag)&why != 0 {
			ids = append(ids, w.Key)
		}
	}
	return ids
}
