package relations

import (
	"context"
	"slices"
	"sync"

	"rollcall/internal/bus"
	"rollcall/internal/fanout"
	"rollcall/internal/outbox"
	"rollcall/models"
)

// EventKind is what happened to a user's relations.
type EventKind string

// The kinds. Their values are the names in the API.
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

// Event is one change of a user's relations, as that user receives it.
type Event struct {
	Kind EventKind
	// User is the other user.
	User       *models.User
	OccurredAt models.Time
	// Friendship is set with FriendAdded and FriendRemarkChanged, and Request with the four kinds of
	// requests.
	Friendship *Friendship
	Request    *FriendRequest
}

// complete reports whether the event has every field that subscribers may select. An event from a
// node of another version may lack some, or have a kind that is not in the API.
func (e *Event) complete() bool {
	return e != nil && e.User != nil && slices.Contains(eventKinds, e.Kind) &&
		(e.Friendship == nil || e.Friendship.Owner != nil && e.Friendship.User != nil) &&
		(e.Request == nil || e.Request.From != nil && e.Request.To != nil)
}

// notes are the events of one transaction. They are sent after the commit.
type notes struct {
	at   models.Time
	held *heldUsers
	list []notice
	// whitelists are the changes of whitelists, which no subscription receives.
	whitelists []outbox.Event
	// recorded reports whether events were recorded for App Servers.
	recorded bool
}

type notice struct {
	to    *models.User
	event *Event
}

// tell adds an event for the user to, about other. The callers decide which users receive an event
// of a change; no event reveals a block to the blocked user.
func (n *notes) tell(to *models.User, kind EventKind, other *models.User) {
	n.list = append(n.list, notice{to, &Event{Kind: kind, User: other, OccurredAt: n.at}})
}

// tellFriendship adds an event for the owner of a friendship.
func (n *notes) tellFriendship(kind EventKind, f *Friendship) {
	n.tell(f.Owner, kind, f.User)
	n.list[len(n.list)-1].event.Friendship = f
}

// tellRequest adds an event about a request for the user to, which is one of its two users.
func (n *notes) tellRequest(to *models.User, kind EventKind, request *FriendRequest) {
	other := request.From
	if other.ID == to.ID {
		other = request.To
	}
	n.tell(to, kind, other)
	n.list[len(n.list)-1].event.Request = request
}

// watchers are the sinks of subscribers, by users.id.
type watchers struct {
	mu   sync.Mutex
	byID map[int64][]fanout.Sink
}

// Watch delivers the events of the user's relations to sink until stop is called. When it returns,
// those of all nodes are delivered, if Redis responds.
func (s *Service) Watch(ctx context.Context, userID int64, sink fanout.Sink) (stop func()) {
	s.watchers.add(userID, sink)
	unfollow := s.bus.Follow(ctx, userID)
	return func() {
		s.watchers.remove(userID, sink)
		unfollow()
	}
}

func (w *watchers) add(userID int64, sink fanout.Sink) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID == nil {
		w.byID = make(map[int64][]fanout.Sink)
	}
	w.byID[userID] = append(w.byID[userID], sink)
}

func (w *watchers) remove(userID int64, sink fanout.Sink) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// A list that send may be reading is never modified in place.
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

// send publishes the friendships that have begun or ended, and then delivers the events in the
// order in which they were added. So a user that receives FRIEND_ADDED already receives the
// friend's status.
func (s *Service) send(ctx context.Context, n *notes) {
	s.bus.PublishEventsRecorded(ctx, n.recorded)
	for _, notice := range n.list {
		if kind := notice.event.Kind; kind == FriendAdded || kind == FriendRemoved {
			s.bus.PublishFriendshipChanged(ctx, bus.FriendshipChanged{
				UserID: notice.to.ID, FriendID: notice.event.User.ID, Friends: kind == FriendAdded,
			})
		}
	}
	for _, notice := range n.list {
		s.watchers.deliver(notice.to.ID, notice.event)
		eventMessage.Tell(s.bus, notice.to.ID, userEvent{notice.to.ID, notice.event})
	}
}

// eventMessage is a message to other nodes with an event for their sinks.
const eventMessage bus.UserSubject[userEvent] = "relation"

// userEvent is an event for the user with the users.id To.
type userEvent struct {
	To    int64
	Event *Event
}

// deliver delivers an event to the user's sinks on this node.
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
