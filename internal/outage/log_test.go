package outage

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// take returns what has been written, and removes it.
func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.Reset()
	return b.String()
}

func TestLog_CountsRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		log := NewLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		})))
		written := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := strings.TrimSuffix(out.take(), "\n"); got != strings.Join(want, "\n") {
				t.Errorf("%s:\n%s\nwant\n%s", when, got, strings.Join(want, "\n"))
			}
		}
		warn := func(message string, first, last int) {
			for i := first; i <= last; i++ {
				log.Warn(context.Background(), message, "request", i)
			}
		}
		warn("failed", 1, 1000)
		warn("broke off", 1, 1)
		written("at once", `level=WARN msg=failed request=1`, `level=WARN msg="broke off" request=1`)
		time.Sleep(LogInterval + time.Second)
		written("after an interval", `level=WARN msg=failed further=999 within=10s request=1000`)
		warn("failed", 1001, 1002)
		written("while it goes on")
		time.Sleep(LogInterval)
		written("after another interval", `level=WARN msg=failed further=2 within=10s request=1002`)
		time.Sleep(LogInterval)
		written("after an interval without any")
		if len(log.repeated) != 0 {
			t.Errorf("%d messages are kept", len(log.repeated))
		}
		warn("failed", 1, 1)
		written("the next outage", `level=WARN msg=failed request=1`)
		time.Sleep(LogInterval)
	})
}
