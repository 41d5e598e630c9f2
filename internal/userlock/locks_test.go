package userlock

import (
	"context"
	"errors"
	"testing"
	"time"

	"rollcall/models"
)

// TestLocks_SharedAndExclusive: shared holders exclude an exclusive one and not each other, an
// exclusive one excludes both, and an ID that is given twice is locked once.
func TestLocks_SharedAndExclusive(t *testing.T) {
	app := &models.App{ID: 1}
	acquire := map[string]func(*Locks, context.Context, *models.App, []string) (*Held, error){
		"shared": (*Locks).AcquireShared, "exclusive": (*Locks).Acquire,
	}
	for _, test := range []struct {
		first, second string
		wait          bool
	}{
		{"shared", "shared", false},
		{"shared", "exclusive", true},
		{"exclusive", "shared", true},
		{"exclusive", "exclusive", true},
	} {
		locks := NewLocks()
		held, err := acquire[test.first](locks, t.Context(), app, []string{"a", "b", "a"})
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		second, err := acquire[test.second](locks, short, app, []string{"c", "b"})
		cancel()
		if waited := errors.Is(err, context.DeadlineExceeded); waited != test.wait || !waited && err != nil {
			t.Errorf("%s beside %s: %v", test.second, test.first, err)
		}
		if second != nil {
			second.Release()
		}
		held.Release()
		again, err := locks.Acquire(t.Context(), app, []string{"a", "b", "c"})
		if err != nil {
			t.Fatalf("%s beside %s: not released: %v", test.second, test.first, err)
		}
		again.Release()
	}
}
