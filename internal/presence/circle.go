package presence

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// sources are the reasons for which an account watches a user. A user that several of them select is
// still watched once, and each change delivered once.
type sources uint8

const (
	fromSelf sources = 1 << iota
	// fromFriends: the user is a friend, and the app's friendStatusNotifyEnabled is on.
	fromFriends
	// fromSubscriptions: the user is subscribed, and the app's statusQueryEnabled is on.
	fromSubscriptions
)

// lists are the sources that the database knows.
var lists = [...]sources{fromFriends, fromSubscriptions}

// circle is the users whose changes one account receives: itself, its friends and the users that it
// has subscribed to. It is one watcher for the statusChanged operations of all the account's devices.
// It changes while it runs: the watch of a user begins with the first source that selects the user,
// and ends with the last.
type circle struct {
	watcher fanout.Watcher // its sink is the circle
	hub     *Hub
	id      int64 // the owner's users.id
	appID   int64
	// listeners are the operations; the slice is replaced, never changed.
	listeners atomic.Pointer[[]*listener]
	// ready is closed when the first lists have been loaded; err is the result.
	ready chan struct{}
	err   error

	mu     sync.Mutex
	closed bool
	// watches are in the order of fanout.Compare. Their tags are the sources that select the user.
	watches []*fanout.Watch
	lists   [len(lists)]list
	// lost is up to when users were watched that no longer are. It is kept while some list is off,
	// because they may come back with it.
	lost map[int64]status.Moment
}

// listener is one statusChanged operation.
type listener struct {
	sink fanout.Sink
	// since is the number of the latest change before it began. A client that reads a status after
	// beginning must not receive a change that is older than the response.
	since int64
}

// list is one of the circle's lists.
type list struct {
	state listState
	// loads counts the loads, so that the result of an earlier one is recognised; changes counts the
	// changes for the same reason.
	loads, changes int
	// since is when the list was turned off, or the circle began without it.
	since status.Moment
	// pending are the changes that came while the list was loaded, in their order.
	pending []change
}

type listState int8

const (
	listOff listState = iota
	listLoading
	listOn
)

// change is users that were added to a list, or removed from it.
type change struct {
	ids []int64
	on  bool
}

// WatchCircle delivers to sink the changes that concern the account: its own, those of its friends and
// those of the users that it has subscribed to, as far as the app's switches allow. It follows changes
// of friendships, subscriptions and switches. It reads the database at most twice, and not at all if
// another device of the account watches already. The events come from another goroutine, possibly
// before WatchCircle has returned.
//
// stop ends the watch; calling it again does nothing.
func (h *Hub) WatchCircle(ctx context.Context, app *models.App, acc status.Account, sink fanout.Sink) (stop func(), err error) {
	l := &listener{sink: sink, since: h.seq.Load()}
	c, first := h.audience.join(h, app, acc, l)
	if first {
		c.err = c.loadFirst(context.WithoutCancel(ctx))
		if c.err != nil {
			h.audience.forget(c)
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
		err = h.registry.Settle(ctx)
	}
	stop = sync.OnceFunc(func() {
		if h.audience.part(c, l) {
			c.close()
		}
	})
	if err != nil {
		stop()
		return nil, fmt.Errorf("reading whom user %d watches: %w", acc.ID, err)
	}
	return stop, nil
}

// newCircle returns a circle that watches only its owner, and must load the wanted lists.
func newCircle(h *Hub, acc status.Account, wanted sources) *circle {
	c := &circle{hub: h, id: acc.ID, appID: acc.AppID, ready: make(chan struct{})}
	c.watcher.Sink = c
	c.listeners.Store(new([]*listener))
	for i, from := range lists {
		if wanted&from != 0 {
			c.lists[i] = list{state: listLoading, loads: 1}
		} else {
			c.lists[i].since = h.moment()
		}
	}
	c.add([]int64{acc.ID}, fromSelf, nil)
	return c
}

// moment returns the present moment.
func (h *Hub) moment() status.Moment {
	return status.Moment{Version: h.seq.Load(), At: h.now() - 1}
}

// Deliver delivers a change to all operations that began before it.
func (c *circle) Deliver(ev *fanout.Event) {
	for _, l := range *c.listeners.Load() {
		if ev.Seq() > l.since {
			l.sink.Deliver(ev)
		}
	}
}

// Gather is like Deliver, but what the operations gather waits for Flush.
func (c *circle) Gather(ev *fanout.Event) {
	for _, l := range *c.listeners.Load() {
		if ev.Seq() <= l.since {
			continue
		}
		if g, ok := l.sink.(fanout.Gatherer); ok {
			g.Gather(ev)
		} else {
			l.sink.Deliver(ev)
		}
	}
}

// Flush makes all operations send what they have gathered.
func (c *circle) Flush() {
	for _, l := range *c.listeners.Load() {
		if g, ok := l.sink.(fanout.Gatherer); ok {
			g.Flush()
		}
	}
}

// close ends all watches.
func (c *circle) close() {
	c.watcher.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.hub.leave(c.watches)
	c.watches = nil
}

// loadFirst loads the lists that the circle begins with, in one query if it is all of them.
func (c *circle) loadFirst(ctx context.Context) error {
	var wanted []int
	c.mu.Lock()
	for i, l := range c.lists {
		if l.state == listLoading && l.loads == 1 {
			wanted = append(wanted, i)
		}
	}
	c.mu.Unlock()
	if len(wanted) == len(lists) {
		all, _, err := c.hub.beginnings.Get(ctx, c.id)
		if err != nil {
			return err
		}
		for i := range lists {
			var ids []int64
			if all != nil {
				ids = slices.Clone(all[i])
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
func (c *circle) follow(on sources) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, from := range lists {
		l := &c.lists[i]
		switch {
		case c.closed:
		case on&from == 0 && l.state != listOff:
			if l.state == listOn || l.since == (status.Moment{}) {
				l.since = c.hub.moment()
			}
			l.state, l.pending = listOff, nil
			c.drop(from)
		case on&from != 0 && l.state == listOff:
			l.state = listLoading
			l.loads++
			go c.resume(i, l.loads)
		}
	}
}

// resume loads a list that was turned on.
func (c *circle) resume(i, load int) {
	err := c.load(c.hub.life, i, load)
	if err == nil || c.hub.closing.Err() != nil {
		return
	}
	c.hub.log.Error("loading whom a user watches failed, will be tried again", "user", c.id, "error", err)
	c.mu.Lock()
	if l := &c.lists[i]; l.loads == load && l.state == listLoading {
		l.state, l.pending = listOff, nil
	}
	c.mu.Unlock()
	c.hub.audience.retry(c.appID)
}

// load reads a list and watches all users on it. Changes since the list was turned off are delivered.
func (c *circle) load(ctx context.Context, i, load int) error {
	shared, _, err := c.hub.loaders[i].Get(ctx, c.id)
	if err != nil {
		return err
	}
	ids := slices.Clone(shared)
	c.mu.Lock()
	since := c.lists[i].since
	earliest := since.At
	for _, at := range c.lost {
		earliest = min(earliest, at.At)
	}
	c.mu.Unlock()
	var from *status.Absence
	if since != (status.Moment{}) {
		if from, err = c.hub.absent(ctx, since, earliest, ids); err != nil {
			return err
		}
	}
	if !c.loaded(i, load, ids, from) || from == nil {
		return nil
	}
	return c.hub.registry.CatchUp(ctx, &c.watcher, from)
}

// loaded watches all users on a list that was read. It returns false if the list is no longer wanted.
func (c *circle) loaded(i, load int, ids []int64, from *status.Absence) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.lists[i]
	if c.closed || l.loads != load || l.state != listLoading {
		return false
	}
	l.state = listOn
	c.add(ids, lists[i], from)
	for _, p := range l.pending {
		c.apply(i, p)
	}
	l.pending = nil
	if c.complete() {
		c.lost = nil
	}
	return true
}

// change applies a change of one of the owner's lists. The changes of one user on it come in their
// order.
func (c *circle) change(from sources, p change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed(slices.Index(lists[:], from), p)
}

func (c *circle) changed(i int, p change) {
	l := &c.lists[i]
	l.changes++
	switch {
	case c.closed:
	case l.state == listLoading:
		l.pending = append(l.pending, p)
	case l.state == listOn:
		c.apply(i, p)
	}
}

func (c *circle) apply(i int, p change) {
	if p.on {
		c.add(slices.Clone(p.ids), lists[i], nil)
		return
	}
	for _, id := range p.ids {
		c.remove(id, lists[i])
	}
}

// find returns where the watch of the user is, or would be.
func (c *circle) find(id int64) (at int, found bool) {
	return slices.BinarySearchFunc(c.watches, status.UserKey(id), func(w *fanout.Watch, key int64) int {
		return fanout.Compare(w.Key, key)
	})
}

// add watches users for a further reason. The caller must not use ids afterwards. If there was an
// absence, what the circle has missed in it of users that it did not watch is delivered first.
func (c *circle) add(ids []int64, from sources, missing *status.Absence) {
	slices.SortFunc(ids, fanout.Compare)
	fresh := slices.DeleteFunc(slices.Compact(ids), func(id int64) bool {
		at, found := c.find(id)
		if found {
			c.watches[at].Tag |= uint8(from)
		}
		return found
	})
	if len(fresh) == 0 {
		return
	}
	watches := fanout.Pointers(fanout.Watches(&c.watcher, fresh))
	for _, w := range watches {
		w.Tag = uint8(from)
		c.hub.registry.Follow(w.Key)
	}
	all := make([]*fanout.Watch, 0, len(c.watches)+len(watches))
	all = append(append(all, c.watches...), watches...)
	slices.SortFunc(all, func(a, b *fanout.Watch) int { return fanout.Compare(a.Key, b.Key) })
	c.watches = all
	if missing != nil {
		missing.Lost = c.lost
	}
	c.hub.board.Each(watches, func(q *fanout.Queue, part []*fanout.Watch) {
		var first []*fanout.Event
		if missing != nil {
			first = c.hub.registry.Missed(part, missing)
		}
		q.Join(part, first)
	})
	for _, w := range watches {
		delete(c.lost, w.Key)
	}
}

// remove removes a reason for watching a user.
func (c *circle) remove(id int64, from sources) {
	at, found := c.find(id)
	if !found {
		return
	}
	w := c.watches[at]
	if w.Tag &^= uint8(from); w.Tag == 0 {
		c.watches = slices.Delete(c.watches, at, at+1)
		c.leave([]*fanout.Watch{w})
	}
}

// drop removes a reason from all users.
func (c *circle) drop(from sources) {
	var gone []*fanout.Watch
	c.watches = slices.DeleteFunc(c.watches, func(w *fanout.Watch) bool {
		w.Tag &^= uint8(from)
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
	back := !c.complete()
	if back && c.lost == nil {
		c.lost = make(map[int64]status.Moment, len(gone))
	}
	c.hub.board.Each(gone, func(q *fanout.Queue, part []*fanout.Watch) {
		q.Leave(part)
		if back {
			for _, w := range part {
				c.lost[w.Key] = c.hub.registry.Moment(w.Key)
			}
		}
	})
	for _, w := range gone {
		c.hub.registry.Unfollow(w.Key)
	}
}

// complete reports whether all lists are on.
func (c *circle) complete() bool {
	return !slices.ContainsFunc(c.lists[:], func(l list) bool { return l.state != listOn })
}

// absent reads which of the users have changed since the earliest time of interest, as far as the
// database knows.
func (h *Hub) absent(ctx context.Context, since status.Moment, earliest models.Time, ids []int64) (*status.Absence, error) {
	a := &status.Absence{Since: since, Rows: make(map[int64]*models.User)}
	for chunk := range slices.Chunk(ids, loadChunk) {
		rows, err := gorm.G[models.User](h.db.Read(ctx)).
			Select("id", "app_id", "external_id", "presence", "presence_at").
			Where("id IN ? AND presence_at > ?", chunk, earliest).Find(ctx)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			a.Rows[rows[i].ID] = &rows[i]
		}
	}
	return a, nil
}

const (
	// loadOwners is how many accounts' lists one query reads.
	loadOwners = 100
	// loadChunk is how many rows one query looks up by key.
	loadChunk = 1000
)

// listRow is a row of the lists of some accounts.
type listRow struct {
	OwnerID, OtherID int64
	List             int
}

// newLoaders returns the readers of each of the lists. Reads at the same time share a query.
func newLoaders(db *database.DB, interests [len(lists)]database.Pairs) (loaders [len(lists)]*database.Coalescer[int64, []int64]) {
	for i, pairs := range interests {
		query := pairs.Of(strconv.Itoa(i))
		loaders[i] = database.NewCoalescer(loadOwners, func(ctx context.Context, owners []int64) (map[int64][]int64, error) {
			var rows []listRow
			if err := db.Read(ctx).Raw(query, owners).Scan(&rows).Error; err != nil {
				return nil, err
			}
			out := make(map[int64][]int64, len(owners))
			for _, row := range rows {
				out[row.OwnerID] = append(out[row.OwnerID], row.OtherID)
			}
			return out, nil
		})
	}
	return loaders
}

// newBeginnings returns the reader of all lists at once, which is used for every device that connects.
func newBeginnings(db *database.DB, interests [len(lists)]database.Pairs) *database.Coalescer[int64, *[len(lists)][]int64] {
	queries := make([]string, len(interests))
	for i, pairs := range interests {
		queries[i] = pairs.Of(strconv.Itoa(i))
	}
	return database.NewCoalescer(loadOwners, database.Fetcher(db, database.Lookup[int64, *[len(lists)][]int64]{
		What: "whom users watch",
		Text: func(n int) string {
			query := strings.Join(queries, " UNION ALL ")
			return strings.ReplaceAll(query, "IN ?", "IN (?"+strings.Repeat(", ?", n-1)+")")
		},
		Bind:  func(args []any, owner int64) []any { return append(args, owner) },
		Times: len(lists),
		Rows: func(owners []int64) ([]any, func() (int64, *[len(lists)][]int64)) {
			var row listRow
			all := make(map[int64]*[len(lists)][]int64, len(owners))
			return []any{&row.OwnerID, &row.OtherID, &row.List}, func() (int64, *[len(lists)][]int64) {
				of := all[row.OwnerID]
				if of == nil {
					of = new([len(lists)][]int64)
					all[row.OwnerID] = of
				}
				of[row.List] = append(of[row.List], row.OtherID)
				return row.OwnerID, of
			}
		},
	}))
}
