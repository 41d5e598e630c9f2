package node

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/vitals"
)

// lockRetry is the time between two attempts to lock the database.
const lockRetry = 250 * time.Millisecond

// databaseLock shows that a node without Redis uses the database. Who is online is in the memory of
// such a node, so a second one would set the users of the first to OFFLINE.
type databaseLock struct {
	db   *database.DB
	lock database.NodeLock
	// wait is how long another node may have the lock before that is a fault: it may be about to
	// end, or may have lost its power, in which case the database still has its session.
	wait time.Duration
	log  *slog.Logger
}

// LockDatabase locks the database against other nodes, for a node without Redis, until unlock is called.
// It must be called before the schema is migrated. Returns an error if another node still runs after
// wait.
func LockDatabase(ctx context.Context, db *database.DB, wait time.Duration, log *slog.Logger) (unlock func(), err error) {
	lock, err := db.NodeLock()
	if err != nil {
		return nil, err
	}
	l := &databaseLock{db: db, lock: lock, wait: wait, log: log}
	if err := l.take(ctx); err != nil {
		lock.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // a node that drains still uses the database
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.retakeLost(ctx)
	}()
	return func() {
		cancel()
		<-done
		lock.Close()
	}, nil
}

// take takes the lock, and waits for it and for the end of nodes that have a Redis, which take no lock.
func (l *databaseLock) take(ctx context.Context) error {
	w := waiting{l.db, l.wait, l.log}
	if err := w.forEnd(ctx, func() (string, error) { return withoutRedis(ctx, l.lock) }); err != nil {
		return err
	}
	return w.forEnd(ctx, func() (string, error) {
		names, err := vitals.RunningOn(ctx, l.db)
		return strings.Join(names, ", "), err
	})
}

// withoutRedis takes the lock. If a node without Redis has it, it returns a description of that node.
func withoutRedis(ctx context.Context, lock database.NodeLock) (running string, err error) {
	if taken, err := lock.Take(ctx); taken || err != nil {
		return "", err
	}
	return "one without ROLLCALL_REDIS_URL", nil
}

// waiting waits for nodes that must not run beside this one.
type waiting struct {
	db *database.DB
	// atMost is how long such a node may run before that is a fault.
	atMost time.Duration
	log    *slog.Logger
}

// forEnd waits until running returns no name. Returns an error if it still returns one after atMost.
func (w waiting) forEnd(ctx context.Context, running func() (string, error)) error {
	logged := false
	for began := time.Now(); ; {
		name, err := running()
		if name == "" || err != nil {
			return err
		}
		if waited := time.Since(began); waited >= w.atMost {
			return fmt.Errorf("another server runs on %s: %s; several on one database need ROLLCALL_REDIS_URL, the same for all", w.db, name)
		} else if !logged && waited >= lockRetry { // not for a node that is just ending
			logged = true
			w.log.Info("another server runs on this database; waiting for its end", "database", w.db.String(), "server", name, "atMost", w.atMost.String())
		}
		if !pause(ctx, lockRetry) {
			return ctx.Err()
		}
	}
}

// retakeLost takes the lock again if it was lost, for example because the database was restarted.
// If another node has it, this one does not end: the other one is the intruder.
func (l *databaseLock) retakeLost(ctx context.Context) {
	var refused time.Time // since when another session has the lock; zero if this one has it
	warned := false
	for pause(ctx, database.NodeLockInterval) {
		taken, err := l.lock.Take(ctx)
		switch {
		case err != nil: // readiness reports it
		case taken:
			if warned {
				l.log.Info("no other server runs on this database any more", "database", l.db.String())
			}
			refused, warned = time.Time{}, false
		case refused.IsZero():
			refused = time.Now() // it may be this node's own lost session, which has not ended yet
		case !warned && time.Since(refused) >= l.wait:
			warned = true
			l.log.Warn("another server runs on this database: several need ROLLCALL_REDIS_URL, the same for all; until then, users that are online may be shown OFFLINE",
				"database", l.db.String())
		}
	}
}

// pause waits for d and reports whether ctx has not ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
