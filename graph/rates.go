package graph

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/graph/auth"
	"rollcall/internal/fault"
	"rollcall/internal/ratelimit"
	"rollcall/internal/redis"
)

// How often a user may do what costs others something: rateCalls in any
// rateWindow, for each operation by itself.
const (
	rateCalls  = 20
	rateWindow = 5 * time.Second
)

// rated is an operation that is limited.
type rated int8

const (
	readingStatuses rated = iota
	subscribing
	unsubscribing
)

// rateKey is a user, by users.id, who does something that is limited.
type rateKey struct {
	user      int64
	operation rated
}

// Rates count what is limited, and answer how long to wait before one more.
type Rates func(ctx context.Context, key rateKey) (wait time.Duration, err error)

// LocalRates count in this process, for a service of one node.
func LocalRates(clock func() time.Time) Rates {
	limiter := ratelimit.New[rateKey](rateCalls, rateWindow, clock)
	return func(_ context.Context, key rateKey) (time.Duration, error) { return limiter.Allow(key), nil }
}

// SharedRates count for all nodes of a service.
func SharedRates(client *redis.Client) Rates {
	limiter := ratelimit.NewShared(client, rateCalls, rateWindow)
	return func(ctx context.Context, key rateKey) (time.Duration, error) {
		return limiter.Allow(ctx, fmt.Sprintf("%d:%d", key.user, key.operation))
	}
}

// limitRate refuses a user who does something too often.
func (r *Resolver) limitRate(ctx context.Context, operation rated) error {
	wait, err := r.rates(ctx, rateKey{auth.From(ctx).User.ID, operation})
	if wait == 0 || err != nil {
		return err
	}
	ms := (wait + time.Millisecond - 1) / time.Millisecond
	return fault.New(fault.RateLimited, "at most %d calls in %s; try again in %d ms", rateCalls, rateWindow, ms).
		With("retryAfterMs", int64(ms))
}

// rootCalls has, for one execution, how the rate limit has judged the root fields
// that reach others' statuses: each is one call, however many statuses it reaches.
type rootCalls struct {
	mu     sync.Mutex
	judged map[*graphql.FieldContext]error
}

// limitReading counts the root field at hand as a call that reaches others'
// statuses, once.
func (r *Resolver) limitReading(ctx context.Context) error {
	root := graphql.GetFieldContext(ctx)
	for root.Parent != nil && root.Parent.Parent != nil {
		root = root.Parent
	}
	calls := &executionOf(ctx).calls
	calls.mu.Lock()
	defer calls.mu.Unlock()
	err, known := calls.judged[root]
	if !known {
		if calls.judged == nil {
			calls.judged = make(map[*graphql.FieldContext]error, 1)
		}
		err = r.limitRate(ctx, readingStatuses)
		calls.judged[root] = err
	}
	return err
}
