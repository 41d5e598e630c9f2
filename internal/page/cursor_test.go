package page

import (
	"errors"
	"testing"

	"rollcall/internal/fault"
	"rollcall/internal/opaque"
)

func TestCursor(t *testing.T) {
	users := Order{List: "users", Owner: 7, Secret: opaque.Secret{1}}
	for _, key := range []Key{{}, {At: 1_790_000_000_123, ID: 42}, {At: -5, ID: 1 << 62}} {
		cursor := users.Cursor(key)
		if got, err := users.cursors().decode(cursor); err != nil || got != key {
			t.Errorf("%+v decoded as %+v, %v", key, got, err)
		}
		for name, other := range map[string]struct {
			order  Order
			cursor string
		}{
			"another list":    {Order{List: "friends", Owner: 7, Secret: users.Secret}, cursor},
			"another order":   {Order{List: "users", Owner: 7, Secret: users.Secret, OldestFirst: true}, cursor},
			"another owner":   {Order{List: "users", Owner: 8, Secret: users.Secret}, cursor},
			"another service": {Order{List: "users", Owner: 7}, cursor},
			"cut":             {users, cursor[:len(cursor)-1]},
			"longer":          {users, cursor + "A"},
			"line break":      {users, cursor + "\n"},
		} {
			if _, err := other.order.cursors().decode(other.cursor); !errors.Is(err, ErrCursor) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := other.order.Behind(Request{After: &other.cursor}); fault.CodeOf(err) != fault.InvalidArgument {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestCursor_HidesKeys checks that the cursors of two consecutive rows have no recognizable part in
// common.
func TestCursor_HidesKeys(t *testing.T) {
	order := Order{List: "friends", Owner: 7, Secret: opaque.Secret{1}}
	one, next := order.Cursor(Key{At: 1_790_000_000_123, ID: 1000}), order.Cursor(Key{At: 1_790_000_000_123, ID: 1001})
	same := 0
	for i := range one {
		if one[i] == next[i] {
			same++
		}
	}
	if len(one) != len(next) || same > len(one)/2 {
		t.Errorf("%s and %s have %d characters in common", one, next, same)
	}
}

// FuzzDecode checks that every accepted text is the exact encoding of its key.
func FuzzDecode(f *testing.F) {
	users := Order{List: "users", Owner: 1, Secret: opaque.Secret{1}}
	f.Add("")
	f.Add("AAAA")
	f.Add(users.Cursor(Key{At: 3, ID: 4}))
	f.Fuzz(func(t *testing.T, cursor string) {
		if key, err := users.cursors().decode(cursor); err == nil && users.Cursor(key) != cursor {
			t.Errorf("%q is accepted as %+v, whose cursor is %q", cursor, key, users.Cursor(key))
		}
	})
}
