package database

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	sqlite "github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"gorm.io/gorm"
)

// text is a text with a mark at each end. The marks are found in a file even if the rest has been
// overwritten.
type text struct{ first, last string }

func newText(rng *rand.Rand, length int) text {
	return text{fmt.Sprintf("<%016x", rng.Uint64()), fmt.Sprintf("%s%016x>", strings.Repeat("z", length), rng.Uint64())}
}

func (x text) String() string { return x.first + x.last }

// files returns the bytes of the database's file and of all files beside it.
func files(t *testing.T, path string) []byte {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	var all []byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	return all
}

// marks matches the ends of texts.
var marks = regexp.MustCompile(`<[0-9a-f]{16}|[0-9a-f]{16}>`)

// found returns how many of the texts have an end in data.
func found(texts []text, data []byte) int {
	there := make(map[string]bool)
	for _, mark := range marks.FindAll(data, -1) {
		there[string(mark)] = true
	}
	n := 0
	for _, x := range texts {
		if there[x.first] || there[x.last[len(x.last)-17:]] {
			n++
		}
	}
	return n
}

// TestScrub_ErasesWhatIsDeleted: rows that move between pages, grow, shrink and overflow
// into further pages leave nothing behind, and lose nothing.
func TestScrub_ErasesWhatIsDeleted(t *testing.T) {
	l := newLedger(t)
	ctx := t.Context()
	// With this seed, some of the deleted texts stay in unallocated space without pagesVFS.
	rng := rand.New(rand.NewPCG(6, 0))
	for _, statement := range []string{
		"CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, avatar TEXT)",
		"CREATE INDEX people_name ON people (name)",
		"CREATE TABLE friends (id INTEGER, at INTEGER, remark TEXT, PRIMARY KEY (at, id)) WITHOUT ROWID",
	} {
		if err := l.db.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	type person struct{ name, avatar, remark text }
	people := make(map[int]*person)
	var dead []text
	pick := func() (int, *person) {
		if len(people) == 0 {
			return 0, nil
		}
		ids := slices.Sorted(maps.Keys(people))
		id := ids[rng.IntN(len(ids))]
		return id, people[id]
	}
	lengths := []int{0, 10, 60, 300}
	length := func() int { return lengths[rng.IntN(len(lengths))] }
	next := 0
	for round := range 300 {
		if round == 280 {
			lengths = append(lengths, 5000) // overflows into pages of its own
		}
		err := l.db.Tx(ctx, func(tx *gorm.DB) (err error) {
			for range 40 {
				id, p := pick()
				switch kind := rng.IntN(6); {
				case kind < 2 || p == nil:
					next++
					p = &person{newText(rng, rng.IntN(60)), newText(rng, length()), newText(rng, length())}
					people[next] = p
					err = errors.Join(
						tx.Exec("INSERT INTO people VALUES (?, ?, ?)", next, p.name.String(), p.avatar.String()).Error,
						tx.Exec("INSERT INTO friends VALUES (?, ?, ?)", next, rng.IntN(1000), p.remark.String()).Error)
				case kind == 2:
					dead = append(dead, p.name)
					p.name = newText(rng, rng.IntN(60))
					err = tx.Exec("UPDATE people SET name = ? WHERE id = ?", p.name.String(), id).Error
				case kind == 3:
					dead = append(dead, p.remark)
					p.remark = newText(rng, length())
					err = tx.Exec("UPDATE friends SET remark = ? WHERE id = ?", p.remark.String(), id).Error
				default:
					dead = append(dead, p.name, p.avatar, p.remark)
					delete(people, id)
					end := "DELETE FROM people WHERE id = ?"
					if kind == 4 {
						end = "UPDATE people SET name = '', avatar = NULL WHERE id = ?"
					}
					err = errors.Join(tx.Exec(end, id).Error, tx.Exec("DELETE FROM friends WHERE id = ?", id).Error)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found(dead, files(t, l.db.path)) == 0 {
		t.Error("nothing of what is deleted was in the files to begin with")
	}
	if err := l.db.Scrub(ctx); err != nil {
		t.Fatal(err)
	}
	data := files(t, l.db.path)
	if n := found(dead, data); n > 0 {
		t.Errorf("%d of %d deleted texts are in the files", n, len(dead))
	}
	for id, p := range people {
		var got struct{ Name, Avatar, Remark string }
		err := l.db.Read(ctx).Raw("SELECT name, avatar, remark FROM people JOIN friends USING (id) WHERE id = ?", id).Scan(&got).Error
		if err != nil || got.Name != p.name.String() || got.Avatar != p.avatar.String() || got.Remark != p.remark.String() {
			t.Errorf("%d was changed: %v", id, err)
		}
	}
	var problems []string
	if err := l.db.Read(ctx).Raw("PRAGMA integrity_check").Scan(&problems).Error; err != nil || len(problems) != 1 || problems[0] != "ok" {
		t.Errorf("integrity check: %v, %v", problems, err)
	}
}

// TestScrub_WaitsForNoReader: a reader keeps the log, but neither the caller nor writers.
func TestScrub_WaitsForNoReader(t *testing.T) {
	l := newLedger(t)
	ctx := t.Context()
	write := func(n int) {
		t.Helper()
		if err := l.db.Tx(ctx, func(tx *gorm.DB) error { return insert(tx, n) }); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	reader := l.db.Read(ctx).Begin()
	var n int
	if err := reader.Raw("SELECT COUNT(*) FROM entries").Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	write(2)
	began := time.Now()
	if err := l.db.Scrub(ctx); !errors.Is(err, ErrScrubBusy) {
		t.Errorf("with a reader: %v", err)
	}
	if took := time.Since(began); took > 50*scrubPatience {
		t.Errorf("it waited %s for the reader", took)
	}
	write(3)
	if err := reader.Rollback().Error; err != nil {
		t.Fatal(err)
	}
	if err := l.db.Scrub(ctx); err != nil {
		t.Errorf("after the reader: %v", err)
	}
	if log, err := os.Stat(l.db.path + "-wal"); err != nil || log.Size() != 0 {
		t.Errorf("the log has %d bytes, %v", log.Size(), err)
	}
	l.want(1, 2, 3)
	var wait int
	if err := l.db.write.Raw("PRAGMA busy_timeout").Scan(&wait).Error; err != nil || wait <= int(scrubPatience.Milliseconds()) {
		t.Errorf("the connection waits %d ms for locks afterwards, %v", wait, err)
	}
}

// TestScrub_AmongWriters: it does not interrupt a group of transactions.
func TestScrub_AmongWriters(t *testing.T) {
	l := newLedger(t)
	const writers, each = 8, 30
	for i := range writers {
		l.wg.Go(func() {
			for k := range each {
				if err := l.db.Tx(context.Background(), func(tx *gorm.DB) error { return insert(tx, i*each+k) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { l.wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if err := l.db.Scrub(t.Context()); err != nil && !errors.Is(err, ErrScrubBusy) {
			t.Fatal(err)
		}
	}
	if got := l.entries(); len(got) != writers*each {
		t.Errorf("%d entries, want %d", len(got), writers*each)
	}
}

// TestMigrate_ErasesWhatEarlierReleasesLeft has a file whose pages were written without these
// settings.
func TestMigrate_ErasesWhatEarlierReleasesLeft(t *testing.T) {
	const before = 5 // the last version of those releases
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "old.db")
	pool, err := sqlite.Open("file:" + path + "?_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	old := &DB{dialect: SQLite}
	provider, err := old.provider(pool)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(ctx, before); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var live, dead []text
	for i := range 500 {
		name := newText(rng, 20)
		_, err := pool.Exec(`INSERT INTO users (id, app_id, external_id, name, search_name, created_at, updated_at, token_generation, tokens_valid_from, presence)
			VALUES (?, 1, ?, ?, '', 0, 0, 0, 0, 0)`, i+1, fmt.Sprint("u", i), name.String())
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			live = append(live, name)
		} else {
			dead = append(dead, name)
		}
	}
	if _, err := pool.Exec("DELETE FROM users WHERE id % 3 <> 1"); err != nil {
		t.Fatal(err)
	}
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
	if found(dead, files(t, path)) == 0 {
		t.Fatal("the old file has nothing of what was deleted")
	}

	db, err := Open(ctx, "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := db.Scrub(ctx); err != nil {
		t.Fatal(err)
	}
	data := files(t, path)
	if n := found(dead, data); n > 0 {
		t.Errorf("%d of %d deleted texts are in the files", n, len(dead))
	}
	if n := found(live, data); n != len(live) {
		t.Errorf("%d of %d live texts are in the files", n, len(live))
	}
	var rest []string
	if err := db.Read(ctx).Raw("SELECT name FROM users ORDER BY id").Scan(&rest).Error; err != nil || len(rest) != len(live) || rest[0] != live[0].String() {
		t.Errorf("%d users, %v", len(rest), err)
	}
}

func TestUnallocated(t *testing.T) {
	page := func(kind byte, cells ...uint16) []byte {
		p := bytes.Repeat([]byte{0xee}, 512)
		p[0] = kind
		binary.BigEndian.PutUint16(p[1:], 0)
		binary.BigEndian.PutUint16(p[3:], uint16(len(cells)))
		header, first := 8, uint16(512)
		if kind < 10 {
			header = 12
		}
		for i, cell := range cells {
			binary.BigEndian.PutUint16(p[header+2*i:], cell)
			first = min(first, cell)
		}
		binary.BigEndian.PutUint16(p[5:], first)
		return p
	}
	with := func(p []byte, at int, value uint16) []byte {
		binary.BigEndian.PutUint16(p[at:], value)
		return p
	}
	for name, c := range map[string]struct {
		page       []byte
		start, end int
	}{
		"leaf of a table":                 {page(13, 500, 400), 12, 400},
		"leaf of an index":                {page(10, 300, 310, 320), 14, 300},
		"interior page of a table":        {page(5, 505), 14, 505},
		"interior page of an index":       {page(2, 400, 300), 16, 300},
		"leaf without a cell":             {page(13), 8, 512},
		"full leaf":                       {with(page(13, 100), 5, 10), 0, 0},
		"another page":                    {page(0, 500), 0, 0},
		"page number":                     {page(1, 500), 0, 0},
		"a cell before the content":       {with(page(13, 500, 400), 8, 399), 0, 0},
		"a cell behind the page":          {with(page(13, 500, 400), 8, 512), 0, 0},
		"more pointers than there's room": {with(page(13, 500, 400), 3, 300), 0, 0},
		"content behind the page":         {with(page(13, 500), 5, 513), 0, 0},
		"free block before the content":   {with(page(13, 500), 1, 499), 0, 0},
		"free block":                      {with(page(13, 500), 1, 504), 10, 500},
	} {
		start, end := unallocated(c.page, 0)
		if start == end {
			start, end = 0, 0
		}
		if start != c.start || end != c.end {
			t.Errorf("%s: %d to %d, want %d to %d", name, start, end, c.start, c.end)
		}
	}
}

// TestPageFile_LeavesOtherPagesAlone has pages of a file in which the first byte does not determine
// their kind.
func TestPageFile_LeavesOtherPagesAlone(t *testing.T) {
	page := bytes.Repeat([]byte{0xee}, 512)
	copy(page, []byte{13, 0, 0, 0, 0, 2, 0}) // an empty leaf
	for name, c := range map[string]struct {
		pages, autoVacuum uint32
		off               int64
		want              bool
	}{
		"page":               {2, 0, 512, true},
		"page out of place":  {2, 0, 600, false},
		"auto-vacuum":        {2, 4, 512, false},
		"more than 2^25":     {1 << 25, 0, 512, false},
		"the largest before": {1<<25 - 1, 0, 512, true},
	} {
		header := make([]byte, 512)
		binary.BigEndian.PutUint32(header[28:], c.pages)
		binary.BigEndian.PutUint32(header[52:], c.autoVacuum)
		inner := vfsutil.SliceFile(header)
		f := &pageFile{File: &inner}
		given := bytes.Clone(page)
		if n, err := f.WriteAt(given, c.off); n != len(page) || err != nil {
			t.Fatal(n, err)
		}
		cleared := !bytes.Equal(inner[c.off:], page)
		if cleared != c.want || !bytes.Equal(given, page) {
			t.Errorf("%s: cleared %v, want %v", name, cleared, c.want)
		}
	}
}
