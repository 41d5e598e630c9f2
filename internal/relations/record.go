package relations

import (
	"maps"
	"slices"

	"gorm.io/gorm"

	"rollcall/internal/outbox"
	"rollcall/models"
)

// recordedTypes are the types of the events that App Servers receive, by their kinds.
var recordedTypes = map[EventKind]outbox.Type{
	FriendAdded: outbox.FriendAdded, FriendRemoved: outbox.FriendRemoved, FriendRemarkChanged: outbox.FriendRemarkChanged,
	FriendRequestReceived: outbox.FriendRequestReceived, FriendRequestAccepted: outbox.FriendRequestAccepted,
	FriendRequestDeclined: outbox.FriendRequestDeclined, FriendRequestCancelled: outbox.FriendRequestCancelled,
	BlockAdded: outbox.BlockAdded, BlockRemoved: outbox.BlockRemoved,
}

// record records what was noted in tx for the App Servers of the app: the same events that users
// receive, and the changes of whitelists.
func record(tx *gorm.DB, to *outbox.Outbox, appID int64, noted ...*notes) error {
	if !slices.ContainsFunc(noted, func(n *notes) bool { return len(n.list)+len(n.whitelists) > 0 }) {
		return nil
	}
	recorded, err := to.Write(tx, appID, func() (events []outbox.Event, err error) {
		for _, n := range noted {
			if err := nameReceivers(tx, n); err != nil {
				return nil, err
			}
			for _, notice := range n.list {
				events = append(events, notice.recorded())
			}
			events = append(events, n.whitelists...)
		}
		return events, nil
	})
	for _, n := range noted {
		n.recorded = recorded
	}
	return err
}

// nameReceivers reads the external IDs of receivers that are known only by their keys, as those of
// an erasure.
func nameReceivers(tx *gorm.DB, n *notes) error {
	byKey := make(map[int64]*models.User)
	for _, notice := range n.list {
		if notice.to.ExternalID == "" {
			byKey[notice.to.ID] = nil
		}
	}
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(byKey)), eraseChunk) {
		var rows []*models.User
		if err := tx.Select("id", "external_id").Where("id IN ?", keys).Find(&rows).Error; err != nil {
			return err
		}
		for _, u := range rows {
			byKey[u.ID] = u
		}
	}
	n.list = slices.Clone(n.list)
	for i, notice := range n.list {
		if u := byKey[notice.to.ID]; u != nil {
			n.list[i].to = u
		}
	}
	return nil
}

// recorded returns the event for App Servers. It has no remark and no message: a receiver that needs
// them reads them.
func (n notice) recorded() outbox.Event {
	e := outbox.Event{
		Type: recordedTypes[n.event.Kind], Subject: n.to.ExternalID, At: n.event.OccurredAt,
		Data: outbox.Data{Other: &outbox.Other{ID: n.event.User.ExternalID}},
	}
	if r := n.event.Request; r != nil {
		e.Data.Request = &outbox.Request{ID: r.ID, FromID: r.From.ExternalID, ToID: r.To.ExternalID}
	}
	return e
}

// noteWhitelist notes a change of the owner's whitelist.
func (n *notes) noteWhitelist(owner *models.User, change outbox.Whitelist) {
	n.whitelists = append(n.whitelists, outbox.Event{
		Type: outbox.WhitelistChanged, Subject: owner.ExternalID, At: n.at, Data: outbox.Data{Whitelist: &change},
	})
}

// externalIDs returns the external IDs of users.
func externalIDs(users []*models.User) []string {
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.ExternalID
	}
	return ids
}
