package ratelimit

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a clock that tests set.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func allow(t *testing.T, l Limiter, rule Rule, user int64, n int) time.Duration {
	t.Helper()
	wait, err := l.Allow(context.Background(), rule, user, n)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

func TestLocal(t *testing.T) {
	three := Rule{"three", 3, 5 * time.Second}
	four := Rule{"four", 4, 5 * time.Second}
	start := time.Unix(1_700_000_000, 0)
	c := &clock{start}
	l := NewLocal(c.Now)
	for _, step := range []struct {
		pass time.Duration
		rule Rule
		user int64
		n    int
		want time.Duration
	}{
		{0, three, 1, 1, 0},
		{time.Second, three, 1, 1, 0},
		{time.Second, three, 1, 1, 0},
		{time.Second, three, 1, 1, 2 * time.Second},
		{0, three, 2, 1, 0},
		{0, four, 1, 4, 0},
		{0, four, 1, 1, 5 * time.Second},
		{2*time.Second - 1, three, 1, 1, 1}, // a refusal does not count
		{1, three, 1, 1, 0},
		{0, three, 1, 1, time.Second}, // the window slides: it does not restart
		{time.Second, three, 1, 1, 0},
		{time.Second, three, 1, 1, 0},
		{0, three, 1, 1, 3 * time.Second},
		{20 * time.Second, three, 1, 1, 0},
		{0, three, 1, 1, 0},
		{0, three, 1, 1, 0},
		{0, three, 1, 1, 5 * time.Second},
		// Several at once are granted together or not at all.
		{20 * time.Second, four, 1, 1, 0},
		{time.Second, four, 1, 2, 0},
		{time.Second, four, 1, 2, 3 * time.Second},
		{0, four, 1, 3, 4 * time.Second},
		{0, four, 1, 1, 0},
		{0, four, 1, 4, 5 * time.Second},
		{3 * time.Second, four, 1, 2, time.Second},
		{time.Second, four, 1, 2, 0},
	} {
		c.now = c.now.Add(step.pass)
		if got := allow(t, l, step.rule, step.user, step.n); got != step.want {
			t.Fatalf("after %v: user %d must wait %v for %d of %s, want %v",
				c.now.Sub(start), step.user, got, step.n, step.rule.Name, step.want)
		}
	}
}

// TestLocal_AnyWindow checks every window over calls at awkward times.
func TestLocal_AnyWindow(t *testing.T) {
	rule := Rule{"any", 20, 5 * time.Second}
	c := &clock{time.Unix(1_700_000_000, 0)}
	l := NewLocal(c.Now)
	random := rand.New(rand.NewPCG(1, 2))
	type granted struct {
		at time.Time
		n  int
	}
	var all []granted
	calls := 0
	for i := range 5000 {
		c.now = c.now.Add(time.Duration(i*i%97) * 7 * time.Millisecond)
		n := 1 + random.IntN(4)
		wait := allow(t, l, rule, 0, n)
		if wait == 0 {
			all = append(all, granted{c.now, n})
			calls++
			continue
		}
		// Exactly after the wait, and not before, it would have been granted.
		for _, at := range []time.Duration{wait - 1, wait} {
			sum := n
			for _, g := range all {
				if g.at.Add(rule.Window).After(c.now.Add(at)) {
					sum += g.n
				}
			}
			if (sum <= rule.Limit) != (at == wait) {
				t.Fatalf("told to wait %v for %d; after %v there would be %d in the window", wait, n, at, sum)
			}
		}
	}
	for first := range all {
		sum := 0
		for _, g := range all[first:] {
			if g.at.Sub(all[first].at) >= rule.Window {
				break
			}
			if sum += g.n; sum > rule.Limit {
				t.Fatalf("%d were granted in %v", sum, g.at.Sub(all[first].at))
			}
		}
	}
	if calls < 1000 {
		t.Fatalf("only %d calls were granted", calls)
	}
}

func TestLocal_Concurrent(t *testing.T) {
	rule := Rule{"concurrent", 100, time.Hour}
	l := NewLocal(time.Now)
	var granted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if wait, _ := l.Allow(context.Background(), rule, 7, 1); wait == 0 {
					granted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if granted.Load() != 100 {
		t.Errorf("%d calls were granted, want 100", granted.Load())
	}
}

func TestLocal_IdleUsersAreForgotten(t *testing.T) {
	rule := Rule{"idle", 20, 5 * time.Second}
	c := &clock{time.Unix(1_700_000_000, 0)}
	l := NewLocal(c.Now)
	for i := range 100_000 {
		c.now = c.now.Add(10 * time.Millisecond)
		allow(t, l, rule, int64(i), 1)
	}
	counts := l.counts[rule]
	if n := len(counts.current) + len(counts.previous); n > 1001 {
		t.Fatalf("%d users are remembered, want those of two windows", n)
	}
}
