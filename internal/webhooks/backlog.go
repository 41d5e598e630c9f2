package webhooks

import (
	"context"
	"strings"

	"rollcall/internal/fault"
	"rollcall/models"
)

// CountLimit is the largest number of deliveries that is counted. A larger one is CountLimit+1.
const CountLimit = 1000

// Backlog is how many deliveries to an endpoint have not arrived, up to CountLimit+1 in each state.
type Backlog struct {
	// Pending are still sent; Failed are sent only if they are replayed.
	Pending, Failed int
}

// Backlogs returns the backlogs of endpoints by their IDs. It takes the same time for any number of
// deliveries.
func (s *Service) Backlogs(ctx context.Context, list ...*models.WebhookEndpoint) (map[int64]Backlog, error) {
	out := make(map[int64]Backlog, len(list))
	if len(list) == 0 {
		return out, nil
	}
	// A derived table cannot refer to the outer query, so each endpoint has a SELECT of its own.
	var parts []string
	var args []any
	for _, e := range list {
		for _, state := range []models.DeliveryState{models.DeliveryPending, models.DeliveryFailed} {
			parts = append(parts, `SELECT ? AS endpoint_id, ? AS state, COUNT(*) AS n FROM (SELECT 1 AS one FROM `+
				s.db.Using("deliveries", "deliveries_due")+` WHERE endpoint_id = ? AND state = ? LIMIT ?) d`)
			args = append(args, e.ID, state, e.ID, state, CountLimit+1)
		}
	}
	var counts []struct {
		EndpointID int64
		State      models.DeliveryState
		N          int
	}
	if err := s.db.Read(ctx).Raw(strings.Join(parts, " UNION ALL "), args...).Scan(&counts).Error; err != nil {
		return nil, fault.Wrap(err, "counting webhook deliveries")
	}
	for _, c := range counts {
		b := out[c.EndpointID]
		if c.State == models.DeliveryPending {
			b.Pending = c.N
		} else {
			b.Failed = c.N
		}
		out[c.EndpointID] = b
	}
	return out, nil
}
