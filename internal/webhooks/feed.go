package webhooks

import (
	"context"

	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/internal/page"
	"rollcall/models"
)

// This file is the feed of an app: its events in an order that never changes.
//
// The keys of events cannot be that order, because they are assigned before the commit: a reader that
// has read up to a key would miss an event with a smaller one whose transaction commits later. So
// events get a number after the commit, when they are distributed. Each number is larger than all that a
// reader has seen, there are no gaps, and a user's events, which are committed in the order of their
// versions, are numbered in it.
//
// A read distributes what is new. Run does so too, before the events are deleted. So a gap behind a
// cursor means that the reader has missed events.

// FeedEvent is an event of the feed.
type FeedEvent struct {
	UID        string
	Type       string
	Subject    string
	OccurredAt models.Time
	// Data is the JSON text of the object `data`, and Body that of the whole event: the bytes that an
	// endpoint receives.
	Data, Body string
}

// EventConnection is one page of the feed.
type EventConnection = page.Connection[*FeedEvent]

// EventEdge is an event in a page.
type EventEdge = page.Edge[*FeedEvent]

// Events returns a page of the app's feed, the oldest first. Without a cursor it begins with the oldest
// event that is kept; see feedKept. Returns FEATURE_DISABLED without the app's eventFeedEnabled, and
// INVALID_ARGUMENT for a cursor of another list, or if events after the cursor are no longer kept.
func (s *Service) Events(ctx context.Context, app *models.App, r page.Request) (*EventConnection, error) {
	if !app.Settings.EventFeedEnabled {
		return nil, fault.New(fault.FeatureDisabled, "the app's eventFeedEnabled is off")
	}
	order := page.Order{List: "events", Owner: app.ID, Secret: s.opts.Secret, At: "feed_number", ID: "id", OldestFirst: true}
	behind, err := order.Behind(r)
	if err != nil {
		return nil, err
	}
	after := int64(0)
	if behind != nil {
		after = int64(behind[0].(models.Time))
	}
	rows, err := s.numbered(ctx, app, after, r.First+1)
	if err == nil && len(rows) <= r.First {
		var n int
		if n, err = s.distribute(ctx, app.ID); err == nil && n > 0 {
			rows, err = s.numbered(ctx, app, after, r.First+1)
		}
	}
	if err == nil && behind != nil {
		err = s.checkKept(ctx, app, after, rows)
	}
	if err != nil {
		return nil, fault.Wrap(err, "reading the feed of events")
	}
	list, keys := make([]*FeedEvent, len(rows)), make([]page.Key, len(rows))
	for i, row := range rows {
		if list[i], err = feedEvent(row, app.Key); err != nil {
			return nil, err
		}
		keys[i] = page.Key{At: models.Time(*row.FeedNumber), ID: row.ID}
	}
	return page.Of(order, r, list, keys, nil), nil
}

// numbered returns the events of the feed that have a number after the given one.
func (s *Service) numbered(ctx context.Context, app *models.App, after int64, limit int) (rows []*models.Event, err error) {
	err = s.db.Read(ctx).Table(s.db.Using("events", "events_feed")).
		Where("app_id = ? AND feed_number > ? AND occurred_at > ?", app.ID, after, s.now().Add(-feedKept)).
		Order("feed_number").Limit(limit).Find(&rows).Error
	return rows, err
}

// checkKept returns INVALID_ARGUMENT if events after a cursor are no longer kept, or if the cursor is
// after the last event, as it is when the database was restored from a backup. rows are the events
// that were found after it.
func (s *Service) checkKept(ctx context.Context, app *models.App, after int64, rows []*models.Event) error {
	next := after + 1
	if len(rows) > 0 {
		next = *rows[0].FeedNumber
	} else {
		var last []int64
		if err := s.db.Read(ctx).Model(&models.EventFeed{}).Where("app_id = ?", app.ID).Pluck("last_number", &last).Error; err != nil {
			return err
		}
		if len(last) == 0 || last[0] != after {
			// Another read may have numbered events since.
			found, err := s.numbered(ctx, app, after, 1)
			if err != nil || len(found) > 0 && *found[0].FeedNumber == next {
				return err
			}
			next = 0
		}
	}
	if next != after+1 {
		return fault.Invalid("after", "kept", "after: events after this cursor are no longer kept; begin without a cursor, and read the users and relations that you store again")
	}
	return nil
}

// feedEvent returns an event as its App Server reads it.
func feedEvent(row *models.Event, appKey string) (*FeedEvent, error) {
	d := &due{UID: row.UID, Type: row.Type, OccurredAt: row.OccurredAt, Data: row.Data, Personal: row.Personal}
	body, err := d.body(appKey)
	if err != nil {
		return nil, err
	}
	data, err := outbox.Complete(outbox.Type(row.Type), row.Data, row.Personal)
	if err != nil {
		return nil, err
	}
	return &FeedEvent{UID: row.UID, Type: row.Type, Subject: row.Subject, OccurredAt: row.OccurredAt, Data: string(data), Body: string(body)}, nil
}
