package token

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/atrest"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// under opens the keys in the database with these keys for its stored secrets.
func under(t *testing.T, url, keys string) *database.DB {
	t.Helper()
	parsed, err := atrest.Parse(keys)
	if err != nil {
		t.Fatal(err)
	}
	db := testenv.Open(t, url)
	db.SetSecretKeys(parsed)
	return db
}

func secrets(t *testing.T, db *database.DB) map[string][]byte {
	t.Helper()
	var rows []models.TokenKey
	if err := db.Read(t.Context()).Find(&rows).Error; err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]byte)
	for _, row := range rows {
		found[row.ID] = row.Secret
	}
	return found
}

// TestOpenKeys_EncryptsStoredSecrets: stored keys without encryption are encrypted at the next
// start, and again if another key becomes the first. Tokens and cursors stay valid throughout. If
// keys cannot be decrypted, OpenKeys fails and changes nothing.
func TestOpenKeys_EncryptsStoredSecrets(t *testing.T) {
	first, second := "first-"+strings.Repeat("a", 32), "second-"+strings.Repeat("b", 32)
	testenv.EachURL(t, func(t *testing.T, url string) {
		n := openNode(t, under(t, url, ""), "", 0)
		plain, token, secret := secrets(t, n.db), n.sign(), n.Secret()
		if len(plain) != 2 {
			t.Fatalf("%d keys are stored", len(plain))
		}
		before := plain
		for _, step := range []struct {
			keys   string
			change bool
			err    error
		}{
			{"", false, nil},
			{first, true, nil},
			{first, false, nil},
			{second, false, atrest.ErrWrongKey},
			{"", false, atrest.ErrNoKey},
			{first + "," + second, false, nil},
			{second + ", " + first, true, nil},
			{second, false, nil},
			{first, false, atrest.ErrWrongKey},
		} {
			db := under(t, url, step.keys)
			keys, err := OpenKeys(t.Context(), db, "", func() time.Time { return start })
			if !errors.Is(err, step.err) {
				t.Fatalf("with %q: %v, want %v", step.keys, err, step.err)
			}
			if err == nil {
				(&node{Keys: keys, t: t}).verifies("a token from before", token, true)
				if keys.Secret() != secret {
					t.Error("cursors are encrypted with another secret")
				}
			}
			after := secrets(t, db)
			for id, was := range before {
				if changed := !bytes.Equal(after[id], was); changed != step.change {
					t.Errorf("with %q: the secret of %s has changed: %v", step.keys, id, changed)
				}
				if step.change && bytes.Contains(after[id], plain[id]) {
					t.Errorf("with %q: the secret of %s is stored in plain text", step.keys, id)
				}
			}
			before = after
		}
	})
}

// TestRotate_StoresEncrypted: a new key is encrypted like the others. Without the key that they are
// encrypted with, none is stored.
func TestRotate_StoresEncrypted(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		key := strings.Repeat("k", 32)
		n := openNode(t, under(t, url, key), "", 0)
		rotate := func(db *database.DB) (id string, err error) {
			err = db.Tx(context.Background(), func(tx *gorm.DB) error {
				id, err = Rotate(tx, db.SecretKeys(), nil, n.now())
				return err
			})
			return id, err
		}
		for keys, want := range map[string]error{"": atrest.ErrNoKey, strings.Repeat("x", 32): atrest.ErrWrongKey} {
			if _, err := rotate(under(t, url, keys)); !errors.Is(err, want) {
				t.Errorf("with the keys %q: %v, want %v", keys, err, want)
			}
		}
		if found := secrets(t, n.db); len(found) != 2 {
			t.Errorf("%d keys are stored", len(found))
		}
		id, err := rotate(n.db)
		if err != nil {
			t.Fatal(err)
		}
		if stored := secrets(t, n.db)[id]; len(stored) <= atrest.PlainSize {
			t.Errorf("the new secret has %d bytes", len(stored))
		}
		n.reload()
		n.pass(spreadTime)
		token := n.sign()
		openNode(t, under(t, url, key), "", spreadTime).verifies("a token of the new key", token, true)
	})
}

// TestOpenKeys_BindsSecretsToTheirRows: a secret that was copied from another row is refused.
func TestOpenKeys_BindsSecretsToTheirRows(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		db := under(t, url, strings.Repeat("k", 32))
		openNode(t, db, "", 0)
		var rows []models.TokenKey
		if err := db.Read(t.Context()).Order("purpose").Find(&rows).Error; err != nil || len(rows) != 2 {
			t.Fatal(rows, err)
		}
		err := db.Tx(t.Context(), func(tx *gorm.DB) error {
			return tx.Model(&models.TokenKey{}).Where("id = ?", rows[1].ID).Update("secret", rows[0].Secret).Error
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKeys(t.Context(), db, "", time.Now); !errors.Is(err, atrest.ErrWrongKey) {
			t.Errorf("opened: %v", err)
		}
	})
}

// TestFollow_WithoutTheDatabaseKey: a node without the key that another one starts with applies what
// it can. It keeps the keys that it knows until they are retired, and calls no token invalid whose
// key it cannot decrypt.
func TestFollow_WithoutTheDatabaseKey(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		key := strings.Repeat("k", 32)
		without := openNode(t, under(t, url, ""), "", 0)
		old, oldID := without.sign(), without.signer(without.now()).id
		with := openNode(t, under(t, url, key), "", 0)
		state := func(when, problem string, signs bool) {
			t.Helper()
			got, can := without.Problem()
			if got != problem || can != signs {
				t.Errorf("%s: the problem is %q and it signs: %t, want %q, %t", when, got, can, problem, signs)
			}
		}
		unavailable := func(what string, err error) {
			t.Helper()
			if fault.CodeOf(err) != fault.Unavailable || errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v, want UNAVAILABLE", what, err)
			}
		}
		const problem = "token keys cannot be decrypted, check ROLLCALL_DATABASE_KEY"
		state("at first", "", true)
		without.reload()
		state("with an encrypted key that it knows", problem, true)
		without.verifies("a token of a key that it knows", old, true)
		with.verifies("its token at the other node", without.sign(), true)

		with.rotate(nil)
		with.pass(spreadTime + time.Millisecond)
		with.reload()
		newer := with.sign()
		for range 2 { // the second needs no read
			_, err := without.Verify(t.Context(), newer)
			unavailable("a token of a key that it cannot decrypt", err)
		}
		state("with a key that it does not know", problem, true)
		without.verifies("a token of a key that it knows", old, true)
		without.verifies("a token of no key", openNode(t, testenv.Open(t, testenv.SQLiteURL(t)), "", 0).sign(), false)

		with.change(func(tx *gorm.DB) error { return Retire(tx, oldID, "", with.now()) })
		var log testenv.Log
		ctx, cancel := context.WithCancel(t.Context())
		retired, done := make(chan struct{}, 10), make(chan struct{})
		go func() {
			defer close(done)
			without.follow(ctx, time.Millisecond, slog.New(slog.NewTextHandler(&log, nil)), func() { retired <- struct{}{} })
		}()
		select {
		case <-retired:
		case <-time.After(30 * time.Second):
			t.Fatal("the retired key stays")
		}
		without.verifies("a token of the retired key", old, false)
		_, err := without.Sign(Claims{}, "", "")
		unavailable("signing", err)
		state("without a key that signs", "no token can be signed: "+problem, false)

		with.change(func(tx *gorm.DB) error { // the end: the secret can be read again
			key := with.stored[1]
			return tx.Model(&models.TokenKey{ID: key.id}).Update("secret", key.secret).Error
		})
		for deadline := time.Now().Add(30 * time.Second); !strings.Contains(log.String(), "level=INFO"); {
			if time.Now().After(deadline) {
				t.Fatal("the log does not have the end of the problem")
			}
			time.Sleep(time.Millisecond)
		}
		cancel()
		<-done
		if text := log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "set ROLLCALL_DATABASE_KEY") {
			t.Errorf("logged: %s", text)
		}
	})
}

// TestFollow_WarnsEachMinute: a problem that lasts is logged again.
func TestFollow_WarnsEachMinute(t *testing.T) {
	var log testenv.Log
	warn := slog.New(slog.NewTextHandler(&log, nil))
	var problem problemLog
	for _, step := range []struct {
		passed   time.Duration
		err      error
		warnings int
	}{
		{0, nil, 0},
		{0, atrest.ErrNoKey, 1},
		{warnInterval - time.Second, atrest.ErrNoKey, 1},
		{warnInterval, atrest.ErrWrongKey, 2},
		{warnInterval + time.Second, atrest.ErrWrongKey, 2},
		{warnInterval + 2*time.Second, nil, 2},
		{warnInterval + 3*time.Second, atrest.ErrNoKey, 3},
	} {
		problem.report(t.Context(), warn, step.err, start.Add(step.passed))
		if n := strings.Count(log.String(), "level=WARN"); n != step.warnings {
			t.Errorf("after %s: %d warnings, want %d", step.passed, n, step.warnings)
		}
	}
}
