// Package stream lets a subscription resolver name the source of its events once, instead of
// running a goroutine for each subscriber.
//
// gqlgen runs a subscription by reading a channel and executing the selection for every element,
// separately for every subscriber. Here a transport executes the operation in two ways: once to
// start it, in which the resolver only registers the subscriber's sink; and once for each event and
// each set of equal operations, in which the resolver passes the event to gqlgen and the resulting
// bytes are sent to all subscribers of that set.
package stream

import (
	"context"
	"errors"

	"rollcall/internal/fanout"
)

// ErrNoStream refuses a subscription over a transport that cannot stream, such as a plain POST.
var ErrNoStream = errors.New("a subscription needs a WebSocket or an SSE stream")

// Start makes a subscription resolver register its sink. The transport puts it into the context by
// WithStart and owns it.
type Start struct {
	// Sink receives the operation's events from its registration on, possibly before the execution
	// that registers it has returned.
	Sink fanout.Sink

	stop func()
}

// Stop ends the flow of events. It may be called once, after the execution that started it. If that
// execution failed, Stop does nothing.
func (s *Start) Stop() {
	if s.stop != nil {
		s.stop()
	}
}

// Started reports whether a resolver has registered the sink.
func (s *Start) Started() bool { return s.stop != nil }

type startKey struct{}

type eventKey struct{}

// WithStart returns a copy of ctx in which subscription resolvers register start's sink.
func WithStart(ctx context.Context, start *Start) context.Context {
	return context.WithValue(ctx, startKey{}, start)
}

// Started reports whether a resolver has registered the sink of ctx's Start.
func Started(ctx context.Context) bool {
	start, ok := ctx.Value(startKey{}).(*Start)
	return ok && start.Started()
}

// WithEvent returns a copy of ctx in which subscription resolvers yield ev and end.
func WithEvent(ctx context.Context, ev *fanout.Event) context.Context {
	return context.WithValue(ctx, eventKey{}, ev)
}

// IsEvent reports whether the execution only encodes an event of an operation that was authorized
// and validated when it started.
func IsEvent(ctx context.Context) bool { return ctx.Value(eventKey{}) != nil }

// EventOf returns the event that the execution encodes, or nil if it encodes none.
func EventOf(ctx context.Context) *fanout.Event {
	ev, _ := ctx.Value(eventKey{}).(*fanout.Event)
	return ev
}

// From is the whole body of a subscription resolver whose events are of type T: it calls open,
// once, to register the operation's sink, or yields the current event. Returns ErrNoStream if the
// transport cannot stream.
func From[T any](ctx context.Context, open func(sink fanout.Sink) (stop func(), err error)) (<-chan T, error) {
	if ev, ok := ctx.Value(eventKey{}).(*fanout.Event); ok {
		out := make(chan T, 1)
		out <- ev.Value().(T)
		close(out)
		return out, nil
	}
	start, ok := ctx.Value(startKey{}).(*Start)
	if !ok {
		return nil, ErrNoStream
	}
	stop, err := open(start.Sink)
	if err != nil {
		return nil, err
	}
	start.stop = stop
	out := make(chan T)
	close(out)
	return out, nil
}
