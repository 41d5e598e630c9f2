package console

import (
	"net/http"
	"time"

	"rollcall/internal/vitals"
	"rollcall/models"
)

// outageRow is a part of the service that is away.
type outageRow struct {
	// What is "database", "redis" or "node", and Name the node's name.
	What, Name string
	Since      models.Time
}

// awayIn returns what is away, and the nodes that were lost recently. Times are to the minute: nodes
// notice an outage at different moments, and what a page polls from several must not change each time.
func awayIn(h vitals.Health) (list []outageRow) {
	row := func(what, name string, since models.Time) {
		list = append(list, outageRow{what, name, models.TimeOf(since.Time().Truncate(time.Minute))})
	}
	if h.Database.Away {
		row("database", "", h.Database.Since)
	}
	if h.Redis != nil && h.Redis.Away {
		row("redis", "", h.Redis.Since)
	}
	for _, node := range h.Others {
		if node.Fresh {
			row("node", node.Name, node.Since())
		}
	}
	return list
}

// pollAway responds with what is away, from memory.
func (c *console) pollAway(v *visit) error {
	return c.showPart(v, "error", "away", awayIn(c.Health()))
}

// presenceUnknown is the presence of a user on a page while Redis does not respond.
const presenceUnknown models.Presence = -1

// presenceName returns the end of the key of a presence's text.
func presenceName(p models.Presence) string {
	if p == presenceUnknown {
		return "UNKNOWN"
	}
	return p.String()
}

// errDatabaseAway is the problem of pages while the database is known to be away. They respond at
// once, because they would only wait.
var errDatabaseAway = problem{http.StatusServiceUnavailable, "error.database"}
