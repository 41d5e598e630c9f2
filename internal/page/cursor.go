package page

import (
	"errors"

	"rollcall/internal/opaque"
	"rollcall/models"
)

// ErrCursor is returned for a text that is not a cursor of this list and owner.
var ErrCursor = errors.New("the cursor is not one of this list")

// Key is a row's position in a list that is ordered by a time and then by a numeric key.
type Key struct {
	At models.Time
	ID int64
}

// cursors encrypt the keys of one list of one owner.
type cursors struct{ sealer *opaque.Sealer }

// encode returns the cursor of the row at key.
func (c cursors) encode(key Key) string { return c.sealer.Seal(int64(key.At), key.ID) }

// decode returns the position of cursor. It returns ErrCursor for a cursor of another list or owner
// and for a forged one.
func (c cursors) decode(cursor string) (Key, error) {
	at, id, ok := c.sealer.Open(cursor)
	if !ok {
		return Key{}, ErrCursor
	}
	return Key{At: models.Time(at), ID: id}, nil
}
