package fanout

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

func TestUniqueEventsReplaceNone(t *testing.T) {
	if a, b := NewUnique(1), NewUnique(1); a.Key() == b.Key() || a.Key() >= 0 || b.Key() >= 0 {
		t.Errorf("keys %d and %d", a.Key(), b.Key())
	}
}

func TestEncodedRunsOnceForEachShape(t *testing.T) {
	ev := New(7, "value")
	if ev.Key() != 7 || ev.Value() != "value" {
		t.Fatalf("key %d, value %+v", ev.Key(), ev.Value())
	}
	shapes := []any{new(int), new(int), "text"}
	var runs atomic.Int32
	var wg sync.WaitGroup
	for i := range 300 {
		n := i % len(shapes)
		wg.Go(func() {
			got := ev.Encoded(shapes[n], func() []byte {
				runs.Add(1)
				return fmt.Append(nil, "shape ", n)
			})
			if want := fmt.Sprint("shape ", n); string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	wg.Wait()
	if n := runs.Load(); n != 3 {
		t.Fatalf("encoded %d times, want 3", n)
	}
}
