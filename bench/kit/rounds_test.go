//go:build linux

package kit

import (
	"context"
	"testing"
)

func TestRoundsAndRatios(t *testing.T) {
	ours, floor := 0.0, 0.0
	rounds, err := Rounds(context.Background(), 5,
		func() (float64, error) { ours++; return 2 * ours, nil },
		func() (float64, error) { floor++; return floor, nil })
	if err != nil {
		t.Fatal(err)
	}
	if len(rounds) != 5 || ours != 6 || floor != 6 {
		t.Fatalf("%d rounds counted, %v and %v slices; want 5, 6 and 6", len(rounds), ours, floor)
	}
	itself := func(v float64) float64 { return v }
	if got, want := Compare(rounds, 0, 1, itself), (Ratio{2, 2, 2}); got != want {
		t.Errorf("ratio %v, want %v", got, want)
	}
	// The first round warms up, so 2 to 6 count.
	if got := Median(rounds, 1, itself); got != 4 {
		t.Errorf("median %v, want 4", got)
	}
}

func TestQuantile(t *testing.T) {
	values := []float64{4, 1, 3, 2}
	if got := MedianOf(values); got != 2.5 {
		t.Errorf("median of four: %v, want 2.5", got)
	}
	if values[0] != 4 {
		t.Error("MedianOf has sorted its caller's values")
	}
	if got := MedianOf([]float64{7}); got != 7 {
		t.Errorf("median of one: %v, want 7", got)
	}
}
