package token

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/models"
)

var start = time.UnixMilli(1_790_000_000_000)

// node is a server's keys, with a clock of its own.
type node struct {
	*Keys
	t       *testing.T
	elapsed atomic.Int64 // ms since the start
}

func openNode(t *testing.T, db *database.DB, configured string, elapsed time.Duration) *node {
	t.Helper()
	n := &node{t: t}
	n.elapsed.Store(elapsed.Milliseconds())
	keys, err := OpenKeys(context.Background(), db, configured, func() time.Time {
		return start.Add(time.Duration(n.elapsed.Load()) * time.Millisecond)
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Keys = keys
	return n
}

func (n *node) pass(d time.Duration) { n.elapsed.Add(d.Milliseconds()) }

func (n *node) sign() string { return sign(n.t, n.Keys) }

func (n *node) reload() {
	n.t.Helper()
	if _, err := n.load(context.Background()); err != nil {
		n.t.Fatal(err)
	}
}

// verifies checks that the token is good, or that it is not.
func (n *node) verifies(what, text string, good bool) {
	n.t.Helper()
	claims, err := n.Verify(context.Background(), text)
	if good && (err != nil || claims.AppID != 1 || claims.UserID != 2 || claims.IssuedAt != 3) || !good && !errors.Is(err, ErrInvalid) {
		n.t.Errorf("%s: %+v, %v", what, claims, err)
	}
}

func (n *node) rotate(overlap *time.Duration) (id string) {
	n.t.Helper()
	n.change(func(tx *gorm.DB) (err error) {
		id, err = Rotate(tx, n.db.SecretKeys(), overlap, n.now())
		return err
	})
	return id
}

func (n *node) change(fn func(tx *gorm.DB) error) {
	n.t.Helper()
	if err := n.db.Tx(context.Background(), fn); err != nil {
		n.t.Fatal(err)
	}
}

func signedBy(text string) string {
	header, _, _ := strings.Cut(text, ".")
	return header
}

func TestRotate_NewKeySignsWhenAllNodesKnowIt(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		a := openNode(t, db, "", 0)
		old := a.sign()
		id := a.rotate(nil)
		b := openNode(t, db, "", 9*time.Second)
		if early := b.sign(); signedBy(early) != signedBy(old) {
			t.Error("a key signs that other nodes may not know yet")
		}
		b.pass(time.Second + time.Millisecond) // 10 s after the rotation
		newer := b.sign()
		if signedBy(newer) != headerOf(id) {
			t.Error("the new key does not sign")
		}
		a.verifies("a token of a key that came later", newer, true)
		a.pass(spreadTime + time.Millisecond)
		if signedBy(a.sign()) != headerOf(id) {
			t.Error("the new key does not sign on the node that learned of it")
		}
		for _, n := range []*node{a, b} {
			n.verifies("a token of before the rotation", old, true)
		}
	})
}

func TestRotate_Overlap(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		a := openNode(t, db, "", 0)
		old := a.sign()
		a.verifies("before", old, true)
		hour, day := time.Hour, 24*time.Hour
		a.rotate(&hour)
		a.pass(time.Minute)
		a.rotate(&day) // does not extend the first key's time
		a.reload()
		second := a.sign()
		a.pass(time.Hour - time.Minute - time.Millisecond)
		a.verifies("just before the end of the overlap", old, true)
		a.pass(time.Millisecond)
		a.verifies("at the end of the overlap, before the keys are read again", old, false)
		a.reload()
		a.verifies("at the end of the overlap", old, false)
		openNode(t, db, "", time.Hour).verifies("on a new node", old, false)
		a.verifies("a token of the second key", second, true)
		var rows int64
		count := func() int64 {
			if err := db.Read(context.Background()).Model(&models.TokenKey{}).Where("purpose = ?", models.KeySigns).Count(&rows).Error; err != nil {
				t.Fatal(err)
			}
			return rows
		}
		if count() != 3 {
			t.Errorf("%d keys are stored", rows)
		}
		zero := time.Duration(0)
		id := a.rotate(&zero)
		if count() != 3 { // the first has gone, the second and third are retired, and there is the fourth
			t.Errorf("%d keys are stored", rows)
		}
		a.reload()
		a.verifies("after a rotation without overlap", second, false)
		if signedBy(a.sign()) != headerOf(id) {
			t.Error("the only key does not sign immediately")
		}
	})
}

func TestRetire_EndsTokensOnOtherNodes(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		a := openNode(t, db, "", 0)
		old := a.sign()
		id := a.signer(a.now()).id
		live, err := a.Verify(context.Background(), old)
		if err != nil {
			t.Fatal(err)
		}
		a.rotate(nil)
		b := openNode(t, db, "", time.Hour)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		called := make(chan struct{}, 10)
		done := make(chan struct{})
		go func() {
			defer close(done)
			a.follow(ctx, 10*time.Millisecond, slog.New(slog.DiscardHandler), func() { called <- struct{}{} })
		}()
		b.change(func(tx *gorm.DB) error { return Retire(tx, id, "", b.now()) })
		select {
		case <-called:
		case <-time.After(30 * time.Second):
			t.Fatal("the node does not follow")
		}
		cancel()
		<-done
		a.verifies("after", old, false)
		if !live.Ended(a.now()) {
			t.Error("the claims that a live connection has verified have not ended")
		}
		if n := len(a.verified); n != 0 {
			t.Errorf("%d signatures of the key are kept", n)
		}
		if len(called) != 0 {
			t.Error("the retirement is reported twice")
		}
		openNode(t, db, "", time.Hour).verifies("on a new node", old, false)
	})
}

// TestClaims_EndWithTheirKey: claims that were verified before the key was retired end with it.
func TestClaims_EndWithTheirKey(t *testing.T) {
	a := openNode(t, testenv.Open(t, testenv.SQLiteURL(t)), "", 0)
	claims, err := a.Verify(context.Background(), a.sign())
	if err != nil || claims.Ended(a.now()) {
		t.Fatal(claims, err)
	}
	minute := time.Minute
	a.rotate(&minute)
	a.reload()
	for elapsed, want := range map[time.Duration]bool{time.Minute - 1: false, time.Minute: true} {
		if got := claims.Ended(models.TimeOf(start.Add(elapsed))); got != want {
			t.Errorf("after %s the claims have ended: %t", elapsed, got)
		}
	}
}

func TestRetire_Refusals(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		a := openNode(t, db, "", 0)
		configured := strings.Repeat("k", 32)
		withConfigured := openNode(t, db, configured, 0)
		only := a.signer(a.now()).id
		refuse := func(id, configured, rule string) {
			t.Helper()
			err := db.Tx(context.Background(), func(tx *gorm.DB) error { return Retire(tx, id, configured, a.now()) })
			var refusal *fault.Error
			if !errors.As(err, &refusal) || refusal.Extensions["rule"] != rule {
				t.Errorf("retiring %q: %v", id, err)
			}
		}
		refuse("nothing", "", "exists")
		refuse(sealID, "", "exists")
		refuse(only, "", "last")
		refuse(withConfigured.configured[0].id, configured, "configured")
		a.change(func(tx *gorm.DB) error { return Retire(tx, only, configured, a.now()) })
		refuse(only, configured, "exists")
		if a.reload(); a.signer(a.now()) != nil {
			t.Error("there is a key")
		}
		if _, err := a.Sign(Claims{}, "", ""); err == nil {
			t.Error("a token is signed by no key")
		}
	})
}

// TestVerify_UnknownKeys: made-up tokens do not cause one query each.
func TestVerify_UnknownKeys(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		a := openNode(t, db, "", 0)
		_, rest, _ := strings.Cut(a.sign(), ".")
		began := time.Now()
		asked := testenv.Statements(t, db, func() {
			for i := range 2000 {
				a.verifies("a made-up key", headerOf(fmt.Sprint("key", i))+"."+rest, false)
			}
		})
		if most := 1 + int(time.Since(began)/time.Second); len(asked) == 0 || len(asked) > most {
			t.Errorf("2000 made-up tokens caused %d queries, want at most %d", len(asked), most)
		}
		if asked := testenv.Statements(t, db, func() {
			for _, text := range []string{"", "a.b.c", "e30.e30.e30", strings.Repeat("x", 5000)} {
				a.verifies(text, text, false)
			}
		}); len(asked) != 0 {
			t.Errorf("texts that are not tokens caused %d queries", len(asked))
		}
	})
}

// TestVerify_DatabaseAway: a token is not reported invalid if its key cannot be read.
func TestVerify_DatabaseAway(t *testing.T) {
	db := testenv.Open(t, testenv.SQLiteURL(t))
	a := openNode(t, db, "", 0)
	known := a.sign()
	unknown := openNode(t, testenv.Open(t, testenv.SQLiteURL(t)), "", 0).sign()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := a.Verify(ctx, unknown); err == nil {
		t.Error("a foreign token is accepted")
	}
	a.mu.Lock()
	a.unknown = nil
	a.mu.Unlock()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second shares the first's failure
		if _, err := a.Verify(context.Background(), unknown); err == nil || errors.Is(err, ErrInvalid) {
			t.Errorf("with no database: %v", err)
		}
	}
	a.verifies("a token of a known key", known, true)
}

func TestConfigured_NotStored(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		first, second := strings.Repeat("k", 32), strings.Repeat("l", 40)
		a := openNode(t, db, first, 0)
		var rows []models.TokenKey
		if err := db.Read(context.Background()).Find(&rows).Error; err != nil || len(rows) != 1 || rows[0].ID != sealID {
			t.Errorf("the keys %v are stored, %v", rows, err)
		}
		old := a.sign()
		if other := openNode(t, db, first, 0).sign(); signedBy(other) != signedBy(old) {
			t.Error("two nodes with one configured key sign with different ones")
		}
		both := openNode(t, db, second+" , "+first, 0)
		both.verifies("a token of the second key", old, true)
		newer := both.sign()
		if signedBy(newer) == signedBy(old) {
			t.Error("the first key does not sign")
		}
		openNode(t, db, first+","+second, 0).verifies("a token of the second key", newer, true)
		a.verifies("a token of a key that is not configured", newer, false)
		// A node without a configured key stores one. The others verify with it, and continue to
		// sign with their own.
		none := openNode(t, db, "", 0)
		none.verifies("a token of a key that is not configured", old, false)
		both.verifies("a token of a stored key", none.sign(), true)
		both.reload()
		if signedBy(both.sign()) != signedBy(newer) {
			t.Error("the configured key does not sign")
		}
		for _, key := range append(both.configured, none.stored...) {
			if len(key.id) != 16 || strings.Contains(first+second, key.id) {
				t.Errorf("the ID of a key is %q", key.id)
			}
		}
	})
}

func TestCheckConfigured(t *testing.T) {
	good := strings.Repeat("k", 32)
	for text, ok := range map[string]bool{
		"": true, good: true, good + ",l" + good: true, " " + good + " ,\n l" + good: true,
		"short": false, good + ",": false, "," + good: false, good + ",short": false, good + "," + good: false, " ": false,
	} {
		err := CheckConfigured(text)
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && (strings.Contains(err.Error(), good) || strings.Contains(err.Error(), "short")) {
			t.Errorf("the error contains a key: %v", err)
		}
	}
}

func TestList(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		a := openNode(t, db, "", 0)
		hour := time.Hour
		a.rotate(&hour)
		list := func(configured string, elapsed time.Duration) (out []string) {
			t.Helper()
			keys, err := List(context.Background(), db, configured, models.TimeOf(start.Add(elapsed)))
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range keys {
				what := "stored"
				if key.Configured {
					what = "configured"
				}
				if key.RetiresAt != nil {
					what += " until " + key.RetiresAt.Time().Sub(start).String()
				}
				if key.Signs {
					what += " signs"
				}
				out = append(out, what)
			}
			return out
		}
		configured := strings.Repeat("k", 32)
		for _, want := range []struct {
			configured string
			elapsed    time.Duration
			keys       []string
		}{
			{"", 0, []string{"stored until 1h0m0s signs", "stored"}},
			{"", spreadTime + time.Millisecond, []string{"stored until 1h0m0s", "stored signs"}},
			{"", time.Hour, []string{"stored signs"}},
			{configured, time.Hour, []string{"configured signs", "stored"}},
		} {
			if got := list(want.configured, want.elapsed); !slices.Equal(got, want.keys) {
				t.Errorf("after %s: %q, not %q", want.elapsed, got, want.keys)
			}
		}
	})
}

// TestRotate_ClockSetBack: the new key is the newest although the clock was set back.
func TestRotate_ClockSetBack(t *testing.T) {
	a := openNode(t, testenv.Open(t, testenv.SQLiteURL(t)), "", time.Hour)
	a.pass(-time.Hour)
	id := a.rotate(nil)
	a.pass(2 * time.Hour)
	a.reload()
	if signedBy(a.sign()) != headerOf(id) {
		t.Error("the new key does not sign")
	}
}

// TestRetire_OthersExpire: a key is not retired if all others end by themselves, which would leave
// none to sign.
func TestRetire_OthersExpire(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		a := openNode(t, db, "", 0)
		old := a.signer(a.now()).id
		overlap := 15 * time.Second
		newer := a.rotate(&overlap)
		retire := func(id, configured string) error {
			return db.Tx(t.Context(), func(tx *gorm.DB) error { return Retire(tx, id, configured, a.now()) })
		}
		var refusal *fault.Error
		if err := retire(newer, ""); !errors.As(err, &refusal) || refusal.Extensions["rule"] != "last" {
			t.Errorf("retiring the only key that stays: %v", err)
		}
		if err := retire(old, ""); err != nil {
			t.Errorf("retiring a key that ends by itself: %v", err)
		}
		last := a.rotate(&overlap)
		if err := retire(last, strings.Repeat("k", 32)); err != nil {
			t.Errorf("retiring the only key that stays besides a configured one: %v", err)
		}
	})
}
