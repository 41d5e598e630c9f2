package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// NodeLock shows the servers on a database whether one of them is running. Only one process has the
// lock, and it is released when the process ends, for whatever reason. Nothing is stored that could
// be left after a crash, and no clock is used.
type NodeLock interface {
	// Take reports whether this process has the lock, either because it had it already or because
	// no other process did. Take does not wait for another process.
	Take(ctx context.Context) (bool, error)
	Close() error
}

// NodeLock returns the database's lock, which is not taken yet.
func (db *DB) NodeLock() (NodeLock, error) {
	if db.dialect == SQLite {
		return db.newFileLock()
	}
	pool := sql.OpenDB(db.connector)
	pool.SetMaxOpenConns(1)
	return &sessionLock{name: db.name, pool: pool}, nil
}

// NodeLockInterval is how often the process that has the lock must call Take.
const NodeLockInterval = 3 * time.Second

// These are longer in tests, which call Take only once and may be stopped for many seconds on a
// loaded machine.
var (
	// nodeLockIdle, in seconds, is how long a session may be idle before the server ends it.
	// Without it, the session of a machine that lost power would keep the lock for hours.
	nodeLockIdle = 10
	// nodeLockTimeout limits one Take. Together with the interval it is less than nodeLockIdle.
	nodeLockTimeout = 5 * time.Second
)

// sessionLock is the lock on MySQL and MariaDB, which the server releases at the end of the
// session.
type sessionLock struct {
	name    string
	pool    *sql.DB   // separate from the other pools, which close idle connections
	session *sql.Conn // nil if there is none or it was lost
	lock    string    // its name, once there was a session
}

// Take implements NodeLock. It replaces a session that was lost.
func (l *sessionLock) Take(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, nodeLockTimeout)
	defer cancel()
	held, err := l.take(ctx)
	if err != nil {
		l.drop()
		return false, fmt.Errorf("taking the lock of a node on %s: %w", l.name, err)
	}
	return held, nil
}

func (l *sessionLock) take(ctx context.Context) (bool, error) {
	if l.session != nil && l.session.Raw(func(conn any) error { return conn.(*session).usable() }) != nil {
		l.drop() // the service has moved to another server
	}
	if l.session == nil {
		var err error
		if l.session, err = l.pool.Conn(ctx); err != nil {
			return false, err
		}
		if _, err := l.session.ExecContext(ctx, "SET SESSION wait_timeout = ?", nodeLockIdle); err != nil {
			return false, err
		}
		if l.lock, err = lockName(ctx, l.session, "node"); err != nil {
			return false, err
		}
	}
	// Check that the session still has the lock: a proxy may have replaced the connection behind
	// it.
	var held sql.NullBool
	err := l.session.QueryRowContext(ctx,
		"SELECT IF(IS_USED_LOCK(?) <=> CONNECTION_ID(), 1, GET_LOCK(?, 0))", l.lock, l.lock).Scan(&held)
	return held.Bool, err
}

// drop ends the session and so releases the lock.
func (l *sessionLock) drop() {
	if l.session == nil {
		return
	}
	// Close alone would return the connection to the pool.
	_ = l.session.Raw(func(any) error { return driver.ErrBadConn })
	l.session.Close()
	l.session = nil
}

// Close implements NodeLock.
func (l *sessionLock) Close() error {
	if l.session != nil {
		// The server releases the lock shortly after the session's end.
		ctx, cancel := context.WithTimeout(context.Background(), nodeLockTimeout)
		defer cancel()
		_, _ = l.session.ExecContext(ctx, "DO RELEASE_LOCK(?)", l.lock)
	}
	l.drop()
	return l.pool.Close()
}

// nodeLockSuffix is the suffix of the name of fileLock's file.
const nodeLockSuffix = "-node"

// fileLock is the lock on SQLite: an exclusive transaction on an empty database beside the file.
// SQLite implements it by a lock of the operating system on every platform. The file is not
// removed: if one process removed it while another opens it, both would have a lock.
type fileLock struct {
	path string
	conn *sqlite3.Conn // nil if the lock is not taken
}

func (db *DB) newFileLock() (*fileLock, error) {
	// A process that uses a symbolic link uses the same database.
	path, err := filepath.EvalSymlinks(db.path)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot find database %s: %w", db.name, err)
	}
	return &fileLock{path: path + nodeLockSuffix}, nil
}

// Take implements NodeLock.
func (l *fileLock) Take(context.Context) (bool, error) {
	if l.conn != nil {
		return true, nil
	}
	if err := create(l.path, privateMode); err != nil {
		return false, fmt.Errorf("cannot create %s: %w", l.path, err)
	}
	conn, err := sqlite3.OpenFlags(l.path, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE)
	if err != nil {
		return false, fmt.Errorf("cannot open %s: %w", l.path, err)
	}
	if err = conn.BusyTimeout(0); err == nil {
		err = conn.Exec("PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE") // no further file
	}
	if err != nil {
		conn.Close()
		if errors.Is(err, sqlite3.BUSY) {
			return false, nil
		}
		return false, fmt.Errorf("cannot lock %s: %w", l.path, err)
	}
	l.conn = conn
	return true, nil
}

// Close implements NodeLock.
func (l *fileLock) Close() error {
	if l.conn == nil {
		return nil
	}
	err := errors.Join(l.conn.Exec("ROLLBACK"), l.conn.Close())
	l.conn = nil
	return err
}
