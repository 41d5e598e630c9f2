package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// client is a WebSocket client that can also violate the protocol.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

// dial opens a WebSocket with the right subprotocol.
func (w *world) dial() *client {
	w.t.Helper()
	return w.dialWith(ws.Dialer{Protocols: []string{subprotocol}})
}

func (w *world) dialWith(dialer ws.Dialer) *client {
	w.t.Helper()
	dialer.TLSConfig = &tls.Config{InsecureSkipVerify: true} // the test server's own certificate
	conn, in, _, err := dialer.Dial(context.Background(), "ws"+strings.TrimPrefix(w.http.URL, "http"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	if in == nil {
		in = bufio.NewReader(conn)
	}
	return &client{t: w.t, conn: conn, in: in}
}

// connect opens a WebSocket with the token, up to the acknowledgement.
func (w *world) connect(token string) *client {
	w.t.Helper()
	c := w.dial()
	c.send(`{"type":"connection_init","payload":{"Authorization":"Bearer ` + token + `","platform":"WEB"}}`)
	c.expect(`{"type":"connection_ack"}`)
	return c
}

func (c *client) send(text string) { c.frame(ws.NewTextFrame([]byte(text))) }

func (c *client) frame(f ws.Frame) {
	c.t.Helper()
	if err := ws.WriteFrame(c.conn, ws.MaskFrame(f)); err != nil {
		c.t.Fatal(err)
	}
}

// subscribe sends an operation.
func (c *client) subscribe(id, query string) {
	c.t.Helper()
	c.send(fmt.Sprintf(`{"id":%q,"type":"subscribe","payload":{"query":%q}}`, id, query))
}

// receive returns the next frame other than a ping.
func (c *client) receive() (ws.Frame, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return ws.Frame{}, err
	}
	for {
		f, err := ws.ReadFrame(c.in)
		if err != nil || f.Header.OpCode != ws.OpPing {
			return f, err
		}
		c.frame(ws.NewPongFrame(f.Payload))
	}
}

// text returns the next text message.
func (c *client) text() string {
	c.t.Helper()
	f, err := c.receive()
	if err != nil {
		c.t.Fatal(err)
	}
	if f.Header.OpCode != ws.OpText {
		c.t.Fatalf("got a frame %v %q, want a text message", f.Header.OpCode, f.Payload)
	}
	return string(f.Payload)
}

func (c *client) expect(want string) {
	c.t.Helper()
	if got := c.text(); got != want {
		c.t.Fatalf("got %s\nwant %s", got, want)
	}
}

// expectError expects an error message with that code for the operation.
func (c *client) expectError(id, code string) {
	c.t.Helper()
	var got struct {
		ID, Type string
		Payload  []struct {
			Message    string
			Extensions struct{ Code, RequestID string }
		}
	}
	text := c.text()
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		c.t.Fatalf("%v: %s", err, text)
	}
	if got.ID != id || got.Type != "error" || len(got.Payload) == 0 ||
		got.Payload[0].Extensions.Code != code || got.Payload[0].Extensions.RequestID == "" {
		c.t.Fatalf("got %s\nwant an error %s of %s with a request ID", text, code, id)
	}
}

// expectClose expects a close frame with that code and then the end of the link. It returns the
// frame's reason.
func (c *client) expectClose(code ws.StatusCode) (reason string) {
	c.t.Helper()
	f, err := c.receive()
	if err != nil {
		c.t.Fatalf("got %v, want a close frame %d", err, code)
	}
	if f.Header.OpCode != ws.OpClose {
		c.t.Fatalf("got a frame %v %q, want a close frame %d", f.Header.OpCode, f.Payload, code)
	}
	got, reason := ws.ParseCloseFrameData(f.Payload)
	if got != code {
		c.t.Fatalf("closed with %d %q, want %d", got, reason, code)
	}
	if _, err := c.receive(); err != io.EOF && !errors.Is(err, net.ErrClosed) && !isReset(err) {
		c.t.Fatalf("got %v after the close frame, want the end", err)
	}
	return reason
}

// expectGone expects the link to end, whatever arrives before.
func (c *client) expectGone() {
	c.t.Helper()
	for {
		if _, err := c.receive(); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err) {
				return
			}
			c.t.Fatalf("got %v, want the end", err)
		}
	}
}

func isReset(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok && strings.Contains(err.Error(), "reset")
}

// header makes a dialer's extra header.
func header(name, value string) ws.HandshakeHeader {
	return ws.HandshakeHeaderHTTP(http.Header{name: {value}})
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }
