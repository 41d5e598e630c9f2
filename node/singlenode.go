package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"rollcall/internal/database"
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

// LockDatabase locks the database against other nodes without Redis until unlock is called. It must
// be called before the schema is migrated. Returns an error if another node still has the lock after
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

// take takes the lock, and waits for it.
func (l *databaseLock) take(ctx context.Context) error {
	logged := false
	for began := time.Now(); ; {
		taken, err := l.lock.Take(ctx)
		if taken || err != nil {
			return err
		}
		if waited := time.Since(began); waited >= l.wait {
			return fmt.Errorf("another server runs on %s: several on one database need ROLLCALL_REDIS_URL, the same for all", l.db)
		} else if !logged && waited >= lockRetry { // not for a node that is just ending
			logged = true
			l.log.Info("another server runs on this database; waiting for its end", "database", l.db.String(), "atMost", l.wait.String())
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
