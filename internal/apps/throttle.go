package apps

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// freeAttempts is how many wrong passwords an account has from an address
	// before the delays begin.
	freeAttempts = 5
	// firstDelay doubles with each wrong password from then on, up to maxDelay.
	firstDelay = time.Second
	maxDelay   = 15 * time.Minute
	// throttleMemory is how long wrong passwords count; longer than maxDelay.
	throttleMemory = time.Hour
	// throttleNameLength is past what a name can have: all that is longer, and
	// nobody's, counts together.
	throttleNameLength = 65
	// throttleEntries bounds the memory, about 200 bytes each.
	throttleEntries = 10_000
)

// throttle slows down guessing. It counts by account and address together, so
// nobody can lock an operator out from elsewhere.
type throttle struct {
	mu      sync.Mutex
	entries map[throttleKey]throttleEntry
}

type throttleKey struct{ account, network string }

type throttleEntry struct {
	failures int
	last     time.Time
}

func newThrottle() *throttle {
	return &throttle{entries: make(map[throttleKey]throttleEntry)}
}

// keyOf answers what attempts on account from address are counted under. An IPv6
// address counts as its /64, which one machine has all of.
func keyOf(account, address string) throttleKey {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() && !ip.Is4In6() {
		if prefix, err := ip.WithZone("").Prefix(64); err == nil {
			address = prefix.String()
		}
	}
	return throttleKey{account: clip(account, throttleNameLength), network: address}
}

// begin counts an attempt as failed, before its password is looked at, so that
// attempts made at once are no way around the delays; success or cancel takes
// it back. Where the attempt comes too early it is not counted, and begin
// answers how long to wait.
func (t *throttle) begin(key throttleKey, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	entry, known := t.entries[key]
	if known && now.Sub(entry.last) >= throttleMemory {
		entry = throttleEntry{}
	}
	if wait := entry.last.Add(delayAfter(entry.failures)).Sub(now); entry.failures >= freeAttempts && wait > 0 {
		return wait
	}
	if !known && len(t.entries) >= throttleEntries {
		t.makeRoom(now)
	}
	t.entries[key] = throttleEntry{failures: entry.failures + 1, last: now}
	return 0
}

// success forgets the wrong passwords: whoever knows the right one is welcome.
func (t *throttle) success(key throttleKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.entries, key)
}

// cancel takes back an attempt whose password was never compared.
func (t *throttle) cancel(key throttleKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if entry, ok := t.entries[key]; ok {
		entry.failures--
		t.entries[key] = entry
	}
}

// makeRoom drops what no longer counts, and where that is nothing the entry with
// the fewest failures: spraying names must not wash out an account under attack.
func (t *throttle) makeRoom(now time.Time) {
	var least throttleKey
	found := false
	for key, entry := range t.entries {
		if now.Sub(entry.last) >= throttleMemory {
			delete(t.entries, key)
			continue
		}
		if best := t.entries[least]; !found || entry.failures < best.failures ||
			entry.failures == best.failures && entry.last.Before(best.last) {
			least, found = key, true
		}
	}
	if len(t.entries) >= throttleEntries {
		delete(t.entries, least)
	}
}

// delayAfter is how long to wait after that many wrong passwords.
func delayAfter(failures int) time.Duration {
	if failures < freeAttempts {
		return 0
	}
	// 2^10 s is past maxDelay already; shifting further would overflow.
	return min(firstDelay<<min(failures-freeAttempts, 10), maxDelay)
}
