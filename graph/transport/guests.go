package transport

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"rollcall/internal/fault"
)

const (
	// parsedBytes is the maximum memory that a byte of a document takes once it is parsed, which is
	// reached with short names and numbers in lists.
	parsedBytes = 100
	// maxParsed is the maximum memory that a document takes, because the number of its tokens is
	// limited.
	maxParsed = 4 << 20
)

// guestWork limits the memory that the operations of guests take while they are parsed, validated
// and executed. Further operations wait, in order of arrival.
type guestWork struct {
	room     *semaphore.Weighted
	patience time.Duration
	refused  prometheus.Counter
}

func newGuestWork(l *Limits, m *metrics) *guestWork {
	return &guestWork{
		room: semaphore.NewWeighted(int64(max(l.GuestWorkBytes, maxParsed))), patience: l.AuthTimeout, refused: m.guestsRefused,
	}
}

var errManyGuests = fault.New(fault.Unavailable, "the server is busy with requests without a token; try again")

// enter waits until there is room for an operation with a document of that length. The caller must
// call leave when the operation has ended; further calls do nothing. Returns errManyGuests if there
// is no room in time.
func (g *guestWork) enter(ctx context.Context, document int) (leave func(), err error) {
	bytes := int64(min(max(document, 1)*parsedBytes, maxParsed))
	ctx, cancel := context.WithTimeout(ctx, g.patience)
	defer cancel()
	if g.room.Acquire(ctx, bytes) != nil {
		g.refused.Inc()
		return nil, errManyGuests
	}
	return sync.OnceFunc(func() { g.room.Release(bytes) }), nil
}
