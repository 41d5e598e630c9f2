package graphtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

// Transports are the ways to hold a subscription open.
var Transports = []string{"websocket", "sse"}

// Live is one running subscription over a connection of its own: with a user
// token, a device.
type Live struct {
	t      testing.TB
	events chan Response
	// Socket is the connection; nil over SSE.
	Socket *Socket
	close  func()
}

// Live begins a subscription over the transport and returns when it runs, or is
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

// Want compares the next events with statuses as Status has them.
func (l *Live) Want(want ...string) {
	l.t.Helper()
	for _, status := range want {
		if got := l.Status(); got != status {
			l.t.Fatalf("told %q, want %q of %q", got, status, want)
		}
	}
}

// Quiet says that nothing has come that was not asked for.
func (l *Live) Quiet() {
	l.t.Helper()
	select {
	case r := <-l.events:
		l.t.Fatalf("told %s %v, want nothing", r.Data, r.Errors)
	default:
	}
}

// Close breaks the connection, without a logout.
func (l *Live) Close() { l.close() }

// Socket is a WebSocket that speaks graphql-transport-ws.
type Socket struct {
	t    testing.TB
	conn *websocket.Conn
	ctx  context.Context
	stop context.CancelFunc

	mu   sync.Mutex
	next int
	subs map[string]chan Response
	// closed ends when the connection has; code is the server's then.
	closed chan struct{}
	code   int
}

// message is one of the protocol's.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Dial opens a WebSocket with that Authorization and returns when it is
// acknowledged, or closed.
func (w *World) Dial(authorization string) *Socket {
	w.T.Helper()
	ctx, stop := context.WithCancel(context.Background())
	conn, _, err := websocket.Dial(ctx, w.URL, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		stop()
		w.T.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	s := &Socket{t: w.T, conn: conn, ctx: ctx, stop: stop, subs: make(map[string]chan Response), closed: make(chan struct{})}
	w.T.Cleanup(s.Close)
	payload, _ := json.Marshal(map[string]string{"Authorization": authorization, "platform": "WEB"})
	s.send(message{Type: "connection_init", Payload: payload})
	acknowledged := make(chan struct{})
	go s.read(acknowledged)
	select {
	case <-acknowledged:
	case <-s.closed:
	case <-time.After(patience):
		w.T.Fatal("waited in vain for the acknowledgement")
	}
	return s
}

// Socket is Dial for one that must be acknowledged.
func (w *World) Socket(authorization string) *Socket {
	w.T.Helper()
	s := w.Dial(authorization)
	select {
	case <-s.closed:
		w.T.Fatalf("the WebSocket was closed with %d", s.code)
	default:
	}
	return s
}

func (s *Socket) send(m message) {
	text, err := json.Marshal(m)
	if err == nil {
		err = s.conn.Write(s.ctx, websocket.MessageText, text)
	}
	if err != nil {
		s.t.Error(err)
	}
}

func (s *Socket) read(acknowledged chan struct{}) {
	defer close(s.closed)
	for {
		_, text, err := s.conn.Read(s.ctx)
		if err != nil {
			s.code = int(websocket.CloseStatus(err))
			return
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			s.t.Errorf("%s: %v", text, err)
			return
		}
		s.mu.Lock()
		sub := s.subs[m.ID]
		s.mu.Unlock()
		switch m.Type {
		case "connection_ack":
			close(acknowledged)
		case "next", "error":
			sub <- responseOf(m)
		case "complete":
			sub <- Response{}
		}
	}
}

// responseOf reads a message's payload: a response, or a list of errors.
func responseOf(m message) (r Response) {
	if m.Type == "error" {
		m.Payload = []byte(`{"errors":` + string(m.Payload) + `}`)
	}
	if err := json.Unmarshal(m.Payload, &r); err != nil {
		r.Data = m.Payload
	}
	r.Body = m.Payload
	return r
}

// subscribe sends an operation and answers where its answers come.
func (s *Socket) subscribe(query string, variables map[string]any) (events chan Response) {
	s.mu.Lock()
	s.next++
	id := fmt.Sprint(s.next)
	events = make(chan Response, 10_000)
	s.subs[id] = events
	s.mu.Unlock()
	payload, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		s.t.Fatal(err)
	}
	s.send(message{ID: id, Type: "subscribe", Payload: payload})
	return events
}

// Subscribe begins a subscription over the connection and returns when it runs:
// the server answers nothing then, but it does answer the next operation only
// after that.
func (s *Socket) Subscribe(query string, variables map[string]any) *Live {
	s.t.Helper()
	l := &Live{t: s.t, events: s.subscribe(query, variables), Socket: s, close: func() {}}
	s.Do(`{ __typename }`, nil)
	return l
}

// Do sends a query or mutation over the connection and answers its result; the
// zero Response where the connection is closed instead.
func (s *Socket) Do(query string, variables map[string]any) Response {
	s.t.Helper()
	select {
	case r := <-s.subscribe(query, variables):
		return r
	case <-s.closed:
		return Response{}
	case <-time.After(patience):
		s.t.Fatal("waited in vain for an answer")
		return Response{}
	}
}

// CloseCode waits until the server has closed the connection, and answers with
// which code.
func (s *Socket) CloseCode() int {
	s.t.Helper()
	select {
	case <-s.closed:
		return s.code
	case <-time.After(patience):
		s.t.Fatal("waited in vain for the end of the connection")
		return 0
	}
}

// Close breaks the connection off, as a lost network does.
func (s *Socket) Close() {
	_ = s.conn.CloseNow() // it may be gone already
	s.stop()
}

// stream begins a subscription over SSE.
func (w *World) stream(authorization, query string, variables map[string]any) *Live {
	w.T.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w.T.Cleanup(stop)
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		w.T.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, strings.NewReader(string(body)))
	if err != nil {
		w.T.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("X-Platform", "WEB")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	l := &Live{t: w.T, events: make(chan Response, 10_000), close: stop}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		r := responseOf(message{Payload: text})
		r.Status = resp.StatusCode
		l.events <- r
		return l
	}
	go func() {
		defer resp.Body.Close()
		in := bufio.NewScanner(resp.Body)
		in.Buffer(nil, 1<<20)
		kind := ""
		for in.Scan() {
			name, value, _ := strings.Cut(in.Text(), ":")
			value = strings.TrimPrefix(value, " ")
			switch {
			case name == "event":
				kind = value
			case name == "data" && kind == "next":
				l.events <- responseOf(message{Payload: []byte(value)})
			case name == "data" && kind == "complete":
				l.events <- Response{}
			}
		}
		if err := in.Err(); err != nil && !errors.Is(err, context.Canceled) && ctx.Err() == nil {
			w.T.Logf("a stream broke: %v", err)
		}
	}()
	return l
}
