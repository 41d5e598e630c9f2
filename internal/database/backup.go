package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/ncruces/go-sqlite3"
)

// ErrBackupElsewhere means that the database's server has its own tools for backups.
var ErrBackupElsewhere = errors.New("the database is on a server, whose own tools make backups, such as mariadb-dump --single-transaction")

// Backup writes a copy of SQLite's file to a new file, beside running servers. The copy has all that
// was committed when Backup began and nothing that was deleted before, is on the disk and was checked
// when Backup returns, and belongs to the caller alone. If Backup fails, there is no new file. Returns
// fs.ErrExist if the file exists, and ErrBackupElsewhere on MySQL.
func (db *DB) Backup(ctx context.Context, path string) (err error) {
	if db.writer == nil {
		return ErrBackupElsewhere
	}
	// Otherwise a path that was mistyped would make a backup of nothing, because Open creates the file.
	if v, err := db.Version(ctx); err != nil || v.Current == 0 {
		return errors.Join(err, fmt.Errorf("%s is empty", db.name))
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fs.ErrExist)
	}
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := create(part, privateMode); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(part)
		}
	}()
	// VACUUM writes only what is in use, so the copy has no remains of deleted rows.
	if err := onFile(ctx, db.path, func(conn *sqlite3.Conn) error {
		return conn.Exec("VACUUM INTO " + sqlite3.Quote(part))
	}); err != nil {
		return fmt.Errorf("copying %s: %w", db.name, err)
	}
	if err := onFile(ctx, part, checkFile); err != nil {
		return fmt.Errorf("checking %s: %w", part, err)
	}
	if err := syncFile(part); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // which has no such call for folders
		return nil
	}
	return syncFile(filepath.Dir(path))
}

// onFile calls fn with a connection that only reads the file, until ctx ends.
func onFile(ctx context.Context, path string, fn func(*sqlite3.Conn) error) error {
	conn, err := sqlite3.OpenContext(ctx, "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro&vfs="+pagesVFS)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetInterrupt(ctx)
	if err := conn.BusyTimeout(busyPatience); err != nil {
		return err
	}
	return fn(conn)
}

// checkFile returns an error if the file's structure is damaged.
func checkFile(conn *sqlite3.Conn) error {
	stmt, _, err := conn.Prepare("PRAGMA quick_check(1)")
	if err != nil {
		return err
	}
	defer stmt.Close()
	if !stmt.Step() {
		return stmt.Err()
	}
	if found := stmt.ColumnText(0); found != "ok" {
		return errors.New(found)
	}
	return nil
}

// syncFile returns when a file, or the names in a folder, are on the disk.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
