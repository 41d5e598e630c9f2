package apps

import (
	"fmt"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

func TestThrottleGrows(t *testing.T) {
	throttle, now, key := newThrottle(), epoch, keyOf("admin", "192.0.2.1")
	for i := range freeAttempts {
		if wait := throttle.begin(key, now); wait != 0 {
			t.Fatalf("attempt %d has to wait %v", i+1, wait)
		}
	}
	for _, want := range []time.Duration{
		time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second,
		64 * time.Second, 128 * time.Second, 256 * time.Second, 512 * time.Second, maxDelay, maxDelay, maxDelay,
	} {
		if wait := throttle.begin(key, now); wait != want {
			t.Fatalf("wait %v, want %v", wait, want)
		}
		if wait := throttle.begin(key, now.Add(want-time.Millisecond)); wait != time.Millisecond {
			t.Fatalf("1 ms before the end: wait %v", wait)
		}
		now = now.Add(want)
		if wait := throttle.begin(key, now); wait != 0 {
			t.Fatalf("after %v: still wait %v", want, wait)
		}
	}
	if wait := throttle.begin(key, now.Add(throttleMemory)); wait != 0 {
		t.Errorf("wrong passwords are never forgotten: wait %v", wait)
	}
}

func TestThrottleCountsApart(t *testing.T) {
	throttle := newThrottle()
	key := keyOf("admin", "2001:db8::1")
	for range freeAttempts {
		throttle.begin(key, epoch)
	}
	for _, c := range []struct {
		account, address string
		free             bool
	}{
		{"admin", "2001:db8::1", false},
		{"admin", "2001:db8::ffff", false}, // the same /64
		{"admin", "2001:db8:0:1::1", true},
		{"admin", "192.0.2.1", true},
		{"Admin", "2001:db8::1", true},
	} {
		wait := throttle.begin(keyOf(c.account, c.address), epoch)
		if (wait == 0) != c.free {
			t.Errorf("%s from %s: wait %v, want free %v", c.account, c.address, wait, c.free)
		}
	}
	throttle.success(key)
	if wait := throttle.begin(key, epoch); wait != 0 {
		t.Errorf("after a right password: wait %v", wait)
	}
}

func TestThrottleCancelIsNoFailure(t *testing.T) {
	throttle, key := newThrottle(), keyOf("admin", "192.0.2.1")
	for range 3 * freeAttempts {
		if wait := throttle.begin(key, epoch); wait != 0 {
			t.Fatalf("wait %v", wait)
		}
		throttle.cancel(key)
	}
}

func TestThrottleIsBounded(t *testing.T) {
	throttle, victim := newThrottle(), keyOf("admin", "192.0.2.1")
	for range freeAttempts {
		throttle.begin(victim, epoch)
	}
	for i := range throttleEntries + 100 {
		throttle.begin(keyOf(fmt.Sprint("name", i), "192.0.2.1"), epoch.Add(time.Millisecond))
	}
	if n := len(throttle.entries); n > throttleEntries {
		t.Errorf("%d entries, want at most %d", n, throttleEntries)
	}
	if wait := throttle.begin(victim, epoch); wait == 0 {
		t.Error("spraying names washed out the account under attack")
	}
	throttle.begin(keyOf("later", "192.0.2.1"), epoch.Add(2*throttleMemory))
	if n := len(throttle.entries); n != 1 {
		t.Errorf("%d entries after all have expired, want 1", n)
	}
}
