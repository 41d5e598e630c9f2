package relations

import (
	"context"
	"slices"
	"sync"

	"rollcall/internal/bus"
	"rollcall/internal/fanout"
	"rollcall/models"
)

// EventKind says what happened in a user's relations.
type EventKind string

// The kinds, by their names in the API.
const (
	FriendAdded            EventKind = "FRIEND_ADDED"
	FriendRemoved          EventKind = "FRIEND_REMOVED"
	FriendRemarkChanged    EventKind = "FRIEND_REMARK_CHANGED"
	FriendRequestReceived  EventKind = "FRIEND_REQUEST_RECEIVED"
	FriendRequestAccepted  EventKind = "FRIEND_REQUEST_ACCEPTED"
	FriendRequestDeclined  EventKind = "FRIEND_REQUEST_DECLINED"
	FriendRequestCancelled EventKind = "FRIEND_REQUEST_CANCELLED"
	BlockAdded             EventKind = "BLOCK_ADDED"
	BlockRemoved           EventKind = "BLOCK_REMOVED"
)

var eventKinds = []EventKind{
	FriendAdded, FriendRemoved, FriendRemarkChanged, FriendRequestReceived, FriendRequestAccepted,
	FriendRequestDeclined, FriendRequestCancelled, BlockAdded, BlockRemoved,
}

// Event is one change in a user's relations, as that user is told of it.
type Event struct {
	Kind EventKind
	// User is the other party.
	User *models.User
	At   models.Time
}

// complete reports whether the event has all that subscribers may ask for. An event of a node of
// another version may lack it, or have a kind that is not in the API.
func (e *Event) complete() bool {
	return e != nil && e.User != nil && slices.Contains(eventKinds, e.Kind)
}

// notes are the events of one transaction, sent when it has committed.
type notes struct {
	at   models.Time
	held *heldUsers
	list []notice
}

type notice struct {
	to    int64
	event *Event
}

// tell notes an event for the user to about other.
func (n *notes) tell(to *models.User, kind EventKind, other *models.User) {
	n.list = append(n.list, notice{to.ID, &Event{Kind: kind, User: other, At: n.at}})
}

// watchers are those who want to hear of users' relations, by users.id.
type watchers struct {
	mu   sync.Mutex
	byID map[int64][]fanout.Sink
}

// Watch has sink take the events of the user's relations until stop is called.
func (s *Service) Watch(userID int64, sink fanout.Sink) (stop func()) {
	w := &s.watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID == nil {
		w.byID = make(map[int64][]fanout.Sink)
	}
	w.byID[userID] = append(w.byID[userID], sink)
	return func() { w.remove(userID, sink) }
}

func (w *watchers) remove(userID int64, sink fanout.Sink) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// A list that send has in hand is never changed in place.
	list := slices.Clone(w.byID[userID])
	if i := slices.Index(list, sink); i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	if len(list) == 0 {
		delete(w.byID, userID)
		return
	}
	w.byID[userID] = list
}

// send tells presence of the friendships that have begun or ended, and then
// delivers the events in the order in which they were noted: whoever hears of a
// new friend already hears of the friend's status.
func (s *Service) send(ctx context.Context, n *notes) {
	for _, notice := range n.list {
		if kind := notice.event.Kind; kind == FriendAdded || kind == FriendRemoved {
			s.bus.PublishFriendshipChanged(ctx, bus.FriendshipChanged{
				UserID: notice.to, FriendID: notice.event.User.ID, Friends: kind == FriendAdded,
			})
		}
	}
	for _, notice := range n.list {
		s.watchers.deliver(notice.to, notice.event)
		aboutEvent.Tell(s.bus, told{notice.to, notice.event})
	}
}

// aboutEvent tells other nodes of an event, whose sinks are there.
const aboutEvent bus.Subject[told] = "relation"

// told is an event for one user, by users.id.
type told struct {
	To    int64
	Event *Event
}

// deliver hands an event to the user's sinks here.
func (w *watchers) deliver(userID int64, event *Event) {
	w.mu.Lock()
	sinks := w.byID[userID]
	w.mu.Unlock()
	if len(sinks) == 0 {
		return
	}
	ev := fanout.NewUnique(event)
	for _, sink := range sinks {
		sink.Deliver(ev)
	}
}
