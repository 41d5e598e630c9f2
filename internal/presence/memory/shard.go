package memory

import (
	"context"
	"time"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// Linger is how long an entry outlives its last device and its last write. A row that was read
// before the entry was forgotten may be this old and is still correct; callers rely on a minute.
const Linger = 90 * time.Second

// sweepInterval is how often expired entries are removed.
const sweepInterval = 10 * time.Second

// shard is the entries of the accounts whose events go through one queue, whose lock guards them.
type shard struct {
	registry *Registry
	*fanout.Queue

	entries map[int64]*entry // by users.id
	// arriving are devices whose right to connect is being checked; see Connect.
	arriving map[*status.Device]struct{}
	closed   bool
	// resting are the idle entries, the longest idle first.
	resting []resting
}

// resting is an entry that became idle at since. It is stale if the entry has been used since.
type resting struct {
	entry *entry
	since models.Time
}

// entry returns the account's entry. It creates it from acc if there is none.
func (s *shard) entry(acc status.Account) *entry {
	e := s.entries[acc.ID]
	if e == nil {
		e = newEntry(acc)
		s.entries[acc.ID] = e
	}
	return e
}

// status returns the account's status: that of its entry, or of its row if it has no entry.
func (s *shard) status(acc status.Account) models.UserStatus {
	if e := s.entries[acc.ID]; e != nil {
		return e.Status()
	}
	known := status.RecordOf(acc)
	return known.Status()
}

// rest notes that e is idle from now on.
func (s *shard) rest(e *entry) {
	e.idleSince = s.registry.Now()
	s.resting = append(s.resting, resting{e, e.idleSince})
}

// sweep removes the entries that have been idle since before that time.
func (s *shard) sweep(before models.Time) {
	s.Lock()
	defer s.Unlock()
	n := 0
	for n < len(s.resting) && s.resting[n].since < before {
		mark := s.resting[n]
		s.resting[n] = resting{}
		n++
		if e := mark.entry; s.entries[e.ID] == e && e.idleSince == mark.since && e.idle() {
			delete(s.entries, e.ID)
		}
	}
	s.resting = s.resting[n:]
}

// close counts every device as gone and refuses new ones.
func (s *shard) close() {
	s.Lock()
	defer s.Unlock()
	for _, e := range s.entries {
		if len(e.devices) > 0 {
			s.end(e, every, models.PresenceOffline)
			s.save(e)
		}
	}
	s.closed = true
}

// sweepRegularly sweeps until closing ends.
func (r *Registry) sweepRegularly(closing context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.Sweep()
		case <-closing.Done():
			return
		}
	}
}

// Sweep forgets the accounts that have been idle for longer than Linger. Run calls it regularly.
func (r *Registry) Sweep() {
	before := r.Now().Add(-Linger)
	for i := range r.shards {
		r.shards[i].sweep(before)
	}
}
