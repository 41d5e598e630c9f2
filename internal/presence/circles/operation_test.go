package circles

import (
	"testing"
	"time"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
)

// divided is a registry whose moments have a version for each bucket.
type divided struct {
	registry
	versions *status.Versions
}

func (d divided) Moment() status.Moment { return status.Moment{Versions: d.versions} }

// TestOperation_PrecedesChangesOfEachBucket checks that an operation compares a change with the version
// of its user's bucket, until it forgets them.
func TestOperation_PrecedesChangesOfEachBucket(t *testing.T) {
	const first, second = 1, 2
	if status.BucketOf(first) == status.BucketOf(second) {
		t.Fatal("the users have one bucket")
	}
	versions := new(status.Versions)
	versions[status.BucketOf(first)], versions[status.BucketOf(second)] = 10, 20
	cs := &Circles{Config: Config{Registry: divided{versions: versions}}}
	op := cs.operation(nil)
	wants := func(user, seq int64, want bool) {
		t.Helper()
		if got := op.precedes(fanout.NewAt(seq, user, nil)); got != want {
			t.Errorf("the operation precedes version %d of user %d: %t", seq, user, got)
		}
	}
	cs.forgetBeginnings(time.Now().Add(-time.Minute))
	wants(first, 10, false)
	wants(first, 11, true)
	wants(second, 20, false)
	wants(second, 21, true)
	cs.forgetBeginnings(time.Now().Add(time.Minute))
	wants(first, 10, true)
	if op.buckets.Load() != nil || len(cs.beginnings) != 0 {
		t.Error("the versions are still remembered")
	}
}
