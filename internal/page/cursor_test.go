package page

import (
	"errors"
	"testing"
)

func TestCursor(t *testing.T) {
	for _, key := range []Key{{}, {At: 1_790_000_000_123, ID: 42}, {At: -5, ID: 1 << 62}} {
		cursor := Encode("users", 7, key)
		if got, err := Decode("users", 7, cursor); err != nil || got != key {
			t.Errorf("%+v came back as %+v, %v", key, got, err)
		}
		for name, decode := range map[string]func() (Key, error){
			"another list":  func() (Key, error) { return Decode("friends", 7, cursor) },
			"another owner": func() (Key, error) { return Decode("users", 8, cursor) },
			"cut":           func() (Key, error) { return Decode("users", 7, cursor[:len(cursor)-1]) },
			"longer":        func() (Key, error) { return Decode("users", 7, cursor+"A") },
			"changed":       func() (Key, error) { return Decode("users", 7, "B"+cursor[1:]) },
		} {
			if _, err := decode(); !errors.Is(err, ErrCursor) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// FuzzDecode: whatever is accepted is exactly what Encode writes.
func FuzzDecode(f *testing.F) {
	f.Add("")
	f.Add("AAAA")
	f.Add(Encode("users", 1, Key{At: 3, ID: 4}))
	f.Fuzz(func(t *testing.T, cursor string) {
		if key, err := Decode("users", 1, cursor); err == nil && Encode("users", 1, key) != cursor {
			t.Errorf("%q is accepted as %+v, which is %q", cursor, key, Encode("users", 1, key))
		}
	})
}
