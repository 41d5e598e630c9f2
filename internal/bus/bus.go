// Package bus carries what one part of the domain must tell another, so that
// they need not import each other: users commits a ban and says AccessRevoked,
// presence hears it and disconnects.
package bus

import (
	"context"
	"sync"

	"rollcall/models"
)

// Reason says why an account's connections must end.
type Reason string

// The reasons.
const (
	ReasonBanned      Reason = "BANNED"
	ReasonDeactivated Reason = "DEACTIVATED"
	ReasonDeleted     Reason = "DELETED"
)

// AccessRevoked says, after the commit, that a user may no longer be connected.
type AccessRevoked struct {
	// User is the row as it was before.
	User   *models.User
	Reason Reason
}

// Bus hands events to everyone who listens in this process. The zero value works.
type Bus struct {
	mu        sync.RWMutex
	listeners []func(context.Context, AccessRevoked)
}

// OnAccessRevoked has fn called for every AccessRevoked from now on. It runs in
// the goroutine that publishes, so it must not block.
func (b *Bus) OnAccessRevoked(fn func(context.Context, AccessRevoked)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listeners = append(b.listeners, fn)
}

// PublishAccessRevoked tells every listener and returns when all have heard it,
// so that what a caller is answered afterwards is already in force.
func (b *Bus) PublishAccessRevoked(ctx context.Context, ev AccessRevoked) {
	b.mu.RLock()
	listeners := b.listeners
	b.mu.RUnlock()
	for _, fn := range listeners {
		fn(ctx, ev)
	}
}
