package transport

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// readBuffer is assigned to a connection while it has bytes to read.
type readBuffer [4096]byte

var readBuffers = sync.Pool{New: func() any { return new(readBuffer) }}

// socket is a connection's byte stream. On a plain socket it holds no read buffer while it waits
// for the peer, and can write without blocking; another net.Conn, such as TLS, works too but costs
// more.
//
// It supports one concurrent reader and one concurrent writer.
type socket struct {
	net.Conn
	raw syscall.RawConn // nil if Conn is not a plain socket
	// heard is when bytes were last received, in nanoseconds since 1970.
	heard atomic.Int64

	in socketRead
	// unread is what has been read and not yet consumed: the rest of in.buf, or of what net/http
	// had read before it handed over the connection.
	unread []byte
}

// socketRead is the state of a read by the function readable, which is stored as a value so that
// reading allocates nothing.
type socketRead struct {
	readable func(fd uintptr) bool
	buf      *readBuffer // from a pool; nil while nothing is unread
	n        int
	err      error
}

// init takes over conn. net/http has already read the bytes in unread from it.
func (s *socket) init(conn net.Conn, unread []byte) {
	s.Conn, s.unread = conn, unread
	s.heard.Store(time.Now().UnixNano())
	s.openRaw()
}

// Read reads available bytes, or waits for some.
func (s *socket) Read(p []byte) (int, error) {
	if len(s.unread) == 0 {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.unread)
	s.unread = s.unread[n:]
	if len(s.unread) == 0 {
		s.unread = nil
		s.giveBack()
	}
	return n, nil
}

// fill waits for bytes and takes a buffer from the pool for them.
func (s *socket) fill() error {
	var n int
	var err error
	if s.raw != nil {
		n, err = s.readRaw()
	} else {
		s.in.buf = readBuffers.Get().(*readBuffer)
		n, err = s.Conn.Read(s.in.buf[:])
	}
	if n <= 0 {
		s.giveBack()
		return err
	}
	s.unread = s.in.buf[:n]
	s.heard.Store(time.Now().UnixNano())
	return nil
}

func (s *socket) giveBack() {
	if s.in.buf != nil {
		readBuffers.Put(s.in.buf)
		s.in.buf = nil
	}
}

// tryWrite writes as much of p as the kernel accepts immediately, perhaps nothing.
func (s *socket) tryWrite(p []byte) (int, error) {
	if s.raw == nil {
		return 0, nil
	}
	return s.writeRaw(p)
}

// closeWrite closes the writing side. The peer can still send.
func (s *socket) closeWrite() {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite() // fails only on a broken link
	}
}

// abort drops the connection and what the kernel still holds for the peer.
func (s *socket) abort() {
	conn := s.Conn
	if c, ok := conn.(*tls.Conn); ok {
		conn = c.NetConn() // c.Close would wait until the peer takes the end of its session
	}
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0) // best effort: Close works without
	}
	_ = conn.Close() // the link is being dropped
}
