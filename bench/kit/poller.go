//go:build linux

package kit

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// poller waits for many sockets in one goroutine. The load generators use it with plain sockets
// instead of package net, because on a machine with few processors a goroutine per connection would
// take CPU time from the programs under test.
type poller struct {
	epoll  int
	events []unix.EpollEvent
}

func newPoller() (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	return &poller{epoll: epoll, events: make([]unix.EpollEvent, 512)}, nil
}

// add makes wait report tag whenever fd is readable.
func (p *poller) add(fd, tag int) error {
	err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(tag)})
	if err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// wait calls ready with the tag of each socket that is readable. It returns an error if there is
// none before the deadline.
func (p *poller) wait(deadline time.Time, ready func(tag int) error) error {
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return errLate
		}
		n, err := unix.EpollWait(p.epoll, p.events, int(left.Milliseconds())+1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for _, ev := range p.events[:n] {
			if err := ready(int(ev.Fd)); err != nil {
				return err
			}
		}
		if n > 0 {
			return nil
		}
	}
}

func (p *poller) close() { _ = unix.Close(p.epoll) }

var errLate = errors.New("no response in time")

// dialTimeout limits each system call on a socket that is being opened, in seconds.
const dialTimeout = 30

// dial opens a TCP connection to the IPv4 address HOST:PORT, from source if that is valid. Reads
// and writes block until setNonblock.
func dial(address string, source netip.Addr) (fd int, err error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return 0, err
	}
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	// If an option fails, the socket is only slower or waits longer.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	timeout := unix.Timeval{Sec: dialTimeout}
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout)
	if source.IsValid() {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err = unix.Bind(fd, &unix.SockaddrInet4{Addr: source.As4()}); err != nil {
			return 0, fmt.Errorf("bind %s: %w", source, err)
		}
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	if err == unix.EINTR {
		err = connected(fd) // the connect continues in the background
	}
	if err != nil {
		return 0, fmt.Errorf("connect %s: %w", address, err)
	}
	return fd, nil
}

// connected waits until a connection is established.
func connected(fd int) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, dialTimeout*1000)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return errLate
		}
		failure, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && failure != 0 {
			err = unix.Errno(failure)
		}
		return err
	}
}

// writeAll writes p. The other side reads fast enough for what is sent here.
func writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		p = p[n:]
	}
	return nil
}

// read reads what is available. It returns 0 if nothing is and the socket does not block.
func read(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0, nil
		case err != nil:
			return 0, fmt.Errorf("read: %w", err)
		case n == 0:
			return 0, errors.New("the server has closed the connection")
		}
		return n, nil
	}
}
