package admission_test

import (
	"sync"
	"testing"

	"rollcall/internal/admission"
)

func TestBound_LimitsClassesAndAll(t *testing.T) {
	b := admission.NewBound(8, 3)
	var held []*admission.Place
	for step, c := range []struct {
		class     int64
		secondary bool
		want      error
	}{
		{1, true, nil}, {1, true, nil}, {1, true, nil}, {1, true, admission.ErrClassFull},
		{2, true, nil}, {2, true, nil}, {-3, true, nil},
		{-3, true, admission.ErrFull}, // six of eight are running
		{-3, false, nil}, {4, false, nil},
		{4, false, admission.ErrFull},
		{1, false, admission.ErrClassFull},
	} {
		place, err := b.Enter(c.class, c.secondary)
		if err != c.want {
			t.Errorf("step %d: %v, want %v", step, err, c.want)
		}
		if err == nil {
			held = append(held, &place)
		}
	}
	if b.Running() != 8 {
		t.Errorf("%d are running", b.Running())
	}
	for range 2 { // the second time does nothing
		held[0].Leave()
	}
	if place, err := b.Enter(1, false); err != nil {
		t.Errorf("a place that was left is not free: %v", err)
	} else {
		place.Leave()
	}
	for _, place := range held {
		place.Leave()
	}
	if b.Running() != 0 {
		t.Errorf("%d are running after all have left", b.Running())
	}
}

func TestBound_WithoutLimits(t *testing.T) {
	for _, b := range []*admission.Bound{admission.NewBound(0, 0), admission.NewBound(0, 1), admission.NewBound(1, 0)} {
		place, err := b.Enter(1, true)
		if err != nil {
			t.Error(err)
		}
		place.Leave()
	}
	b := admission.NewBound(0, 1)
	for class := range int64(1000) {
		if _, err := b.Enter(class, true); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBound_Concurrently enters from many goroutines, and checks that each place is free again at the end.
func TestBound_Concurrently(t *testing.T) {
	b := admission.NewBound(20, 7)
	var all sync.WaitGroup
	for class := range int64(8) {
		for range 4 {
			all.Go(func() {
				for i := range int64(500) {
					if place, err := b.Enter((class+i)%200, true); err == nil {
						place.Leave()
					}
				}
			})
		}
	}
	all.Wait()
	for class := range int64(20) {
		if _, err := b.Enter(class, false); err != nil {
			t.Errorf("class %d: %v", class, err)
		}
	}
}

func TestBound_AllocatesNothing(t *testing.T) {
	b := admission.NewBound(100, 100)
	if n := testing.AllocsPerRun(100, func() {
		place, err := b.Enter(1<<40, true)
		if err != nil {
			t.Fatal(err)
		}
		place.Leave()
	}); n != 0 {
		t.Errorf("%f allocations", n)
	}
}

func BenchmarkBound(b *testing.B) {
	bound := admission.NewBound(1000, 1000)
	b.ReportAllocs()
	for b.Loop() {
		place, _ := bound.Enter(1<<40, true)
		place.Leave()
	}
}
