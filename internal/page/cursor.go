// Package page is how lists are cut into pages: by keyset, never by offset, so
// that a page costs the same wherever it is and rows that come and go move none.
package page

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"

	"rollcall/models"
)

// ErrCursor is answered for what is no cursor of this list and owner.
var ErrCursor = errors.New("the cursor is not one of this list")

// Key is a row's place in a list that is ordered by a moment and then by key.
type Key struct {
	At models.Time
	ID int64
}

// checkSize is how much of the checksum a cursor carries.
const checkSize = 6

// Encode answers the cursor of the row at key in list, such as "users", of
// owner (an app's or a user's numeric key).
func Encode(list string, owner int64, key Key) string {
	raw := make([]byte, 16, 16+checkSize)
	binary.BigEndian.PutUint64(raw, uint64(key.At))
	binary.BigEndian.PutUint64(raw[8:], uint64(key.ID))
	sum := check(list, owner, raw)
	return base64.RawURLEncoding.EncodeToString(append(raw, sum[:]...))
}

// Decode answers where cursor points in that list of that owner, or ErrCursor:
// a cursor of another list, another owner, or made up is refused, not guessed at.
func Decode(list string, owner int64, cursor string) (Key, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) != 16+checkSize || [checkSize]byte(raw[16:]) != check(list, owner, raw[:16]) {
		return Key{}, ErrCursor
	}
	return Key{
		At: models.Time(binary.BigEndian.Uint64(raw)),
		ID: int64(binary.BigEndian.Uint64(raw[8:])),
	}, nil
}

// check tells lists and owners apart. It keeps nothing secret and guards
// nothing: every list checks who reads it, whatever the cursor.
func check(list string, owner int64, key []byte) [checkSize]byte {
	of := make([]byte, 0, 64) // on the stack: a page may have many cursors
	of = append(append(of, list...), 0)
	of = binary.BigEndian.AppendUint64(of, uint64(owner))
	sum := sha256.Sum256(append(of, key...))
	return [checkSize]byte(sum[:])
}
