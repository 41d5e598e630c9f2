package console

import (
	"net/http"

	"rollcall/internal/vitals"
	"rollcall/models"
)

// outageRow is a part of the service that is away.
type outageRow struct {
	// What is "database", "redis" or "node", and Name the node's name.
	What, Name string
	Since      models.Time
}

// awayIn returns what is away, and the nodes that were lost recently.
func awayIn(h vitals.Health) (list []outageRow) {
	if h.Database.Away {
		list = append(list, outageRow{What: "database", Since: h.Database.Since})
	}
	if h.Redis != nil && h.Redis.Away {
		list = append(list, outageRow{What: "redis", Since: h.Redis.Since})
	}
	for _, node := range h.Others {
		if node.Fresh {
			list = append(list, outageRow{What: "node", Name: node.Name, Since: node.Since()})
		}
	}
	return list
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
