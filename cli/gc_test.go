package cli

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func TestCollectionPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 3200, 8 << 20: 400, 10 << 20: 300, 31 << 20: 100, 32 << 20: 100, 1 << 30: 100,
	} {
		if got := collectionPercent(live); got != want {
			t.Errorf("%d live bytes: %d %%, want %d", live, got, want)
		}
	}
}

// TestPaceCollections checks that each collection sets the percentage again. Pacing lasts until the
// process ends.
func TestPaceCollections(t *testing.T) {
	t.Setenv("GOGC", "")
	paceCollections()
	paced := func(when string, good func(percent uint64) bool) {
		t.Helper()
		set := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		within := time.Now().Add(time.Minute)
		for metrics.Read(set); !good(set[0].Value.Uint64()); metrics.Read(set) {
			if time.Now().After(within) {
				t.Fatalf("%s: %d %%", when, set[0].Value.Uint64())
			}
			runtime.GC()
		}
	}
	paced("small heap", func(percent uint64) bool { return percent > collectPercent })
	much := make([]byte, 2*collectEvery)
	paced("large heap", func(percent uint64) bool { return percent == collectPercent })
	runtime.KeepAlive(much)
	paced("small heap again", func(percent uint64) bool { return percent > collectPercent })
}
