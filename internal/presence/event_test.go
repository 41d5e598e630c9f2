package presence

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"rollcall/models"
)

func TestEncodedRunsOnceForEachShape(t *testing.T) {
	ev := newEvent(7, 1, models.UserStatus{UserID: "a"})
	if ev.Key() != 7 || ev.Value().(*models.UserStatus).UserID != "a" {
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
