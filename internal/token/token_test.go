package token

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/opaque"
	"rollcall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func open(t *testing.T, db *database.DB, configured string, at time.Time) *Keys {
	t.Helper()
	keys, err := OpenKeys(context.Background(), db, configured, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func sign(t *testing.T, k *Keys) string {
	t.Helper()
	text, err := k.Sign(Claims{AppID: 1, UserID: 2, IssuedAt: 3}, "app", "ann")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestOneSpelling: the last character of a signature has unused bits, which must not allow another
// spelling of the same token.
func TestOneSpelling(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		keys := open(t, db, "", time.UnixMilli(1_790_000_000_000))
		text := sign(t, keys)
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		for _, last := range alphabet {
			other := text[:len(text)-1] + string(last)
			if _, err := keys.Verify(context.Background(), other); (err == nil) != (other == text) {
				t.Errorf("ending in %q instead of %q: %v", last, text[len(text)-1], err)
			}
		}
		for _, other := range []string{text + "\n", text[:len(text)-5] + "\r" + text[len(text)-5:], "\n" + text} {
			if _, err := keys.Verify(context.Background(), other); !errors.Is(err, ErrInvalid) {
				t.Errorf("with a line break: %v", err)
			}
		}
	})
}

func TestNodesThatStartTogetherShareOneKey(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		tokens, secrets := make([]string, 8), make([]opaque.Secret, 8)
		var wg sync.WaitGroup
		for i := range tokens {
			wg.Go(func() {
				keys := open(t, db, "", time.UnixMilli(1))
				tokens[i], secrets[i] = sign(t, keys), keys.Secret()
			})
		}
		wg.Wait()
		keys := open(t, db, "", time.UnixMilli(1))
		for i, secret := range secrets {
			if secret != keys.Secret() || secret == (opaque.Secret{}) {
				t.Errorf("node %d encrypts with a secret of its own", i)
			}
		}
		for i, text := range tokens {
			if _, err := keys.Verify(context.Background(), text); err != nil {
				t.Errorf("node %d has a key of its own: %v", i, err)
			}
		}
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	keys := open(t, testenv.Open(t, testenv.SQLiteURL(t)), "", time.UnixMilli(1))
	for i := range cacheSize + 10 {
		keys.remember([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, Claims{})
	}
	if len(keys.verified) != cacheSize {
		t.Errorf("%d signatures are kept, at most %d should", len(keys.verified), cacheSize)
	}
}

// FuzzToken: no text but signed tokens, of the present form and the old one, is accepted, and none
// causes a panic.
func FuzzToken(f *testing.F) {
	db, err := database.Open(context.Background(), "sqlite:"+f.TempDir()+"/x.db")
	if err != nil {
		f.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(context.Background()); err != nil {
		f.Fatal(err)
	}
	now := func() time.Time { return time.UnixMilli(1_790_000_000_123) }
	keys, err := OpenKeys(context.Background(), db, issuedKey, now)
	if err != nil {
		f.Fatal(err)
	}
	good := make(map[string]bool) // the same in all processes of the fuzzer
	for _, of := range issued {
		good[of.text] = true
	}
	for text := range good {
		head, rest, _ := strings.Cut(text, ".")
		body, signature, _ := strings.Cut(rest, ".")
		for _, seed := range []string{
			text, text + "x", text + "\n", strings.Replace(text, ".", ".\r\n", 1),
			head + "..", head[:len(head)-1] + "." + rest, head + "." + body[1:] + "." + signature,
			"eyJhbGciOiJIUzI1NiIsImtpZCI6ImZpcnN0IiwiY3JpdCI6W119." + rest,
		} {
			f.Add(seed)
		}
	}
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := keys.Verify(context.Background(), text); (err == nil) != good[text] {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func benchKeys(b *testing.B) (*Keys, string) {
	b.Helper()
	keys, err := OpenKeys(context.Background(), testenv.Open(b, testenv.SQLiteURL(b)), "", time.Now)
	if err != nil {
		b.Fatal(err)
	}
	text, err := keys.Sign(Claims{AppID: 1, UserID: 123456, SecretGeneration: 1, IssuedAt: 1_790_000_000_123, ExpiresAt: 1_990_000_000_123}, "rcns6sw6alnu3lqndbyzdi", "user-123456")
	if err != nil {
		b.Fatal(err)
	}
	return keys, text
}

// BenchmarkVerify_First is the first look at a token, which a device that connects takes.
func BenchmarkVerify_First(b *testing.B) {
	keys, text := benchKeys(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.parse(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify_Again(b *testing.B) {
	keys, text := benchKeys(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.Verify(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	keys, _ := benchKeys(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.Sign(Claims{AppID: 1, UserID: 123456, IssuedAt: 1_790_000_000_123}, "rcns6sw6alnu3lqndbyzdi", "user-123456"); err != nil {
			b.Fatal(err)
		}
	}
}
