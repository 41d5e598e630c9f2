package cli

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"rollcall/internal/database"
)

var (
	// otherNodeWait is how long a start waits for another server, which may be on
	// its way out: long enough for the session of a machine that lost its power, too.
	otherNodeWait = 15 * time.Second
	// otherNodePause is the time between two looks.
	otherNodePause = 250 * time.Millisecond
)

// nodeAlone is the node of a service without Redis. Who is online is in its memory,
// so a second one on the database would take the users of the first for OFFLINE.
type nodeAlone struct {
	db   *database.DB
	lock database.NodeLock
	log  *slog.Logger
}

// standAlone makes sure that no other server without Redis is on the database, and
// shows the next one that this one is, until end is called.
func standAlone(ctx context.Context, db *database.DB, log *slog.Logger) (end func(), err error) {
	lock, err := db.NodeLock()
	if err != nil {
		return nil, err
	}
	n := &nodeAlone{db: db, lock: lock, log: log}
	if err := n.take(ctx); err != nil {
		lock.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // a node that drains is still there
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.keep(ctx)
	}()
	return func() {
		cancel()
		<-done
		lock.Close()
	}, nil
}

// take takes the lock, for which it waits a while.
func (n *nodeAlone) take(ctx context.Context) error {
	told := false
	for began := time.Now(); ; {
		held, err := n.lock.Take(ctx)
		if held || err != nil {
			return err
		}
		if waited := time.Since(began); waited >= otherNodeWait {
			return fmt.Errorf("another server runs on %s: several on one database need ROLLCALL_REDIS_URL, the same for all", n.db)
		} else if !told && waited >= otherNodePause { // not for one that ends just now
			told = true
			n.log.Info("another server runs on this database; waiting for its end", "database", n.db.String(), "atMost", otherNodeWait.String())
		}
		if !pause(ctx, otherNodePause) {
			return ctx.Err()
		}
	}
}

// keep takes the lock again where it was lost, as by a restart of the database.
// That does not end the server: it is the other one that should not be there.
func (n *nodeAlone) keep(ctx context.Context) {
	var refused time.Time // since when another has the lock; zero: none has
	warned := false
	for pause(ctx, database.NodeLockInterval) {
		held, err := n.lock.Take(ctx)
		switch {
		case err != nil: // readiness tells of it
		case held:
			if warned {
				n.log.Info("no other server runs on this database any more", "database", n.db.String())
			}
			refused, warned = time.Time{}, false
		case refused.IsZero():
			refused = time.Now() // it may be this node's own session, lost and not ended yet
		case !warned && time.Since(refused) >= otherNodeWait:
			warned = true
			n.log.Warn("another server runs on this database: several need ROLLCALL_REDIS_URL, the same for all; until then users are shown OFFLINE who are not",
				"database", n.db.String())
		}
	}
}

// pause waits; false: ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
