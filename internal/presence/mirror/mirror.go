// Package mirror writes decided states into the columns users.presence and users.presence_at, the
// newest of each user, and ends an earlier run at the start.
//
// Columns is the statement, with its time-out, metrics and log. Mirror is the queue in front of it:
// one goroutine writes, and what is queued during a write goes together into the next. A state that
// could not be written is written later, except for a login, which the registry announces only after
// it has been written. A registry of several nodes queues with Keep; the registry of one node, which
// is the only writer, queues with Set, so that it can undo a login.
package mirror

import (
	"context"
	"sync"
	"time"

	"rollcall/internal/presence/status"
)

// Writer writes rows, at most Chunk. Columns is the one for a database.
type Writer interface {
	Write(ctx context.Context, rows []Row) error
}

// Mirror is a queue of states to write. All methods may be called by any goroutine, and do not wait
// for the database.
type Mirror struct {
	columns Writer
	written func(userID int64, s status.State)

	mu sync.Mutex
	// queued has what waits, by users.id. It is also in ready or, during the pause after its failure,
	// in failed.
	queued        map[int64]*Write
	ready, failed []*Write
	wake          chan struct{}
}

// Write is what is queued for a row. Several changes may share it.
type Write struct {
	mirror *Mirror
	id     int64
	// If this Write fails, kept is written later and login is not. hasKept and hasLogin report
	// whether there is such a state.
	kept, login       status.State
	hasKept, hasLogin bool

	// The rest is guarded by the mirror's mutex. done is nil until a caller waits.
	done     chan struct{}
	finished bool
	err      error
}

// New returns a mirror that writes once Run is called. If written is not nil, it is called after
// each successful write with every state written, before the callers that wait continue.
func New(columns Writer, written func(userID int64, s status.State)) *Mirror {
	return &Mirror{columns: columns, written: written, queued: make(map[int64]*Write), wake: make(chan struct{}, 1)}
}

// Keep writes the state, unless a newer one is queued. If the write fails, the state is written
// later.
func (m *Mirror) Keep(userID int64, s status.State) *Write {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.enqueue(userID, &m.ready)
	w.keep(s)
	return w
}

// Set is like Keep, but a login that is queued is not written, even if it is newer.
func (m *Mirror) Set(userID int64, s status.State) *Write {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.enqueue(userID, &m.ready)
	w.keep(s)
	w.hasLogin = false
	return w
}

// Login writes that the user has logged in, unless a newer state is queued. If the write fails, it
// may have been carried out or not, and is not repeated.
func (m *Mirror) Login(userID int64, s status.State) *Write {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.enqueue(userID, &m.ready)
	if !w.hasLogin || s.Since >= w.login.Since {
		w.login, w.hasLogin = s, true
	}
	return w
}

// enqueue returns what is queued for the user. If that is nothing, it adds a Write to the list. The
// caller holds m.mu.
func (m *Mirror) enqueue(userID int64, list *[]*Write) *Write {
	w := m.queued[userID]
	if w == nil {
		w = &Write{mirror: m, id: userID}
		m.queued[userID] = w
		*list = append(*list, w)
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return w
}

func (w *Write) keep(s status.State) {
	if !w.hasKept || s.Since >= w.kept.Since {
		w.kept, w.hasKept = s, true
	}
}

// newest returns the state to write.
func (w *Write) newest() status.State {
	if w.hasLogin && (!w.hasKept || w.login.Since > w.kept.Since) {
		return w.login
	}
	return w.kept
}

// Wait waits for the write and returns its error, or that of ctx if it ends first.
func (w *Write) Wait(ctx context.Context) error {
	w.mirror.mu.Lock()
	if w.finished {
		defer w.mirror.mu.Unlock()
		return w.err
	}
	if w.done == nil {
		w.done = make(chan struct{})
	}
	done := w.done
	w.mirror.mu.Unlock()
	select {
	case <-done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take removes and returns what is ready, at most a chunk.
func (m *Mirror) take() []*Write {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := min(len(m.ready), Chunk)
	writes := m.ready[:n:n]
	m.ready = m.ready[n:]
	for _, w := range writes {
		delete(m.queued, w.id)
	}
	return writes
}

// Unwritten returns how many accounts are still to be written.
func (m *Mirror) Unwritten() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queued)
}

// Run writes until closing has ended and nothing is left, or life ends. After a failure it pauses
// only for what has failed.
func (m *Mirror) Run(closing, life context.Context) {
	pause := RetryFirst
	var again <-chan time.Time // nil: nothing has failed
	closed := closing.Done()
	for life.Err() == nil {
		if writes := m.take(); len(writes) > 0 {
			switch err := m.write(life, writes); {
			case err == nil:
				pause = RetryFirst
			case again == nil:
				again = time.After(pause)
				pause = min(2*pause, RetryMost)
			}
			continue
		}
		if closing.Err() != nil && m.Unwritten() == 0 {
			return
		}
		select {
		case <-m.wake:
		case <-again:
			again = nil
			m.retry()
		case <-closed:
			closed = nil
		case <-life.Done():
		}
	}
}

// retry makes what has failed ready again.
func (m *Mirror) retry() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ready = append(m.ready, m.failed...)
	m.failed = nil
}

// write carries out the writes and passes the result on.
func (m *Mirror) write(ctx context.Context, writes []*Write) error {
	rows := make([]Row, len(writes))
	for i, w := range writes {
		rows[i] = Row{ID: w.id, State: w.newest()}
	}
	err := m.columns.Write(ctx, rows)
	if err == nil && m.written != nil {
		for _, w := range writes {
			m.written(w.id, w.newest())
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range writes {
		if err != nil && w.hasKept {
			m.enqueue(w.id, &m.failed).keep(w.kept)
		}
		w.finished, w.err = true, err
		if w.done != nil {
			close(w.done)
		}
	}
	return err
}
