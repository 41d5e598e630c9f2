package ratelimit_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/ratelimit"
	"rollcall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// nodes are two nodes of one service.
func nodes(t *testing.T) [2]*ratelimit.Shared {
	t.Helper()
	url, service := testenv.RedisURL(t), testenv.Service()
	return [2]*ratelimit.Shared{
		ratelimit.NewShared(testenv.OpenRedis(t, url, service), slog.New(slog.DiscardHandler)),
		ratelimit.NewShared(testenv.OpenRedis(t, url, service), slog.New(slog.DiscardHandler)),
	}
}

func TestShared(t *testing.T) {
	rule := ratelimit.Rule{Name: "three", Limit: 3, Window: 500 * time.Millisecond}
	nodes := nodes(t)
	allow := func(node int, rule ratelimit.Rule, user int64, n int) time.Duration {
		t.Helper()
		wait, err := nodes[node].Allow(context.Background(), rule, user, n)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	begun := time.Now()
	for i := range rule.Limit {
		if wait := allow(i%2, rule, 1, 1); wait != 0 {
			t.Fatalf("call %d must wait %s", i, wait)
		}
	}
	wait := allow(0, rule, 1, 1)
	if spent := time.Since(begun); spent < rule.Window && (wait <= 0 || wait > rule.Window) {
		t.Fatalf("one call too many after %s must wait %s", spent, wait)
	}
	if wait := allow(1, rule, 2, 1); wait != 0 {
		t.Fatalf("another user must wait %s", wait)
	}
	if wait := allow(1, ratelimit.Rule{Name: "other", Limit: 3, Window: time.Hour}, 1, 3); wait != 0 {
		t.Fatalf("by another rule the user must wait %s", wait)
	}
	time.Sleep(wait) // as returned; the clock is Redis's
	if wait := allow(1, rule, 1, 1); wait != 0 {
		t.Fatalf("after its wait the call must wait %s", wait)
	}
}

// TestShared_Several: calls for several are granted together or not at all, and the
// wait is until enough have left the window.
func TestShared_Several(t *testing.T) {
	rule := ratelimit.Rule{Name: "several", Limit: 10, Window: time.Hour}
	nodes := nodes(t)
	for i, step := range []struct {
		n       int
		granted bool
	}{{4, true}, {7, false}, {5, true}, {2, false}, {1, true}, {1, false}, {10, false}} {
		wait, err := nodes[i%2].Allow(context.Background(), rule, 1, step.n)
		if err != nil || (wait == 0) != step.granted || wait < 0 || wait > rule.Window {
			t.Fatalf("call %d for %d: wait %s, error %v", i, step.n, wait, err)
		}
	}
	short := ratelimit.Rule{Name: "short", Limit: 10, Window: 2 * time.Second}
	ask := func(n int) time.Duration {
		t.Helper()
		wait, err := nodes[0].Allow(context.Background(), short, 1, n)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	ask(3)
	time.Sleep(50 * time.Millisecond)
	ask(3)
	time.Sleep(50 * time.Millisecond)
	ask(4)
	// Three free enough for three, six for four, all for seven.
	first, second, third := ask(3), ask(4), ask(7)
	if first <= 0 || second < first+40*time.Millisecond || third < second+40*time.Millisecond {
		t.Errorf("the waits for 3, 4 and 7 are %s, %s and %s", first, second, third)
	}
}

func TestShared_Concurrent(t *testing.T) {
	rule := ratelimit.Rule{Name: "concurrent", Limit: 100, Window: time.Hour}
	nodes := nodes(t)
	var granted atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				wait, err := nodes[i%2].Allow(context.Background(), rule, 7, 1)
				if err != nil {
					t.Error(err)
				}
				if wait == 0 {
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
