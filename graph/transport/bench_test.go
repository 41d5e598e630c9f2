package transport

import (
	"context"
	"io"
	"sync/atomic"
	"testing"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
)

// BenchmarkDeliver sends one event after another to a subscriber that reads: the cost that each of
// many subscribers adds to a status change.
func BenchmarkDeliver(b *testing.B) {
	w := newWorld(b, worldOptions{})
	c := w.connect("app")
	c.subscribe("s", `subscription{captured{userId presence}}`)
	sink := <-w.schema.sinks
	until(b, "the subscription to run", func() bool { return sink.(*subscription).running() })
	var captured capture
	stop, err := w.hub.WatchUsers(context.Background(), []status.Account{w.account(0)}, &captured, true)
	if err != nil {
		b.Fatal(err)
	}
	until(b, "an event", func() bool { return captured.Load() != nil })
	stop()
	ev := captured.Load()
	go io.Copy(io.Discard, c.conn)
	b.ReportAllocs()
	for b.Loop() {
		sink.Deliver(ev)
	}
}

// capture is a sink that stores the last event.
type capture struct{ atomic.Pointer[fanout.Event] }

func (c *capture) Deliver(ev *fanout.Event) { c.Store(ev) }
