package transport

import (
	"io"
	"slices"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// readStep is how much memory a frame gets at a time. The length claimed in its header reserves
// nothing.
const readStep = freeBytes

// readText reads the next complete, valid text message of at most limit bytes from r. It calls
// reserve before it allocates memory for a message of size bytes. Control frames in between are
// passed to control with their payload unmasked. A violation of the protocol is returned as its
// closing; other errors are those of r and of reserve.
func readText(r io.Reader, limit int, reserve func(size int) error, control func(op ws.OpCode, payload []byte) error) ([]byte, error) {
	var text []byte
	for fragmented := false; ; {
		header, err := ws.ReadHeader(r)
		if err != nil {
			return nil, readError(err)
		}
		switch {
		case !header.Masked, header.Rsv != 0, header.OpCode.IsReserved():
			return nil, closeBrokenWS
		case header.OpCode.IsControl():
			if !header.Fin || header.Length > ws.MaxControlFramePayloadSize {
				return nil, closeBrokenWS
			}
			payload, err := readPayload(nil, r, header, nil)
			if err != nil {
				return nil, err
			}
			if err := control(header.OpCode, payload); err != nil {
				return nil, err
			}
			continue
		case fragmented != (header.OpCode == ws.OpContinuation):
			return nil, closeBrokenWS
		case header.OpCode == ws.OpBinary:
			return nil, closeNotText
		case header.Length > int64(limit-len(text)):
			return nil, closeTooBig
		}
		if text, err = readPayload(text, r, header, reserve); err != nil {
			return nil, err
		}
		if header.Fin {
			if !utf8.Valid(text) {
				return nil, closeNotUTF8
			}
			return text, nil
		}
		fragmented = true
	}
}

// readPayload appends the frame's payload to dst, unmasked. If reserve is nil, it is not called.
func readPayload(dst []byte, r io.Reader, header ws.Header, reserve func(size int) error) ([]byte, error) {
	start := len(dst)
	for left := int(header.Length); left > 0; {
		step := min(left, max(readStep, len(dst)))
		at := len(dst)
		if reserve != nil {
			if err := reserve(at + step); err != nil {
				return nil, err
			}
		}
		dst = slices.Grow(dst, step)[:at+step]
		if _, err := io.ReadFull(r, dst[at:]); err != nil {
			return nil, err
		}
		left -= step
	}
	ws.Cipher(dst[start:], header.Mask, 0)
	return dst, nil
}

// readError returns the closing for an invalid header, or the error of a link that failed.
func readError(err error) error {
	if err == ws.ErrHeaderLengthMSB || err == ws.ErrHeaderLengthUnexpected {
		return closeBrokenWS
	}
	return err
}
