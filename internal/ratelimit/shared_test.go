package ratelimit_test

import (
	"context"
	"testing"
	"time"

	"rollcall/internal/ratelimit"
	"rollcall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestShared(t *testing.T) {
	const limit, window = 3, 500 * time.Millisecond
	url, service := testenv.RedisURL(t), testenv.Service()
	nodes := make([]*ratelimit.Shared, 2)
	for i := range nodes {
		nodes[i] = ratelimit.NewShared(testenv.OpenRedis(t, url, service), limit, window)
	}
	allow := func(node int, key string) time.Duration {
		t.Helper()
		wait, err := nodes[node].Allow(context.Background(), key)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	begun := time.Now()
	for i := range limit {
		if wait := allow(i%2, "a"); wait != 0 {
			t.Fatalf("call %d is to wait %s", i, wait)
		}
	}
	wait := allow(0, "a")
	if spent := time.Since(begun); spent < window && (wait <= 0 || wait > window) {
		t.Fatalf("one call too many after %s is to wait %s", spent, wait)
	}
	if wait := allow(1, "b"); wait != 0 {
		t.Fatalf("another key is to wait %s", wait)
	}
	time.Sleep(wait) // what it was told to do; the clock is Redis's
	if wait := allow(1, "a"); wait != 0 {
		t.Fatalf("after its wait the call is to wait %s", wait)
	}
}
