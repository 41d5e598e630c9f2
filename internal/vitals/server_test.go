package vitals

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatched_NoticesAServerThatHangs: a server that hangs, or refuses, is known to be away within
// the time in which pages must say so.
func TestWatched_NoticesAServerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var hangs, refuses atomic.Bool
		w := &watched{clock: time.Now, product: func(context.Context) (string, error) { return "Redis 8", nil }, look: func(ctx context.Context) error {
			if hangs.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			if refuses.Load() {
				return errors.New("refused")
			}
			time.Sleep(time.Millisecond)
			return nil
		}}
		go w.run(ctx)
		seen := func(when string, want bool) {
			t.Helper()
			got := w.server()
			if got.Away != want || got.Since == 0 || !want && got.Product != "Redis 8" || got.RoundTrip > 0 == want {
				t.Errorf("%s: %+v", when, got)
			}
		}
		time.Sleep(lookInterval / 2)
		seen("at first", false)
		hangs.Store(true)
		time.Sleep(lookInterval + lookTimeout)
		seen("hanging", true)
		since := w.server().Since
		hangs.Store(false)
		refuses.Store(true)
		time.Sleep(lookInterval + lookTimeout)
		seen("refusing", true)
		if got := w.server().Since; got != since {
			t.Errorf("away since %v, want %v", got, since)
		}
		refuses.Store(false)
		time.Sleep(lookInterval + lookTimeout)
		seen("back", false)
	})
}
