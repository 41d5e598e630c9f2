package graphtest

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience limits every wait for something that must happen.
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
	// reading is locked by the connection's reader while it handles a message.
	reading *sync.Mutex
}

// eventRoom is how many unread events of a subscription are buffered.
const eventRoom = 4096

// Live begins a subscription over a connection of its own, which is a device if the token is a
// user's. It returns when the subscription runs, or is refused; the refusal is then its first
// event.
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

// Next returns the next event. If the subscription has ended with an error, it returns a Response
// with Errors, and if it has ended without one, the zero Response.
func (l *Live) Next() Response {
	l.t.Helper()
	select {
	case r := <-l.events:
		return r
	case <-time.After(patience):
		l.t.Fatal("timed out waiting for an event")
		return Response{}
	}
}

// Status returns the next event of a subscription to statuses in the form "ann ONLINE busy". It
// returns the code of an error, and "" at the end.
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

// Want compares the next events with statuses in the form of Status. Of several consecutive ones of
// one user only the last must arrive: a reader that is behind may miss the others.
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

// user returns the user ID in a status.
func user(status string) string {
	id, _, _ := strings.Cut(status, " ")
	return id
}

// Pending returns the events that have arrived and that Next has not returned.
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

// Quiet fails the test if there is an unexpected event: over a WebSocket, one that the node has
// published; over SSE, one that has already arrived.
func (l *Live) Quiet() {
	l.t.Helper()
	events := l.Pending
	if l.Socket != nil {
		events = l.Received
	}
	for _, r := range events() {
		l.t.Fatalf("got %s %v, want nothing", r.Data, r.Errors)
	}
}

// Pause makes the client stop reading, except for one message that it is already waiting for; it
// does not even respond to pings. resume ends the pause.
func (l *Live) Pause() (resume func()) {
	l.reading.Lock()
	return sync.OnceFunc(l.reading.Unlock)
}

// Close breaks the connection without a logout, if it is the subscription's own.
func (l *Live) Close() { l.close() }
