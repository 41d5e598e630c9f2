package cli

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// limitUnacknowledged returns a Control of net.ListenConfig that closes accepted connections whose
// peer acknowledges nothing for that time (TCP_USER_TIMEOUT, which they inherit from the listener).
func limitUnacknowledged(limit time.Duration) func(network, address string, raw syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) (err error) {
		if failed := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds()))
		}); failed != nil {
			return failed
		}
		return err
	}
}
