package database

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

const (
	// privateMode is the mode of a new file. A database holds signing keys and personal data.
	privateMode fs.FileMode = 0o600
	// othersMode are the bits of a mode that let other users read, change or run a file.
	othersMode fs.FileMode = 0o077
)

// companions are the suffixes of the names of the files beside a database.
var companions = []string{"-wal", "-shm", "-journal", nodeLockSuffix}

// createFiles creates the file that SQLite is about to open with these flags, unless it
// exists, with the mode that it must have. SQLite itself would leave that to the umask.
//
// A database is created with privateMode. Its journal, its write-ahead log and the log's index
// get the database's own mode, so that a group that may use the database can use them too.
// The index is created with the log: SQLite opens it later, and not through the VFS. Both are
// deleted only under a lock that excludes a connection that is opening them.
func createFiles(name *vfs.Filename, flags vfs.OpenFlag) error {
	const journals = vfs.OPEN_MAIN_JOURNAL | vfs.OPEN_WAL
	if name == nil || flags&vfs.OPEN_CREATE == 0 || flags&(vfs.OPEN_MAIN_DB|journals) == 0 {
		return nil
	}
	if flags&vfs.OPEN_MAIN_DB != 0 {
		return create(name.String(), privateMode)
	}
	mode := privateMode
	if info, err := os.Stat(name.Database()); err == nil {
		mode = info.Mode() & (fs.ModePerm &^ 0o111)
	}
	err := create(name.String(), mode)
	if err == nil && flags&vfs.OPEN_WAL != 0 {
		err = create(name.Database()+"-shm", mode)
	}
	if errors.Is(err, fs.ErrPermission) {
		return sqlite3.READONLY_DIRECTORY
	}
	return err
}

// create creates an empty file with the mode, whatever the umask is. It does nothing if the file
// exists.
func create(name string, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_ = f.Chmod(mode) // the umask may have removed bits; some file systems have none
	return f.Close()
}

// ExposedFile is a file of a database that other users of the machine can read or change.
type ExposedFile struct {
	Path string
	Mode fs.FileMode
}

// Exposed returns the files of an SQLite database that other users of the machine can read or
// change, the database first. There are none on MySQL and on Windows, where modes mean nothing.
func (db *DB) Exposed() ([]ExposedFile, error) {
	if db.dialect != SQLite || runtime.GOOS == "windows" {
		return nil, nil
	}
	path, err := filepath.EvalSymlinks(db.path)
	if err != nil {
		return nil, fmt.Errorf("finding database %s: %w", db.name, err)
	}
	var exposed []ExposedFile
	for _, suffix := range append([]string{""}, companions...) {
		info, err := os.Stat(path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking at the files of %s: %w", db.name, err)
		}
		if info.Mode()&othersMode != 0 {
			exposed = append(exposed, ExposedFile{Path: path + suffix, Mode: info.Mode().Perm()})
		}
	}
	return exposed, nil
}
