package turn

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestTake_EndsInTime: all callers that wait for one lock wait equally long, not one after the
// other, and leave no lock taken.
func TestTake_EndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		locks := New(3)
		release, err := Take(t.Context(), Exclusive, locks[1])
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		errs := make(chan error)
		for range 20 {
			go func() {
				_, err := Take(t.Context(), Shared, locks...)
				errs <- err
			}()
		}
		for range 20 {
			if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
		}
		if took := time.Since(began); took != patience {
			t.Errorf("the last one ended after %s", took)
		}
		release()
		if release, err = Take(t.Context(), Exclusive, locks...); err != nil {
			t.Fatalf("a lock is still taken: %v", err)
		}
		release()
	})
}

// TestTake_PartsOfALock: several callers hold shared parts together, and only one the whole.
func TestTake_PartsOfALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lock := New(1)[0]
		one, err := Take(t.Context(), Shared, lock)
		if err != nil {
			t.Fatal(err)
		}
		other, err := Take(t.Context(), Shared, lock)
		if err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Take(gone, Exclusive, lock); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v of a caller that has gone", err)
		}
		time.AfterFunc(time.Second, one)
		time.AfterFunc(2*time.Second, other)
		began := time.Now()
		whole, err := Take(t.Context(), Exclusive, lock)
		if err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("the whole came after %s, error %v", time.Since(began), err)
		}
		whole()
	})
}
