package once

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/redis"
	"rollcall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// nodes returns the work of some nodes of one service.
func nodes(t *testing.T, n int) (list []*Work) {
	url, service := testenv.RedisURL(t), testenv.Service()
	for range n {
		list = append(list, New(testenv.OpenRedis(t, url, service), "test"))
	}
	return list
}

// TestRun_NodesThatStartTogether: however many nodes want the work at the same time, it is done by one
// of them at a time, and no more often than the slowest of them can have missed the beginning of.
func TestRun_NodesThatStartTogether(t *testing.T) {
	var runs, running atomic.Int64
	var all sync.WaitGroup
	for _, w := range nodes(t, 6) {
		all.Go(func() {
			w.Run(t.Context(), slog.Default(), func(context.Context) error {
				if running.Add(1) > 1 {
					t.Error("two nodes work at the same time")
				}
				time.Sleep(300 * time.Millisecond)
				running.Add(-1)
				runs.Add(1)
				return nil
			})
		})
	}
	all.Wait()
	if n := runs.Load(); n < 1 || n > 2 {
		t.Errorf("the work was done %d times, want 1 or 2", n)
	}
}

// TestRun_StartsAfterEarlierRun: a run that began before a node wanted the work is not enough for it.
func TestRun_StartsAfterEarlierRun(t *testing.T) {
	w := nodes(t, 2)
	began, end := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := w[0].Try(t.Context(), func(context.Context) error {
			close(began)
			<-end
			return nil
		})
		first <- err
	}()
	<-began
	var again atomic.Bool
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		w[1].Run(t.Context(), slog.Default(), func(context.Context) error {
			again.Store(true)
			return nil
		})
	}()
	select {
	case <-finished:
		t.Fatal("the second node did not wait for the first")
	case <-time.After(turn / 2): // it has asked, and waits
	}
	close(end)
	if err := <-first; err != nil {
		t.Error(err)
	}
	<-finished
	if !again.Load() {
		t.Error("the second node took a run that had begun before it wanted one")
	}
}

// TestRun_OtherNodeTakesOver: the work of a node that fails or dies is done by another.
func TestRun_OtherNodeTakesOver(t *testing.T) {
	w := nodes(t, 2)
	if _, err := w[0].Try(t.Context(), func(context.Context) error { return errors.New("failed") }); err == nil {
		t.Error("the error is lost")
	}
	since, err := w[1].Begun(t.Context())
	if err != nil || since != 1 {
		t.Errorf("%d runs have begun, %v", since, err)
	}
	if done, err := w[1].Done(t.Context(), 0); done || err != nil {
		t.Errorf("a run that failed counts: %t, %v", done, err)
	}
	// A node that dies has a lease that it neither renews nor ends.
	if _, err := w[0].script(t.Context(), beginScript, "dead", leaseLength.Milliseconds()); err != nil {
		t.Fatal(err)
	}
	start, ran := time.Now(), false
	w[1].Run(t.Context(), slog.Default(), func(context.Context) error { ran = true; return nil })
	if took := time.Since(start); !ran || took > leaseLength+5*turn {
		t.Errorf("the other node took over: %t, after %s", ran, took)
	}
}

// TestTry_RenewsAndLosesTheLease: the lease lasts as long as the work, and do ends with it.
func TestTry_RenewsAndLosesTheLease(t *testing.T) {
	w := nodes(t, 2)
	ran, err := w[0].Try(t.Context(), func(ctx context.Context) error {
		select {
		case <-time.After(leaseLength + 2*renewal):
		case <-ctx.Done():
			t.Error("the lease was lost although it was renewed")
		}
		if ran, err := w[1].Try(ctx, func(context.Context) error { return nil }); ran || err != nil {
			t.Errorf("another node works too: %t, %v", ran, err)
		}
		key := w[0].redis.Key("once:test")
		if err := w[0].redis.Do(ctx, w[0].redis.B().Del().Key(key).Build()).Error(); err != nil {
			t.Error(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(leaseLength):
			t.Error("the work goes on without a lease")
		}
		return nil
	})
	if !ran || !errors.Is(err, context.Canceled) {
		t.Errorf("ran %t, %v", ran, err)
	}
	if done, err := w[0].Done(t.Context(), 0); done || err != nil {
		t.Errorf("a run that lost its lease counts: %t, %v", done, err)
	}
}

// TestRun_Alone works without Redis, and again after an error.
func TestRun_Alone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		New((*redis.Client)(nil), "test").Run(t.Context(), slog.New(slog.DiscardHandler), func(context.Context) error {
			if runs++; runs < 3 {
				return errors.New("failed")
			}
			return nil
		})
		if runs != 3 {
			t.Errorf("%d runs", runs)
		}
	})
}

func TestPause_IsAsLongAsTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct{ took, pause time.Duration }{{time.Second, time.Second}, {time.Minute, maxPause}} {
			began := time.Now()
			time.Sleep(test.took)
			if err := Pause(t.Context(), began); err != nil || time.Since(began) != test.took+test.pause {
				t.Errorf("after %s: paused %s, %v", test.took, time.Since(began)-test.took, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Pause(ctx, time.Now().Add(-time.Second)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestWanted counts runs that begin after Want, and succeed.
func TestWanted(t *testing.T) {
	w := nodes(t, 2)
	ctx := t.Context()
	wants := func(what string, want bool) {
		t.Helper()
		for i := range w {
			if got, err := w[i].Wanted(ctx); got != want || err != nil {
				t.Errorf("%s: node %d: wanted %t, %v", what, i, got, err)
			}
		}
	}
	run := func(during func() error) error {
		_, err := w[0].Try(ctx, func(context.Context) error { return during() })
		return err
	}
	nothing := func() error { return nil }
	wants("at first", true)
	if err := run(func() error { return errors.New("failed") }); err == nil {
		t.Error("no error")
	}
	wants("after a run that failed", true)
	if err := run(nothing); err != nil {
		t.Error(err)
	}
	wants("after a run", false)
	if err := run(func() error { return w[1].Want(ctx) }); err != nil {
		t.Error(err)
	}
	wants("after a run that had begun before", true)
	if err := run(nothing); err != nil {
		t.Error(err)
	}
	wants("after another run", false)
	if err := w[0].redis.Do(ctx, w[0].redis.B().Del().Key(w[0].redis.Key("once:test:runs")).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	wants("after Redis has lost its data", true)
}
