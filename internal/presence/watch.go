package presence

import (
	"context"
	"fmt"
	"slices"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// WatchUsers delivers every change of these accounts' statuses from now on to sink; an account
// given twice is watched once. With snapshot, the sink first receives each account's present
// status, and no change is lost in between. Another goroutine delivers the events, possibly before
// WatchUsers has returned.
//
// stop ends the watch; calling it again does nothing.
func (h *Hub) WatchUsers(ctx context.Context, accs []status.Account, sink fanout.Sink, snapshot bool) (stop func(), err error) {
	w := &fanout.Watcher{Sink: sink}
	keys := make([]int64, len(accs))
	for i, acc := range accs {
		keys[i] = status.UserKey(acc.ID)
	}
	slices.SortFunc(keys, fanout.Compare)
	watches := fanout.Watches(w, slices.Compact(keys))
	if snapshot {
		w.Hold()
	}
	joined := fanout.Pointers(watches)
	h.join(joined)
	stop = func() {
		if w.Stop() {
			h.leave(fanout.Pointers(watches))
		}
	}
	err = h.registry.Settle(ctx, keys...)
	if err == nil && snapshot {
		err = h.open(ctx, w, joined, accs)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("watching %d users: %w", len(accs), err)
	}
	return stop, nil
}

// open delivers the accounts' present statuses, each once, to the watcher of watches that have
// joined.
func (h *Hub) open(ctx context.Context, w *fanout.Watcher, watches []*fanout.Watch, accs []status.Account) error {
	if len(watches) < len(accs) {
		seen := make(map[int64]bool, len(watches))
		accs = slices.DeleteFunc(slices.Clone(accs), func(acc status.Account) bool {
			again := seen[acc.ID]
			seen[acc.ID] = true
			return again
		})
	}
	present, err := h.registry.Present(ctx, accs)
	if err != nil {
		return err
	}
	h.board.Open(w, watches, present)
	return nil
}

// WatchApp delivers every change of a status in the app from now on to sink. stop ends the watch;
// calling it again does nothing.
func (h *Hub) WatchApp(ctx context.Context, appID int64, sink fanout.Sink) (stop func(), err error) {
	w := &fanout.Watcher{Sink: sink}
	h.registry.Follow(status.AppKey(appID))
	leave := h.board.JoinAll(w, status.AppKey(appID))
	stop = func() {
		if w.Stop() {
			h.registry.Unfollow(status.AppKey(appID))
			leave()
		}
	}
	if err := h.registry.Settle(ctx, status.AppKey(appID)); err != nil {
		stop()
		return nil, fmt.Errorf("watching app %d: %w", appID, err)
	}
	return stop, nil
}

// WatchCircle delivers to sink the changes that concern the account: its own, those of its friends and
// those of the users that it has subscribed to, as far as the app's switches allow. It follows changes
// of friendships, subscriptions and switches. It reads the database at most twice, and not at all if
// another device of the account watches already. The events come from another goroutine, possibly
// before WatchCircle has returned.
//
// stop ends the watch; calling it again does nothing.
func (h *Hub) WatchCircle(ctx context.Context, app *models.App, acc status.Account, sink fanout.Sink) (stop func(), err error) {
	return h.circles.Watch(ctx, app, acc, sink)
}

// WhileQueried calls end when the app's statusQueryEnabled is turned off, under a lock, so end must
// not block. stop prevents that; calling it again does nothing.
func (h *Hub) WhileQueried(app *models.App, end func()) (stop func()) {
	return h.circles.WhileQueried(app, end)
}

// join begins watches of users, which are in the order of fanout.Compare.
func (h *Hub) join(watches []*fanout.Watch) {
	for _, w := range watches {
		h.registry.Follow(w.Key)
	}
	h.board.Join(watches)
}

// leave ends watches of users, which are in the order of fanout.Compare.
func (h *Hub) leave(watches []*fanout.Watch) {
	h.board.Leave(watches)
	for _, w := range watches {
		h.registry.Unfollow(w.Key)
	}
}
