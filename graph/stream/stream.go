// Package stream lets a subscription resolver say where its events come from
// once, instead of running a goroutine for each subscriber.
//
// gqlgen runs a subscription by reading a channel and executing the selection
// for every element, separately for every subscriber. Here a transport executes
// the operation in two ways: once to start it (the resolver registers the
// subscriber's sink and nothing else happens), and once for each event and each
// set of equal operations (the resolver hands the event to gqlgen, and the bytes
// that come out go to all subscribers of that set).
package stream

import (
	"context"
	"errors"

	"rollcall/internal/fanout"
)

// ErrNoStream is answered to a subscription that came over a transport that
// cannot stream, such as a plain POST.
var ErrNoStream = errors.New("a subscription needs a WebSocket or an SSE stream")

// Start asks a subscription resolver to begin; the transport puts one into the
// context with WithStart and owns it.
type Start struct {
	// Sink takes the operation's events from the moment it is registered,
	// possibly before the execution that registers it has returned.
	Sink fanout.Sink

	stop func()
}

// Stop ends the flow of events. It may be called once, after the execution that
// started it; where that one failed there is nothing to stop.
func (s *Start) Stop() {
	if s.stop != nil {
		s.stop()
	}
}

// Started says whether a resolver has registered the sink.
func (s *Start) Started() bool { return s.stop != nil }

type startKey struct{}

type eventKey struct{}

// WithStart answers a context in which subscription resolvers register start's sink.
func WithStart(ctx context.Context, start *Start) context.Context {
	return context.WithValue(ctx, startKey{}, start)
}

// WithEvent answers a context in which subscription resolvers yield ev and end.
func WithEvent(ctx context.Context, ev *fanout.Event) context.Context {
	return context.WithValue(ctx, eventKey{}, ev)
}

// IsEvent says whether the execution only encodes an event of an operation that
// was authorised and validated when it started.
func IsEvent(ctx context.Context) bool { return ctx.Value(eventKey{}) != nil }

// EventOf returns the event that the execution encodes, or nil if it encodes none.
func EventOf(ctx context.Context) *fanout.Event {
	ev, _ := ctx.Value(eventKey{}).(*fanout.Event)
	return ev
}

// From is the whole body of a subscription resolver whose events are of type T:
// it calls open, once, to register the operation's sink, or yields the event at
// hand. It answers ErrNoStream where the transport cannot stream.
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
