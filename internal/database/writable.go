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
	// probeTimeout bounds one look at whether the database can be written. A lock that a backup
	// has for a moment is shorter.
	probeTimeout = 3 * time.Second
	// stuckAfter is how long a transaction may take before a look asks whether any can succeed.
	stuckAfter = 3 * time.Second
	// leastDisk is the free space, in bytes, below which a disk counts as full.
	leastDisk = 1 << 20
)

// UnwritableError means that the database answers, but takes no changes at the moment.
type UnwritableError struct {
	reason string
	err    error
}

// Error returns one line for operators, without details of the database.
func (e *UnwritableError) Error() string { return "the database cannot be written: " + e.reason }

// Unwrap returns the cause.
func (e *UnwritableError) Unwrap() error { return e.err }

// Writable returns nil if the database answers and takes changes, and *UnwritableError if it
// answers only. It changes nothing: a DELETE that finds no row is refused by a server that is
// read-only or locked, like any other. Only while the last transaction has failed for such a
// reason, or one is stuck, does it commit a transaction that leaves no row behind, because full
// disks and commits that hang show in no other way.
//
// Calls that come together share one look.
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

// look is Writable by itself.
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

// writeNothing is refused where changes are, and makes none.
func writeNothing(tx *gorm.DB) error { return tx.Exec("DELETE FROM token_keys WHERE id = ''").Error }

// writeAndUndo makes a change that is gone when it is committed.
func writeAndUndo(tx *gorm.DB) error {
	id := "probe-" + rand.Text()[:20]
	if err := tx.Exec("INSERT INTO token_keys (id, secret, created_at) VALUES (?, '', 0)", id).Error; err != nil {
		return err
	}
	return tx.Exec("DELETE FROM token_keys WHERE id = ?", id).Error
}

// tryOnce runs a transaction once, which Tx may run again.
func (db *DB) tryOnce(ctx context.Context, fn func(tx *gorm.DB) error) error {
	if db.writer != nil {
		deadline, _ := ctx.Deadline()
		return db.writer.run(ctx, deadline, false, fn)
	}
	// Unlike Tx it takes no place among the transactions, which all may be stuck, and a
	// connection that is to be given up is replaced.
	for {
		err := db.write.WithContext(ctx).Transaction(fn)
		if err == nil || !isMySQL(err, collided...) && !errors.As(err, new(givenUp)) || ctx.Err() != nil {
			return err
		}
	}
}

// reason returns why a transaction failed, in the words of operators.
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

// writes is what the present and the last transactions tell of the database.
type writes struct {
	mu      sync.Mutex
	running list.List // their starts, the oldest first
	failed  bool      // the last one that ended found the database unavailable
}

// start notes a transaction that begins. end notes what came of it.
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

// succeeded notes that one was committed.
func (w *writes) succeeded() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = false
}
