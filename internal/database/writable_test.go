package database

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"gorm.io/gorm"
)

// newSchema returns an empty database with the tables.
func newSchema(t *testing.T) *ledger {
	t.Helper()
	l := newLedger(t)
	if err := l.db.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *ledger) keys() int {
	l.Helper()
	var n int
	if err := l.db.Read(context.Background()).Raw("SELECT COUNT(*) FROM token_keys").Scan(&n).Error; err != nil {
		l.Fatal(err)
	}
	return n
}

// version increases with each commit that another connection sees.
func (l *ledger) version() int {
	l.Helper()
	var n int
	if err := l.db.Read(context.Background()).Raw("PRAGMA data_version").Scan(&n).Error; err != nil {
		l.Fatal(err)
	}
	return n
}

func (l *ledger) wantUnwritable(says string) {
	l.Helper()
	err := l.db.Writable(context.Background())
	if _, ok := errors.AsType[*UnwritableError](err); !ok || !strings.HasSuffix(err.Error(), says) {
		l.Errorf("error %v, want it to say %q", err, says)
	}
}

// oneReader makes all reads share a connection, to which PRAGMA data_version is relative.
func (l *ledger) oneReader() { l.db.pool.SetMaxOpenConns(1) }

func TestWritable_WritesNothing(t *testing.T) {
	l := newSchema(t)
	l.oneReader()
	before := l.version()
	for range 3 {
		l.ok(l.db.Writable(context.Background()))
	}
	if after := l.version(); after != before {
		t.Errorf("%d commits were seen", after-before)
	}
}

// TestWritable_TriesAfterAFailure: after a failed transaction the checks commit something, until
// that succeeds.
func TestWritable_TriesAfterAFailure(t *testing.T) {
	l := newSchema(t)
	l.oneReader()
	full := func(*gorm.DB) error { return sqlite3.FULL }
	if err := l.db.Tx(context.Background(), full); !errors.Is(err, sqlite3.FULL) {
		t.Fatal(err)
	}
	before := l.version()
	l.ok(l.db.Writable(context.Background()))
	tried := l.version()
	l.ok(l.db.Writable(context.Background()))
	if again := l.version(); tried == before || again != tried {
		t.Errorf("data_version is %d, then %d and %d", before, tried, again)
	}
	if n := l.keys(); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	// A rule that refuses a change shows nothing about the database.
	if err := l.db.Tx(context.Background(), func(*gorm.DB) error { return errors.New("refused") }); err == nil {
		t.Fatal("committed")
	}
	l.ok(l.db.Writable(context.Background()))
	if after := l.version(); after != tried {
		t.Error("a refusal made it commit something")
	}
}

func TestWritable_FullDisk(t *testing.T) {
	l := newSchema(t)
	var folders []string
	free := uint64(leastDisk - 1)
	l.db.freeDisk = func(folder string) (uint64, bool) {
		folders = append(folders, folder)
		return free, true
	}
	l.wantUnwritable("the disk is full")
	free = leastDisk
	l.ok(l.db.Writable(context.Background()))
	if !slices.ContainsFunc(folders, func(f string) bool { return strings.HasPrefix(l.db.path, f) }) {
		t.Errorf("it asked about %q", folders)
	}
	l.db.freeDisk = func(string) (uint64, bool) { return 0, false }
	l.ok(l.db.Writable(context.Background()))
	if free, known := freeDisk(t.TempDir()); known && free == 0 {
		t.Error("the disk is full, or what is free is not known")
	}
}

func TestWritable_Locked(t *testing.T) {
	l := newSchema(t)
	release := l.otherProcess()
	var wg sync.WaitGroup
	began := time.Now()
	for range 20 {
		wg.Go(func() { l.wantUnwritable("it is locked") })
	}
	wg.Wait()
	if took := time.Since(began); took > 10*probeTimeout {
		t.Errorf("looks that came together took %s", took)
	}
	release()
	l.ok(l.db.Writable(context.Background()))
}
