package transport

import (
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// waiting sends requests that wait until release is called, and returns when all are being executed.
func (w *world) waiting(tokens ...string) (release func()) {
	w.t.Helper()
	var all sync.WaitGroup
	for _, token := range tokens {
		all.Go(func() {
			if got := w.post(token, mediaJSON, `{wait}`); got.status != 200 {
				w.t.Errorf("%s: %+v", token, got)
			}
		})
		<-w.schema.waiting
	}
	return func() {
		for range tokens {
			w.schema.proceed <- struct{}{}
		}
		all.Wait()
	}
}

// wantRefused fails unless the counter has that value.
func wantRefused(t *testing.T, refused prometheus.Counter, want float64) {
	t.Helper()
	if got := testutil.ToFloat64(refused); got != want {
		t.Errorf("%v requests were refused, want %v", got, want)
	}
}

// TestInFlight_UsersOfAnAppHaveTheirShare checks that a burst of users is refused by HTTP, SSE and
// WebSocket alike, and leaves the App Server, other apps, guests and subscriptions alone.
func TestInFlight_UsersOfAnAppHaveTheirShare(t *testing.T) {
	w := newWorld(t, worldOptions{requestsPerApp: 2})
	socket := w.connect("u0") // connects while there is room, as all that is counted is what it executes
	release := w.waiting("u0", "u1")

	for _, accept := range []string{mediaJSON, mediaResponse, mediaStream} {
		w.post("u0", accept, `{who}`).wantUnavailable(t)
	}
	socket.subscribe("1", `{who}`)
	socket.expectError("1", "UNAVAILABLE")
	wantRefused(t, w.server.inFlight.ofApp, 4)
	for _, token := range []string{"app", "other", ""} {
		if got := w.post(token, mediaJSON, `{who}`); got.status != 200 {
			t.Errorf("the caller %q: %+v", token, got)
		}
	}
	if got := w.post("nonsense", mediaJSON, `{who}`); got.status != 401 {
		t.Errorf("a token that is invalid: %+v", got)
	}
	socket.subscribe("2", watchU1)
	socket.expect(`{"id":"2","type":"next","payload":{"data":{"statuses":{"userId":"u1","presence":"UNLOGINED"}}}}`)

	release()
	if got := w.post("u0", mediaJSON, `{who}`); got.status != 200 {
		t.Errorf("after the burst: %+v", got)
	}
	wantRefused(t, w.server.inFlight.ofApp, 4)
}

// TestInFlight_UsersLeavePlacesForAppServers fills the places of a node by users and then by App Servers.
func TestInFlight_UsersLeavePlacesForAppServers(t *testing.T) {
	w := newWorld(t, worldOptions{requests: 4})
	users := w.waiting("u0", "u1", "u0")
	w.post("u1", mediaJSON, `{who}`).wantUnavailable(t)
	server := w.waiting("app")
	w.post("other", mediaJSON, `{who}`).wantUnavailable(t)
	wantRefused(t, w.server.inFlight.ofNode, 2)
	users()
	server()
	if n := w.server.inFlight.bound.Running(); n != 0 {
		t.Errorf("%d requests are in flight after all have ended", n)
	}
}

// TestInFlight_OpenStreamsAreNotInFlight opens more event streams than requests may be in flight.
func TestInFlight_OpenStreamsAreNotInFlight(t *testing.T) {
	w := newWorld(t, worldOptions{requests: 4, requestsPerApp: 1})
	for range 3 {
		w.stream("u0", watchU1)
	}
	until(t, "only the streams are left", func() bool { return w.server.inFlight.bound.Running() == 0 })
	if got := w.post("u0", mediaJSON, `{who}`); got.status != 200 {
		t.Errorf("beside streams: %+v", got)
	}
}
