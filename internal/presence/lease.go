package presence

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"rollcall/internal/presence/ledger"
)

const (
	// leaseLength is how long a node that says nothing still counts as there. Its
	// devices are taken away after that by whichever node sees it first.
	leaseLength = 3 * time.Second
	// leaseRenewal is how often a node says that it is there.
	leaseRenewal = time.Second
)

// lease is this node's name in Redis. A node that has lost its lease, does not know whether its
// steps were carried out, or sees that Redis lost data, enters under another name. It writes its
// devices again under the new name; after that, whatever is in Redis under the old one is swept
// like a dead node's.
type lease struct {
	mu   sync.Mutex
	name string
	// end is when the lease ends, as Redis returned it last.
	end int64
	// renamed is closed when the name changes.
	renamed chan struct{}
	// doubtful: something that failed may have been carried out, or the other way round.
	doubtful bool
	// reconnected: the connection was lost since the lease was renewed last.
	reconnected bool
	// away says since when Redis does not answer; zero: it does.
	away time.Time
	// heard is when Redis last answered.
	heard time.Time
	// born is the data that was seen last; see ledger.Lease.
	born int64
	wake chan struct{}
}

func (l *lease) init() {
	l.name, l.renamed, l.wake = rand.Text(), make(chan struct{}), make(chan struct{}, 1)
}

func (l *lease) current() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.name
}

// another waits until the node has another name than that one.
func (l *lease) another(ctx context.Context, than string) error {
	l.mu.Lock()
	name, renamed := l.name, l.renamed
	l.mu.Unlock()
	if name != than {
		return nil
	}
	l.hurry()
	select {
	case <-renamed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isAway says whether Redis did not answer last.
func (l *lease) isAway() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.away.IsZero()
}

// linkSilence is how long Redis may not answer before it counts as silent: one renewal is missing.
const linkSilence = leaseRenewal + 500*time.Millisecond

// isSilent reports whether Redis has not answered lately, so that this node may have missed
// messages, and a step would wait in vain. It knows so earlier than isAway on a link that loses
// everything without a word.
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
	l.hurry()
}

// hurry has the lease renewed now.
func (l *lease) hurry() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// distrust notes that a step has failed, so that what is in Redis under this node's name may be
// wrong. It returns the error.
func (s *shared) distrust(err error) error {
	s.lease.mu.Lock()
	doubtful := s.lease.doubtful
	s.lease.doubtful = true
	s.lease.mu.Unlock()
	if !doubtful {
		s.hub.log.Warn("a step in Redis failed, this node's devices will be written again", "error", err)
	}
	return s.failed(err)
}

// beatRegularly renews the lease until the hub closes.
func (s *shared) beatRegularly() {
	ticker := time.NewTicker(leaseRenewal)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.lease.wake:
		case <-s.hub.closing.Done():
			return
		}
		_ = s.beat(s.hub.closing) // has been logged
	}
}

// beat renews the lease once, under another name if necessary, and acts on the answer.
func (s *shared) beat(ctx context.Context) error {
	l := &s.lease
	l.mu.Lock()
	born, doubtful := l.born, l.doubtful
	renewal := ledger.Renewal{Node: l.name, Length: leaseLength, Enter: born == 0, End: l.end, Reconnected: l.reconnected}
	l.doubtful, l.reconnected = false, false
	l.mu.Unlock()
	renewal.Others = s.repair.names()
	renewal.Version = s.hub.seq.Load()
	answer, err := s.ledger.Renew(ctx, renewal)
	reconnected := renewal.Reconnected
	if err == nil && (!answer.Held || doubtful || born != 0 && answer.Born != born) {
		renewal.Others = append(renewal.Others, renewal.Node)
		renewal.Node, renewal.Enter, renewal.End, renewal.Reconnected = rand.Text(), true, 0, false
		answer, err = s.ledger.Renew(ctx, renewal)
	}
	if err != nil {
		s.unanswered(err, doubtful, reconnected)
		return err
	}
	s.hub.observe(answer.Version)
	s.answered(renewal.Node, answer)
	return nil
}

func (s *shared) unanswered(err error, doubtful, reconnected bool) {
	l := &s.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubtful, l.reconnected = l.doubtful || doubtful, l.reconnected || reconnected
	if l.away.IsZero() {
		l.away = time.Now()
		s.hub.log.Error("Redis does not answer; connected devices stay, statuses cannot be told", "redis", s.redis.String(), "error", err)
	}
	s.failed(err)
}

func (s *shared) answered(name string, answer ledger.Lease) {
	l := &s.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = time.Now()
	if !l.away.IsZero() {
		s.hub.log.Info("Redis answers again", "redis", s.redis.String(), "away", time.Since(l.away).Round(time.Millisecond).String())
		l.away = time.Time{}
	}
	l.end = answer.End
	if name != l.name {
		s.hub.log.Warn("this node's lease or data in Redis was lost, or a step failed; its devices are written again", "redis", s.redis.String())
		former := l.name
		l.name = name
		close(l.renamed)
		l.renamed = make(chan struct{})
		s.repair.replace(former)
	}
	if answer.Born != l.born {
		l.born = answer.Born
		s.repair.askLapse(answer.Born)
	}
	s.repair.sweep(answer.Dead)
}
