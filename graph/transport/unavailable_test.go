package transport

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"rollcall/internal/fanout"
)

// answered has the parts of an HTTP response that the tests of outages need.
type answered struct {
	status     int
	retryAfter string
	body       string
}

// wantUnavailable fails unless the response asks the caller to try again.
func (a answered) wantUnavailable(t *testing.T) {
	t.Helper()
	var body struct {
		Errors []struct {
			Extensions struct{ Code, RequestID string }
		}
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	if a.status != 503 || a.retryAfter == "" || len(body.Errors) != 1 ||
		body.Errors[0].Extensions.Code != "UNAVAILABLE" || body.Errors[0].Extensions.RequestID == "" {
		t.Errorf("%d, Retry-After %q, %s; want 503 and UNAVAILABLE", a.status, a.retryAfter, a.body)
	}
}

func TestUnavailable_HTTP(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.auth.refuse("away", errAway)
	for _, accept := range []string{mediaJSON, mediaResponse, mediaStream} {
		t.Run(accept, func(t *testing.T) {
			w := w.on(t)
			w.post("away", accept, `{who}`).wantUnavailable(t)
			w.post("app", accept, `{who needed}`).wantUnavailable(t)
			if got := w.post("app", accept, `{who away}`); got.status != 200 || got.retryAfter != "" ||
				!strings.Contains(got.body, `"data":{"who":"APP_SERVER","away":null}`) || !strings.Contains(got.body, `"UNAVAILABLE"`) {
				t.Errorf("one field of two is unavailable: %+v", got)
			}
		})
	}
	if strings.Contains(w.log.String(), "level=ERROR") {
		t.Errorf("outages are logged as faults:\n%s", w.log)
	}
}

func TestUnavailable_SSE(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.auth.refuse("away", errAway)
	w.post("away", mediaStream, watchU1).wantUnavailable(t)
	w.post("app", mediaStream, `subscription{away{userId}}`).wantUnavailable(t)
	w.auth.refuseAgain(errAway)
	w.post("u0", mediaStream, watchU1).wantUnavailable(t)
	if n := w.devices(0); n != 0 {
		t.Errorf("%d devices are left", n)
	}

	// A stream that ended properly would keep its client from reconnecting.
	s := w.stream("app", `subscription{captured{userId}}`)
	(<-w.schema.sinks).(fanout.Ender).End(errAway)
	if got, err := s.next(); err == nil || err == io.EOF {
		t.Errorf("the stream ended with %q, %v", got, err)
	}
}

func TestUnavailable_WebSocket(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.auth.refuse("away", errAway)
	init := func(token string) string {
		return `{"type":"connection_init","payload":{"Authorization":"Bearer ` + token + `"}}`
	}
	w.dial().with(init("away")).expectClose(1013)
	w.auth.refuseAgain(errAway)
	w.dial().with(init("u0")).expectClose(1013)
	w.auth.refuseAgain(nil)

	// An operation that fails does not end the connection.
	c := w.connect("u1")
	w.auth.refuseRefresh(errAway)
	c.subscribe("1", `{who}`)
	c.expectError("1", "UNAVAILABLE")
	w.auth.refuseRefresh(nil)
	c.subscribe("2", `subscription{away{userId}}`)
	c.expectError("2", "UNAVAILABLE")
	c.subscribe("3", `{who}`)
	c.expect(`{"id":"3","type":"next","payload":{"data":{"who":"USER"}}}`)
	if strings.Contains(w.log.String(), "level=ERROR") {
		t.Errorf("outages are logged as faults:\n%s", w.log)
	}
}

// A caller that cannot be admitted or refused in time is asked to try again, whatever the server
// waits for.
func TestAuthTimeout(t *testing.T) {
	w := newWorld(t, worldOptions{limits: Limits{AuthTimeout: 50 * time.Millisecond}})
	w.auth.hang = make(chan struct{})
	t.Cleanup(func() { close(w.auth.hang) }) // before the server shuts down
	for _, accept := range []string{mediaJSON, mediaResponse} {
		w.post("hangs", accept, `{who}`).wantUnavailable(t)
	}
	w.post("hangs", mediaStream, watchU1).wantUnavailable(t)
	w.dial().with(`{"type":"connection_init","payload":{"Authorization":"Bearer hangs"}}`).expectClose(1013)
}
