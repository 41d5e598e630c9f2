package transport

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/graph/auth"
	"rollcall/internal/bus"
	"rollcall/internal/fanout"
	"rollcall/internal/fault"
)

// eventStream reads an SSE response.
type eventStream struct {
	t    testing.TB
	resp *http.Response
	in   *bufio.Scanner
}

// stream requests an SSE stream with that token; without one if it is "".
func (w *world) stream(token, query string) *eventStream {
	w.t.Helper()
	return w.streamRequest(http.MethodPost, "", fmt.Sprintf(`{"query":%q}`, query), token)
}

func (w *world) streamRequest(method, urlQuery, body, token string) *eventStream {
	w.t.Helper()
	req, err := http.NewRequest(method, w.http.URL+urlQuery, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Accept", mediaStream)
	req.Header.Set(headerPlatform, "IOS")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", mediaJSON)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.DefaultClient
	if w.http.TLS != nil {
		client = w.http.Client()
	}
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 16<<20)
	return &eventStream{t: w.t, resp: resp, in: in}
}

// next returns the next event as "name data", skipping comments.
func (s *eventStream) next() (string, error) {
	var lines []string
	for s.in.Scan() {
		line := s.in.Text()
		switch {
		case line == "" && len(lines) > 0:
			return strings.Join(lines, " "), nil
		case line != "" && line[0] != ':':
			name, value, _ := strings.Cut(line, ":")
			if name != "event" && name != "data" {
				s.t.Errorf("unexpected line %q", line)
			}
			lines = append(lines, strings.TrimPrefix(value, " "))
		}
	}
	if err := s.in.Err(); err != nil {
		return "", err
	}
	return "", io.EOF
}

func (s *eventStream) expect(want string) {
	s.t.Helper()
	got, err := s.next()
	if err != nil || got != want {
		s.t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

// expectEnd expects an error with that code, unless it is "", and the complete event.
func (s *eventStream) expectEnd(code string) {
	s.t.Helper()
	if code != "" {
		got, err := s.next()
		if err != nil || !strings.HasPrefix(got, `next {"errors":[`) || !strings.Contains(got, `"`+code+`"`) || strings.Contains(got, `"data"`) {
			s.t.Fatalf("got %q, %v; want the error %s", got, err, code)
		}
	}
	s.expect("complete ")
	if got, err := s.next(); err != io.EOF {
		s.t.Fatalf("got %q, %v after the end", got, err)
	}
}

func sseStatus(user, presence string) string {
	return fmt.Sprintf(`next {"data":{"statuses":{"userId":%q,"presence":%q}}}`, user, presence)
}

func TestSSE_Subscription(t *testing.T) {
	w := newWorld(t, worldOptions{})
	s := w.stream("u0", watchU1)
	if got := s.resp.Header.Get("Content-Type"); s.resp.StatusCode != 200 || got != "text/event-stream; charset=utf-8" {
		t.Fatalf("%d %s", s.resp.StatusCode, got)
	}
	s.expect(sseStatus("u1", "UNLOGINED"))
	devices := w.devicesOf(0)
	if len(devices) != 1 || devices[0].Platform != "IOS" {
		t.Fatalf("devices: %v", devices)
	}
	offline := w.online(1)
	s.expect(sseStatus("u1", "ONLINE"))
	offline()
	s.expect(sseStatus("u1", "OFFLINE"))
	s.resp.Body.Close()
	until(t, "the device to be gone", func() bool { return w.devices(0) == 0 })
	until(t, "the stream to be gone", func() bool {
		m := w.server.metrics
		return testutil.ToFloat64(m.streams) == 0 && testutil.ToFloat64(m.subscriptions) == 0
	})
}

func TestSSE_OverGET(t *testing.T) {
	w := newWorld(t, worldOptions{})
	s := w.streamRequest(http.MethodGet, "?query="+url.QueryEscape(watchU1), "", "app")
	s.expect(sseStatus("u1", "UNLOGINED"))
}

func TestSSE_SingleResponses(t *testing.T) {
	w := newWorld(t, worldOptions{})
	s := w.stream("app", `{who}`)
	s.expect(`next {"data":{"who":"APP_SERVER"}}`)
	s.expectEnd("")
	w.stream("", `{nope}`).expectEnd("GRAPHQL_VALIDATION_FAILED")
	w.stream("app", `subscription{disabled{userId}}`).expectEnd("FEATURE_DISABLED")
	w.stream("app", `subscription{crash{userId}}`).expectEnd("INTERNAL")
	if got := w.stream("", `{`).resp; got.StatusCode != 400 || got.Header.Get("Content-Type") != mediaJSON+"; charset=utf-8" {
		t.Errorf("not a document: %d", got.StatusCode)
	}
	if got := w.stream("x", watchU1).resp.StatusCode; got != 401 {
		t.Errorf("a bad token: %d", got)
	}
	w.auth.refuseAgain(fault.New(fault.UserBanned, "banned just now"))
	if got := w.stream("u0", watchU1).resp.StatusCode; got != 403 {
		t.Errorf("banned while connecting: %d", got)
	}
	until(t, "no device", func() bool { return w.devices(0) == 0 })
}

func TestSSE_Cut(t *testing.T) {
	for _, test := range []struct {
		name string
		cut  func(w *world)
		code string
	}{
		{"banned", func(w *world) { w.ban(0, noon) }, "USER_BANNED"},
		{"banned for good", func(w *world) { w.revoke(0, bus.ReasonBanned) }, "USER_BANNED"},
		{"disconnected", func(w *world) { w.disconnect(0) }, "FORBIDDEN"},
		{"deactivated", func(w *world) { w.revoke(0, bus.ReasonDeactivated) }, "USER_DEACTIVATED"},
		{"deleted", func(w *world) { w.revoke(0, bus.ReasonDeleted) }, "UNAUTHENTICATED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			s := w.stream("u0", watchU1)
			s.expect(sseStatus("u1", "UNLOGINED"))
			test.cut(w)
			s.expectEnd(test.code)
		})
	}
}

func TestSSE_LogoutOverHTTP(t *testing.T) {
	w := newWorld(t, worldOptions{})
	s := w.stream("u0", watchU1)
	s.expect(sseStatus("u1", "UNLOGINED"))
	w.stream("u0", `mutation{logout}`).expect(`next {"data":{"logout":true}}`)
	s.expectEnd("UNAUTHENTICATED")
}

func TestSSE_EndFromOutside(t *testing.T) {
	w := newWorld(t, worldOptions{})
	s := w.stream("app", `subscription{captured{userId}}`)
	(<-w.schema.sinks).(fanout.Ender).End(fault.New(fault.FeatureDisabled, "switched off"))
	s.expectEnd("FEATURE_DISABLED")
	until(t, "no subscription", func() bool { return testutil.ToFloat64(w.server.metrics.subscriptions) == 0 })
}

// TestSSE_Shutdown: the stream breaks instead of ending, because its client would not reconnect
// after the end.
func TestSSE_Shutdown(t *testing.T) {
	w := newWorld(t, worldOptions{})
	s := w.stream("u0", watchU1)
	s.expect(sseStatus("u1", "UNLOGINED"))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if got, err := s.next(); err == nil || err == io.EOF {
		t.Errorf("the stream ended with %q, %v", got, err)
	}
	if got := w.stream("u0", watchU1).resp.StatusCode; got != 503 {
		t.Errorf("a stream while draining: %d", got)
	}
}

func TestSSE_KeepAlive(t *testing.T) {
	w := newWorld(t, worldOptions{ping: 20 * time.Millisecond})
	s := w.stream("app", `subscription{captured{userId}}`)
	<-w.schema.sinks
	for comments := 0; comments < 3; {
		if !s.in.Scan() {
			t.Fatal(s.in.Err())
		}
		if s.in.Text() == ":" {
			comments++
		}
	}
}

// TestSSE_StalledReader: a client that reads nothing is cut by breaking the link, from which it
// knows that the subscription has not ended.
func TestSSE_StalledReader(t *testing.T) {
	const users = 60
	w := newWorld(t, worldOptions{users: users, limits: Limits{QueueBytes: 64 << 10, WriteTimeout: 500 * time.Millisecond}})
	s := w.stream("u0", `subscription{statuses(ids:`+w.ids(users)+`){padding(kilobytes:400)}}`)
	until(t, "the stalled reader to be cut", func() bool { return w.devices(0) == 0 })
	for {
		if _, err := s.next(); err != nil {
			if err == io.EOF {
				t.Error("the stream ended as if complete")
			}
			return
		}
	}
}

// TestViewer: what one user's operations see is shared only by that user's devices.
func TestViewer(t *testing.T) {
	w := newWorld(t, worldOptions{})
	user := func(i int) *auth.Principal {
		return &auth.Principal{Kind: auth.User, App: w.auth.app, User: w.auth.users[i]}
	}
	server := &auth.Principal{Kind: auth.AppServer, App: w.auth.app}
	if viewerOf(user(0), false) == viewerOf(user(1), false) {
		t.Error("two users see the same without SharedByAll")
	}
	if viewerOf(user(0), true) != viewerOf(user(1), true) {
		t.Error("two users do not share with SharedByAll")
	}
	if viewerOf(user(0), true) == viewerOf(server, true) {
		t.Error("a user sees what the App Server sees")
	}
}

// TestSSE_IdleOverHTTP2 checks that a stream over HTTP/2 stays open although it sends nothing for longer than
// a write may take.
func TestSSE_IdleOverHTTP2(t *testing.T) {
	const writeTimeout = time.Second
	w := newWorld(t, worldOptions{tls: true, limits: Limits{WriteTimeout: writeTimeout}})
	s := w.stream("u0", watchU1)
	if s.resp.ProtoMajor != 2 {
		t.Fatalf("the stream uses %s", s.resp.Proto)
	}
	s.expect(`next {"data":{"statuses":{"userId":"u1","presence":"UNLOGINED"}}}`)
	time.Sleep(writeTimeout + writeTimeout/2)
	defer w.online(1)()
	s.expect(`next {"data":{"statuses":{"userId":"u1","presence":"ONLINE"}}}`)
}
