package presence

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/presence/status"
)

// mirror writes states that were decided in Redis into the columns users.presence
// and users.presence_at. Several nodes write, so a row that holds something newer
// is left as it is: each account's moments grow with its changes. What comes in
// during a write goes together into the next.
type mirror struct {
	db      *database.DB
	metrics *metrics
	log     *slog.Logger

	mu    sync.Mutex
	rows  map[int64]*mirrored // by users.id
	order []int64             // of rows, as they came
	wake  chan struct{}
}

// mirrored is what is to be written of one account.
type mirrored struct {
	// kept is to be written whatever happens, login only while somebody waits for it;
	// zero: neither.
	kept, login status.State
	waiters     []chan error
}

// newest is what to write.
func (m *mirrored) newest() status.State {
	if m.login.Since > m.kept.Since {
		return m.login
	}
	return m.kept
}

func newMirror(db *database.DB, m *metrics, log *slog.Logger) *mirror {
	return &mirror{db: db, metrics: m, log: log, rows: make(map[int64]*mirrored), wake: make(chan struct{}, 1)}
}

// keep has the state written, now or later.
func (m *mirror) keep(userID int64, s status.State) {
	m.add(userID, func(r *mirrored) {
		if s.Since >= r.kept.Since {
			r.kept = s
		}
	})
}

// keepNow is keep for those who wait for it.
func (m *mirror) keepNow(ctx context.Context, userID int64, s status.State) error {
	return m.wait(ctx, userID, func(r *mirrored) {
		if s.Since >= r.kept.Since {
			r.kept = s
		}
	})
}

// login writes that the user has logged in; on an error nothing will be written.
func (m *mirror) login(ctx context.Context, userID int64, s status.State) error {
	return m.wait(ctx, userID, func(r *mirrored) {
		if s.Since >= r.login.Since {
			r.login = s
		}
	})
}

func (m *mirror) wait(ctx context.Context, userID int64, change func(*mirrored)) error {
	done := make(chan error, 1)
	m.add(userID, func(r *mirrored) {
		change(r)
		r.waiters = append(r.waiters, done)
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *mirror) add(userID int64, change func(*mirrored)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rows[userID]
	if r == nil {
		r = new(mirrored)
		m.rows[userID] = r
		m.order = append(m.order, userID)
	}
	change(r)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take answers the next rows, at most a chunk, in the order of their keys.
func (m *mirror) take() (ids []int64, rows map[int64]*mirrored) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := min(len(m.order), writeChunk)
	ids, m.order = slices.Clone(m.order[:n]), m.order[n:]
	rows = make(map[int64]*mirrored, n)
	for _, id := range ids {
		rows[id] = m.rows[id]
		delete(m.rows, id)
	}
	slices.SortFunc(ids, func(a, b int64) int { return cmp.Compare(a, b) })
	return ids, rows
}

// unwritten answers how many accounts are still to be written.
func (m *mirror) unwritten() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rows)
}

// run writes until closing has ended and nothing is left, or life ends.
func (m *mirror) run(closing, life context.Context) {
	pause := retryFirst
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
		if err := m.store(life, ids, rows); err == nil {
			pause = retryFirst
			continue
		}
		select {
		case <-time.After(pause):
		case <-life.Done():
		}
		pause = min(2*pause, retryMost)
	}
}

// store writes rows, tells those who wait and, where that failed, keeps what must
// be written.
func (m *mirror) store(ctx context.Context, ids []int64, rows map[int64]*mirrored) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	statement, args := updateStates(len(ids), func(i int) row { return row{ids[i], rows[ids[i]].newest()} }, true)
	start := time.Now()
	err := m.db.Tx(ctx, func(tx *gorm.DB) error { return tx.Exec(statement, args...).Error })
	m.metrics.writeSeconds.Observe(time.Since(start).Seconds())
	if err != nil {
		err = fmt.Errorf("updating the presence of %d users: %w", len(ids), err)
		m.metrics.writeFailures.Inc()
		m.log.Error("writing statuses failed, will be tried again", "users", len(ids), "error", err)
	}
	for _, id := range ids {
		r := rows[id]
		if err != nil && r.kept.Since != 0 {
			m.keep(id, r.kept)
		}
		for _, done := range r.waiters {
			done <- err
		}
	}
	return err
}
