// Package requestid names each operation, so that an error a caller saw and the
// log line about it can be brought together.
package requestid

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// maxLength bounds an ID that a caller chose.
const maxLength = 64

type key struct{}

// New answers a fresh ID: 96 random bits. It identifies, it protects nothing.
func New() string {
	var id [12]byte
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint32(id[8:], rand.Uint32())
	return hex.EncodeToString(id[:])
}

// Of answers the ID that a caller chose where it is well formed, 1 to 64
// characters of A-Z a-z 0-9 . _ -, and a fresh one otherwise: what it answers may
// stand in a log line or a header as it is.
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

// From answers the ID of the operation that ctx belongs to; "" outside of one.
func From(ctx context.Context) string {
	id, _ := ctx.Value(key{}).(string)
	return id
}

// With answers a context of the operation id.
func With(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, key{}, id)
}
