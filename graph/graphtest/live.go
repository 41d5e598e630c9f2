package graphtest

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

// Transports are the ways to hold a subscription open.
var Transports = []string{"websocket", "sse"}

// Ways are the ways to send a query or mutation.
var Ways = append([]string{"http"}, Transports...)

// Live is one running subscription.
type Live struct {
	// Socket is the connection; nil over SSE.
	Socket *Socket

	t      testing.TB
	events chan Response
	close  func()
	// reading is held by the reader of the connection while it takes something in.
	reading *sync.Mutex
}

// eventRoom is how many events of a subscription a test may leave lying.
const eventRoom = 4096

// Live begins a subscription over a connection of its own, which is a device
// where the token is a user's. It returns when the subscription runs, or is
// refused, which is its first event then.
func (w *World) Live(transport, authorization, query string, variables map[string]any) *Live {
	w.T.Helper()
	if transport == "sse" {
		return w.stream(authorization, query, variables)
	}
	s := w.Socket(authorization)
	l := s.Subscribe(query, variables)
	l.close = s.Close
	return l
}

// Next answers the next event; its Errors say so where the subscription has ended
// with an error, and it is the zero Response where it has plainly ended.
func (l *Live) Next() Response {
	l.t.Helper()
	select {
	case r := <-l.events:
		return r
	case <-time.After(patience):
		l.t.Fatal("waited in vain for an event")
		return Response{}
	}
}

// Status answers the next event of a subscription to statuses as "ann ONLINE
// busy"; an error is its code, an end "".
func (l *Live) Status() string {
	l.t.Helper()
	r := l.Next()
	if code := r.Code(); code != "" || r.Data == nil {
		return code
	}
	var data map[string]struct{ UserID, Presence, CustomStatus string }
	if err := json.Unmarshal(r.Data, &data); err != nil {
		l.t.Fatalf("%s: %v", r.Data, err)
	}
	for _, status := range data {
		return strings.TrimSpace(status.UserID + " " + status.Presence + " " + status.CustomStatus)
	}
	return ""
}

// Want compares the next events with statuses as Status has them. Of several
// wanted in a row of one user only the last must come: a reader that is behind may
// miss those between.
func (l *Live) Want(want ...string) {
	l.t.Helper()
	for len(want) > 0 {
		got := l.Status()
		next := want
		for len(next) > 1 && next[0] != got && user(next[0]) == user(next[1]) {
			next = next[1:]
		}
		if next[0] != got {
			l.t.Fatalf("told %q, want %q", got, want)
		}
		want = next[1:]
	}
}

// user answers whose status it is.
func user(status string) string {
	id, _, _ := strings.Cut(status, " ")
	return id
}

// Pending answers the events that have come and that Next has not answered.
func (l *Live) Pending() (events []Response) {
	for {
		select {
		case r := <-l.events:
			events = append(events, r)
		default:
			return events
		}
	}
}

// Quiet says that nothing has come that was not asked for.
func (l *Live) Quiet() {
	l.t.Helper()
	for _, r := range l.Pending() {
		l.t.Fatalf("told %s %v, want nothing", r.Data, r.Errors)
	}
}

// Pause has the client take in nothing more, but for one message that it waits for
// already: it does not even answer pings then. resume ends that.
func (l *Live) Pause() (resume func()) {
	l.reading.Lock()
	return sync.OnceFunc(l.reading.Unlock)
}

// Close breaks the connection, without a logout, where it is the subscription's own.
func (l *Live) Close() { l.close() }
