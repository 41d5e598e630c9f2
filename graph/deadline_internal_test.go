package graph

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type testKey struct{}

func newDeadline(parent context.Context) *deadline {
	return &deadline{Context: parent, at: time.Now().Add(DefaultTimeout)}
}

func TestDeadline_EndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent := context.WithValue(t.Context(), testKey{}, "value")
		for name, use := range map[string]func(ctx context.Context) context.Context{
			"nobody waits": func(ctx context.Context) context.Context { return ctx },
			"a wait":       func(ctx context.Context) context.Context { ctx.Done(); return ctx },
			"a child": func(ctx context.Context) context.Context {
				ctx, cancel := context.WithCancel(ctx)
				t.Cleanup(cancel)
				return ctx
			},
		} {
			d := newDeadline(parent)
			ctx := use(d)
			if end, ok := ctx.Deadline(); !ok || time.Until(end) != DefaultTimeout {
				t.Errorf("%s: the deadline is %s, %t", name, end, ok)
			}
			time.Sleep(DefaultTimeout - time.Nanosecond)
			if err := ctx.Err(); err != nil {
				t.Errorf("%s: it ends early: %v", name, err)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: its error is %v", name, err)
			}
			select {
			case <-ctx.Done():
			default:
				t.Errorf("%s: it is not done", name)
			}
			if value := ctx.Value(testKey{}); value != "value" {
				t.Errorf("%s: its value is %v", name, value)
			}
		}
	})
}

func TestDeadline_EndsWithItsParent(t *testing.T) {
	cause := errors.New("the caller has left")
	parent, cancel := context.WithCancelCause(t.Context())
	idle, waited := newDeadline(parent), newDeadline(parent)
	waited.Done()
	cancel(cause)
	for name, ctx := range map[string]context.Context{"nobody waited": idle, "a wait": waited} {
		<-ctx.Done()
		if ctx.Err() != context.Canceled || context.Cause(ctx) != cause {
			t.Errorf("%s: it ends with %v, because of %v", name, ctx.Err(), context.Cause(ctx))
		}
	}
}

func TestDeadline_StopFreesTheTimer(t *testing.T) {
	d := newDeadline(t.Context())
	d.stop()
	if err := d.Err(); err != nil {
		t.Errorf("one that has no timer ends with %v", err)
	}
	d.Done()
	d.stop()
	if err := d.Err(); err != context.Canceled {
		t.Errorf("one that has a timer ends with %v", err)
	}
}

// Reads by key, which only look at the clock, must not pay for a timer.
func BenchmarkDeadline(b *testing.B) {
	parent, cancel := context.WithCancel(b.Context())
	defer cancel()
	for name, ctx := range map[string]func() (context.Context, func()){
		"lazy": func() (context.Context, func()) { d := newDeadline(parent); return d, d.stop },
		"timer": func() (context.Context, func()) {
			ctx, cancel := context.WithTimeout(parent, DefaultTimeout)
			return ctx, cancel
		},
		"none": func() (context.Context, func()) { return context.WithValue(parent, testKey{}, 1), func() {} },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ctx, stop := ctx()
				for range 3 {
					if ctx.Err() != nil {
						b.Fatal("it has ended")
					}
				}
				stop()
			}
		})
	}
}
