package database

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"gorm.io/gorm"
)

// ledger is a file with one table, and a second connection that sees only committed rows.
type ledger struct {
	*testing.T
	db *DB
	wg sync.WaitGroup
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	db, err := Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Exec(context.Background(), "CREATE TABLE entries (n INTEGER PRIMARY KEY, other INTEGER REFERENCES entries (n) DEFERRABLE INITIALLY DEFERRED)"); err != nil {
		t.Fatal(err)
	}
	return &ledger{T: t, db: db}
}

func insert(tx *gorm.DB, n int) error {
	return tx.Exec("INSERT INTO entries (n) VALUES (?)", n).Error
}

// entries returns the committed entries.
func (l *ledger) entries() []int {
	l.Helper()
	list := []int{}
	if err := l.db.Read(context.Background()).Raw("SELECT n FROM entries ORDER BY n").Scan(&list).Error; err != nil {
		l.Fatal(err)
	}
	return list
}

func (l *ledger) want(entries ...int) {
	l.Helper()
	if got := l.entries(); !slices.Equal(got, entries) {
		l.Errorf("entries %v, want %v", got, entries)
	}
}

// behind makes the functions queue up, in this order, behind a caller that has the turn, and
// returns their results when all have ended. All are in one group, unless the machine is so slow
// that some are committed before others have queued up.
func (l *ledger) behind(fns ...func(tx *gorm.DB) error) []error {
	l.Helper()
	release := l.hold()
	errs := make([]error, len(fns))
	for i, fn := range fns {
		l.wg.Go(func() { errs[i] = l.db.Tx(context.Background(), fn) })
		l.queued(i + 1)
	}
	release()
	l.wg.Wait()
	return errs
}

// hold takes the turn until release is called.
func (l *ledger) hold() (release func()) {
	started, let := make(chan struct{}), make(chan struct{})
	tell := sync.OnceFunc(func() { close(started) }) // it may be run again
	l.wg.Go(func() {
		err := l.db.Tx(context.Background(), func(*gorm.DB) error {
			tell()
			<-let
			return nil
		})
		if err != nil {
			l.Error(err)
		}
	})
	<-started
	return func() { close(let) }
}

// queued waits until n callers wait for their turn.
func (l *ledger) queued(n int) {
	for {
		l.db.writer.mu.Lock()
		got := len(l.db.writer.queue)
		l.db.writer.mu.Unlock()
		if got == n {
			return
		}
	}
}

func TestWriter_CommitsQueuedTransactionsTogether(t *testing.T) {
	l := newLedger(t)
	const n = 50
	groups := make(map[*group]bool)
	var order []int
	var fns []func(tx *gorm.DB) error
	for i := range n {
		fns = append(fns, func(tx *gorm.DB) error {
			groups[l.db.writer.group] = true
			order = append(order, i)
			if seen := len(l.entries()); seen != 0 && seen != i {
				l.wantCommitted(seen, groups)
			}
			return insert(tx, i)
		})
	}
	for i, err := range l.behind(fns...) {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if !slices.IsSorted(order) || len(order) != n {
		t.Errorf("the order was %v", order)
	}
	if len(groups) > n/2 {
		t.Errorf("%d commits for %d who queued up", len(groups), n)
	}
	if got := l.entries(); len(got) != n {
		t.Errorf("entries %v", got)
	}
}

// wantCommitted: a caller that sees a part of other entries sees only those of groups that have
// ended.
func (l *ledger) wantCommitted(seen int, groups map[*group]bool) {
	ended := 0
	for g := range groups {
		select {
		case <-g.ended:
			ended += g.members
		default:
		}
	}
	if seen > ended {
		l.Errorf("%d entries are to be seen, %d have been committed", seen, ended)
	}
}

func TestWriter_RollsBackOnlyFailedTransactions(t *testing.T) {
	l := newLedger(t)
	boom := errors.New("boom")
	errs := l.behind(
		func(tx *gorm.DB) error { return insert(tx, 1) },
		func(tx *gorm.DB) error { return errors.Join(insert(tx, 2), boom) },
		func(tx *gorm.DB) error { return insert(tx, 3) },
		func(tx *gorm.DB) error { return insert(tx, 1) }, // a duplicate
		func(tx *gorm.DB) error { return insert(tx, 2) },
	)
	for i, want := range []error{nil, boom, nil, gorm.ErrDuplicatedKey, nil} {
		if !errors.Is(errs[i], want) || want == nil && errs[i] != nil {
			t.Errorf("%d: %v, want %v", i, errs[i], want)
		}
	}
	l.want(1, 2, 3)
}

func TestWriter_SurvivesAPanic(t *testing.T) {
	l := newLedger(t)
	var caught any
	panics := func() {
		defer func() { caught = recover() }()
		_ = l.db.Tx(context.Background(), func(tx *gorm.DB) error {
			_ = insert(tx, 2)
			panic("boom")
		})
	}
	release := l.hold()
	for i, do := range []func(){
		func() { l.ok(l.db.Tx(context.Background(), func(tx *gorm.DB) error { return insert(tx, 1) })) },
		panics,
		func() { l.ok(l.db.Tx(context.Background(), func(tx *gorm.DB) error { return insert(tx, 3) })) },
	} {
		l.wg.Go(do)
		l.queued(i + 1)
	}
	release()
	l.wg.Wait()
	if caught != "boom" {
		t.Errorf("no caller received the panic: %v", caught)
	}
	l.want(1, 3)
	panics() // alone
	l.ok(l.db.Tx(context.Background(), func(tx *gorm.DB) error { return insert(tx, 4) }))
	l.want(1, 3, 4)
}

func (l *ledger) ok(err error) {
	l.Helper()
	if err != nil {
		l.Error(err)
	}
}

func TestWriter_CanceledCallersLeave(t *testing.T) {
	l := newLedger(t)
	release := l.hold()
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan error)
	go func() {
		gone <- l.db.Tx(ctx, func(tx *gorm.DB) error { return insert(tx, 1) })
	}()
	l.queued(1)
	l.wg.Go(func() { l.ok(l.db.Tx(context.Background(), func(tx *gorm.DB) error { return insert(tx, 2) })) })
	l.queued(2)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the canceled caller received %v", err)
	}
	release()
	l.wg.Wait()
	l.want(2)
	if err := l.db.Tx(ctx, func(tx *gorm.DB) error { return insert(tx, 3) }); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller whose context had ended before received %v", err)
	}
	// A transaction that has begun completes, and its caller gets the result.
	ctx, cancel = context.WithCancel(context.Background())
	l.ok(l.db.Tx(ctx, func(tx *gorm.DB) error {
		cancel()
		return insert(tx, 4)
	}))
	l.want(2, 4)
}

// TestWriter_LosesNoTransaction: a caller whose context ends at the moment of its turn passes the turn on.
func TestWriter_LosesNoTransaction(t *testing.T) {
	l := newLedger(t)
	var done atomic.Int64
	for i := range 400 {
		ctx, cancel := context.WithCancel(context.Background())
		l.wg.Go(func() {
			err := l.db.Tx(ctx, func(tx *gorm.DB) error { return insert(tx, i) })
			if err == nil {
				done.Add(1)
			} else if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		if i%2 == 0 {
			l.wg.Go(cancel)
		} else {
			defer cancel()
		}
	}
	l.wg.Wait()
	if got := len(l.entries()); got != int(done.Load()) {
		t.Errorf("%d entries, but %d calls succeeded", got, done.Load())
	}
	l.ok(l.db.Exec(context.Background(), "DELETE FROM entries"))
}

// TestWriter_RetriesAfterAnotherBrokeTheGroup: one member makes SQLite roll back the whole group,
// as a full disk does.
func TestWriter_RetriesAfterAnotherBrokeTheGroup(t *testing.T) {
	l := newLedger(t)
	var runs [3]int
	errs := l.behind(
		func(tx *gorm.DB) error { runs[0]++; return insert(tx, 1) },
		func(tx *gorm.DB) error {
			runs[1]++
			return errors.Join(insert(tx, 2), tx.Exec("ROLLBACK").Error, errors.New("disk full"))
		},
		func(tx *gorm.DB) error { runs[2]++; return insert(tx, 3) },
	)
	if errs[0] != nil || errs[1] == nil || errs[1].Error() != "disk full" || errs[2] != nil {
		t.Errorf("errors %v", errs)
	}
	if runs[1] != 1 || runs[2] != 1 {
		t.Errorf("they were run %v times", runs)
	}
	l.want(1, 3)
}

// TestWriter_FindsTheBrokenMember: only the commit shows that the group cannot be committed. Then
// each member is tried alone.
func TestWriter_FindsTheBrokenMember(t *testing.T) {
	l := newLedger(t)
	pool, err := l.db.write.DB()
	l.ok(err)
	if _, err := pool.Exec("PRAGMA foreign_keys = ON"); err != nil {
		t.Fatal(err)
	}
	errs := l.behind(
		func(tx *gorm.DB) error { return insert(tx, 1) },
		func(tx *gorm.DB) error { return tx.Exec("INSERT INTO entries (n, other) VALUES (2, 99)").Error },
		func(tx *gorm.DB) error { return insert(tx, 3) },
	)
	if errs[0] != nil || errs[1] == nil || errors.Is(errs[1], errGroup) || errs[2] != nil {
		t.Errorf("errors %v", errs)
	}
	l.want(1, 3)
	if err := l.db.Exec(context.Background(), "INSERT INTO entries (n, other) VALUES (4, 99)"); err == nil {
		t.Error("alone it was committed")
	}
	l.ok(l.db.Tx(context.Background(), func(tx *gorm.DB) error { return insert(tx, 5) }))
	l.want(1, 3, 5)
}

// TestWriter_UnderLoad: every result is true, whatever the other callers do.
func TestWriter_UnderLoad(t *testing.T) {
	l := newLedger(t)
	boom := errors.New("boom")
	var mu sync.Mutex
	var told []int
	for worker := range 16 {
		l.wg.Go(func() {
			for i := range 40 {
				n := worker*1000 + i
				err := l.db.Tx(context.Background(), func(tx *gorm.DB) error {
					if err := insert(tx, n); err != nil {
						return fmt.Errorf("inserting %d: %w", n, err)
					}
					if i%3 == 0 {
						return boom
					}
					return nil
				})
				if i%3 == 0 != errors.Is(err, boom) || i%3 != 0 && err != nil {
					t.Error(n, err)
				}
				if err == nil {
					mu.Lock()
					told = append(told, n)
					mu.Unlock()
				}
			}
		})
	}
	l.wg.Wait()
	slices.Sort(told)
	l.want(told...)
}

// otherProcess takes the file's write lock, as another process may, until release is called. It waits
// while the ledger's own connection has it.
func (l *ledger) otherProcess() (release func()) {
	l.Helper()
	conn, err := sqlite3.Open("file:" + l.db.path + "?_pragma=busy_timeout(30000)")
	if err == nil {
		err = conn.Exec("BEGIN IMMEDIATE")
	}
	if err != nil {
		l.Fatal(err)
	}
	return func() {
		l.Helper()
		l.ok(errors.Join(conn.Exec("ROLLBACK"), conn.Close()))
	}
}

// TestWriter_AnotherProcessHasTheLock: all writers wait as long as the first one, not one after the
// other, and then fail with an error that names the reason.
func TestWriter_AnotherProcessHasTheLock(t *testing.T) {
	l := newLedger(t)
	l.db.patience = time.Second
	release := l.otherProcess()
	began := time.Now()
	const n = 200
	errs := make([]error, n)
	for i := range n {
		l.wg.Go(func() {
			errs[i] = l.db.Tx(context.Background(), func(tx *gorm.DB) error { return insert(tx, i) })
		})
	}
	l.wg.Wait()
	if took := time.Since(began); took > 10*l.db.patience {
		t.Errorf("the call of the last of %d writers returned after %s", n, took)
	}
	for i, err := range errs {
		if !Unavailable(err) {
			t.Errorf("writer %d: error %v", i, err)
		}
	}
	// A short lock is waited for.
	l.db.patience = writePatience
	waiting := make(chan error)
	go func() {
		waiting <- l.db.Tx(context.Background(), func(tx *gorm.DB) error { return insert(tx, 1) })
	}()
	select {
	case err := <-waiting:
		t.Errorf("a writer did not wait: %v", err)
	case <-time.After(2 * busyStep):
	}
	release()
	l.ok(<-waiting)
	l.want(1)
}

// TestWriter_CallerGoesWhileAnotherProcessHasTheLock: the next in the queue need not wait for it.
func TestWriter_CallerGoesWhileAnotherProcessHasTheLock(t *testing.T) {
	l := newLedger(t)
	release := l.otherProcess()
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan error)
	go func() { gone <- l.db.Tx(ctx, func(tx *gorm.DB) error { return insert(tx, 1) }) }()
	for busy := false; !busy; {
		l.db.writer.mu.Lock()
		busy = l.db.writer.busy
		l.db.writer.mu.Unlock()
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	release()
	l.ok(l.db.Tx(context.Background(), func(tx *gorm.DB) error { return insert(tx, 2) }))
	l.want(2)
}
