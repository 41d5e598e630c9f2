package userkey

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestShard has values of stored keys: a change of the function would scatter the rows of a database
// that is divided by it.
func TestShard(t *testing.T) {
	for _, c := range []struct {
		app      int64
		external string
		want     int
	}{{1, "ann", 844}, {2, "ann", 646}, {1, "bob", 760}, {1 << 40, "Ann", 255}} {
		if got := Shard(c.app, c.external); got != c.want {
			t.Errorf("Shard(%d, %q) is %d, want %d", c.app, c.external, got, c.want)
		}
	}
}

// TestShard_Even: no shard has clearly more users than another one.
func TestShard_Even(t *testing.T) {
	const users = 200 * Shards
	var counts [Shards]int
	for i := range users {
		counts[Shard(1, fmt.Sprintf("user-%07d", i))]++
	}
	for shard, n := range counts {
		if n < 100 || n > 300 { // seven standard deviations
			t.Errorf("shard %d has %d of %d users", shard, n, users)
		}
	}
}

func TestNew(t *testing.T) {
	const nodes, each = 4, 1000
	var mu sync.Mutex
	keys := map[int64]bool{}
	var running sync.WaitGroup
	for range nodes {
		running.Go(func() {
			for range each {
				key := New(1, "ann")
				mu.Lock()
				keys[key] = true
				mu.Unlock()
			}
		})
	}
	running.Wait()
	if len(keys) != nodes*each {
		t.Errorf("%d different keys of %d", len(keys), nodes*each)
	}
	for key := range keys {
		if key <= 0 || ShardOf(key) != Shard(1, "ann") {
			t.Fatalf("the key %d has the shard %d, want %d", key, ShardOf(key), Shard(1, "ann"))
		}
	}
	first := New(1, "ann")
	for start := time.Now(); time.Since(start) < 2*time.Millisecond; {
	}
	if next := New(1, "ann"); next <= first {
		t.Errorf("a later key of the same shard is not larger: %d, %d", first, next)
	}
}
