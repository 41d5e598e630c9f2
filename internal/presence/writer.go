package presence

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/presence/status"
)

const (
	// writeChunk is how many rows one statement updates at most. SQLite compiles
	// a CASE in quadratic time, so more would be slower there.
	writeChunk = 100
	// writeTimeout bounds one write, so that those who wait for it get an answer.
	writeTimeout = 15 * time.Second
	// After a failure, what failed is tried again after retryFirst, then after
	// twice that and so on up to retryMost.
	retryFirst = 50 * time.Millisecond
	retryMost  = time.Second
)

// writer mirrors states into the columns users.presence and users.presence_at.
// One goroutine does it, so no older state is ever written after a newer; what
// comes in during a write goes together into the next.
type writer struct {
	db      *database.DB
	metrics *metrics
	log     *slog.Logger

	mu    sync.Mutex
	queue []task
	// failed are those to try again; they count as queued.
	failed []task
	wake   chan struct{}
}

// task is an entry whose columns are not as they should be. Its state is read
// when its turn comes.
type task struct {
	shard *shard
	entry *entry
}

// write is one row's part in a statement.
type write struct {
	shard   *shard
	entry   *entry
	state   status.State
	waiters []waiter
}

func newWriter(db *database.DB, m *metrics, log *slog.Logger) *writer {
	return &writer{db: db, metrics: m, log: log, wake: make(chan struct{}, 1)}
}

// push queues e. The caller has its shard's mutex and has set e.queued.
func (w *writer) push(s *shard, e *entry) {
	w.mu.Lock()
	w.queue = append(w.queue, task{s, e})
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take answers the next tasks, at most a chunk.
func (w *writer) take() []task {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), writeChunk)
	tasks := w.queue[:n:n]
	w.queue = w.queue[n:]
	return tasks
}

// retry queues what failed.
func (w *writer) retry() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, w.failed...)
	w.failed = nil
}

// unwritten answers how many entries are still to be written.
func (w *writer) unwritten() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) + len(w.failed)
}

// run writes until closing has ended and nothing is left, or life ends.
func (w *writer) run(closing, life context.Context) {
	pause := retryFirst
	var again <-chan time.Time // nil: nothing has failed
	closed := closing.Done()
	for life.Err() == nil {
		tasks := w.take()
		if len(tasks) > 0 {
			switch {
			case w.flush(life, tasks):
				pause = retryFirst
			case again == nil:
				again = time.After(pause)
				pause = min(2*pause, retryMost)
			}
			continue
		}
		if closing.Err() != nil && w.unwritten() == 0 {
			return
		}
		select {
		case <-w.wake:
		case <-again:
			again = nil
			w.retry()
		case <-closed:
			closed = nil
		case <-life.Done():
		}
	}
}

// flush writes the present states of entries; false: some are to be tried again.
func (w *writer) flush(ctx context.Context, tasks []task) bool {
	writes := make([]write, 0, len(tasks))
	for _, t := range tasks {
		if row, ok := t.shard.beginWrite(t.entry); ok {
			writes = append(writes, row)
		}
	}
	if len(writes) == 0 {
		return true
	}
	start := time.Now()
	err := w.store(ctx, writes)
	w.metrics.writeSeconds.Observe(time.Since(start).Seconds())
	if err != nil {
		w.metrics.writeFailures.Inc()
		w.log.Error("writing statuses failed, will be tried again", "users", len(writes), "error", err)
	}
	for _, row := range writes {
		if row.shard.endWrite(row, err) {
			w.mu.Lock()
			w.failed = append(w.failed, task{row.shard, row.entry})
			w.mu.Unlock()
		}
	}
	return err == nil
}

// store updates all rows in one statement; rows that are gone are left out by it.
func (w *writer) store(ctx context.Context, writes []write) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	// Rows are locked in the order of their keys, as everywhere else.
	slices.SortFunc(writes, func(a, b write) int { return cmp.Compare(a.entry.ID, b.entry.ID) })
	statement, args := updateStates(len(writes), func(i int) row { return row{writes[i].entry.ID, writes[i].state} }, false)
	if err := w.db.Exec(ctx, statement, args...); err != nil {
		return fmt.Errorf("updating the presence of %d users: %w", len(writes), err)
	}
	return nil
}

// row is a user's columns.
type row struct {
	id    int64
	state status.State
}

// updateStates answers one UPDATE for n rows that each get a value of their own: a
// commit, not a row, is what costs. forward: no row that holds something newer is
// changed.
func updateStates(n int, at func(i int) row, forward bool) (statement string, args []any) {
	arms := strings.Repeat(" WHEN ? THEN ?", n)
	statement = "UPDATE users SET presence = CASE id" + arms + " END, presence_at = CASE id" + arms + " END" +
		" WHERE id IN (?" + strings.Repeat(", ?", n-1) + ")"
	args = make([]any, 0, 7*n)
	for i := range n {
		r := at(i)
		args = append(args, r.id, int64(r.state.Presence))
	}
	moments := func() {
		for i := range n {
			r := at(i)
			var at any // NULL
			if r.state.Since != 0 {
				at = int64(r.state.Since)
			}
			args = append(args, r.id, at)
		}
	}
	moments()
	for i := range n {
		args = append(args, at(i).id)
	}
	if forward {
		statement += " AND (presence_at IS NULL OR presence_at <= CASE id" + arms + " END)"
		moments()
	}
	return statement, args
}
