// Package requestid identifies each operation, so that an error that a caller received can be
// matched with its log line.
package requestid

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// maxLength limits an ID that a caller chose.
const maxLength = 64

type key struct{}

// New returns a new ID of 96 random bits. It is not a secret.
func New() string {
	var id [12]byte
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint32(id[8:], rand.Uint32())
	return hex.EncodeToString(id[:])
}

// Of returns the ID that a caller chose if it is well-formed, 1 to 64 characters of A-Z a-z 0-9 . _
// -, and a new one otherwise. The result may be used unescaped in a log line or a header.
func Of(given string) string {
	if given == "" || len(given) > maxLength {
		return New()
	}
	for _, c := range []byte(given) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return New()
		}
	}
	return given
}

// From returns the ID of the operation that ctx belongs to, or "" outside an operation.
func From(ctx context.Context) string {
	id, _ := ctx.Value(key{}).(string)
	return id
}

// With returns a copy of ctx for the operation id.
func With(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, key{}, id)
}
