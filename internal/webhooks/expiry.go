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

// Expiring returns the rules that delete deliveries that have ended, and the events that no delivery
// refers to any more.
func Expiring() []retention.Rule {
	return []retention.Rule{
		{Rows: "old webhook deliveries", Table: &models.Delivery{}, Key: "id", Column: "expires_at"},
		{Rows: "old events", Table: &models.Event{}, Key: "id", Column: "occurred_at", Age: deliveredKept,
			Unless: "EXISTS (SELECT 1 FROM deliveries WHERE deliveries.event_id = events.id)"},
		{Rows: "users of old events", Table: &models.EventUser{}, Key: "id", Column: "occurred_at", Age: deliveredKept,
			Unless: "EXISTS (SELECT 1 FROM events WHERE events.id = event_users.event_id)"},
	}
}
