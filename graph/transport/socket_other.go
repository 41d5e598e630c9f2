//go:build !unix

package transport

import "errors"

// openRaw leaves every connection to net.Conn: this platform has no portable way to write without
// blocking.
func (s *socket) openRaw() {}

func (s *socket) readRaw() (int, error) { return 0, errors.ErrUnsupported }

func (s *socket) writeRaw([]byte) (int, error) { return 0, errors.ErrUnsupported }
