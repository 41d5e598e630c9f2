package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// scrubPatience limits how long Scrub makes writers wait for readers.
const scrubPatience = 100 * time.Millisecond

// ErrScrubBusy means that a reader or another process needs the write-ahead log.
var ErrScrubBusy = errors.New("the write-ahead log is in use")

// Scrub writes the pages of SQLite's write-ahead log to the file and empties the log. Until then
// both contain earlier versions of pages, with data that has since been deleted or overwritten. It
// does nothing if the log is empty, and nothing on MySQL. Returns ErrScrubBusy if it should be
// called again later.
func (db *DB) Scrub(ctx context.Context) error {
	if db.writer == nil {
		return nil
	}
	path, err := filepath.EvalSymlinks(db.path)
	if err != nil {
		return fmt.Errorf("finding database %s: %w", db.name, err)
	}
	switch log, err := os.Stat(path + "-wal"); {
	case errors.Is(err, fs.ErrNotExist), err == nil && log.Size() == 0:
		return nil
	case err != nil:
		return fmt.Errorf("looking at the log of %s: %w", db.name, err)
	}
	err = db.writer.between(ctx, time.Now().Add(db.patience), truncateLog)
	if errors.Is(err, errNoTurn) {
		return ErrScrubBusy
	}
	if err != nil && !errors.Is(err, ErrScrubBusy) {
		return fmt.Errorf("emptying the log of %s: %w", db.name, err)
	}
	return err
}

// truncateLog runs the checkpoint. It waits for readers with the connection's busy time-out, which
// it shortens for that time.
func truncateLog(conn *sql.Conn) error {
	// A context that ends would interrupt the statements that restore the time-out.
	ctx := context.Background()
	var usual int
	if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&usual); err != nil {
		return err
	}
	if err := setBusyTimeout(ctx, conn, int(scrubPatience.Milliseconds())); err != nil {
		return err
	}
	var busy, logged, written int
	err := conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &logged, &written)
	if err = errors.Join(err, setBusyTimeout(ctx, conn, usual)); err != nil {
		return err
	}
	if busy != 0 {
		return ErrScrubBusy
	}
	return nil
}

func setBusyTimeout(ctx context.Context, conn *sql.Conn, ms int) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout=%d", ms))
	return err
}
