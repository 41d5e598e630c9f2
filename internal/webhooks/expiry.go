package webhooks

import (
	"time"

	"rollcall/internal/retention"
	"rollcall/models"
)

// How long deliveries are kept after they have ended.
const (
	deliveredKept = 7 * 24 * time.Hour
	failedKept    = 30 * 24 * time.Hour
)

// feedKept is how long after they have occurred events are in the feed.
const feedKept = deliveredKept

// Expiring returns the rules that delete deliveries that have ended, and the events that no delivery
// refers to any more. An event stays that is not distributed yet: to its recipients, or to a feed that
// has been read, whose reader would otherwise not notice that it has missed it.
func Expiring() []retention.Rule {
	return []retention.Rule{
		{Rows: "old webhook deliveries", Table: &models.Delivery{}, Key: "id", Column: "expires_at"},
		{Rows: "old events", Table: &models.Event{}, Key: "id", Column: "occurred_at", Age: deliveredKept,
			Unless: "(recipients IS NOT NULL OR EXISTS (SELECT 1 FROM deliveries WHERE deliveries.event_id = events.id) OR " +
				"COALESCE(feed_number, 1) = 0 AND EXISTS (SELECT 1 FROM event_feeds WHERE event_feeds.app_id = events.app_id))"},
		{Rows: "users of old events", Table: &models.EventUser{}, Key: "id", Column: "occurred_at", Age: deliveredKept,
			Unless: "EXISTS (SELECT 1 FROM events WHERE events.id = event_users.event_id)"},
	}
}

// OfApp returns what belongs to an app. Events are deleted first, so that no more deliveries are made.
func OfApp() []retention.AppRows {
	const ofEndpoints = "endpoint_id IN (SELECT id FROM webhook_endpoints WHERE app_id = ?)"
	return []retention.AppRows{
		{Rows: "events", Table: &models.Event{}, Key: "id", Of: "app_id = ?"},
		{Rows: "users of events", Table: &models.EventUser{}, Key: "id", Of: "app_id = ?"},
		{Rows: "webhook deliveries", Table: &models.Delivery{}, Key: "id", Of: ofEndpoints},
		{Rows: "hours of webhooks", Table: &models.WebhookHour{}, Key: "begins_at", Of: ofEndpoints},
		{Rows: "webhook endpoints", Table: &models.WebhookEndpoint{}, Key: "id", Of: "app_id = ?"},
		{Rows: "event feeds", Table: &models.EventFeed{}, Key: "app_id", Of: "app_id = ?"},
	}
}
