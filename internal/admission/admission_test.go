package admission_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/admission"
	"rollcall/internal/fault"
)

var limits = admission.Limits{Running: 3, RunningEach: 2, WaitingEach: 4, Patience: 5 * time.Second}

var kind = admission.Kind{
	Metric: "rollcall_readers", Help: "Readers",
	Refusal: func(after time.Duration) error {
		return fault.New(fault.RateLimited, "try again").With("retryAfterMs", after.Milliseconds())
	},
}

// reader is one call of Enter.
type reader struct {
	leave func()
	err   error
	// done reports whether Enter has returned.
	done bool
}

// enter begins a reader and waits until it has a place, waits for one, or is refused.
func enter(ctx context.Context, g *admission.Gate[int64], class int64) *reader {
	r := &reader{}
	go func() {
		r.leave, r.err = g.Enter(ctx, class)
		r.done = true
	}()
	synctest.Wait()
	return r
}

func (r *reader) hasPlace() bool { return r.done && r.err == nil }

func TestGate_ClassHasOnlyItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.New[int64](limits, kind)
		ctx := t.Context()
		var greedy []*reader
		for range 5 {
			greedy = append(greedy, enter(ctx, g, 1))
		}
		if !greedy[0].hasPlace() || !greedy[1].hasPlace() || greedy[2].done {
			t.Fatalf("a class has other places than its 2: %+v", greedy)
		}
		other := enter(ctx, g, 2)
		if !other.hasPlace() {
			t.Fatal("another class waits although there is a place")
		}
		greedy[0].leave()
		synctest.Wait()
		if !greedy[2].hasPlace() || greedy[3].done {
			t.Error("a place of the class does not go to its next reader alone")
		}
		for _, r := range append(greedy[1:3], other) {
			r.leave()
			synctest.Wait()
		}
		greedy[3].leave()
		greedy[4].leave()
	})
}

func TestGate_ClassesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.New[int64](admission.Limits{Running: 1, RunningEach: 1, WaitingEach: 4, Patience: time.Minute}, kind)
		holder := enter(t.Context(), g, 9)
		var order []int64
		var all sync.WaitGroup
		for _, class := range []int64{1, 1, 1, 2, 3, 3} {
			all.Go(func() {
				leave, err := g.Enter(t.Context(), class)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, class)
				leave()
			})
			synctest.Wait()
		}
		holder.leave()
		all.Wait()
		if want := []int64{1, 2, 3, 1, 3, 1}; !slices.Equal(order, want) {
			t.Errorf("the places went to %v, want %v", order, want)
		}
	})
}

func TestGate_RefusesIfTheWaitIsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.New[int64](limits, kind)
		registry := prometheus.NewRegistry()
		g.Observe(registry)
		wantRefused := func(r *reader) {
			t.Helper()
			if refusal, ok := r.err.(*fault.Error); !r.done || !ok || refusal.Code != fault.RateLimited || refusal.Extensions["retryAfterMs"] != int64(5000) {
				t.Errorf("a reader got %v; want RATE_LIMITED with retryAfterMs 5000", r.err)
			}
		}
		a, b := enter(t.Context(), g, 1), enter(t.Context(), g, 1)
		var waiting []*reader
		for range limits.WaitingEach {
			waiting = append(waiting, enter(t.Context(), g, 1))
		}
		wantRefused(enter(t.Context(), g, 1))
		if n, err := testutil.GatherAndCount(registry); n != 3 || err != nil {
			t.Errorf("%d metrics, %v", n, err)
		}
		time.Sleep(limits.Patience)
		synctest.Wait()
		for _, r := range waiting {
			wantRefused(r)
		}
		a.leave()
		if !enter(t.Context(), g, 1).hasPlace() {
			t.Error("a place was lost to a reader that no longer waits")
		}
		b.leave()
	})
}

func TestGate_EndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.New[int64](limits, kind)
		a, b := enter(t.Context(), g, 1), enter(t.Context(), g, 1)
		ctx, cancel := context.WithCancel(t.Context())
		gone, next := enter(ctx, g, 1), enter(t.Context(), g, 1)
		cancel()
		synctest.Wait()
		if !gone.done || gone.err != context.Canceled {
			t.Errorf("a reader whose context has ended got %v", gone.err)
		}
		if late := enter(ctx, g, 2); late.err != context.Canceled {
			t.Errorf("a reader whose context had ended got %v", late.err)
		}
		a.leave()
		synctest.Wait()
		if !next.hasPlace() {
			t.Error("the next reader has no place")
		}
		b.leave()
		next.leave()
	})
}

// Many readers that come, wait and leave at random keep within the limits, and each place is found
// free again at the end.
func TestGate_KeepsItsLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.New[int64](limits, kind)
		var running atomic.Int64
		var each [5]atomic.Int64
		var all sync.WaitGroup
		served := atomic.Int64{}
		for range 300 {
			class := rand.N(int64(len(each)))
			start, patience, work := rand.N(time.Minute), rand.N(4*time.Second), rand.N(time.Second)
			all.Go(func() {
				time.Sleep(start)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				leave, err := g.Enter(ctx, class)
				if err != nil {
					return
				}
				served.Add(1)
				if n, m := running.Add(1), each[class].Add(1); n > int64(limits.Running) || m > int64(limits.RunningEach) {
					t.Errorf("%d readers run, %d of one class", n, m)
				}
				time.Sleep(work)
				running.Add(-1)
				each[class].Add(-1)
				leave()
			})
		}
		all.Wait()
		if served.Load() == 0 {
			t.Error("no reader had a place")
		}
		for class := range int64(limits.Running) {
			r := enter(t.Context(), g, class)
			if !r.hasPlace() {
				t.Errorf("a place was not given back")
				continue
			}
			defer r.leave()
		}
	})
}
