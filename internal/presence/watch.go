package presence

import (
	"context"
	"fmt"
	"slices"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
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
	err = h.registry.Settle(ctx)
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
	if err := h.registry.Settle(ctx); err != nil {
		stop()
		return nil, fmt.Errorf("watching app %d: %w", appID, err)
	}
	return stop, nil
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
