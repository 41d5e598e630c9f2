package audit

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/retention"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// chainWorld is a Log with a clock that the test moves.
type chainWorld struct {
	*Log
	t   *testing.T
	now time.Time
}

func newChainWorld(t *testing.T, db *database.DB) *chainWorld {
	w := &chainWorld{t: t, now: time.UnixMilli(1_790_000_000_000)}
	w.Log = New(db, func() time.Time { return w.now })
	return w
}

func (w *chainWorld) exec(sql string, args ...any) {
	w.t.Helper()
	err := w.db.Tx(w.t.Context(), func(tx *gorm.DB) error { return tx.Exec(sql, args...).Error })
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// write writes n entries of the present time.
func (w *chainWorld) write(n int) {
	w.t.Helper()
	app := int64(7)
	entries := make([]models.AuditEntry, n)
	for i := range entries {
		entries[i] = models.AuditEntry{
			AppID: &app, At: models.TimeOf(w.now), Actor: "ann", Action: ActionUserBan, Target: fmt.Sprint("user", i), Detail: "minutes=5 ☃", Address: "192.0.2.1",
		}
	}
	if err := w.db.Tx(w.t.Context(), func(tx *gorm.DB) error { return Write(tx, entries...) }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *chainWorld) chain() {
	w.t.Helper()
	if err := w.Chain(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *chainWorld) verified(kept *Head) *Verification {
	w.t.Helper()
	v, err := w.Verify(w.t.Context(), kept)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// sweep deletes the entries that are older than a day.
func (w *chainWorld) sweep() {
	w.t.Helper()
	if _, err := retention.New(w.db, w.clock, slog.Default(), w.Expiring(24*time.Hour)...).Sweep(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// TestVerify_FindsTheFirstFault changes the rows of a chain of 6 entries, as an attacker with access to
// the database could.
func TestVerify_FindsTheFirstFault(t *testing.T) {
	entry := func(number int, set string) string {
		return fmt.Sprintf("UPDATE audit_entries SET %s WHERE chain_number = %d", set, number)
	}
	const columns = "app_id, at, actor, actor_key, action, target, detail, address"
	copied := func(number, as string) string {
		return "INSERT INTO audit_entries (" + columns + ", chain_number, chain_hash) SELECT " + columns + ", " + as + ", chain_hash FROM audit_entries WHERE chain_number = " + number
	}
	cases := []struct {
		name   string
		sql    []string
		fault  ChainFault
		number int64
	}{
		{name: "nothing", number: 0},
		{"the actor", []string{entry(3, "actor = 'bob'")}, EntryChanged, 3},
		{"the actor's key", []string{entry(3, "actor_key = 'bob'")}, EntryChanged, 3},
		{"the action", []string{entry(1, "action = 'user.unban'")}, EntryChanged, 1},
		{"the target", []string{entry(6, "target = 'other'")}, EntryChanged, 6},
		{"the detail", []string{entry(3, "detail = ''")}, EntryChanged, 3},
		{"the address", []string{entry(3, "address = '192.0.2.2'")}, EntryChanged, 3},
		{"the time", []string{entry(3, "at = at + 1")}, EntryChanged, 3},
		{"the app", []string{entry(3, "app_id = NULL")}, EntryChanged, 3},
		{"a text moved to the next column", []string{entry(3, "actor = 'an', action = 'nuser.ban'")}, EntryChanged, 3},
		{"the hash", []string{entry(3, "chain_hash = X'00'")}, EntryChanged, 3},
		{"two entries", []string{entry(5, "detail = ''"), entry(2, "detail = ''")}, EntryChanged, 2},
		{"the first removed", []string{"DELETE FROM audit_entries WHERE chain_number = 1"}, EntryRemoved, 1},
		{"one removed", []string{"DELETE FROM audit_entries WHERE chain_number = 3"}, EntryRemoved, 3},
		{"the last removed", []string{"DELETE FROM audit_entries WHERE chain_number = 6"}, EntryRemoved, 6},
		{"all removed", []string{"DELETE FROM audit_entries"}, EntryRemoved, 1},
		{"one removed and the others renumbered", []string{"DELETE FROM audit_entries WHERE chain_number = 3", "UPDATE audit_entries SET chain_number = chain_number - 1 WHERE chain_number > 3", "UPDATE audit_chains SET last_number = 5"}, EntryChanged, 3},
		{"one inserted beside another", []string{copied("3", "3")}, EntryInserted, 3},
		{"one inserted beside the last", []string{copied("6", "6")}, EntryInserted, 6},
		{"one inserted before the first", []string{copied("1", "0")}, EntryInserted, 0},
		{"one inserted after the last", []string{copied("6", "7")}, EntryInserted, 7},
		{"two exchanged", []string{entry(3, "chain_number = 99"), entry(4, "chain_number = 3"), entry(99, "chain_number = 4")}, EntryChanged, 3},
		{"one to be chained again", []string{entry(3, "chain_number = NULL, chain_hash = NULL, detail = ''")}, EntryRemoved, 3},
		{"the end of the chain", []string{"UPDATE audit_chains SET last_hash = X'00'"}, EntryChanged, 6},
	}
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newChainWorld(t, db)
		for _, c := range cases {
			w.exec("DELETE FROM audit_entries")
			w.exec("DELETE FROM audit_chains")
			w.write(6)
			w.chain()
			for _, sql := range c.sql {
				w.exec(sql)
			}
			if v := w.verified(nil); v.Fault != c.fault || v.Number != c.number || c.fault == EntryRemoved && v.Entry != nil {
				t.Errorf("%s: %+v, want %q at %d", c.name, v, c.fault, c.number)
			}
		}
	})
}

// TestHead_CoversEveryField fails for a new field of entries until the hash covers it.
func TestHead_CoversEveryField(t *testing.T) {
	fields := reflect.TypeFor[models.AuditEntry]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		if name == "ChainNumber" || name == "ChainHash" {
			continue
		}
		var e models.AuditEntry
		switch f := reflect.ValueOf(&e).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Int64:
			f.SetInt(5)
		case reflect.Pointer:
			f.Set(reflect.ValueOf(new(int64(5))))
		default:
			t.Fatalf("%s is a %s", name, f.Kind())
		}
		if (Head{}).next(&e) == (Head{}).next(&models.AuditEntry{}) {
			t.Errorf("the hash does not cover %s", name)
		}
	}
}

// TestVerify_KeptHead: a chain that was computed again from a changed entry on is whole, but does not have
// the head that was kept before.
func TestVerify_KeptHead(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newChainWorld(t, db)
		w.write(3)
		w.chain()
		kept := w.verified(nil).Head
		w.write(2)
		w.chain()
		parsed, err := ParseHead(kept.String())
		if err != nil || parsed != kept || kept.Number != 3 {
			t.Fatalf("%v, %v", parsed, err)
		}
		if v := w.verified(&kept); v.Fault != "" || v.Head.Number != 5 || v.Checked != 5 {
			t.Errorf("%+v", v)
		}
		w.exec("UPDATE audit_entries SET chain_number = NULL, chain_hash = NULL")
		w.exec("DELETE FROM audit_chains")
		w.exec("UPDATE audit_entries SET detail = '' WHERE target = 'user1'")
		w.chain()
		if v := w.verified(nil); v.Fault != "" || v.Head.Number != 5 {
			t.Errorf("computed again: %+v", v)
		}
		if v := w.verified(&kept); v.Fault != HeadDiffers || v.Number != 3 {
			t.Errorf("the kept head: %+v", v)
		}
		if v := w.verified(&Head{Number: 6}); v.Fault != HeadDiffers || v.Number != 6 {
			t.Errorf("a head after the end: %+v", v)
		}
	})
	for _, text := range []string{"", "1", "x:00", "1:00", "-1:" + strings.Repeat("00", 32), "1:" + strings.Repeat("zz", 32), "1:" + strings.Repeat("00", 33)} {
		if _, err := ParseHead(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

// TestExpiring_LeavesAnAnchor deletes old entries, also in several transactions. The rest is verified, and
// so is a head that was kept of the last deleted entry.
func TestExpiring_LeavesAnAnchor(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newChainWorld(t, db)
		w.write(2)
		w.chain()
		early := w.verified(nil).Head
		w.write(chainChunk)
		w.sweep()
		anchor := w.verified(nil).Head
		if n := anchor.Number; n != chainChunk+2 {
			t.Errorf("%d entries are left", n)
		}
		w.now = w.now.Add(25 * time.Hour)
		w.write(3) // not chained before the sweep
		w.sweep()
		v := w.verified(&anchor)
		if v.Fault != "" || v.Anchor != anchor || v.Checked != 3 || v.Head.Number != anchor.Number+3 || v.HeadExpired {
			t.Errorf("%+v", v)
		}
		if v := w.verified(&early); v.Fault != "" || !v.HeadExpired {
			t.Errorf("an earlier head: %+v", v)
		}
		if v := w.verified(&Head{Number: anchor.Number}); v.Fault != HeadDiffers {
			t.Errorf("a wrong head: %+v", v)
		}
		w.exec("DELETE FROM audit_entries WHERE chain_number = ?", anchor.Number+1)
		if v := w.verified(nil); v.Fault != EntryRemoved || v.Number != anchor.Number+1 {
			t.Errorf("the first after the anchor was removed: %+v", v)
		}
	})
}

// TestChain_TogetherOnTwoNodes chains on two nodes while entries are written. Each entry is chained once.
func TestChain_TogetherOnTwoNodes(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		const writers, rounds, each = 3, 10, 20
		first := newChainWorld(t, testenv.Open(t, url))
		second := newChainWorld(t, testenv.Open(t, url))
		ctx, stop := context.WithCancel(t.Context())
		var chaining, writing sync.WaitGroup
		for _, w := range []*chainWorld{first, second} {
			chaining.Go(func() {
				for ctx.Err() == nil {
					if err := w.Chain(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range writers {
			writing.Go(func() {
				for range rounds {
					first.write(each)
				}
			})
		}
		writing.Wait()
		stop()
		chaining.Wait()
		first.chain()
		v := second.verified(nil)
		if v.Fault != "" || v.Checked != writers*rounds*each || v.Head.Number != v.Checked || v.Unchained != 0 {
			t.Errorf("%+v", v)
		}
	})
}

// TestChain_LeavesCountingEntries: an entry for failed logins is chained once it no longer counts failures.
func TestChain_LeavesCountingEntries(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newChainWorld(t, db)
		fail := func() {
			if err := w.AddLoginFailure(t.Context(), FailedLogin{Reason: ReasonUnknownName, Address: "192.0.2.1"}); err != nil {
				t.Fatal(err)
			}
		}
		fail()
		w.write(1)
		w.chain()
		fail()
		if v := w.verified(nil); v.Fault != "" || v.Checked != 1 || v.Unchained != 1 {
			t.Errorf("while it counts: %+v", v)
		}
		w.now = w.now.Add(failureWindow + 10*time.Minute)
		w.chain()
		fail()
		if v := w.verified(nil); v.Fault != "" || v.Checked != 2 || v.Unchained != 1 {
			t.Errorf("afterwards: %+v", v)
		}
	})
}

// TestRun_ReportsAStall: a node that cannot chain says so, and that it can again.
func TestRun_ReportsAStall(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newChainWorld(t, db)
		log := new(testenv.Log)
		logger := slog.New(slog.NewTextHandler(log, nil))
		w.exec("ALTER TABLE audit_chains RENAME TO elsewhere")
		w.write(1)
		if err := w.round(t.Context(), logger); err == nil || w.Stalled() {
			t.Errorf("at once: %v, stalled %t", err, w.Stalled())
		}
		w.now = w.now.Add(2 * time.Minute)
		if err := w.round(t.Context(), logger); err == nil || !w.Stalled() || !strings.Contains(log.String(), "has stalled") {
			t.Errorf("after two minutes: %v, stalled %t, %s", err, w.Stalled(), log)
		}
		w.exec("ALTER TABLE elsewhere RENAME TO audit_chains")
		if err := w.round(t.Context(), logger); err != nil || w.Stalled() || !strings.Contains(log.String(), "continues") {
			t.Errorf("once it works: %v, stalled %t, %s", err, w.Stalled(), log)
		}
	})
}
