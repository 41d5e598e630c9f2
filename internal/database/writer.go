package database

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"
)

// The limits of a group, after which it is committed although other transactions wait.
const (
	groupSize = 64
	groupAge  = 10 * time.Millisecond
)

// busyPause is the minimum time between two attempts to get SQLite's lock.
const busyPause = 5 * time.Millisecond

// writer runs the transactions on SQLite's only writing connection, one after the other in the
// order in which they arrived. A commit waits for the disk. The transactions that queue up
// meanwhile form a group, which is committed once for all of them, as durably as each alone. No
// transaction waits for others to join, and each member of a group has its own result: what one
// rolls back is rolled back to its beginning, and no caller gets a result before all that it may
// have seen has been committed.
type writer struct {
	pool *sql.DB
	gorm *gorm.DB

	mu sync.Mutex
	// busy means that a caller has the turn, to change or to commit.
	busy  bool
	queue []chan struct{} // each is closed when its turn comes
	// group is the open group. It belongs to the caller that has the turn.
	group *group
}

// group is one transaction of SQLite with the changes of several callers.
type group struct {
	tx      *sql.Tx
	began   time.Time
	members int
	alone   bool  // it has only one member
	broken  error // SQLite has rolled back all of it, or may have

	ended chan struct{}
	err   error // nothing of it was committed
}

// errGroup is returned to the members of a group of which nothing was committed because of another
// member. Their transactions must be run again.
var errGroup = errors.New("the transactions committed together were undone")

func newWriter(pool *sql.DB, handle *gorm.DB) *writer { return &writer{pool: pool, gorm: handle} }

// run runs fn as a transaction, in a group unless alone is true. Returns fn's own errors; ctx's, if
// it ends before the caller's turn; errNoTurn, if the deadline passes before that; SQLite's BUSY,
// if the deadline passes while another process has the lock; errGroup, unless alone.
func (w *writer) run(ctx context.Context, deadline time.Time, alone bool, fn func(tx *gorm.DB) error) error {
	if err := w.takeTurn(ctx, deadline); err != nil {
		return err
	}
	g, err := w.open(ctx, deadline, alone)
	if err != nil {
		w.passTurn()
		return err
	}
	broke, err := w.member(ctx, g, fn)
	<-g.ended
	switch {
	case g.err == nil, broke:
		return err
	case g.members == 1:
		return cmp.Or(err, g.err)
	}
	return fmt.Errorf("%w: %w", errGroup, g.err)
}

// takeTurn waits until all earlier callers have had their turn, but only until the deadline.
func (w *writer) takeTurn(ctx context.Context, deadline time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	if !w.busy {
		w.busy = true
		w.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	w.queue = append(w.queue, turn)
	w.mu.Unlock()
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	var err error
	select {
	case <-turn:
		return nil
	case <-late.C:
		err = errNoTurn
	case <-ctx.Done():
		err = ctx.Err()
	}
	w.mu.Lock()
	i := slices.Index(w.queue, turn)
	if i >= 0 {
		w.queue = slices.Delete(w.queue, i, i+1)
	}
	w.mu.Unlock()
	if i < 0 { // the turn came at the same time
		w.passTurn()
	}
	return err
}

// passTurn passes the turn to the next caller in the queue. It commits the group first, unless that
// caller joins it.
func (w *writer) passTurn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if g := w.group; g != nil && (len(w.queue) == 0 || !g.takesMore()) {
		w.mu.Unlock()
		w.end()
		w.mu.Lock()
	}
	if len(w.queue) == 0 {
		w.busy = false
		return
	}
	close(w.queue[0])
	w.queue = w.queue[1:]
}

// between runs fn on the connection, outside of a transaction, when it is the caller's turn.
// Returns errNoTurn if the deadline passes before that.
func (w *writer) between(ctx context.Context, deadline time.Time, fn func(conn *sql.Conn) error) error {
	if err := w.takeTurn(ctx, deadline); err != nil {
		return err
	}
	defer w.passTurn()
	if w.group != nil {
		w.end()
	}
	conn, err := w.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return fn(conn)
}

// open returns the open group, or begins one.
func (w *writer) open(ctx context.Context, deadline time.Time, alone bool) (*group, error) {
	if alone && w.group != nil {
		w.end()
	}
	if w.group == nil {
		tx, err := w.begin(ctx, deadline)
		if err != nil {
			return nil, err
		}
		w.group = &group{tx: tx, began: time.Now(), alone: alone, ended: make(chan struct{})}
	}
	return w.group, nil
}

// begin begins a transaction of SQLite. While another process has the lock it tries again, in steps
// of busyStep, until ctx ends or the deadline has passed.
func (w *writer) begin(ctx context.Context, deadline time.Time) (*sql.Tx, error) {
	for {
		// A transaction is rolled back when the context with which it began ends.
		tx, err := w.pool.BeginTx(context.Background(), nil)
		if err == nil || !isBusy(err) || time.Now().After(deadline) {
			return tx, err
		}
		select {
		case <-time.After(busyPause): // SQLite does not always wait by itself
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// member runs fn in the group, rolls it back if it fails or panics, and passes the turn on. broke
// reports whether the group cannot be committed because of this member.
func (w *writer) member(ctx context.Context, g *group, fn func(tx *gorm.DB) error) (broke bool, err error) {
	g.members++
	kept := false
	defer func() {
		if !kept && g.broken == nil {
			g.undo()
		}
		broke = g.broken != nil
		w.passTurn()
	}()
	if err := g.exec("SAVEPOINT member"); err != nil {
		g.broken = err
		return true, err
	}
	// A context that ends would interrupt a statement, and SQLite would roll back the whole group
	// because of that.
	tx := w.gorm.Session(&gorm.Session{NewDB: true, Context: context.WithoutCancel(ctx)})
	tx.Statement.ConnPool = g.tx
	if err := fn(tx); err != nil {
		return false, err
	}
	if err := g.exec("RELEASE member"); err != nil {
		g.broken = err
		return true, err
	}
	kept = true
	return false, nil
}

// undo rolls back the changes of the last member.
func (g *group) undo() {
	// If SQLite has rolled back everything by itself, the savepoint no longer exists.
	if g.broken = g.exec("ROLLBACK TO member"); g.broken == nil {
		g.broken = g.exec("RELEASE member")
	}
}

func (g *group) exec(statement string) error {
	_, err := g.tx.Exec(statement)
	return err
}

func (g *group) takesMore() bool {
	return !g.alone && g.broken == nil && g.members < groupSize && time.Since(g.began) < groupAge
}

// end commits the open group and returns the result to its members.
func (w *writer) end() {
	g := w.group
	w.group = nil
	g.err = g.broken
	if g.err == nil {
		g.err = g.tx.Commit()
	} else {
		_ = g.tx.Rollback() // there may be nothing left to roll back
	}
	close(g.ended)
}
