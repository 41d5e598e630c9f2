package selection

import (
	"context"
	"io"
	"strconv"

	"github.com/99designs/gqlgen/graphql"
)

// Encoder has the bytes that have been written of one value. Its methods for scalars write the same
// bytes as gqlgen's, and report whether that was possible.
type Encoder struct {
	ctx memo
	out []byte
	// max limits out, in bytes; 0 means no limit.
	max int
}

// full reports whether more has been written than allowed.
func (e *Encoder) full() bool { return e.max > 0 && len(e.out) > e.max }

// Context returns the context of the field whose value is encoded, or of a field that contains it.
// A resolver finds the principal and the root field in it. It must not be used by other goroutines or
// after the value has been encoded.
func (e *Encoder) Context() context.Context { return &e.ctx }

// Null writes null.
func (e *Encoder) Null() bool {
	e.out = append(e.out, "null"...)
	return true
}

// Boolean writes a Boolean.
func (e *Encoder) Boolean(b bool) bool {
	e.out = strconv.AppendBool(e.out, b)
	return true
}

// Int writes an Int.
func (e *Encoder) Int(i int) bool {
	e.out = strconv.AppendInt(e.out, int64(i), 10)
	return true
}

// String writes a String or an ID. Text that needs no escapes, which is almost all text, is copied.
func (e *Encoder) String(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' {
			return e.Marshal(graphql.MarshalString(s))
		}
	}
	e.out = append(e.out, '"')
	e.out = append(e.out, s...)
	e.out = append(e.out, '"')
	return true
}

// Marshal writes any other scalar or enum. A marshaler that writes null for a value that is not nil
// has refused it, which is an error.
func (e *Encoder) Marshal(m graphql.Marshaler) bool {
	if m == graphql.Null {
		return false
	}
	m.MarshalGQL((*sink)(e))
	return true
}

// sink is the Encoder as a marshaler's writer.
type sink Encoder

var _ io.StringWriter = (*sink)(nil)

func (s *sink) Write(p []byte) (int, error) {
	s.out = append(s.out, p...)
	return len(p), nil
}

func (s *sink) WriteString(p string) (int, error) {
	s.out = append(s.out, p...)
	return len(p), nil
}

// AvailableBuffer returns the free space behind the written bytes, like that of bytes.Buffer: what
// is appended there and then written need not be copied.
func (s *sink) AvailableBuffer() []byte { return s.out[len(s.out):] }
