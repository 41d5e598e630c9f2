//go:build unix

package transport

import (
	"io"
	"sync"
	"syscall"
)

// openRaw finds out whether the connection is a plain socket. A TLS connection is based on one, but
// its bytes are not the connection's.
func (s *socket) openRaw() {
	c, ok := s.Conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	s.raw = raw
	s.in.readable = s.readable
}

// readRaw waits for bytes without a buffer, then takes a buffer from the pool and reads into it.
func (s *socket) readRaw() (int, error) {
	if err := s.raw.Read(s.in.readable); err != nil {
		return 0, err
	}
	switch {
	case s.in.err != nil:
		return 0, s.in.err
	case s.in.n == 0:
		return 0, io.EOF
	}
	return s.in.n, nil
}

// readable is called when the socket may have bytes. It reports false to wait for them.
func (s *socket) readable(fd uintptr) bool {
	s.in.buf = readBuffers.Get().(*readBuffer)
	for {
		s.in.n, s.in.err = syscall.Read(int(fd), s.in.buf[:])
		if s.in.err != syscall.EINTR {
			break
		}
	}
	if s.in.err == syscall.EAGAIN {
		s.giveBack()
		return false
	}
	return true
}

// writeRaw writes as much of p as possible without blocking.
func (s *socket) writeRaw(p []byte) (int, error) {
	w := rawWrites.Get().(*rawWrite)
	w.p, w.n, w.err = p, 0, nil
	err := s.raw.Write(w.run)
	if err == nil {
		err = w.err
	}
	n := w.n
	w.p = nil
	rawWrites.Put(w)
	return n, err
}

// rawWrite is the state of a write by its method writable, which is stored in run as a value so
// that writing allocates nothing.
type rawWrite struct {
	run func(fd uintptr) bool
	p   []byte
	n   int
	err error
}

var rawWrites = sync.Pool{New: func() any {
	w := new(rawWrite)
	w.run = w.writable
	return w
}}

// writable writes as much as the kernel accepts; it never asks to wait for more.
func (w *rawWrite) writable(fd uintptr) bool {
	for w.n < len(w.p) {
		n, err := syscall.Write(int(fd), w.p[w.n:])
		switch err {
		case nil:
			w.n += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			w.err = err
			return true
		}
	}
	return true
}
