// Package bus carries events between parts of the domain, so that they need not import each other.
// For example, users commits a ban and publishes AccessRevoked; presence receives it and
// disconnects.
package bus

import (
	"context"
	"sync"

	"rollcall/models"
)

// Reason is why an account's connections must end.
type Reason string

// The reasons.
const (
	ReasonBanned      Reason = "BANNED"
	ReasonDeactivated Reason = "DEACTIVATED"
	ReasonDeleted     Reason = "DELETED"
)

// AccessRevoked is published after the commit that revokes a user's right to be connected.
type AccessRevoked struct {
	// User is the row as it was before.
	User   *models.User
	Reason Reason
	// BannedUntil is when the ban ends. It is nil for a ban without an end, and for other reasons.
	BannedUntil *models.Time
}

// RevokedUser names a user whose access was revoked, with the external ID.
type RevokedUser struct {
	AppID      int64
	ExternalID string
}

// FriendshipChanged is published after the commit that adds or removes a friend of a user. Each
// change of a friendship publishes two, one for each side. Those between the same two users are
// published in the order of their commits.
type FriendshipChanged struct {
	// UserID and FriendID are users.id.
	UserID, FriendID int64
	// Friends is true if the two have become friends, and false if they are no longer friends.
	Friends bool
}

// SubscriptionsChanged is published after the commit that changes the users whose statuses a user has
// subscribed to. Those of one user are published in the order of their commits.
type SubscriptionsChanged struct {
	// UserID is the users.id of the user that has subscribed.
	UserID int64
	// Added and Removed are the users.id of its targets. One that is in both is removed.
	Added, Removed []int64
}

// LastDeviceGone is published when the last device of a user has left. Its listeners run under the
// locks of presence: they must return at once and must not call presence.
type LastDeviceGone struct {
	UserID int64
	At     models.Time
}

// NodeSwept is published after this node has removed the devices of a node that has stopped.
type NodeSwept struct{}

// AppChanged is published after the commit that changes an app's settings or its secret, or disables or
// enables it.
type AppChanged struct {
	// App is the new row.
	App *models.App
}

// EventsRecorded is published after the commit of a change that has recorded events for App Servers.
type EventsRecorded struct{}

// Bus sends events to all listeners in this process and, once it has peers, messages to the other
// nodes of the service. The zero value is ready to use.
type Bus struct {
	accessRevoked        listeners[AccessRevoked]
	friendshipChanged    listeners[FriendshipChanged]
	subscriptionsChanged listeners[SubscriptionsChanged]
	lastDeviceGone       listeners[LastDeviceGone]
	nodeSwept            listeners[NodeSwept]
	eventsRecorded       listeners[EventsRecorded]
	appChanged           listeners[AppChanged]

	elsewhere
}

// OnAccessRevoked registers fn for every later AccessRevoked. It runs in the goroutine that
// publishes, so it must not block. The same holds for the other events.
func (b *Bus) OnAccessRevoked(fn func(context.Context, AccessRevoked)) { b.accessRevoked.add(fn) }

// PublishAccessRevoked calls every listener and returns when all have returned, so that the event
// has taken effect before the caller responds. The same holds for the other events.
func (b *Bus) PublishAccessRevoked(ctx context.Context, ev AccessRevoked) {
	b.accessRevoked.tell(ctx, ev)
}

// OnFriendshipChanged registers fn for every later FriendshipChanged.
func (b *Bus) OnFriendshipChanged(fn func(context.Context, FriendshipChanged)) {
	b.friendshipChanged.add(fn)
}

// PublishFriendshipChanged calls every listener.
func (b *Bus) PublishFriendshipChanged(ctx context.Context, ev FriendshipChanged) {
	b.friendshipChanged.tell(ctx, ev)
}

// OnSubscriptionsChanged registers fn for every later SubscriptionsChanged.
func (b *Bus) OnSubscriptionsChanged(fn func(context.Context, SubscriptionsChanged)) {
	b.subscriptionsChanged.add(fn)
}

// PublishSubscriptionsChanged calls every listener.
func (b *Bus) PublishSubscriptionsChanged(ctx context.Context, ev SubscriptionsChanged) {
	b.subscriptionsChanged.tell(ctx, ev)
}

// OnLastDeviceGone registers fn for every later LastDeviceGone.
func (b *Bus) OnLastDeviceGone(fn func(context.Context, LastDeviceGone)) { b.lastDeviceGone.add(fn) }

// PublishLastDeviceGone calls every listener.
func (b *Bus) PublishLastDeviceGone(ctx context.Context, ev LastDeviceGone) {
	b.lastDeviceGone.tell(ctx, ev)
}

// OnNodeSwept registers fn for every later NodeSwept.
func (b *Bus) OnNodeSwept(fn func(context.Context, NodeSwept)) { b.nodeSwept.add(fn) }

// PublishNodeSwept calls every listener.
func (b *Bus) PublishNodeSwept(ctx context.Context, ev NodeSwept) { b.nodeSwept.tell(ctx, ev) }

// OnEventsRecorded registers fn for every later EventsRecorded.
func (b *Bus) OnEventsRecorded(fn func(context.Context, EventsRecorded)) { b.eventsRecorded.add(fn) }

// PublishEventsRecorded calls every listener if a change has recorded events.
func (b *Bus) PublishEventsRecorded(ctx context.Context, recorded bool) {
	if recorded {
		b.eventsRecorded.tell(ctx, EventsRecorded{})
	}
}

// OnAppChanged registers fn for every later AppChanged.
func (b *Bus) OnAppChanged(fn func(context.Context, AppChanged)) { b.appChanged.add(fn) }

// PublishAppChanged calls every listener.
func (b *Bus) PublishAppChanged(ctx context.Context, ev AppChanged) { b.appChanged.tell(ctx, ev) }

// listeners are the functions registered for one kind of event.
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
