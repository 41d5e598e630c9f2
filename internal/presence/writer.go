package presence

import (
	"context"
	"sync"
	"time"

	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
)

// writer writes the states of entries into their columns. One goroutine does it, so no older state
// is written after a newer one. Tasks that arrive during a write are written together by the next.
type writer struct {
	columns *mirror.Columns

	mu    sync.Mutex
	queue []task
	// failed are tried again after a pause; they count as queued.
	failed []task
	wake   chan struct{}
}

// task is an entry whose columns do not hold what they should. Its state is read when it is written.
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

func newWriter(columns *mirror.Columns) *writer {
	return &writer{columns: columns, wake: make(chan struct{}, 1)}
}

// push queues e. The caller holds its shard's lock and has set e.queued.
func (w *writer) push(s *shard, e *entry) {
	w.mu.Lock()
	w.queue = append(w.queue, task{s, e})
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take removes and returns the next tasks, at most a chunk.
func (w *writer) take() []task {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), mirror.Chunk)
	tasks := w.queue[:n:n]
	w.queue = w.queue[n:]
	return tasks
}

// retry queues the failed tasks again.
func (w *writer) retry() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, w.failed...)
	w.failed = nil
}

// unwritten returns how many entries are still to be written.
func (w *writer) unwritten() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) + len(w.failed)
}

// run writes until closing has ended and nothing is left, or life ends.
func (w *writer) run(closing, life context.Context) {
	pause := mirror.RetryFirst
	var again <-chan time.Time // nil: nothing has failed
	closed := closing.Done()
	for life.Err() == nil {
		tasks := w.take()
		if len(tasks) > 0 {
			switch {
			case w.flush(life, tasks):
				pause = mirror.RetryFirst
			case again == nil:
				again = time.After(pause)
				pause = min(2*pause, mirror.RetryMost)
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

// flush writes the present states of entries. It reports false if some must be tried again.
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
	rows := make([]mirror.Row, len(writes))
	for i, row := range writes {
		rows[i] = mirror.Row{ID: row.entry.ID, State: row.state}
	}
	err := w.columns.Write(ctx, rows, false)
	for _, row := range writes {
		if row.shard.endWrite(row, err) {
			w.mu.Lock()
			w.failed = append(w.failed, task{row.shard, row.entry})
			w.mu.Unlock()
		}
	}
	return err == nil
}
