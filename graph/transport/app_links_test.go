package transport

import (
	"testing"
	"time"
)

// TestAppLinks_ChecksAreBounded: however many connections open and request a check, the rate of
// checks is limited.
func TestAppLinks_ChecksAreBounded(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.connect("app")
	until(t, "a check", func() bool { return w.auth.checks.get() > 0 })
	before, began := w.auth.checks.get(), time.Now()
	for time.Since(began) < 4*appLinkPause {
		w.server.CheckAppLinks()
		time.Sleep(time.Millisecond)
	}
	checks := w.auth.checks.get() - before
	if most := int(time.Since(began)/appLinkPause) + 2; checks > most {
		t.Errorf("%d checks, want at most %d", checks, most)
	}
}
