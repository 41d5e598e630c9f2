// Package outage distinguishes an outage of the database or of Redis from a fault of the server.
// After an outage the adapters ask callers to try again; a fault they log as an error to be fixed.
package outage

import (
	"context"
	"errors"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/redis"
)

const (
	// RetryAfter is when callers are asked to try again. Most outages are a restart or a
	// failover, which take a few seconds.
	RetryAfter = 2 * time.Second
	// AuthTimeout bounds how long a caller waits for its authentication, with a margin below the
	// 10 s after which clients give up.
	AuthTimeout = 8 * time.Second
	// Message is the text of the code UNAVAILABLE for an error that has none for callers.
	Message = "temporarily unavailable; try again"
)

// CodeOf is fault.CodeOf, with UNAVAILABLE instead of INTERNAL for a temporary error of the
// database or of Redis. The server's own time limits count as such: callers set none, so an
// operation that exceeds one has waited for one of the two.
func CodeOf(err error) fault.Code {
	code := fault.CodeOf(err)
	if code == fault.Internal &&
		(errors.Is(err, context.DeadlineExceeded) || database.Unavailable(err) || redis.Unavailable(err)) {
		return fault.Unavailable
	}
	return code
}

// CallerGone reports whether err is only a consequence of the end of ctx, whose caller has gone
// away.
func CallerGone(ctx context.Context, err error) bool {
	if errors.Is(err, context.Canceled) {
		return true
	}
	// A statement that is interrupted fails like one whose connection broke.
	return errors.Is(ctx.Err(), context.Canceled) && CodeOf(err) == fault.Unavailable
}
