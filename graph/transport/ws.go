package transport

import (
	"bufio"
	"net/http"

	"github.com/gobwas/ws"

	"rollcall/internal/httpheader"
)

// upgrade turns the exchange into a WebSocket and releases net/http's resources: when it returns,
// the connection belongs to a goroutine of its own, and the buffers of net/http are garbage.
func (x *exchange) upgrade(id string) {
	x.transport = "websocket"
	s := x.server
	if !s.origins.allow(x.r) {
		s.warnOfOrigin(x.r)
		x.refuse(bad(http.StatusForbidden, "pages of this origin may not connect: Origin is neither that of Host nor in ROLLCALL_ALLOWED_ORIGINS"))
		return
	}
	if s.isDraining() {
		x.fail(errDraining)
		return
	}
	from, err := s.addresses.enter(x.r)
	if err != nil {
		x.fail(err)
		return
	}
	upgrader := ws.HTTPUpgrader{
		Timeout:  s.cfg.Limits.WriteTimeout,
		Header:   x.w.Header(), // the upgrader writes its own responses
		Protocol: func(offered string) bool { return offered == subprotocol },
	}
	netConn, rw, agreed, err := upgrader.Upgrade(handshakeOf(x.r), x.w)
	if err != nil {
		s.addresses.leave(from)
		x.status = http.StatusBadRequest
		if netConn != nil {
			_ = netConn.Close() // the refusal has already been sent if possible
		}
		return
	}
	x.status = http.StatusSwitchingProtocols
	c := newConn(s, id, netConn, unread(rw.Reader))
	c.from, c.peer = from, peerOf(x.r, x.ClientAddress())
	if !enter(s, s.conns, c) {
		s.addresses.leave(from)
		_ = netConn.Close() // it has only just been opened
		return
	}
	if agreed.Protocol != subprotocol {
		c.close(closeBadSubprotocol)
	}
	go c.serve()
}

// handshakeOf returns r with its handshake headers in the form that gobwas/ws reads: Upgrade with a
// single token and Connection with a single line.
func handshakeOf(r *http.Request) *http.Request {
	out := r.WithContext(r.Context())
	out.Header = http.Header{"Upgrade": {"websocket"}}
	for _, name := range []string{"Sec-Websocket-Key", "Sec-Websocket-Version"} {
		if values := r.Header[name]; values != nil {
			out.Header[name] = values
		}
	}
	if httpheader.Has(r.Header, "Connection", "upgrade") {
		out.Header["Connection"] = []string{"Upgrade"}
	}
	for offered := range httpheader.Elements(r.Header, "Sec-Websocket-Protocol") {
		if offered == subprotocol {
			out.Header["Sec-Websocket-Protocol"] = []string{subprotocol}
			break
		}
	}
	return out
}

// unread returns what net/http had read of the connection beyond the request.
func unread(r *bufio.Reader) []byte {
	n := r.Buffered()
	if n == 0 {
		return nil
	}
	rest := make([]byte, n)
	_, _ = r.Read(rest) // buffered bytes are there
	return rest
}
