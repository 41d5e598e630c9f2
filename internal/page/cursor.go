package page

import (
	"errors"

	"rollcall/internal/opaque"
	"rollcall/models"
)

// ErrCursor is returned for a text that is not a cursor of this list and owner.
var ErrCursor = errors.New("the cursor is not one of this list")

// Key is a row's position in a list that is ordered by a time, or by a text, and then by a numeric
// key.
type Key struct {
	At   models.Time
	Text string
	ID   int64
}

// cursors encrypt the keys of one list of one owner. One of them is nil.
type cursors struct {
	times *opaque.Sealer
	texts *opaque.TextSealer
}

// encode returns the cursor of the row at key.
func (c cursors) encode(key Key) string {
	if c.texts != nil {
		return c.texts.Seal(key.Text, key.ID)
	}
	return c.times.Seal(int64(key.At), key.ID)
}

// decode returns the position of cursor. It returns ErrCursor for a cursor of another list or owner
// and for a forged one.
func (c cursors) decode(cursor string) (key Key, err error) {
	var ok bool
	if c.texts != nil {
		key.Text, key.ID, ok = c.texts.Open(cursor)
	} else {
		var at int64
		at, key.ID, ok = c.times.Open(cursor)
		key.At = models.Time(at)
	}
	if !ok {
		return Key{}, ErrCursor
	}
	return key, nil
}
