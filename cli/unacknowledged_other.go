//go:build !linux

package cli

import (
	"syscall"
	"time"
)

// limitUnacknowledged returns nil: this platform has no limit that accepted connections inherit.
func limitUnacknowledged(time.Duration) func(network, address string, raw syscall.RawConn) error {
	return nil
}
