package ratelimit

import (
	"testing"
	"time"
)

func TestAllow(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := New[string](3, 5*time.Second, func() time.Time { return now })
	for _, step := range []struct {
		pass time.Duration
		key  string
		want time.Duration
	}{
		{0, "a", 0},
		{time.Second, "a", 0},
		{time.Second, "a", 0},
		{time.Second, "a", 2 * time.Second},
		{0, "b", 0},
		{2*time.Second - 1, "a", 1}, // a refusal counts for nothing
		{1, "a", 0},
		{0, "a", time.Second}, // the window slides: it does not start anew
		{time.Second, "a", 0},
		{time.Second, "a", 0},
		{0, "a", 3 * time.Second},
		{20 * time.Second, "a", 0},
		{0, "a", 0},
		{0, "a", 0},
		{0, "a", 5 * time.Second},
	} {
		now = now.Add(step.pass)
		if got := l.Allow(step.key); got != step.want {
			t.Fatalf("after %v: %s is to wait %v, want %v", now.Sub(time.Unix(1_700_000_000, 0)), step.key, got, step.want)
		}
	}
}

// TestAnyWindow tries every window over calls at awkward moments.
func TestAnyWindow(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := New[int](20, 5*time.Second, func() time.Time { return now })
	var granted []time.Time
	for i := range 5000 {
		now = now.Add(time.Duration(i*i%97) * 7 * time.Millisecond)
		if l.Allow(0) == 0 {
			granted = append(granted, now)
		}
	}
	for i := 20; i < len(granted); i++ {
		if d := granted[i].Sub(granted[i-20]); d < 5*time.Second {
			t.Fatalf("21 calls were granted in %v", d)
		}
	}
	if len(granted) < 1000 {
		t.Fatalf("only %d calls were granted", len(granted))
	}
}

func TestIdleKeysAreForgotten(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := New[int](20, 5*time.Second, func() time.Time { return now })
	for i := range 100_000 {
		now = now.Add(10 * time.Millisecond)
		l.Allow(i)
	}
	if n := len(l.lately) + len(l.before); n > 1001 {
		t.Fatalf("%d keys are remembered, want those of two windows", n)
	}
}
