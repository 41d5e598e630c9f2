package database

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"
	"gorm.io/gorm"
)

const (
	// probeTimeout limits one check whether the database can be written. A backup's lock is usually
	// shorter.
	probeTimeout = 3 * time.Second
	// stuckAfter is how long a transaction may take before a check tests whether any can succeed.
	stuckAfter = 3 * time.Second
	// leastDisk is the free space, in bytes, below which a disk counts as full.
	leastDisk = 1 << 20
)

// UnwritableError means that the database responds but accepts no changes for the moment.
type UnwritableError struct {
	reason string
	err    error
}

// Error returns one line for operators, without details of the database.
func (e *UnwritableError) Error() string { return "the database cannot be written: " + e.reason }

// Unwrap returns the cause.
func (e *UnwritableError) Unwrap() error { return e.err }

// Writable returns nil if the database responds and accepts changes, and *UnwritableError if it
// only responds. It changes nothing: a server that is read-only or locked refuses even a DELETE
// that finds no row. Only if the last transaction failed for such a reason, or one is stuck, it
// commits a transaction that leaves no row behind, because full disks and hanging commits cannot be
// detected otherwise.
//
// Concurrent calls share one check.
func (db *DB) Writable(ctx context.Context) error {
	_, _, err := db.probe.Get(ctx, struct{}{})
	return err
}

// newProbe returns the Coalescer behind Writable.
func (db *DB) newProbe() *Coalescer[struct{}, struct{}] {
	return NewCoalescer(1, func(ctx context.Context, _ []struct{}) (map[struct{}]struct{}, error) {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		return nil, db.look(ctx)
	})
}

// look is Writable for one check.
func (db *DB) look(ctx context.Context) error {
	if err := db.Ping(ctx); err != nil {
		return err
	}
	if db.dialect == SQLite {
		if free, known := db.freeDisk(filepath.Dir(db.path)); known && free < leastDisk {
			return &UnwritableError{"the disk is full", fmt.Errorf("%d bytes are free", free)}
		}
	}
	write := writeNothing
	suspicious := db.writes.suspicious()
	if suspicious {
		write = writeAndUndo
	}
	err := db.tryOnce(ctx, write)
	if err != nil {
		return &UnwritableError{reason(err), err}
	}
	if suspicious {
		db.writes.succeeded()
	}
	return nil
}

// writeNothing is refused if changes are, and makes none.
func writeNothing(tx *gorm.DB) error { return tx.Exec("DELETE FROM token_keys WHERE id = ''").Error }

// writeAndUndo makes a change and reverts it in the same transaction.
func writeAndUndo(tx *gorm.DB) error {
	id := "probe-" + rand.Text()[:20]
	if err := tx.Exec("INSERT INTO token_keys (id, secret, created_at) VALUES (?, '', 0)", id).Error; err != nil {
		return err
	}
	return tx.Exec("DELETE FROM token_keys WHERE id = ?", id).Error
}

// tryOnce runs a transaction once, whereas Tx may run it again.
func (db *DB) tryOnce(ctx context.Context, fn func(tx *gorm.DB) error) error {
	if db.writer != nil {
		deadline, _ := ctx.Deadline()
		return db.writer.run(ctx, deadline, false, fn)
	}
	// Unlike Tx it does not use one of the places of transactions, which may all be stuck. It
	// replaces a connection that must be closed.
	for {
		err := db.write.WithContext(ctx).Transaction(fn)
		if err == nil || !isMySQL(err, collided...) && !errors.As(err, new(givenUp)) || ctx.Err() != nil {
			return err
		}
	}
}

// reason returns why a transaction failed, in words for operators.
func reason(err error) string {
	code, _ := errors.AsType[sqlite3.ErrorCode](err)
	switch {
	case isMySQL(err, readOnly...), code == sqlite3.READONLY:
		return "it is read-only"
	case isMySQL(err, 1047):
		return "its server is not part of the Galera cluster"
	case isMySQL(err, 1021, 1026, 1114), code == sqlite3.FULL:
		return "the disk is full"
	case isMySQL(err, 1205), isBusy(err), errors.Is(err, errNoTurn), errors.Is(err, context.DeadlineExceeded):
		return "it is locked"
	}
	return "it refuses changes"
}

// writes records what the current and the last transactions show about the database.
type writes struct {
	mu      sync.Mutex
	running list.List // their starts, the oldest first
	failed  bool      // the last one that ended found the database unavailable
}

// start records a transaction that begins, and end its result.
func (w *writes) start() (end func(err error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	element := w.running.PushBack(time.Now())
	return func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.running.Remove(element)
		switch {
		case err == nil:
			w.failed = false
		case Unavailable(err):
			w.failed = true
		}
	}
}

// suspicious reports whether it is doubtful that a transaction can be committed.
func (w *writes) suspicious() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	oldest := w.running.Front()
	return w.failed || oldest != nil && time.Since(oldest.Value.(time.Time)) > stuckAfter
}

// succeeded records that a transaction was committed.
func (w *writes) succeeded() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = false
}
