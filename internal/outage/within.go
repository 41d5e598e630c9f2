package outage

import (
	"context"
	"time"
)

// Within calls ask and returns its results, or the error of ctx after at most limit, even if ask
// does not return when its context ends: a client that is connecting again may not. ask then
// continues in the background until its own limits end it.
func Within[T any](ctx context.Context, limit time.Duration, ask func(ctx context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	results := make(chan result, 1)
	go func() {
		value, err := ask(ctx)
		results <- result{value, err}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
