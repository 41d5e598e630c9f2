package graphtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
)

// everyOther is the name of the subscribers that WantEvents does not name.
const everyOther = "*"

// Subscriber begins a subscription as that caller, over a WebSocket of its own, and names it for
// WantEvents. Several subscribers may have the same name, such as the devices of a user.
func (w *World) Subscriber(name, as, query string, variables map[string]any) *Live {
	w.T.Helper()
	l := w.Live("websocket", w.Bearer(as), query, variables)
	w.subscribers[name] = append(w.subscribers[name], l)
	return l
}

// Received returns the events that Next has not returned, among them every event that the node
// published before the call. The subscription must be over a WebSocket.
func (l *Live) Received() []Response {
	l.t.Helper()
	l.Socket.world.handOver()
	return l.arrived()
}

// arrived is Received for events that the node has handed to the connection. The connection sends
// in order, so the response to an operation that begins now follows them.
func (l *Live) arrived() []Response {
	l.t.Helper()
	if r := l.Socket.Do(`{ __typename }`, nil); r.Body == nil {
		l.t.Fatal("the subscriber's connection has ended")
	}
	return l.Pending()
}

// handOver returns when every event that the node has published is in the queues of its
// subscribers' connections. Events of relationships are there when they are published. Those of
// statuses go through the queues of presence, each of which does its work in order. So handOver
// watches one account in each queue, and waits for the snapshot, which follows everything before it
// in all of them. No user has the keys of these accounts.
func (w *World) handOver() {
	w.T.Helper()
	if w.redis != nil {
		w.T.Fatal("events of other nodes may arrive at any time")
	}
	accounts := make([]status.Account, fanout.Queues)
	for i := range accounts {
		accounts[i].ID = 1<<40 + int64(i)
	}
	snapshot := make(arrivals, len(accounts))
	stop, err := w.Presence.WatchUsers(context.Background(), accounts, snapshot, true)
	if err != nil {
		w.T.Fatal(err)
	}
	defer stop()
	late := time.After(patience)
	for range accounts {
		select {
		case <-snapshot:
		case <-late:
			w.T.Fatal("timed out waiting for the queues of presence")
		}
	}
}

// arrivals receives a value for each event.
type arrivals chan struct{}

// Deliver notes the event.
func (a arrivals) Deliver(*fanout.Event) { a <- struct{}{} }

// received are the events of the subscribers of each name.
type received map[string][][]Response

// receive returns the events of the subscribers that want describes. It leaves those of others for
// a later scenario.
func (w *World) receive(want map[string]any) received {
	w.T.Helper()
	w.handOver()
	got := make(received)
	for name, lives := range w.subscribers {
		if _, described := wanted(want, name); !described {
			continue
		}
		for _, l := range lives {
			got[name] = append(got[name], l.arrived())
		}
	}
	return got
}

// wanted returns what want says about the subscribers of that name, and reports whether it says
// anything.
func wanted(want map[string]any, name string) (expected any, described bool) {
	if expected, described = want[name]; !described {
		expected, described = want[everyOther]
	}
	return expected, described
}

// differences compares events with Scenario.WantEvents, and describes each subscriber that received
// others.
func (got received) differences(t testing.TB, want map[string]any) (list []string) {
	t.Helper()
	for name := range want {
		if name != everyOther && got[name] == nil {
			list = append(list, fmt.Sprintf("there is no subscriber %q", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		expected, _ := wanted(want, name)
		for _, events := range got[name] {
			if !matchEvents(t, expected, events) {
				list = append(list, fmt.Sprintf("%s received %d, want %v: %s", name, len(events), expected, bodies(events)))
			}
		}
	}
	return list
}

// matchEvents reports whether events are as expected: their number, or each of them.
func matchEvents(t testing.TB, expected any, events []Response) bool {
	t.Helper()
	switch expected := expected.(type) {
	case int:
		return len(events) == expected
	case []string:
		return slices.EqualFunc(expected, events, func(want string, r Response) bool {
			if !strings.HasPrefix(want, "{") {
				return r.Code() == want
			}
			return r.Code() == "" && Match(t, want, r.Data)
		})
	}
	t.Fatalf("WantEvents has a %T, want an int or a []string", expected)
	return false
}

// bodies returns the events as text.
func bodies(events []Response) string {
	list := make([]string, len(events))
	for i, r := range events {
		list[i] = string(r.Body)
	}
	return strings.Join(list, " ")
}
