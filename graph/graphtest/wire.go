package graphtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// Wire is a WebSocket of the protocol graphql-transport-ws whose messages the test writes and reads by
// itself. One goroutine may read while others write.
type Wire struct {
	conn    net.Conn
	receive io.Reader
	// writing is held while a frame is written: Read sends pongs and close frames.
	writing sync.Mutex
}

// Refused is the error of DialWire if the server refuses the handshake.
type Refused struct {
	Status int
	// RetryAfter is the header of that name.
	RetryAfter string
}

// Error returns the status.
func (r *Refused) Error() string { return fmt.Sprintf("the handshake was refused with %d", r.Status) }

// DialWire connects to the API at an HTTP URL, with further headers if any. The connection breaks off
// when ctx ends. Returns a *Refused if the server refuses the handshake.
func DialWire(ctx context.Context, url string, headers http.Header) (*Wire, error) {
	headers = headers.Clone()
	if headers == nil {
		headers = http.Header{}
	}
	headers.Set("User-Agent", "graphtest")
	refused := &Refused{}
	dialer := ws.Dialer{
		Timeout:   patience,
		Protocols: []string{"graphql-transport-ws"},
		Header:    ws.HandshakeHeaderHTTP(headers),
		OnStatusError: func(status int, _ []byte, response io.Reader) {
			refused.Status = status
			if r, err := http.ReadResponse(bufio.NewReader(response), nil); err == nil {
				refused.RetryAfter = r.Header.Get("Retry-After")
			}
		},
	}
	conn, buffered, _, err := dialer.Dial(ctx, "ws"+strings.TrimPrefix(url, "http"))
	if refused.Status != 0 {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	w := &Wire{conn: conn, receive: conn}
	if buffered != nil { // the server has sent a frame already
		w.receive = buffered
	}
	context.AfterFunc(ctx, w.Close)
	return w, nil
}

// Write sends a text message.
func (w *Wire) Write(text []byte) error { return w.send(ws.NewTextFrame(text)) }

func (w *Wire) send(f ws.Frame) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	return ws.WriteFrame(w.conn, ws.MaskFrame(f))
}

// Read returns the next text message; the server sends each in one frame. Read sends the pongs.
// Returns a wsutil.ClosedError with the server's code and reason if the server closed the connection.
func (w *Wire) Read() ([]byte, error) {
	for {
		f, err := ws.ReadFrame(w.receive)
		if err != nil {
			return nil, err
		}
		if err := ws.CheckHeader(f.Header, ws.StateClientSide); err != nil {
			return nil, err
		}
		switch f.Header.OpCode {
		case ws.OpText:
			return f.Payload, nil
		case ws.OpPing:
			if err := w.send(ws.NewPongFrame(f.Payload)); err != nil {
				return nil, err
			}
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(f.Payload)
			_ = w.send(ws.NewCloseFrame(f.Payload)) // the server may be gone
			w.Close()
			return nil, wsutil.ClosedError{Code: code, Reason: reason}
		default:
			return nil, fmt.Errorf("unexpected frame with opcode %d", f.Header.OpCode)
		}
	}
}

// Close breaks the connection off, as a lost network does. It may be called more than once.
func (w *Wire) Close() { _ = w.conn.Close() }
