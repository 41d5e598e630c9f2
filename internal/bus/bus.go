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

// RevokedUser names a user whose access was revoked, as its app does.
type RevokedUser struct {
	AppID      int64
	ExternalID string
}

// FriendshipChanged says, after the commit, that a user has a friend more or
// less. Each friendship has two, one for each side. Those between the same two
// users come in the order of their commits.
type FriendshipChanged struct {
	// UserID and FriendID are users.id.
	UserID, FriendID int64
	// Friends: the two have become friends; else they are none any more.
	Friends bool
}

// AppChanged reports, after the commit, that an app's settings or its secret have changed.
type AppChanged struct {
	// App is the row as it is now.
	App *models.App
}

// Bus hands events to everyone who listens in this process and, once it has
// peers, messages to the other nodes of the service. The zero value works.
type Bus struct {
	accessRevoked     listeners[AccessRevoked]
	friendshipChanged listeners[FriendshipChanged]
	appChanged        listeners[AppChanged]

	elsewhere
}

// OnAccessRevoked has fn called for every AccessRevoked from now on. It runs in
// the goroutine that publishes, so it must not block; so do those of the other
// events.
func (b *Bus) OnAccessRevoked(fn func(context.Context, AccessRevoked)) { b.accessRevoked.add(fn) }

// PublishAccessRevoked tells every listener and returns when all have heard it,
// so that what a caller is answered afterwards is already in force; so do those
// for the other events.
func (b *Bus) PublishAccessRevoked(ctx context.Context, ev AccessRevoked) {
	b.accessRevoked.tell(ctx, ev)
}

// OnFriendshipChanged has fn called for every FriendshipChanged from now on.
func (b *Bus) OnFriendshipChanged(fn func(context.Context, FriendshipChanged)) {
	b.friendshipChanged.add(fn)
}

// PublishFriendshipChanged tells every listener.
func (b *Bus) PublishFriendshipChanged(ctx context.Context, ev FriendshipChanged) {
	b.friendshipChanged.tell(ctx, ev)
}

// OnAppChanged has fn called for every AppChanged from now on.
func (b *Bus) OnAppChanged(fn func(context.Context, AppChanged)) { b.appChanged.add(fn) }

// PublishAppChanged tells every listener.
func (b *Bus) PublishAppChanged(ctx context.Context, ev AppChanged) { b.appChanged.tell(ctx, ev) }

// listeners are those who want to hear of one kind of event.
type listeners[E any] struct {
	mu   sync.RWMutex
	list []func(context.Context, E)
}

func (l *listeners[E]) add(fn func(context.Context, E)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, fn)
}

func (l *listeners[E]) tell(ctx context.Context, ev E) {
	l.mu.RLock()
	list := l.list
	l.mu.RUnlock()
	for _, fn := range list {
		fn(ctx, ev)
	}
}
