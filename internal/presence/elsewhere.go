package presence

import (
	"context"
	"fmt"
	"slices"
	"time"

	"rollcall/internal/bus"
)

// Apart from statuses, nodes send each other hints at what has changed in the database. The
// receiver reads the change there.
const (
	// aboutList is a change of a user's friends or subscriptions.
	aboutList bus.Subject[listHint] = "list"
	// aboutApp is a change of an app's settings.
	aboutApp bus.Subject[int64] = "app"
)

// listHint names users that may have been added to one of the owner's lists, or removed from it.
type listHint struct {
	List   sources
	Owner  int64
	Others []int64
}

// rereadPause is the time between attempts to read lists again.
const rereadPause = time.Second

// tellList notifies the other nodes of a change of one of the owner's lists.
func (h *Hub) tellList(list sources, owner int64, others ...int64) {
	if len(others) > 0 {
		aboutList.Tell(h.bus, listHint{list, owner, others})
	}
}

// hearElsewhere makes the circles here follow the changes that other nodes make.
func (h *Hub) hearElsewhere() {
	aboutApp.Hear(h.bus, func(context.Context, int64) { h.audience.look() })
	aboutList.Hear(h.bus, func(ctx context.Context, hint listHint) {
		c, i := h.audience.circle(hint.Owner), slices.Index(lists[:], hint.List)
		if c == nil || i < 0 {
			return
		}
		// The last change of a user that was erased comes before the user leaves the list.
		_ = h.registry.CatchUpAll(ctx) // fails if the connection is lost: there is nothing to wait for
		err := c.reread(ctx, i, hint.Others)
		if err == nil {
			// The friend's changes must be delivered before the event of a new friendship follows.
			err = h.registry.Settle(ctx)
		}
		if err != nil && ctx.Err() == nil {
			h.log.Error("reading a changed list failed; retrying", "user", hint.Owner, "error", err)
			h.rereadAll()
		}
	})
	h.bus.OnMissed(func(context.Context) {
		h.audience.look()
		h.rereadAll()
	})
}

// rereadAll makes all circles read their lists again, in the background.
func (h *Hub) rereadAll() {
	select {
	case h.rereading <- struct{}{}:
	default: // already requested
	}
}

// rereadWhenAsked rereads the lists after each rereadAll until the hub closes.
func (h *Hub) rereadWhenAsked() {
	for {
		select {
		case <-h.rereading:
		case <-h.closing.Done():
			return
		}
		err := h.audience.reread(h.closing)
		if err == nil || h.closing.Err() != nil {
			continue
		}
		h.log.Error("reading friends and subscriptions failed; retrying", "error", err)
		select {
		case <-time.After(rereadPause):
			h.rereadAll()
		case <-h.closing.Done():
		}
	}
}

// reread makes all circles read their lists again.
func (a *audience) reread(ctx context.Context) error {
	a.mu.Lock()
	circles := make([]*circle, 0, len(a.circles))
	for _, c := range a.circles {
		circles = append(circles, c)
	}
	a.mu.Unlock()
	for _, c := range circles {
		for i := range lists {
			if err := c.rereadList(ctx, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// reread makes a list follow the database for these other users.
func (c *circle) reread(ctx context.Context, i int, others []int64) error {
	for {
		changes := c.changes(i)
		on, err := c.hub.onList(ctx, i, c.id, others)
		if err != nil {
			return err
		}
		off := slices.DeleteFunc(slices.Clone(others), func(id int64) bool { return slices.Contains(on, id) })
		if c.changeFrom(i, changes, change{ids: on, on: true}, change{ids: off}) {
			return nil
		}
	}
}

// rereadList makes a whole list follow the database.
func (c *circle) rereadList(ctx context.Context, i int) error {
	for {
		changes := c.changes(i)
		shared, _, err := c.hub.loaders[i].Get(ctx, c.id)
		if err != nil {
			return fmt.Errorf("reading the users that user %d watches: %w", c.id, err)
		}
		ids := slices.Clone(shared)
		off := slices.DeleteFunc(c.listed(lists[i]), func(id int64) bool { return slices.Contains(ids, id) })
		if c.changeFrom(i, changes, change{ids: ids, on: true}, change{ids: off}) {
			return nil
		}
	}
}

// changes returns how many times the list has been changed.
func (c *circle) changes(i int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lists[i].changes
}

// changeFrom applies what was read after the list had been changed that many times. It returns
// false if the list has been changed since, so that what was read may be outdated.
func (c *circle) changeFrom(i, changes int, read ...change) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lists[i].changes != changes {
		return false
	}
	for _, p := range read {
		c.changed(i, p)
	}
	return true
}

// listed returns the users that the sources select.
func (c *circle) listed(from sources) (ids []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.watches {
		if sources(w.Tag)&from != 0 {
			ids = append(ids, w.Key)
		}
	}
	return ids
}

// onList returns which of the others are on the owner's list.
func (h *Hub) onList(ctx context.Context, i int, owner int64, others []int64) (on []int64, err error) {
	if err := h.db.Read(ctx).Raw(h.interests[i].Among(), owner, others).Scan(&on).Error; err != nil {
		return nil, fmt.Errorf("reading which users are on a list of user %d: %w", owner, err)
	}
	return on, nil
}
