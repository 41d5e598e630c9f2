package graph_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/graph"
	"rollcall/graph/graphtest"
	"rollcall/graph/transport"
	"rollcall/internal/admission"
	"rollcall/internal/testenv"
)

// TestAppRates uses up what apps and addresses may do in a second, and checks that others are not affected,
// that the next second has room again, and that each refusal is counted.
func TestAppRates(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	for _, id := range []string{"ann", "bob", "cid"} {
		w.Register(w.App, id)
	}
	elsewhere := "Bearer " + w.Register(w.Other, "ann")
	ann, bob, cid := w.Bearer("ann"), w.Bearer("bob"), w.Bearer("cid")
	w.AppRates = graph.AppRates{Registrations: 3, Connects: 2, ConnectPatience: 600 * time.Millisecond}
	var refusals *admission.Refusals
	w.Adjust = func(c *transport.Config) { refusals, c.ConnectsPerAddress = c.Refusals, 5 }
	w.Restart()

	const one = `mutation($id: ID!) { registerUser(input: {id: $id, name: "x"}) { created } }`
	const many = `mutation($users: [RegisterUserInput!]!) { registerUsers(input: {users: $users}) { results { created } } }`
	app := w.AppToken(w.App)
	other := w.AppToken(w.Other)
	register := func(token string, n int) *graphtest.Response {
		t.Helper()
		if n == 1 {
			return w.Do("Bearer "+token, one, vars("id", "new"))
		}
		users := make([]map[string]any, n)
		for i := range users {
			users[i] = map[string]any{"id": fmt.Sprint("new", i), "name": "x"}
		}
		return w.Do("Bearer "+token, many, map[string]any{"users": users})
	}
	accepted := func(r *graphtest.Response) {
		t.Helper()
		if len(r.Errors) > 0 {
			t.Errorf("refused: %s", r.Body)
		}
	}
	refused := func(r *graphtest.Response, wait time.Duration) {
		t.Helper()
		if r.Code() != "RATE_LIMITED" || fmt.Sprint(r.Errors[0].Extensions["retryAfterMs"]) != fmt.Sprint(wait.Milliseconds()) {
			t.Errorf("%s, want RATE_LIMITED after %s", r.Body, wait)
		}
	}
	accepted(register(app, 1))
	w.Clock.Pass(400 * time.Millisecond)
	accepted(register(app, 2))
	refused(register(app, 1), 600*time.Millisecond)
	refused(register(app, 50), time.Second)
	accepted(register(other, 3))
	accepted(w.Do("Bearer "+app, `mutation { issueUserToken(input: {userId: "ann"}) { token } }`, nil))
	w.Clock.Pass(time.Second)
	accepted(register(app, 50)) // a batch counts as a second at most

	// The devices of one app, over WebSocket and SSE: the second waits for half a second, by real time, and
	// the third would have to wait for a whole one.
	w.Socket(ann)
	began := time.Now()
	stream := openStream(w, bob, "")
	defer stream.Body.Close()
	if waited := time.Since(began); waited < 500*time.Millisecond {
		t.Errorf("the second device waited %s", waited)
	}
	if code, reason := w.Refusal(cid); code != 1013 || reason == "" {
		t.Errorf("a third device of the app: %d %s", code, reason)
	}
	refusedStream := openStream(w, cid, "")
	defer refusedStream.Body.Close()
	if status, after := refusedStream.StatusCode, refusedStream.Header.Get("Retry-After"); status != http.StatusTooManyRequests || after != "1" {
		t.Errorf("a third device's event stream: %d %s", status, after)
	}
	// One more connection of the address, and then none.
	w.Socket(elsewhere)
	var refusal *graphtest.Refused
	if _, err := graphtest.DialWire(context.Background(), w.URL, nil); !errors.As(err, &refusal) || refusal.Status != http.StatusTooManyRequests || refusal.RetryAfter == "" {
		t.Errorf("a sixth connection of the address: %v", err)
	}
	w.Clock.Pass(time.Second)
	w.Socket(cid)

	for limit, want := range map[string]float64{
		admission.LimitRegistrations: 2, admission.LimitConnectsApp: 2, admission.LimitConnectsAddress: 1, admission.LimitOpen: 0, admission.LimitApp: 0,
	} {
		if got := testutil.ToFloat64(refusals.Counter(limit)); got != want {
			t.Errorf("%s: %v refusals, want %v", limit, got, want)
		}
	}
}
