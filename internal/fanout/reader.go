package fanout

import "context"

// Reader is an operation that is answered over a connection which also carries events.
// It keeps the answer from being older than an event that the connection has sent.
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

// WillRead announces a read to the context's Reader, if there is one. Whoever reads
// states for an answer calls it first.
func WillRead(ctx context.Context, keys ...int64) {
	if r, ok := ctx.Value(readerKey{}).(Reader); ok {
		r.WillRead(keys...)
	}
}
