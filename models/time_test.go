package models

import (
	"math"
	"testing"
	"time"
)

func TestTimeString(t *testing.T) {
	const day = Time(24 * time.Hour / time.Millisecond)
	for _, at := range []Time{
		0, 1, -1, 7, 70, 700, 999, 1_790_000_000_123, -1_790_000_000_007,
		day * 366 * 8000, -day * 366 * 2100, day * 366 * 12_000, math.MaxInt32,
	} {
		if got, want := at.String(), at.Time().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Errorf("%d: %s, want %s", int64(at), got, want)
		}
	}
}
