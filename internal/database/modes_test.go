//go:build unix

package database

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

// setUmask sets the process's umask until the test ends.
func setUmask(t *testing.T, mask int) {
	t.Helper()
	before := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(before) })
}

// modes returns the modes of the files whose names begin with path, by what they add to it.
func modes(t *testing.T, path string) map[string]fs.FileMode {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]fs.FileMode)
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimPrefix(name, path)] = info.Mode()
	}
	return found
}

// TestOpen_CreatesPrivateFiles: the modes of a database and the files beside it do not depend on
// the umask, and a database that already has another mode gives it to these files.
func TestOpen_CreatesPrivateFiles(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o277} {
		for _, existing := range []fs.FileMode{0, 0o600, 0o640, 0o666} { // 0 means no file
			t.Run(fmt.Sprintf("umask %04o mode %04o", umask, existing), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "x.db")
				want := existing
				if existing == 0 {
					want = 0o600
				} else if err := create(path, existing); err != nil {
					t.Fatal(err)
				}
				setUmask(t, umask)
				db, err := Open(context.Background(), "sqlite:"+path)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if err := db.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
				lock, err := db.NodeLock()
				if err != nil {
					t.Fatal(err)
				}
				defer lock.Close()
				if held, err := lock.Take(t.Context()); !held || err != nil {
					t.Fatal(held, err)
				}
				got := modes(t, path)
				if all := map[string]fs.FileMode{"": want, "-wal": want, "-shm": want, "-node": 0o600}; !maps.Equal(got, all) {
					t.Errorf("modes %v, want %v", got, all)
				}
			})
		}
	}
}

// TestOpen_CreatesPrivateJournals: SQLite writes a rollback journal until a file has a write-ahead
// log.
func TestOpen_CreatesPrivateJournals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	setUmask(t, 0)
	conn, err := sqlite3.Open("file:" + path + "?vfs=" + pagesVFS)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Exec("PRAGMA journal_mode=PERSIST; CREATE TABLE t (a); INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	got := modes(t, path)
	if all := map[string]fs.FileMode{"": 0o600, "-journal": 0o600}; !maps.Equal(got, all) {
		t.Errorf("modes %v, want %v", got, all)
	}
}

// TestExposed_NamesFilesOfOthers: it returns files with any permission for the group or for others,
// even behind a symbolic link.
func TestExposed_NamesFilesOfOthers(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "x.db"), filepath.Join(dir, "link.db")
	if err := create(path, privateMode); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), "sqlite:"+link)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context()); err != nil { // otherwise there is no log yet
		t.Fatal(err)
	}
	exposed := func(want ...ExposedFile) {
		t.Helper()
		got, err := db.Exposed()
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("exposed %v, %v, want %v", got, err, want)
		}
	}
	exposed()
	for name, mode := range map[string]fs.FileMode{"": 0o644, "-wal": 0o620, "-shm": 0o400} {
		if err := os.Chmod(path+name, mode); err != nil {
			t.Fatal(err)
		}
	}
	exposed(ExposedFile{path, 0o644}, ExposedFile{path + "-wal", 0o620})
}
