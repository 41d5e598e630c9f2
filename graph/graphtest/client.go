package graphtest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// Client is a WebSocket of graphql-transport-ws that is read only when a test
// reads it; see Socket for one that is read all the time.
type Client struct {
	T    testing.TB
	conn *websocket.Conn
	// operations counts those that were begun.
	operations int
}

// Connect opens a WebSocket and answers it once it is acknowledged; where it is
// refused, nil and the code that it was closed with. It may be called from any
// goroutine.
func (w *World) Connect(authorization string) (*Client, int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(w.URL, "http"),
		&websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		w.T.Error(err)
		return nil, 0
	}
	w.T.Cleanup(func() { _ = conn.CloseNow() }) // fails where it is closed already
	s := &Client{T: w.T, conn: conn}
	s.send(message{Type: "connection_init", Payload: fmt.Appendf(nil, `{"Authorization":%q,"platform":"WEB"}`, authorization)})
	got, code := s.receive()
	if code == 0 && got.Type != "connection_ack" {
		s.T.Errorf("got %+v, want the acknowledgement", got)
	}
	if code != 0 {
		return nil, code
	}
	return s, 0
}

// MustConnect is Connect where a refusal fails the test.
func (w *World) MustConnect(authorization string) *Client {
	w.T.Helper()
	s, code := w.Connect(authorization)
	if s == nil {
		w.T.Fatalf("the WebSocket was closed with %d", code)
	}
	return s
}

// Closed waits until the server closes the WebSocket and answers the code;
// messages that come before are dropped.
func (s *Client) Closed() int {
	for {
		if _, code := s.receive(); code != 0 {
			return code
		}
	}
}

// Close ends the WebSocket from this side.
func (s *Client) Close() { _ = s.conn.CloseNow() } // fails where it is closed already

// Begin starts an operation.
func (s *Client) Begin(query string, variables map[string]any) {
	s.T.Helper()
	payload, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		s.T.Fatal(err)
	}
	s.operations++
	s.send(message{ID: fmt.Sprint(s.operations), Type: "subscribe", Payload: payload})
}

// Next answers the data of the next result of an operation.
func (s *Client) Next() string {
	s.T.Helper()
	for {
		got, code := s.receive()
		switch {
		case code != 0:
			s.T.Fatalf("closed with %d, want a result", code)
		case got.Type == "next":
			var result struct{ Data json.RawMessage }
			if err := json.Unmarshal(got.Payload, &result); err != nil {
				s.T.Fatal(err)
			}
			return string(result.Data)
		case got.Type != "complete":
			s.T.Fatalf("got %s %s, want a result", got.Type, got.Payload)
		}
	}
}

// Want expects these results, and no other between them.
func (s *Client) Want(results ...string) {
	s.T.Helper()
	for _, want := range results {
		if got := s.Next(); got != want {
			s.T.Fatalf("got %s, want %s", got, want)
		}
	}
}

func (s *Client) send(m message) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	text, err := json.Marshal(m)
	if err != nil {
		s.T.Error(err)
	}
	_ = s.conn.Write(ctx, websocket.MessageText, text) // fails where it was closed, which receive tells
}

// receive answers the next message, or the code with which the server has closed.
func (s *Client) receive() (m message, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, text, err := s.conn.Read(ctx)
	if err != nil {
		code := int(websocket.CloseStatus(err))
		if code <= 0 {
			s.T.Errorf("the WebSocket broke: %v", err)
			code = int(websocket.StatusAbnormalClosure)
		}
		return m, code
	}
	if err := json.Unmarshal(text, &m); err != nil {
		s.T.Error(err)
	}
	return m, 0
}
