package webhooks

import (
	"context"
	"encoding/json"
	"slices"

	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/models"
)

// aboutPage is the number of events that EventsAbout reads at once.
const aboutPage = 200

// EventsAbout calls write with the events about a user that are kept, delivered or not, in parts, so
// that it needs memory for one part only. They are ordered by their versions. After them come the
// events presence.changed that hold a custom status of the user, with the data of this user only; those
// without one cannot be found by the user. If write returns an error, EventsAbout stops and returns it.
func (s *Service) EventsAbout(ctx context.Context, app *models.App, id string, write func([]*FeedEvent) error) error {
	if err := s.eventsOf(ctx, app, id, write); err != nil {
		return fault.Wrap(err, "reading the events about a user")
	}
	return fault.Wrap(s.statusesOf(ctx, app, id, write), "reading the statuses of a user in events")
}

// eventsOf reads the events whose subject is the user.
func (s *Service) eventsOf(ctx context.Context, app *models.App, id string, write func([]*FeedEvent) error) error {
	var last models.Event
	for {
		var rows []*models.Event
		err := s.db.Read(ctx).Table(s.db.Using("events", "events_subject")).
			Where("app_id = ? AND subject = ? AND version >= ?", app.ID, id, last.Version).
			Where("version > ? OR id > ?", last.Version, last.ID).
			Order("version, id").Limit(aboutPage).Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return err
		}
		list := make([]*FeedEvent, len(rows))
		for i, row := range rows {
			if list[i], err = feedEvent(row, app.Key); err != nil {
				return err
			}
		}
		if err := write(list); err != nil {
			return err
		}
		last = *rows[len(rows)-1]
	}
}

// statusesOf reads the events presence.changed that hold a custom status of the user.
func (s *Service) statusesOf(ctx context.Context, app *models.App, id string, write func([]*FeedEvent) error) error {
	for last := int64(0); ; {
		var held []*models.EventUser
		err := s.db.Read(ctx).Where("app_id = ? AND subject = ? AND id > ?", app.ID, id, last).
			Order("id").Limit(aboutPage).Find(&held).Error
		if err != nil || len(held) == 0 {
			return err
		}
		for _, h := range held {
			var rows []*models.Event
			if err := s.db.Read(ctx).Where("id = ?", h.EventID).Limit(1).Find(&rows).Error; err != nil {
				return err
			}
			for _, row := range rows {
				event, err := statusOf(row, app.Key, id)
				if err != nil {
					return err
				}
				if err := write([]*FeedEvent{event}); err != nil {
					return err
				}
			}
			last = h.ID
		}
	}
}

// statusOf returns an event presence.changed with the data of one user only.
func statusOf(row *models.Event, appKey, id string) (*FeedEvent, error) {
	event, err := feedEvent(row, appKey)
	if err != nil {
		return nil, err
	}
	var changes []outbox.PresenceChange
	if err := json.Unmarshal([]byte(event.Data), &changes); err != nil {
		return nil, err
	}
	data, err := json.Marshal(slices.DeleteFunc(changes, func(c outbox.PresenceChange) bool { return c.UserID != id }))
	event.Data, event.Body = string(data), ""
	return event, err
}
