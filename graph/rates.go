package graph

import (
	"context"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/graph/auth"
	"rollcall/internal/fault"
	"rollcall/internal/ratelimit"
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

func newRates(clock func() time.Time) *ratelimit.Limiter[rateKey] {
	return ratelimit.New[rateKey](rateCalls, rateWindow, clock)
}

// limitRate refuses a user who does something too often.
func (r *Resolver) limitRate(ctx context.Context, operation rated) error {
	wait := r.rates.Allow(rateKey{auth.From(ctx).User.ID, operation})
	if wait == 0 {
		return nil
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

type rootCallsKey struct{}

// countRoots is gqlgen's operation middleware.
func countRoots(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	return next(context.WithValue(ctx, rootCallsKey{}, new(rootCalls)))
}

// limitReading counts the root field at hand as a call that reaches others'
// statuses, once.
func (r *Resolver) limitReading(ctx context.Context) error {
	root := graphql.GetFieldContext(ctx)
	for root.Parent != nil && root.Parent.Parent != nil {
		root = root.Parent
	}
	calls := ctx.Value(rootCallsKey{}).(*rootCalls)
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
