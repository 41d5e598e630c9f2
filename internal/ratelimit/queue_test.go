package ratelimit_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/ratelimit"
)

// TestQueue has 100 uses come at once where 20 are allowed in a second: 40 wait for at most two
// seconds, in an even pace, and the others are refused at once.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := ratelimit.NewQueue(20, 2*time.Second, time.Now)
		began := time.Now()
		var mu sync.Mutex
		var turns, refusals []time.Duration
		var uses sync.WaitGroup
		for range 100 {
			uses.Go(func() {
				excess, err := q.Wait(t.Context(), 1)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
				case excess > 0:
					refusals = append(refusals, excess.Round(time.Millisecond))
				default:
					turns = append(turns, time.Since(began).Round(time.Millisecond))
				}
			})
		}
		uses.Wait()
		slices.Sort(turns)
		if len(turns) != 42 || len(refusals) != 58 {
			t.Errorf("%d had a turn and %d were refused", len(turns), len(refusals))
		}
		for i, turn := range turns {
			if want := time.Duration(max(0, i-1)) * 50 * time.Millisecond; turn != want {
				t.Errorf("turn %d after %s, want %s", i, turn, want)
			}
		}
		for _, excess := range refusals {
			if excess != 50*time.Millisecond { // none of them takes a turn
				t.Errorf("refused with %s", excess)
			}
		}
		if excess, err := q.Wait(t.Context(), 2); excess != 0 || err != nil {
			t.Errorf("another key waits: %s, %v", excess, err)
		}
	})
}

// TestQueue_Wait_Cancelled: a use that gives up leaves its turn to the next one.
func TestQueue_Wait_Cancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := ratelimit.NewQueue(1, time.Minute, time.Now)
		if _, err := q.Wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := q.Wait(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		began := time.Now()
		if _, err := q.Wait(t.Context(), 1); err != nil || time.Since(began).Round(time.Millisecond) != 900*time.Millisecond {
			t.Errorf("the next one waited %s: %v", time.Since(began), err)
		}
	})
}

// TestQueue_Off: without a rate nothing waits.
func TestQueue_Off(t *testing.T) {
	q := ratelimit.NewQueue(0, 0, time.Now)
	for range 1000 {
		if excess, err := q.Wait(t.Context(), 1); excess != 0 || err != nil {
			t.Fatal(excess, err)
		}
	}
}
