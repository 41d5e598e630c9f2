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

// hub sends status changes to the subscriptions that watch the user, and counts connected devices.
type hub struct {
	mu       sync.Mutex
	watchers map[string]map[*watcher]struct{} // by the ID of the watched user
	devices  map[int64]int                    // by users.id
	custom   map[int64]string
}

func newHub() *hub {
	return &hub{watchers: make(map[string]map[*watcher]struct{}), devices: make(map[int64]int), custom: make(map[int64]string)}
}

// watch sends w the changes of these users until its context ends.
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

// publish blocks until each watcher has received the change, as in gqlgen's examples.
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

// count adds by to the number of a user's devices and returns the new number.
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

// said returns a custom status.
func (h *hub) said(user int64) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.custom[user]
}
