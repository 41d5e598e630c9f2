package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"rollcall/internal/presence/cluster/ledger"
)

const (
	// LeaseLength is how long a node counts as running after it last renewed its lease. The first
	// node that notices the end of the lease then removes its devices.
	LeaseLength = 3 * time.Second
	// leaseRenewal is how often a node renews its lease.
	leaseRenewal = time.Second
)

// lease is this node's name in a bucket. A node enters Redis under another name if it has lost its
// lease, does not know whether its steps were carried out, or sees that Redis lost data. It writes
// its devices again under the new name. After that, the devices in Redis under the old name are
// swept like those of a dead node.
type lease struct {
	mu sync.Mutex
	// name is the identity of the process with a number, which counts the names.
	name     string
	identity string
	number   int
	// end is when the lease ends, as Redis last returned it.
	end int64
	// renamed is closed when the name changes.
	renamed chan struct{}
	// stepFailed reports whether a step has failed, which Redis may have carried out nevertheless.
	stepFailed bool
	// reconnected reports whether the connection was lost since the lease was last renewed.
	reconnected bool
	// away is since when Redis does not respond; zero if it responds.
	away time.Time
	// heard is when Redis last responded.
	heard time.Time
	// born identifies the data in Redis that was last seen; see ledger.Lease.
	born int64
	wake chan struct{}
}

func (l *lease) init(identity string) {
	l.identity, l.renamed, l.wake = identity, make(chan struct{}), make(chan struct{}, 1)
	l.name = l.nextName()
}

// nextName returns another name than all before. The caller holds l.mu.
func (l *lease) nextName() string {
	l.number++
	return fmt.Sprintf("%s.%d", l.identity, l.number)
}

func (l *lease) current() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.name
}

// awaitRename renews the lease now and waits until the node has another name than former.
func (l *lease) awaitRename(ctx context.Context, former string) error {
	l.mu.Lock()
	name, renamed := l.name, l.renamed
	l.mu.Unlock()
	if name != former {
		return nil
	}
	l.renewNow()
	select {
	case <-renamed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isAway reports whether the last renewal got no response from Redis.
func (l *lease) isAway() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.away.IsZero()
}

// linkSilence is the time without a response after which Redis counts as silent: one renewal is
// missing.
const linkSilence = leaseRenewal + 500*time.Millisecond

// isSilent reports whether Redis has not responded recently, so that this node may have missed
// messages and a step would wait in vain. It notices a connection that silently drops everything
// earlier than isAway.
func (l *lease) isSilent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.away.IsZero() || time.Since(l.heard) > linkSilence
}

// reconnect notes that the connection was lost, and renews the lease now.
func (l *lease) reconnect() {
	l.mu.Lock()
	l.reconnected = true
	l.mu.Unlock()
	l.renewNow()
}

// renewNow makes beatRegularly renew the lease now.
func (l *lease) renewNow() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// noteFailedStep notes that a step has failed, so that the data in Redis under this node's name may
// be wrong. It returns the error.
func (b *bucket) noteFailedStep(err error) error {
	b.lease.mu.Lock()
	stepFailed := b.lease.stepFailed
	b.lease.stepFailed = true
	b.lease.mu.Unlock()
	if !stepFailed {
		b.registry.notices.warn(b, "a step in Redis failed; this node's devices will be written again", "error", err)
	}
	return b.failed(err)
}

// beatRegularly renews the lease until closing ends.
func (b *bucket) beatRegularly(closing context.Context) {
	ticker := time.NewTicker(leaseRenewal)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-b.lease.wake:
		case <-closing.Done():
			return
		}
		_ = b.beat(closing) // beat has logged the error
	}
}

// beat renews the lease once, under another name if necessary, and acts on the response.
func (b *bucket) beat(ctx context.Context) error {
	l := &b.lease
	l.mu.Lock()
	born, stepFailed := l.born, l.stepFailed
	renewal := ledger.Renewal{Node: l.name, Length: LeaseLength, Enter: born == 0, End: l.end, Reconnected: l.reconnected}
	l.stepFailed, l.reconnected = false, false
	l.mu.Unlock()
	renewal.Others = b.repair.names()
	renewal.Version = b.version.Load()
	granted, err := b.ledger.Renew(ctx, renewal)
	reconnected := renewal.Reconnected
	if err == nil && (!granted.Held || stepFailed || born != 0 && granted.Born != born) {
		renewal.Others = append(renewal.Others, renewal.Node)
		l.mu.Lock()
		renewal.Node = l.nextName()
		l.mu.Unlock()
		renewal.Enter, renewal.End, renewal.Reconnected = true, 0, false
		granted, err = b.ledger.Renew(ctx, renewal)
	}
	if err != nil {
		b.renewalFailed(err, stepFailed, reconnected)
		return err
	}
	b.observe(granted.Version)
	b.renewed(renewal.Node, granted)
	return nil
}

// renewalFailed notes that Redis did not respond to a renewal.
func (b *bucket) renewalFailed(err error, stepFailed, reconnected bool) {
	l := &b.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stepFailed, l.reconnected = l.stepFailed || stepFailed, l.reconnected || reconnected
	if l.away.IsZero() {
		l.away = time.Now()
		b.registry.notices.gone(b, err)
	}
	b.failed(err)
}

// renewed notes the lease that the node now holds under that name, and schedules the repairs that
// follow from it.
func (b *bucket) renewed(name string, granted ledger.Lease) {
	l := &b.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = time.Now()
	if !l.away.IsZero() {
		b.registry.notices.back(b)
		l.away = time.Time{}
	}
	l.end = granted.End
	if name != l.name {
		b.registry.notices.warn(b, "this node's lease or data in Redis was lost, or a step failed; writing its devices again", "redis", b.Redis.String())
		former := l.name
		l.name = name
		close(l.renamed)
		l.renamed = make(chan struct{})
		b.repair.replace(former)
	}
	if granted.Born != l.born {
		b.repair.askLapse(granted.Born, l.born == 0)
		l.born = granted.Born
	}
	b.repair.sweep(granted.Dead)
}
