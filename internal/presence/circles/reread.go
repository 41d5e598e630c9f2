package circles

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"rollcall/internal/bus"
)

// Nodes send each other hints at what has changed in the database. The receiver reads the change
// there.
const (
	// listMessage is a change of an account's friends or subscriptions.
	listMessage bus.UserSubject[listHint] = "list"
	// appMessage is a change of an app's settings, with apps.id.
	appMessage bus.Subject[int64] = "app"
)

// listHint names users that may have been added to one of the owner's lists, or removed from it. The
// names of the fields and the values of List are part of the message, which other releases send.
type listHint struct {
	List   reasons
	Owner  int64
	Others []int64
}

// rereadPause is the time between attempts to read lists again.
const rereadPause = time.Second

// notifyOtherNodes sends a hint at a change of one of the owner's lists.
func (cs *Circles) notifyOtherNodes(reason reasons, owner int64, others ...int64) {
	if len(others) > 0 {
		listMessage.Tell(cs.Bus, owner, listHint{reason, owner, others})
	}
}

// followOtherNodes makes the circles here follow the changes that other nodes make.
func (cs *Circles) followOtherNodes() {
	appMessage.Hear(cs.Bus, func(context.Context, int64) { cs.requestSwitches() })
	listMessage.Hear(cs.Bus, cs.followHint)
	cs.Bus.OnMissed(func(context.Context) {
		cs.requestSwitches()
		cs.requestReread()
	})
}

// followHint makes the owner's circle, if it has one here, read the users of the hint again.
func (cs *Circles) followHint(ctx context.Context, hint listHint) {
	c, i := cs.circle(hint.Owner), slices.Index(lists[:], hint.List)
	if c == nil || i < 0 {
		return
	}
	// The last change of a user that was erased comes before the user leaves the list.
	_ = cs.Registry.Receive(ctx, hint.Others...) // fails if the connection is lost: there is nothing to wait for
	err := c.rereadSome(ctx, i, hint.Others)
	if err == nil {
		// The friend's changes must be delivered before the event of a new friendship follows.
		err = cs.Registry.Settle(ctx, hint.Others...)
	}
	if err != nil && ctx.Err() == nil {
		cs.Log.Error("reading a changed list failed; retrying", "user", hint.Owner, "error", err)
		cs.requestReread()
	}
}

// requestReread requests that all circles read their lists again, in the background.
func (cs *Circles) requestReread() {
	select {
	case cs.rereading <- struct{}{}:
	default: // already requested
	}
}

// rereadWhenRequested rereads all lists after each requestReread, until Closing ends.
func (cs *Circles) rereadWhenRequested() {
	for {
		select {
		case <-cs.rereading:
		case <-cs.Closing.Done():
			return
		}
		err := cs.reread(cs.Closing)
		if err == nil || cs.Closing.Err() != nil {
			continue
		}
		cs.Log.Error("reading friends and subscriptions failed; retrying", "error", err)
		select {
		case <-time.After(rereadPause):
			cs.requestReread()
		case <-cs.Closing.Done():
		}
	}
}

// reread makes all circles read their lists again.
func (cs *Circles) reread(ctx context.Context) error {
	cs.mu.Lock()
	circles := slices.Collect(maps.Values(cs.byUser))
	cs.mu.Unlock()
	for _, c := range circles {
		for i := range lists {
			if err := c.rereadList(ctx, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// rereadSome makes a list follow the database for these other users.
func (c *circle) rereadSome(ctx context.Context, i int, others []int64) error {
	for {
		edits := c.edits(i)
		listed, err := c.all.among(ctx, i, c.id, others)
		if err != nil {
			return err
		}
		gone := slices.DeleteFunc(slices.Clone(others), func(id int64) bool { return slices.Contains(listed, id) })
		if c.editUnlessEdited(i, edits, listed, gone) {
			return nil
		}
	}
}

// rereadList makes a whole list follow the database.
func (c *circle) rereadList(ctx context.Context, i int) error {
	for {
		edits := c.edits(i)
		shared, _, err := c.all.readers.single[i].Get(ctx, c.id)
		if err != nil {
			return fmt.Errorf("reading the users that user %d watches: %w", c.id, err)
		}
		listed := slices.Clone(shared)
		gone := slices.DeleteFunc(c.watched(lists[i]), func(id int64) bool { return slices.Contains(listed, id) })
		if c.editUnlessEdited(i, edits, listed, gone) {
			return nil
		}
	}
}

// edits returns how many times the list has been edited.
func (c *circle) edits(i int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lists[i].edits
}

// editUnlessEdited adds and removes users by what was read after that many edits of the list. It
// returns false if the list has been edited since, so that what was read may be outdated.
func (c *circle) editUnlessEdited(i, edits int, added, removed []int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lists[i].edits != edits {
		return false
	}
	c.editLocked(i, edit{ids: added, add: true})
	c.editLocked(i, edit{ids: removed})
	return true
}
