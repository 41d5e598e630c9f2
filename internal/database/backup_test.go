package database_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

func TestBackup_HasAllThatWasCommitted(t *testing.T) {
	db := testenv.Open(t, testenv.SQLiteURL(t))
	if err := db.Exec(t.Context(), "CREATE TABLE facts (n INTEGER, gone TEXT)"); err != nil {
		t.Fatal(err)
	}
	// A server writes all the time.
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan int)
	go func() {
		n := 0
		for ctx.Err() == nil {
			n++
			if err := db.Exec(context.Background(), "INSERT INTO facts (n, gone) VALUES (?, 'a deleted secret')", n); err != nil {
				t.Error(err)
			}
			if n == 50 {
				written <- n
			}
		}
		written <- n
	}()
	atLeast := <-written
	if err := db.Exec(t.Context(), "UPDATE facts SET gone = '' WHERE n <= 50"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "50% a'copy?.db")
	if err := db.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	stop()
	atMost := <-written

	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("beside the copy: %v, %v", entries, err)
	}
	copied, err := database.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	var n, last int
	if err := copied.Read(t.Context()).Raw("SELECT COUNT(*), MAX(n) FROM facts").Row().Scan(&n, &last); err != nil {
		t.Fatal(err)
	}
	if n != last || n < atLeast || n > atMost {
		t.Errorf("the copy has %d rows up to %d; %d had been written before, %d after", n, last, atLeast, atMost)
	}
	was, err := db.Version(t.Context())
	if is, err2 := copied.Version(t.Context()); err != nil || err2 != nil || is != was {
		t.Errorf("the copy's schema is %v, not %v; %v, %v", is, was, err, err2)
	}
}

func TestBackup_FailsWithoutLeavingAFile(t *testing.T) {
	db := testenv.Open(t, testenv.SQLiteURL(t))
	folder := t.TempDir()
	existing := filepath.Join(folder, "existing")
	if err := os.WriteFile(existing, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := db.Backup(t.Context(), existing); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto a file: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := db.Backup(ended, filepath.Join(folder, "ended")); !errors.Is(err, context.Canceled) && (err == nil || !strings.Contains(err.Error(), "interrupted")) {
		t.Errorf("by a caller that has gone: %v", err)
	}
	if err := db.Backup(t.Context(), filepath.Join(folder, "none", "copy")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into a folder that does not exist: %v", err)
	}
	empty, err := database.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "mistyped.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	if err := empty.Backup(t.Context(), filepath.Join(folder, "empty")); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("of an empty database: %v", err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("files: %v, %v", entries, err)
	}
	if text, err := os.ReadFile(existing); string(text) != "mine" {
		t.Errorf("the file was changed: %q, %v", text, err)
	}
}
