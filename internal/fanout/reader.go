package fanout

import (
	"context"
	"slices"
)

// Reader is an operation whose response goes over a connection that also carries events. It keeps
// the response from being older than an event that the connection has sent.
type Reader interface {
	// WillRead announces that the operation is about to read the states that events with
	// these keys carry. It may be called from any goroutine, and more than once.
	WillRead(keys ...int64)
}

type readerKey struct{}

// WithReader returns a context whose operation is r.
func WithReader(ctx context.Context, r Reader) context.Context {
	return context.WithValue(ctx, readerKey{}, r)
}

// WillRead announces a read to the context's Reader, if there is one. It is called before states are
// read for a response.
func WillRead(ctx context.Context, keys ...int64) {
	if r, ok := ctx.Value(readerKey{}).(Reader); ok {
		r.WillRead(slices.Clone(keys)...) // without a Reader, so keys stay on the caller's stack
	}
}
