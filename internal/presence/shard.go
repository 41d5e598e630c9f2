package presence

import (
	"time"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// linger is how long an entry outlives its last device and its last write. A row that was read
// before the entry was forgotten may be this old and is still correct; callers rely on a minute.
const linger = 90 * time.Second

// sweepInterval is how often expired entries are removed.
const sweepInterval = 10 * time.Second

// shard is the entries of the accounts whose events go through one queue, whose lock guards them.
type shard struct {
	memory *memory
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
	e.idleSince = s.memory.now()
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

// sweepRegularly runs until the hub closes.
func (m *memory) sweepRegularly() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.sweep()
		case <-m.closing.Done():
			return
		}
	}
}

func (m *memory) sweep() {
	before := m.now().Add(-linger)
	for i := range m.shards {
		m.shards[i].sweep(before)
	}
}
