//go:build !unix

package transport

import "errors"

// openRaw leaves every connection to net.Conn: here is no portable way to write
// without waiting.
func (s *socket) openRaw() {}

func (s *socket) readRaw() (int, error) { return 0, errors.ErrUnsupported }

func (s *socket) writeRaw([]byte) (int, error) { return 0, errors.ErrUnsupported }
