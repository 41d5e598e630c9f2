package node

import (
	"context"
	"sync/atomic"
	"time"

	"rollcall/console"
	"rollcall/internal/database"
	"rollcall/internal/redis"
	"rollcall/models"
)

const (
	// watchInterval is the time between two looks at the database or Redis for the console.
	watchInterval = time.Second
	// watchTimeout is how long one look waits. Together with watchInterval it bounds how long an
	// outage is unknown.
	watchTimeout = time.Second
)

// watched is a server that this node depends on, as its console sees it.
type watched struct {
	name  string
	look  func(ctx context.Context) error
	clock func() time.Time
	// since is when the server was first away, or 0 if it is not.
	since atomic.Int64
}

// watches returns what the console reports to be away: the database, and Redis if there is one.
func watches(db *database.DB, client *redis.Client, clock func() time.Time) []*watched {
	list := []*watched{{name: console.Database, look: db.Ping, clock: clock}}
	if client != nil {
		list = append(list, &watched{name: console.Redis, look: client.Writable, clock: clock})
	}
	return list
}

// run looks until ctx ends.
func (w *watched) run(ctx context.Context) {
	for {
		look, cancel := context.WithTimeout(ctx, watchTimeout)
		err := w.look(look)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			w.since.Store(0)
		case w.since.Load() == 0:
			w.since.Store(int64(models.TimeOf(w.clock())))
		}
		if !pause(ctx, watchInterval) {
			return
		}
	}
}

// away returns the watched servers that do not respond.
func away(list []*watched) []console.Outage {
	var out []console.Outage
	for _, w := range list {
		if since := w.since.Load(); since != 0 {
			out = append(out, console.Outage{What: w.name, Since: models.Time(since)})
		}
	}
	return out
}
