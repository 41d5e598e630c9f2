//go:build linux

package main

import (
	"context"
	"sync"

	"rollcall/models"
)

// watcher is one subscription's channel.
type watcher struct {
	ctx     context.Context
	changes chan *models.UserStatus
}

// hub hands status changes to the subscriptions of those who watch, and knows who
// is connected.
type hub struct {
	mu       sync.Mutex
	watchers map[string]map[*watcher]struct{} // by the user watched
	devices  map[int64]int                    // by users.id
	custom   map[int64]string
}

func newHub() *hub {
	return &hub{watchers: make(map[string]map[*watcher]struct{}), devices: make(map[int64]int), custom: make(map[int64]string)}
}

// watch has w hear of these users until its context ends.
func (h *hub) watch(w *watcher, ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		if h.watchers[id] == nil {
			h.watchers[id] = make(map[*watcher]struct{})
		}
		h.watchers[id][w] = struct{}{}
	}
	context.AfterFunc(w.ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, id := range ids {
			delete(h.watchers[id], w)
		}
	})
}

// publish waits for each watcher to take the change, as gqlgen's examples do.
func (h *hub) publish(status *models.UserStatus) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers[status.UserID] {
		select {
		case w.changes <- status:
		case <-w.ctx.Done():
		}
	}
}

// count counts a user's devices and answers how many there are now.
func (h *hub) count(user int64, by int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.devices[user] += by
	if h.devices[user] == 0 {
		delete(h.custom, user)
	}
	return h.devices[user]
}

// say sets a custom status.
func (h *hub) say(user int64, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.custom[user] = text
}

// said answers a custom status.
func (h *hub) said(user int64) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.custom[user]
}
