//go:build linux

package kit

import (
	"encoding/binary"
	"fmt"
)

// The WebSocket opcodes that the swarm handles.
const (
	opText  = 1
	opClose = 8
)

// appendFrame appends a client's text message. The mask is zero, which leaves the text as it is;
// the server unmasks it nevertheless.
func appendFrame(dst []byte, text string) []byte {
	dst = append(dst, 0x80|opText)
	if len(text) < 126 {
		dst = append(dst, 0x80|byte(len(text)))
	} else {
		dst = append(dst, 0x80|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(text)))
	}
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, text...)
}

// cutFrame splits the first complete frame of a server off data. ok is false if there is none yet.
func cutFrame(data []byte) (op byte, payload, rest []byte, ok bool) {
	if len(data) < 2 {
		return 0, nil, data, false
	}
	head, length := 2, int(data[1]&0x7f)
	if length == 126 {
		if len(data) < 4 {
			return 0, nil, data, false
		}
		head, length = 4, int(binary.BigEndian.Uint16(data[2:]))
	}
	if len(data) < head+length {
		return 0, nil, data, false
	}
	return data[0] & 0x0f, data[head : head+length], data[head+length:], true
}

// device is one WebSocket of a swarm.
type device struct {
	fd   int
	rest []byte // the beginning of a frame that is still incomplete
}

// take calls text with the text messages in data, and keeps an incomplete frame.
func (d *device) take(data []byte, text func([]byte)) error {
	if len(d.rest) > 0 {
		data = append(d.rest, data...)
	}
	for {
		op, payload, rest, ok := cutFrame(data)
		if !ok {
			d.rest = nil
			if len(rest) > 0 {
				d.rest = append(d.rest, rest...)
			}
			return nil
		}
		switch op {
		case opText:
			text(payload)
		case opClose:
			return fmt.Errorf("the server closed a WebSocket: %q", payload)
		}
		data = rest
	}
}

// await returns the next text message.
func (d *device) await(buf []byte) ([]byte, error) { return d.awaitAll(buf, 1) }

// awaitAll waits for that many text messages and returns the last. No more may be on their way.
func (d *device) awaitAll(buf []byte, messages int) (last []byte, err error) {
	got := 0
	for n := 0; ; {
		err := d.take(buf[:n], func(text []byte) {
			last = append(last[:0], text...)
			got++
		})
		switch {
		case err != nil:
			return nil, err
		case got == messages:
			return last, nil
		case got > messages:
			return nil, fmt.Errorf("%d messages instead of %d; the last: %q", got, messages, last)
		}
		if n, err = read(d.fd, buf); err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errLate
		}
	}
}
