package graphtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Socket is a WebSocket that speaks graphql-transport-ws. It is read all the time.
type Socket struct {
	t    testing.TB
	conn *websocket.Conn
	ctx  context.Context
	stop context.CancelFunc

	mu         sync.Mutex
	operations map[string]chan Response
	// reading is held while a message is taken in.
	reading sync.Mutex

	// acknowledged ends when the server has taken connection_init.
	acknowledged chan struct{}
	// closed ends when the connection has; code and reason are the server's then.
	closed chan struct{}
	code   int
	reason string
}

// message is one of the protocol's.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Connect opens a WebSocket with that Authorization and answers it once it is
// acknowledged; where it is refused, nil and the code that it was closed with. It
// may be called from any goroutine.
func (w *World) Connect(authorization string) (*Socket, int) {
	ctx, stop := context.WithCancel(context.Background())
	w.T.Cleanup(stop)
	conn, _, err := websocket.Dial(ctx, w.URL, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		w.T.Error(err)
		return nil, 0
	}
	conn.SetReadLimit(1 << 20)
	s := &Socket{
		t: w.T, conn: conn, ctx: ctx, stop: stop, operations: make(map[string]chan Response),
		acknowledged: make(chan struct{}), closed: make(chan struct{}),
	}
	w.T.Cleanup(s.Close)
	s.send(message{Type: "connection_init", Payload: fmt.Appendf(nil, `{"Authorization":%q,"platform":"WEB"}`, authorization)})
	go s.read()
	select {
	case <-s.acknowledged:
		return s, 0
	case <-s.closed:
		return nil, s.code
	case <-time.After(patience):
		w.T.Error("waited in vain for the acknowledgement")
		return nil, 0
	}
}

// Socket is Connect where a refusal fails the test.
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
	_ = s.conn.Write(s.ctx, websocket.MessageText, text) // fails where it was closed, which read tells
}

func (s *Socket) read() {
	defer close(s.closed)
	for {
		_, text, err := s.conn.Read(s.ctx)
		if err != nil {
			s.code = int(websocket.CloseStatus(err))
			var closing websocket.CloseError
			if errors.As(err, &closing) {
				s.reason = closing.Reason
			}
			return
		}
		s.take(text)
	}
}

// take takes a message in.
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

// begin sends an operation and answers where its answers come, with room for so
// many that nobody has asked for.
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

// Subscribe begins a subscription over the connection and returns when it runs:
// the server answers nothing then, but it does answer the next operation only
// after that.
func (s *Socket) Subscribe(query string, variables map[string]any) *Live {
	s.t.Helper()
	l := &Live{t: s.t, events: s.begin(query, variables, eventRoom), Socket: s, close: func() {}, reading: &s.reading}
	s.Do(`{ __typename }`, nil)
	return l
}

// Do sends a query or mutation over the connection and answers its result; the
// zero Response where the connection is closed instead. What the server has sent
// before has been taken in then.
func (s *Socket) Do(query string, variables map[string]any) Response {
	s.t.Helper()
	answers := s.begin(query, variables, 2) // the result and the end
	select {
	case r := <-answers:
		return r
	case <-s.closed:
		select {
		case r := <-answers: // both have come
			return r
		default:
			return Response{}
		}
	case <-time.After(patience):
		s.t.Fatal("waited in vain for an answer")
		return Response{}
	}
}

// Want sends a query or mutation that must be answered with that data.
func (s *Socket) Want(query, data string) {
	s.t.Helper()
	if r := s.Do(query, nil); string(r.Data) != data {
		s.t.Errorf("%s answered %s, want %s", query, r.Body, data)
	}
}

// CloseCode waits until the server has closed the connection, and answers with
// which code; -1 where it was broken off. It may be called from any goroutine.
func (s *Socket) CloseCode() int {
	s.t.Helper()
	select {
	case <-s.closed:
		return s.code
	case <-time.After(patience):
		s.t.Error("waited in vain for the end of the connection")
		return 0
	}
}

// CloseReason is CloseCode with the reason that the server gave.
func (s *Socket) CloseReason() (code int, reason string) {
	s.t.Helper()
	return s.CloseCode(), s.reason
}

// Close breaks the connection off, as a lost network does.
func (s *Socket) Close() {
	_ = s.conn.CloseNow() // it may be gone already
	s.stop()
}
