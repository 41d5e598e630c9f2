package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"rollcall/graph/auth"
	"rollcall/internal/clientaddr"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// conn is one WebSocket. While it is idle it costs one goroutine, which waits for the client
// without a buffer and on a small stack. Each message is handled in a worker's goroutine; the
// connection's goroutine waits for it as far as the order of messages requires.
type conn struct {
	server *Server
	id     string // the request ID of the upgrade
	from   *address
	peer   peer
	sock   socket
	out    sender
	ping   pingTime

	// reserved is for the message that is being read; nil for a small one.
	reserved *reservation

	// initialised is set by connection_init; until then messages are handled one after another.
	initialised bool
	principal   *auth.Principal // nil until acknowledged; set under mu
	device      *status.Device
	expiry      *expiry // nil if the token does not expire

	mu sync.Mutex
	// operations are running or waiting to run; their IDs are taken.
	operations []*operation
	// busy counts the goroutines that are working on operations.
	busy int
	// retiring, if not nil, is how the connection ends as soon as busy is 0; no more operations are
	// accepted.
	retiring *closing
}

var (
	_ status.Link       = (*conn)(nil)
	_ clientaddr.Caller = (*conn)(nil)
)

// ClientAddress returns the address that sent the upgrade request.
func (c *conn) ClientAddress() string { return c.peer.address }

func newConn(s *Server, id string, netConn net.Conn, unread []byte) *conn {
	c := &conn{server: s, id: id, ping: firstPing(s.pingInterval)}
	c.sock.init(netConn, unread)
	c.out.sock, c.out.pacing = &c.sock, &s.pacing
	_ = netConn.SetReadDeadline(time.Now().Add(s.cfg.Limits.InitTimeout)) // a broken link shows on read
	s.metrics.connections.Inc()
	return c
}

// serve is the connection's goroutine.
func (c *conn) serve() {
	err := c.read()
	if how, ok := errors.AsType[closing](err); ok {
		c.close(how)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		// The connection may have been closed, which also woke this goroutine.
		if c.principal == nil {
			c.close(closeInitTimeout)
		} else {
			c.close(closeLateMessage)
		}
	}
	c.letGo()
	c.linger(err)
	c.finish()
}

// read handles messages until the connection ends, and returns the reason. An idle connection's
// goroutine waits in it for years, so its frame is small: with more than 2 KB of stack, the runtime
// doubles it.
func (c *conn) read() error {
	defer c.unreserve()
	for {
		text, err := readText(&c.sock, c.server.cfg.Limits.messageBytes(c.principal), c.reserve, c.control)
		if err == nil {
			err = c.pass(text)
		}
		if err != nil {
			return err
		}
	}
}

// pass has a worker handle the message, and waits until the next one may be read.
func (c *conn) pass(text []byte) error {
	if c.reserved != nil && c.principal != nil {
		_ = c.sock.SetReadDeadline(time.Time{}) // fails only on a broken link
	}
	handled := make(chan struct{})
	c.server.workers.handle(received{c, text, handled})
	<-handled
	c.unreserve()
	// This also catches a close whose deadline was overwritten.
	if c.out.isClosed() {
		return net.ErrClosed
	}
	return nil
}

// reserve extends the reservation of the message that is being read. A message that needs a
// reservation must arrive within MessageTimeout; a connection that is not acknowledged has its own
// deadline.
func (c *conn) reserve(size int) error {
	if size <= freeBytes {
		return nil
	}
	began := c.reserved == nil
	if began {
		reserved := c.server.budget.reserve(c.principal)
		c.reserved = &reserved
	}
	if c.reserved.extend(size) != nil {
		return closeUnavailable
	}
	if began && c.principal != nil {
		_ = c.sock.SetReadDeadline(time.Now().Add(c.server.cfg.Limits.MessageTimeout)) // fails only on a broken link
		if c.out.isClosed() {
			return net.ErrClosed // the deadline that close had set was overwritten
		}
	}
	return nil
}

// unreserve releases the reservation of the message that was read.
func (c *conn) unreserve() {
	if c.reserved != nil {
		c.reserved.release()
		c.reserved = nil
	}
}

// control handles a control frame.
func (c *conn) control(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpPing:
		c.send(message{op: ws.OpPong, payload: payload})
	case ws.OpClose:
		return closedByPeer(payload)
	}
	return nil
}

// closedByPeer returns the closing that responds to the client's close frame: the same code, or the
// error in the frame.
func closedByPeer(payload []byte) closing {
	if len(payload) == 0 {
		return closing{code: ws.StatusNoStatusRcvd}
	}
	if len(payload) < 2 {
		return closeBrokenWS
	}
	code := ws.StatusCode(binary.BigEndian.Uint16(payload))
	switch {
	case !maySend(code):
		return closeBrokenWS
	case !utf8.Valid(payload[2:]):
		return closeNotUTF8
	}
	return closing{code: code}
}

// maySend reports whether a close frame may have the code: one that RFC 6455, section 7.4.1, or
// IANA's registry of WebSocket close codes defines for frames, or one that libraries and
// applications define (3000 to 4999).
func maySend(code ws.StatusCode) bool {
	switch code {
	case 1004, ws.StatusNoStatusRcvd, ws.StatusAbnormalClosure:
		return false
	}
	return 1000 <= code && code <= 1014 || 3000 <= code && code <= 4999
}

// letGo ends everything that runs on the connection.
func (c *conn) letGo() {
	c.mu.Lock()
	operations := c.operations
	c.operations = nil
	c.mu.Unlock()
	for _, op := range operations {
		op.stop()
	}
	c.server.expiries.remove(c.expiry)
	c.server.appLinks.remove(c)
	if c.device != nil {
		c.device.Gone()
		if c.principal != nil {
			c.server.cfg.Apps.Devices(c.principal.AppID(), -1)
		}
	}
}

// linger gives the client time to read the close frame before the socket is closed: unread data
// from the client would make closing reset the connection.
func (c *conn) linger(readErr error) {
	_, by, broken := c.out.end()
	if !by.IsZero() && !broken && readErr != io.EOF {
		_ = c.sock.SetReadDeadline(by)          // fails only on a broken link
		_, _ = io.Copy(io.Discard, c.sock.Conn) // until the client closes, or the deadline
	}
	_ = c.sock.Close() // the connection has already ended
}

// finish counts the connection as closed and removes it from the server.
func (c *conn) finish() {
	how, _, _ := c.out.end()
	if how.code == 0 {
		how = closeAbnormally
	}
	m := c.server.metrics
	m.connections.Dec()
	m.closed(how)
	if ctx := context.Background(); c.server.log.Enabled(ctx, slog.LevelDebug) {
		c.server.log.DebugContext(ctx, "websocket closed", "requestId", c.id, "code", int(how.code), "reason", how.reason)
	}
	c.server.addresses.leave(c.from)
	leave(c.server, c.server.conns, c)
}

// close sends a close frame and makes the connection's goroutine end. It does not wait. Only the
// first call has an effect.
func (c *conn) close(how closing) {
	if !c.out.close(how, how == closeTooSlow) {
		return
	}
	c.mu.Lock()
	for _, op := range c.operations {
		if op.cancel != nil {
			op.cancel()
		}
	}
	c.mu.Unlock()
	_ = c.sock.SetReadDeadline(time.Unix(1, 0)) // fails only on a broken link
}

// retire closes the connection once the running queries and mutations have been responded to.
func (c *conn) retire(how closing) {
	c.mu.Lock()
	if c.retiring == nil {
		c.retiring = &how
	}
	idle := c.busy == 0
	c.mu.Unlock()
	if idle {
		c.close(how)
	}
}

// Client returns the client, which is heard whenever bytes are received; those of a pong count.
func (c *conn) Client() status.Client {
	return status.Client{
		Address: c.peer.address, UserAgent: c.peer.userAgent.Value(),
		HeardAt: models.TimeOf(time.Unix(0, c.sock.heard.Load())),
	}
}

// Cut ends the connection because its device may no longer be connected.
func (c *conn) Cut(cause status.Cause) { c.close(endingOf(cause).closing) }

// send sends m, or cuts a client for which too much is queued.
func (c *conn) send(m message) { c.sent(c.out.push(m)) }

// sent cuts the client if err is not nil: too much is queued for it.
func (c *conn) sent(err error) {
	if err != nil {
		c.close(closeTooSlow)
	}
}

// handle handles one message. It closes handled when the next message may be read.
func (c *conn) handle(text []byte, handled chan<- struct{}) {
	release := sync.OnceFunc(func() { close(handled) })
	defer release()
	defer func() {
		if cause := recover(); cause != nil {
			c.server.log.Error("panic in a WebSocket", "requestId", c.id, "panic", cause, "stack", string(debug.Stack()))
			c.close(closeInternal)
		}
	}()
	req, err := readRequest(text)
	if err == nil {
		err = c.obey(req, release)
	}
	if how, ok := errors.AsType[closing](err); ok {
		c.close(how)
	}
}

// obey carries out a request. It returns a closing if the client has violated the protocol.
func (c *conn) obey(req request, release func()) error {
	switch req.kind {
	case typeInit:
		return c.init(req)
	case typePing:
		c.send(pongMessage(req.payload))
	case typeSubscribe:
		return c.subscribe(req, release)
	case typeComplete:
		c.complete(req.id)
	}
	return nil
}
