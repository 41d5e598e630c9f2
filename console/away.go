package console

import (
	"context"
	"net/http"
	"slices"
	"time"

	"rollcall/models"
)

// The names of what a node needs.
const (
	Database = "database"
	Redis    = "redis"
)

// Outage is something that this node needs and cannot reach.
type Outage struct {
	// What is Database or Redis.
	What  string
	Since models.Time
}

const (
	// pageTime is how long a page waits for the database. It leaves time to respond within 3 s.
	pageTime = 2500 * time.Millisecond
	// presenceTime is how long a page waits for Redis, for each question.
	presenceTime = 700 * time.Millisecond
)

// presenceUnknown is the presence of a user on a page while Redis does not respond.
const presenceUnknown models.Presence = -1

// presenceName returns the end of the key of a presence's text.
func presenceName(p models.Presence) string {
	if p == presenceUnknown {
		return "UNKNOWN"
	}
	return p.String()
}

// isAway reports whether something that the node needs is known to be away.
func (c *console) isAway(what string) bool {
	return slices.ContainsFunc(c.Away(), func(o Outage) bool { return o.What == what })
}

// errDatabaseAway is the problem of pages while the database is known to be away. They respond at
// once, because they would only wait.
var errDatabaseAway = problem{http.StatusServiceUnavailable, "error.database"}

// bounded returns the context of a request for a page, which must not wait for long. Forms take the
// time that their changes need.
func bounded(r *http.Request) (context.Context, context.CancelFunc) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return context.WithCancel(r.Context())
	}
	return context.WithTimeout(r.Context(), pageTime)
}
