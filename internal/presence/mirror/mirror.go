// Package mirror writes decided states into the columns users.presence and users.presence_at, newest
// wins, and ends an earlier run at the start.
//
// Columns is the statement, with its time-out, metrics and log. Mirror is the queue in front of it for
// states that several nodes write: what comes in during a write goes together into the next. Memory's
// registry, which is the only writer, has a queue of its own, because it undoes the logins that could
// not be written.
package mirror

import (
	"context"
	"slices"
	"sync"
	"time"

	"rollcall/internal/presence/status"
)

// Mirror writes states that were decided in Redis. Several nodes write, so a row that holds something
// newer keeps it: the times of each account grow with its changes. All methods may be called by any
// goroutine.
type Mirror struct {
	columns *Columns

	mu    sync.Mutex
	rows  map[int64]*pending // by users.id
	order []int64            // of rows, as they came
	wake  chan struct{}
}

// pending is what must be written of one account.
type pending struct {
	// kept is written whatever happens, login only while a caller waits for it. Zero: neither.
	kept, login status.State
	waiters     []chan error
}

// newest returns the state to write.
func (p *pending) newest() status.State {
	if p.login.Since > p.kept.Since {
		return p.login
	}
	return p.kept
}

// New returns a mirror that writes to these columns once Run is called.
func New(columns *Columns) *Mirror {
	return &Mirror{columns: columns, rows: make(map[int64]*pending), wake: make(chan struct{}, 1)}
}

// Keep writes the state, now or later.
func (m *Mirror) Keep(userID int64, s status.State) {
	m.add(userID, func(p *pending) { p.keep(s) })
}

func (p *pending) keep(s status.State) {
	if s.Since >= p.kept.Since {
		p.kept = s
	}
}

// KeepNow is like Keep, and waits for the write. On an error the state is written later.
func (m *Mirror) KeepNow(ctx context.Context, userID int64, s status.State) error {
	return m.wait(ctx, userID, func(p *pending) { p.keep(s) })
}

// Login writes that the user has logged in, and waits for that. On an error nothing will be written,
// but may have been.
func (m *Mirror) Login(ctx context.Context, userID int64, s status.State) error {
	return m.wait(ctx, userID, func(p *pending) {
		if s.Since >= p.login.Since {
			p.login = s
		}
	})
}

func (m *Mirror) wait(ctx context.Context, userID int64, change func(*pending)) error {
	done := make(chan error, 1)
	m.add(userID, func(p *pending) {
		change(p)
		p.waiters = append(p.waiters, done)
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Mirror) add(userID int64, change func(*pending)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.rows[userID]
	if p == nil {
		p = new(pending)
		m.rows[userID] = p
		m.order = append(m.order, userID)
	}
	change(p)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take removes and returns the next rows, at most a chunk.
func (m *Mirror) take() (ids []int64, rows map[int64]*pending) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := min(len(m.order), Chunk)
	ids, m.order = slices.Clone(m.order[:n]), m.order[n:]
	rows = make(map[int64]*pending, n)
	for _, id := range ids {
		rows[id] = m.rows[id]
		delete(m.rows, id)
	}
	return ids, rows
}

// Unwritten returns how many accounts are still to be written.
func (m *Mirror) Unwritten() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rows)
}

// Run writes until closing has ended and nothing is left, or life ends.
func (m *Mirror) Run(closing, life context.Context) {
	pause := RetryFirst
	for life.Err() == nil {
		ids, rows := m.take()
		if len(ids) == 0 {
			if closing.Err() != nil {
				return
			}
			select {
			case <-m.wake:
			case <-closing.Done():
			case <-life.Done():
			}
			continue
		}
		if err := m.write(life, ids, rows); err == nil {
			pause = RetryFirst
			continue
		}
		select {
		case <-time.After(pause):
		case <-life.Done():
		}
		pause = min(2*pause, RetryMost)
	}
}

// write writes rows and sends the result to the callers that wait for them. If it fails, it queues
// the states that must be written again.
func (m *Mirror) write(ctx context.Context, ids []int64, rows map[int64]*pending) error {
	states := make([]Row, len(ids))
	for i, id := range ids {
		states[i] = Row{ID: id, State: rows[id].newest()}
	}
	err := m.columns.Write(ctx, states, true)
	for _, id := range ids {
		p := rows[id]
		if err != nil && p.kept.Since != 0 {
			m.Keep(id, p.kept)
		}
		for _, done := range p.waiters {
			done <- err
		}
	}
	return err
}
