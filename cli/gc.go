package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// collectEvery is the minimum number of bytes allocated between two garbage collections. With a
	// small heap, the runtime's default collects a hundred times a second under load, which took a
	// sixth of the processor time.
	collectEvery = 32 << 20
	// collectPercent is the runtime's default, which suits a larger heap.
	collectPercent = 100
	// liveBytes is the runtime's metric for the size of the heap after the last collection.
	liveBytes = "/gc/heap/live:bytes"
)

// paceCollections makes the garbage collector wait for collectEvery until the process ends, unless
// GOGC is set.
func paceCollections() {
	if os.Getenv("GOGC") == "" {
		pace(collectPercent)
	}
}

// pace sets the percentage now and after each collection. percent is the current one.
func pace(percent int) {
	live := []metrics.Sample{{Name: liveBytes}}
	metrics.Read(live)
	if wanted := collectionPercent(live[0].Value.Uint64()); wanted != percent {
		percent = wanted
		debug.SetGCPercent(percent)
	}
	// Nothing refers to this object, so the next collection frees it.
	runtime.AddCleanup(new(sentinel), pace, percent)
}

// sentinel is too large to share its memory block with other objects, as tiny ones do.
type sentinel struct{ _ [32]byte }

// collectionPercent returns how many percent of the live bytes may be allocated before the next
// collection. It is rounded to steps, because each change of it stops the process for a moment.
func collectionPercent(live uint64) int {
	const step = 25
	return max(collectPercent, int(collectEvery*100/max(live, 1<<20))/step*step)
}
