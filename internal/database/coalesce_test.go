package database

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// gate is a fetch that reports when it starts and blocks until it is released.
type gate struct {
	started chan []int
	release chan error
}

func newGate() *gate { return &gate{started: make(chan []int, 16), release: make(chan error, 16)} }

func (g *gate) fetch(_ context.Context, keys []int) (map[int]string, error) {
	g.started <- keys
	if err := <-g.release; err != nil {
		return nil, err
	}
	out := make(map[int]string)
	for _, k := range keys {
		if k >= 0 {
			out[k] = fmt.Sprint(k)
		}
	}
	return out, nil
}

// waiting blocks until n keys wait for the next query.
func waiting(c *Coalescer[int, string], n int) {
	for {
		c.mu.Lock()
		got := 0
		if c.next != nil {
			got = len(c.next.keys)
		}
		c.mu.Unlock()
		if got >= n {
			return
		}
	}
}

func TestCoalescer_SharesTheNextQuery(t *testing.T) {
	g := newGate()
	c := NewCoalescer(100, g.fetch)
	var wg sync.WaitGroup
	get := func(key int) {
		wg.Go(func() {
			v, ok, err := c.Get(context.Background(), key)
			if err != nil || ok != (key >= 0) || (ok && v != fmt.Sprint(key)) {
				t.Errorf("Get(%d) = %q, %v, %v", key, v, ok, err)
			}
		})
	}
	get(1)
	if keys := <-g.started; len(keys) != 1 {
		t.Errorf("the first query asks for %v", keys)
	}
	for _, key := range []int{1, 2, 3, 3, -4} {
		get(key)
	}
	waiting(c, 4)
	g.release <- nil
	if keys := <-g.started; len(keys) != 4 {
		t.Errorf("the second query reads %v, want the four keys that came during the first, each once", keys)
	}
	close(g.release) // the second 3 may have arrived too late for that query
	wg.Wait()
}

func TestCoalescer_NeverUsesAnEarlierQuery(t *testing.T) {
	var value atomic.Int64
	c := NewCoalescer(10, func(context.Context, []string) (map[string]int64, error) {
		return map[string]int64{"k": value.Load()}, nil
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				before := value.Add(1)
				if got, _, _ := c.Get(context.Background(), "k"); got < before {
					t.Errorf("read %d after %d was written", got, before)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestCoalescer_ErrorsAndCancellation(t *testing.T) {
	g := newGate()
	c := NewCoalescer(100, g.fetch)
	boom := errors.New("boom")
	failed := make(chan error, 1)
	go func() {
		_, _, err := c.Get(context.Background(), 1)
		failed <- err
	}()
	<-g.started
	ctx, cancel := context.WithCancel(context.Background())
	cancelled, fine := make(chan error, 1), make(chan error, 1)
	go func() {
		_, _, err := c.Get(ctx, 2)
		cancelled <- err
	}()
	go func() {
		_, _, err := c.Get(context.Background(), 3)
		fine <- err
	}()
	waiting(c, 2)
	cancel()
	if err := <-cancelled; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled caller got %v", err)
	}
	g.release <- boom
	if err := <-failed; !errors.Is(err, boom) {
		t.Errorf("the first query's caller got %v", err)
	}
	<-g.started
	g.release <- nil
	if err := <-fine; err != nil {
		t.Errorf("the second query's caller got %v", err)
	}
}

func TestCoalescer_LimitsTheKeysOfAQuery(t *testing.T) {
	var most atomic.Int64
	c := NewCoalescer(5, func(_ context.Context, keys []int) (map[int]int, error) {
		for {
			old := most.Load()
			if int64(len(keys)) <= old || most.CompareAndSwap(old, int64(len(keys))) {
				break
			}
		}
		out := make(map[int]int)
		for _, k := range keys {
			out[k] = k
		}
		return out, nil
	})
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			if v, ok, err := c.Get(context.Background(), i); v != i || !ok || err != nil {
				t.Errorf("Get(%d) = %d, %v, %v", i, v, ok, err)
			}
		})
	}
	wg.Wait()
	if most.Load() > 5 {
		t.Errorf("a query asked for %d keys, the limit is 5", most.Load())
	}
}

// TestCoalescer_FewReadsAreNotShared: reads below the limit do not wait for others; reads above it
// gather.
func TestCoalescer_FewReadsAreNotShared(t *testing.T) {
	g := newGate()
	c := NewCoalescer(100, g.fetch).Alone(3)
	var wg sync.WaitGroup
	get := func(key int) {
		wg.Go(func() {
			if v, ok, err := c.Get(context.Background(), key); v != fmt.Sprint(key) || !ok || err != nil {
				t.Errorf("Get(%d) = %q, %v, %v", key, v, ok, err)
			}
		})
	}
	for key := range 3 {
		get(key)
		if keys := <-g.started; len(keys) != 1 {
			t.Errorf("query %d asks for %v", key, keys)
		}
	}
	for key := range 4 {
		get(10 + key)
	}
	waiting(c, 4)
	g.release <- nil
	if keys := <-g.started; len(keys) != 4 {
		t.Errorf("the query after them asks for %v, want all who waited", keys)
	}
	get(20)
	waiting(c, 1)
	g.release <- nil
	g.release <- nil
	g.release <- nil
	if keys := <-g.started; len(keys) != 1 {
		t.Errorf("the last query asks for %v", keys)
	}
	g.release <- nil
	wg.Wait()
	for flying := 1; flying > 0; { // no query is running any more
		c.mu.Lock()
		flying = c.flying
		c.mu.Unlock()
	}
}

// TestCoalescer_SurvivesAPanic: the caller that ran the query panics; those that wait for the next
// one get their rows.
func TestCoalescer_SurvivesAPanic(t *testing.T) {
	g := newGate()
	first := true
	c := NewCoalescer(100, func(ctx context.Context, keys []int) (map[int]string, error) {
		found, err := g.fetch(ctx, keys)
		if first {
			first = false
			panic("boom")
		}
		return found, err
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() {
			if recover() != "boom" {
				t.Error("the panic did not come to who ran the query")
			}
		}()
		_, _, _ = c.Get(context.Background(), 1)
	})
	<-g.started
	wg.Go(func() {
		if v, _, err := c.Get(context.Background(), 2); v != "2" || err != nil {
			t.Errorf("the next one got %q, %v", v, err)
		}
	})
	waiting(c, 1)
	g.release <- nil
	<-g.started
	g.release <- nil
	wg.Wait()
}

func TestCoalescer_RefusesCanceledCallers(t *testing.T) {
	c := NewCoalescer(100, func(context.Context, []int) (map[int]int, error) {
		t.Error("a query ran for a canceled caller")
		return nil, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := c.Get(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestCoalescer_ReadsSeveralRowsInOneQuery(t *testing.T) {
	g := newGate()
	c := NewCoalescer(3, g.fetch)
	var wg sync.WaitGroup
	get := func(keys ...int) {
		wg.Go(func() {
			rows, err := c.GetAll(context.Background(), keys)
			if err != nil {
				t.Errorf("GetAll(%d): %v", keys, err)
			}
			for _, key := range keys {
				if v, ok := rows[key]; ok != (key >= 0) || ok && v != fmt.Sprint(key) {
					t.Errorf("GetAll(%d) has %q, %v for %d", keys, v, ok, key)
				}
			}
		})
	}
	asked := func(want ...int) {
		t.Helper()
		if keys := <-g.started; fmt.Sprint(keys) != fmt.Sprint(want) {
			t.Errorf("a query asks for %d, not %d", keys, want)
		}
	}
	get(1, -1, 2, 3) // more than a query has from several callers
	asked(1, -1, 2, 3)
	get(4, 5)
	waiting(c, 2)
	get(6, 7) // which do not fit into the same query
	asked(4, 5)
	for range 3 {
		g.release <- nil
	}
	asked(6, 7)
	wg.Wait()
	if rows, err := c.GetAll(context.Background(), nil); len(rows) > 0 || err != nil {
		t.Errorf("no keys have the rows %v, %v", rows, err)
	}
}

// watched is a context that records whether anything waits for its end.
type watched struct {
	context.Context
	waits atomic.Bool
}

func (w *watched) Done() <-chan struct{} {
	w.waits.Store(true)
	return w.Context.Done()
}

// Waiting for the end of a context may need a timer. Quick queries do without.
func TestCoalescer_LooksAtContextsOfSlowQueriesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := NewCoalescer(10, func(_ context.Context, keys []int) (map[int]int, error) {
			<-release
			return nil, nil
		})
		begin := func(ctx context.Context, key int) chan error {
			ended := make(chan error, 1)
			go func() {
				_, _, err := c.Get(ctx, key)
				ended <- err
			}()
			synctest.Wait()
			return ended
		}
		timed, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		quick, slow := &watched{Context: t.Context()}, &watched{Context: timed}

		first := begin(t.Context(), 1)
		second := begin(quick, 2)
		release <- struct{}{}
		release <- struct{}{}
		if err := errors.Join(<-first, <-second); err != nil || quick.waits.Load() {
			t.Errorf("quick queries end with %v; waiting for the context's end: %t", err, quick.waits.Load())
		}

		first = begin(t.Context(), 1)
		second = begin(slow, 2)
		if err := <-second; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a slow query ends with %v", err)
		}
		close(release)
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}
