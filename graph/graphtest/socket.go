package graphtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"
)

// Socket is a WebSocket that speaks graphql-transport-ws. It is read continuously.
type Socket struct {
	t     testing.TB
	world *World
	wire  *Wire
	stop  context.CancelFunc

	mu         sync.Mutex
	operations map[string]chan Response
	// reading is locked while a message is handled.
	reading sync.Mutex

	// acknowledged is closed when the server has acknowledged connection_init.
	acknowledged chan struct{}
	// closed is closed when the connection has ended; code and reason are then the server's.
	closed chan struct{}
	code   int
	reason string
}

// message is a message of the protocol.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Connect opens a WebSocket with that Authorization and returns it once it is acknowledged. If it
// is refused, Connect returns nil and the close code. It may be called from any goroutine.
func (w *World) Connect(authorization string) (*Socket, int) {
	s := w.dial(authorization)
	if s == nil {
		return nil, 0
	}
	select {
	case <-s.acknowledged:
		return s, 0
	case <-s.closed:
		return nil, s.code
	case <-time.After(patience):
		w.T.Error("timed out waiting for the acknowledgement")
		return nil, 0
	}
}

// Refusal opens a WebSocket with that Authorization, which must be refused, and returns the close
// code and the reason.
func (w *World) Refusal(authorization string) (code int, reason string) {
	w.T.Helper()
	s := w.dial(authorization)
	if s == nil {
		return 0, ""
	}
	return s.CloseReason()
}

// dial opens a WebSocket and sends connection_init. It returns nil if it failed.
func (w *World) dial(authorization string) *Socket {
	ctx, stop := context.WithCancel(context.Background())
	w.T.Cleanup(stop)
	wire, err := DialWire(ctx, w.URL, nil)
	if err != nil {
		w.T.Error(err)
		stop()
		return nil
	}
	s := &Socket{
		t: w.T, world: w, wire: wire, stop: stop, operations: make(map[string]chan Response),
		acknowledged: make(chan struct{}), closed: make(chan struct{}),
	}
	w.T.Cleanup(s.Close)
	s.send(message{Type: "connection_init", Payload: fmt.Appendf(nil, `{"Authorization":%q,"platform":"WEB"}`, authorization)})
	go s.read()
	return s
}

// Socket is Connect, but a refusal fails the test.
func (w *World) Socket(authorization string) *Socket {
	w.T.Helper()
	s, code := w.Connect(authorization)
	if s == nil {
		w.T.Fatalf("the WebSocket was closed with %d", code)
	}
	return s
}

func (s *Socket) send(m message) {
	text, err := json.Marshal(m)
	if err != nil {
		s.t.Error(err)
	}
	_ = s.wire.Write(text) // fails if the connection was closed, which read reports
}

func (s *Socket) read() {
	defer close(s.closed)
	for {
		text, err := s.wire.Read()
		if err != nil {
			s.code = -1
			var closed wsutil.ClosedError
			if errors.As(err, &closed) {
				s.code, s.reason = int(closed.Code), closed.Reason
			}
			return
		}
		s.take(text)
	}
}

// take handles a message.
func (s *Socket) take(text []byte) {
	s.reading.Lock()
	defer s.reading.Unlock()
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		s.t.Errorf("%s: %v", text, err)
	}
	s.mu.Lock()
	answers := s.operations[m.ID]
	s.mu.Unlock()
	switch m.Type {
	case "connection_ack":
		close(s.acknowledged)
	case "next", "error":
		answers <- responseOf(m)
	case "complete":
		answers <- Response{}
	}
}

// responseOf decodes a message's payload: a response, or a list of errors.
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

// begin sends an operation and returns the channel that receives its responses, which buffers room
// of them.
func (s *Socket) begin(query string, variables map[string]any, room int) (answers chan Response) {
	s.t.Helper()
	payload, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		s.t.Fatal(err)
	}
	answers = make(chan Response, room)
	s.mu.Lock()
	id := fmt.Sprint(len(s.operations) + 1)
	s.operations[id] = answers
	s.mu.Unlock()
	s.send(message{ID: id, Type: "subscribe", Payload: payload})
	return answers
}

// Subscribe begins a subscription over the connection and returns when it runs: the server does not
// confirm the start, but it responds to the next operation only after it.
func (s *Socket) Subscribe(query string, variables map[string]any) *Live {
	s.t.Helper()
	l := &Live{t: s.t, events: s.begin(query, variables, eventRoom), Socket: s, close: func() {}, reading: &s.reading}
	s.Do(`{ __typename }`, nil)
	return l
}

// Do sends a query or mutation over the connection and returns its result, or the zero Response if
// the connection is closed instead. By then, everything that the server has sent before has been
// handled.
func (s *Socket) Do(query string, variables map[string]any) Response {
	s.t.Helper()
	answers := s.begin(query, variables, 2) // the result and the end
	select {
	case r := <-answers:
		return r
	case <-s.closed:
		select {
		case r := <-answers: // both have arrived
			return r
		default:
			return Response{}
		}
	case <-time.After(patience):
		s.t.Fatal("timed out waiting for a response")
		return Response{}
	}
}

// Want sends a query or mutation and expects that data.
func (s *Socket) Want(query, data string) {
	s.t.Helper()
	if r := s.Do(query, nil); string(r.Data) != data {
		s.t.Errorf("the response to %s is %s, want %s", query, r.Body, data)
	}
}

// CloseCode waits until the server has closed the connection and returns the close code, or -1 if
// the connection broke. It may be called from any goroutine.
func (s *Socket) CloseCode() int {
	s.t.Helper()
	select {
	case <-s.closed:
		return s.code
	case <-time.After(patience):
		s.t.Error("timed out waiting for the end of the connection")
		return 0
	}
}

// CloseReason is CloseCode, and also returns the reason that the server gave.
func (s *Socket) CloseReason() (code int, reason string) {
	s.t.Helper()
	return s.CloseCode(), s.reason
}

// Close breaks the connection without a close frame, like a lost network.
func (s *Socket) Close() {
	s.wire.Close()
	s.stop()
}
