package node

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/console"
)

// TestWatched_NoticesAServerThatHangs: a server that hangs, or refuses, is known to be away within
// the time in which pages must say so.
func TestWatched_NoticesAServerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var hangs, refuses atomic.Bool
		w := &watched{name: console.Redis, clock: time.Now, look: func(ctx context.Context) error {
			if hangs.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			if refuses.Load() {
				return errors.New("refused")
			}
			return nil
		}}
		go w.run(ctx)
		seen := func(when string, want bool) {
			t.Helper()
			if got := away([]*watched{w}); (len(got) == 1) != want || want && got[0].What != console.Redis {
				t.Errorf("%s: %+v", when, got)
			}
		}
		time.Sleep(watchInterval / 2)
		seen("at first", false)
		hangs.Store(true)
		time.Sleep(watchInterval + watchTimeout)
		seen("hanging", true)
		since := away([]*watched{w})[0].Since
		hangs.Store(false)
		refuses.Store(true)
		time.Sleep(watchInterval + watchTimeout)
		seen("refusing", true)
		if got := away([]*watched{w})[0].Since; got != since {
			t.Errorf("away since %v, want %v", got, since)
		}
		refuses.Store(false)
		time.Sleep(watchInterval + watchTimeout)
		seen("back", false)
	})
}
