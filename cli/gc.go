package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// collectEvery is how many bytes are allocated at least between two garbage
	// collections. A server with little to remember would otherwise collect a hundred
	// times a second under load, which took a sixth of its processor time.
	collectEvery = 32 << 20
	// collectPercent is the runtime's default, for who remembers more.
	collectPercent = 100
	// liveBytes is the runtime's name for what the latest collection left.
	liveBytes = "/gc/heap/live:bytes"
)

// paceCollections has the garbage collector wait for collectEvery, unless the
// operator has told the runtime with GOGC how to do.
func paceCollections() {
	if os.Getenv("GOGC") == "" {
		pace(collectPercent)
	}
}

// pace makes it so after each collection; percent is what is set now.
func pace(percent int) {
	live := []metrics.Sample{{Name: liveBytes}}
	metrics.Read(live)
	if wanted := collectionPercent(live[0].Value.Uint64()); wanted != percent {
		percent = wanted
		debug.SetGCPercent(percent)
	}
	// Nobody holds this object, so that the next collection is the end of it.
	runtime.AddCleanup(new(sentinel), pace, percent)
}

// sentinel must not share its memory with other objects, as tiny ones do.
type sentinel struct{ _ [32]byte }

// collectionPercent is how many percent of what is live may be allocated before
// the next collection. It goes in steps, since setting it stops the process for a
// moment.
func collectionPercent(live uint64) int {
	const step = 25
	return max(collectPercent, int(collectEvery*100/max(live, 1<<20))/step*step)
}
