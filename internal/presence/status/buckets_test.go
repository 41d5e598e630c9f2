package status

import "testing"

// TestBucketOf_SpreadsIDs checks that the buckets have nearly equal numbers of users whose IDs have a
// common step, as those of one member of a Galera cluster.
func TestBucketOf_SpreadsIDs(t *testing.T) {
	const each = 100
	for _, step := range []int64{1, 2, 3, 4, 8, 10, 32, 64, 1000} {
		var counts [Buckets]int
		for i := range int64(each * Buckets) {
			counts[BucketOf(1+i*step)]++
		}
		for bucket, n := range counts {
			if n < each*8/10 || n > each*12/10 {
				t.Errorf("step %d: bucket %d has %d of %d users", step, bucket, n, each*Buckets)
			}
		}
	}
}

// TestMoment_OfAUser checks which version a moment has for a user.
func TestMoment_OfAUser(t *testing.T) {
	var versions Versions
	for i := range versions {
		versions[i] = int64(100 + i)
	}
	for _, id := range []int64{1, 2, 1 << 40} {
		if got, want := (Moment{Versions: &versions}).Of(id), int64(100+BucketOf(id)); got != want {
			t.Errorf("user %d: version %d, want %d", id, got, want)
		}
		if got := (Moment{Version: 7}).Of(id); got != 7 {
			t.Errorf("user %d: version %d, want the only one", id, got)
		}
	}
}
