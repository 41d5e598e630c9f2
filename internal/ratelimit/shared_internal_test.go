package ratelimit

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"rollcall/internal/testenv"
)

// TestShared_RedisFlaps: under load, calls that fail between others that succeed are counted in the
// log, not written one by one.
func TestShared_RedisFlaps(t *testing.T) {
	testenv.NeedServer(t)
	server, err := testenv.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	log := &testenv.Log{}
	limiter := NewShared(testenv.OpenRedis(t, server.URL(), testenv.Service()), slog.New(slog.NewTextHandler(log, nil)))
	server.Stop()
	for range 5 {
		if _, err := limiter.Allow(t.Context(), Rule{Name: "flap", Limit: 100, Window: time.Minute}, 1, 1); err != nil {
			t.Fatal(err)
		}
		limiter.localUntil.Store(0) // as after a call that succeeded
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, log)
	}
}
