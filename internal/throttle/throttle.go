// Package throttle slows down guessing: it counts failed attempts and returns how long to wait
// before the next. The counters are in Redis, so that several nodes count together, or in this
// process if there is no Redis or while it is unreachable.
package throttle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"rollcall/internal/outage"
	"rollcall/internal/redis"
)

// Rule bounds how many attempts may fail, and how fast. The zero value is not valid.
type Rule struct {
	// Name is the rule's part of the key; no two rules share it.
	Name string
	// Free is how many attempts may fail without a delay.
	Free int
	// Delay is the time to wait after the last of the free ones. It doubles with each
	// further failure up to MaxDelay.
	Delay, MaxDelay time.Duration
	// Memory is how long failures count, from the last one on. It must be longer than MaxDelay.
	Memory time.Duration
	// Forgive reports whether a success removes all failures under its key. Otherwise only the
	// successful attempt itself does not count.
	Forgive bool
}

// delay returns how long to wait after that many failures.
func (r *Rule) delay(failures int) time.Duration {
	if failures < r.Free {
		return 0
	}
	delay := r.Delay
	for range failures - r.Free {
		if delay >= r.MaxDelay {
			break
		}
		delay *= 2
	}
	return min(delay, r.MaxDelay)
}

// Key identifies failures that count together: those under one rule with the same subject.
type Key struct {
	Rule *Rule
	// Subject is any text, such as a name and a network. Only its digest is kept.
	Subject string
}

// digestBytes is how much of a subject's SHA-256 is kept, enough to rule out collisions.
const digestBytes = 16

// id returns the key's short name.
func (k Key) id() string {
	sum := sha256.Sum256([]byte(k.Subject))
	return k.Rule.Name + ":" + hex.EncodeToString(sum[:digestBytes])
}

// Refusal is why an attempt must not be made yet, and for how long.
type Refusal struct {
	// Rule is the one with the longest wait.
	Rule *Rule
	// Wait is how long to wait, more than 0.
	Wait time.Duration
}

// Throttle counts failed attempts. Its methods may be called from any goroutine.
type Throttle struct {
	redis *redis.Client // nil if only this process counts
	log   *outage.Log
	clock func() time.Time
	local local
}

// New returns a Throttle that counts in this process. clock is time.Now outside tests.
func New(clock func() time.Time) *Throttle {
	return &Throttle{clock: clock, local: local{entries: make(map[string]entry)}}
}

// NewShared returns a Throttle that counts in Redis, by its clock, and in this process while
// Redis is unreachable.
func NewShared(client *redis.Client, clock func() time.Time, log *slog.Logger) *Throttle {
	t := New(clock)
	t.redis, t.log = client, outage.NewLog(log)
	return t
}

// Attempt is an admitted attempt. It counts as failed unless Succeed or Cancel is called.
type Attempt struct {
	throttle *Throttle
	keys     []Key
	shared   bool // it counts in Redis
}

// Begin counts an attempt as failed under all the keys before it is made, so that concurrent
// attempts do not evade the delays. If one of the keys requires a wait, the attempt counts under
// none and must not be made.
func (t *Throttle) Begin(ctx context.Context, keys ...Key) (*Attempt, *Refusal) {
	if t.redis != nil {
		refusal, err := t.beginShared(ctx, keys)
		t.report(ctx, err)
		if err == nil {
			return &Attempt{throttle: t, keys: keys, shared: true}, refusal
		}
	}
	return &Attempt{throttle: t, keys: keys}, t.local.begin(keys, t.clock())
}

// Succeed takes the attempt back, and with it all failures under the rules that forgive.
func (a *Attempt) Succeed(ctx context.Context) { a.takeBack(ctx, true) }

// Cancel takes back an attempt that was never made.
func (a *Attempt) Cancel(ctx context.Context) { a.takeBack(ctx, false) }

func (a *Attempt) takeBack(ctx context.Context, forgive bool) {
	if !a.shared {
		a.throttle.local.takeBack(a.keys, forgive)
		return
	}
	// The attempt is over even if its caller has gone.
	a.throttle.report(ctx, a.throttle.takeBackShared(context.WithoutCancel(ctx), a.keys, forgive))
}

// report logs that Redis could not count an attempt.
func (t *Throttle) report(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		t.log.Warn(ctx, "failed attempts are counted only on this node while Redis is unreachable", "error", err)
	}
}

// maxEntries bounds the entries of one process, about 200 bytes each. The rules that limit all
// callers together keep them from ever filling it; see docs/security.md.
const maxEntries = 20_000

// overflow names the entry of all keys of one rule for which there is no room: filling the table
// must not remove the entry of an account under attack.
const overflow = ":others"

// local counts in this process.
type local struct {
	mu      sync.Mutex
	entries map[string]entry
	// swept is when expired entries were last removed.
	swept time.Time
}

// entry is the failures of a key. They count until expires.
type entry struct {
	failures      int
	last, expires time.Time
}

func (l *local) begin(keys []Key, now time.Time) *Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.makeRoom(now)
	var refusal *Refusal
	for _, key := range keys {
		e := l.entries[l.name(key)]
		if !now.Before(e.expires) {
			continue
		}
		wait := e.last.Add(key.Rule.delay(e.failures)).Sub(now)
		if e.failures >= key.Rule.Free && wait > 0 && (refusal == nil || wait > refusal.Wait) {
			refusal = &Refusal{Rule: key.Rule, Wait: wait}
		}
	}
	if refusal != nil {
		return refusal
	}
	for _, key := range keys {
		name := l.name(key)
		e := l.entries[name]
		if !now.Before(e.expires) {
			e = entry{}
		}
		l.entries[name] = entry{failures: e.failures + 1, last: now, expires: now.Add(key.Rule.Memory)}
	}
	return nil
}

func (l *local) takeBack(keys []Key, forgive bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		name := l.name(key)
		e, ok := l.entries[name]
		switch e.failures--; {
		case !ok:
		case e.failures <= 0 || forgive && key.Rule.Forgive:
			delete(l.entries, name)
		default:
			l.entries[name] = e
		}
	}
}

// name returns the name of a key's entry.
func (l *local) name(key Key) string {
	id := key.id()
	if _, known := l.entries[id]; !known && len(l.entries) >= maxEntries {
		return key.Rule.Name + overflow
	}
	return id
}

// sweepInterval is how often a full table is searched for expired entries.
const sweepInterval = time.Minute

// makeRoom removes expired entries if the table is full.
func (l *local) makeRoom(now time.Time) {
	if len(l.entries) < maxEntries || now.Sub(l.swept) < sweepInterval {
		return
	}
	l.swept = now
	for name, e := range l.entries {
		if !now.Before(e.expires) {
			delete(l.entries, name)
		}
	}
}
