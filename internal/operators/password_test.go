package operators

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"rollcall/internal/fault"
)

func TestHasher(t *testing.T) {
	ctx := context.Background()
	h := newHasher()
	first, err := h.hash(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.hash(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if first == second {
		t.Error("two hashes of one password are equal: there is no salt")
	}
	if !strings.HasPrefix(first, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("not the PHC form: %s", first)
	}
	for password, want := range map[string]bool{"correct horse": true, "correct horsf": false, "": false} {
		if got, err := h.verify(ctx, h.known, password, first); err != nil || got != want {
			t.Errorf("verify(%q) = %v, %v, want %v", password, got, err, want)
		}
	}
}

// TestHasher_ComparesInNFC checks that a password matches if it is typed on another keyboard, or is
// read from a file that begins with a byte order mark.
func TestHasher_ComparesInNFC(t *testing.T) {
	const composed, decomposed = "mot de passé à gré", "mot de passe\u0301 a\u0300 gre\u0301"
	const mixed = "mot de passé a\u0300 gré"
	ctx := context.Background()
	h := newHasher()
	for name, c := range map[string]struct {
		stored, typed string
		want          bool
	}{
		"decomposed at the login":              {composed, decomposed, true},
		"decomposed at the change":             {decomposed, composed, true},
		"half composed":                        {mixed, decomposed, true},
		"mark at the change":                   {"\ufeff" + composed, composed, true},
		"mark at the login":                    {composed, "\ufeff" + decomposed, true},
		"256 characters, 1024 when decomposed": {strings.Repeat("\u1f82", 256), strings.Repeat("\u03b1\u0313\u0300\u0345", 256), true},
		"without the accents":                  {composed, "mot de passe a gre", false},
		"compatibility form":                   {"ﬁnal password", "final password", false},
		"mark in the middle":                   {"pass\ufeffword12", "password12", false},
	} {
		hash, err := h.hash(ctx, c.stored)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := h.verify(ctx, h.known, c.typed, hash); err != nil || got != c.want {
			t.Errorf("%s: verify = %v, %v, want %v", name, got, err, c.want)
		}
	}
}

// TestHasher_AcceptsEarlierHashes checks the hashes of earlier releases, which hashed a password as
// it was typed.
func TestHasher_AcceptsEarlierHashes(t *testing.T) {
	const composed, decomposed, mixed = "passé é passé", "passe\u0301 e\u0301 passe\u0301", "passé e\u0301 passé"
	ctx := context.Background()
	h := newHasher()
	for _, c := range []struct {
		stored string
		typed  []string
	}{
		{composed, []string{composed, decomposed, mixed}},
		{decomposed, []string{composed, decomposed, mixed}},
		{mixed, []string{mixed}},
		{"\ufeffpassword12", []string{"\ufeffpassword12"}},
	} {
		earlier := phcHash{memory: 64, time: 1, threads: 1, salt: []byte("saltsalt")}
		var err error
		if earlier.key, err = h.known.derive(ctx, c.stored, earlier, argonKeyBytes); err != nil {
			t.Fatal(err)
		}
		for _, typed := range c.typed {
			if right, err := h.verify(ctx, h.known, typed, earlier.String()); err != nil || !right {
				t.Errorf("%+q stored, %+q typed: %v, %v", c.stored, typed, right, err)
			}
		}
	}
}

func TestTypedForms(t *testing.T) {
	for typed, want := range map[string]int{"": 1, "password12": 1, "一二三四五六七八": 1, "passé": 2, "passe\u0301": 2, "é e\u0301": 3} {
		if got := typedForms(typed); len(got) != want {
			t.Errorf("%+q: %+q, want %d forms", typed, got, want)
		}
	}
	if got := typedForms(strings.Repeat("é", 1<<20)); len(got[0]) > 10*maxTypedLength {
		t.Errorf("%d bytes of 1 MiB are hashed", len(got[0]))
	}
}

func TestHasher_AcceptsOtherCosts(t *testing.T) {
	ctx := context.Background()
	h := newHasher()
	old := phcHash{memory: 64, time: 1, threads: 2, salt: []byte("saltsalt")}
	key, err := h.known.derive(ctx, "password12", old, 16)
	if err != nil {
		t.Fatal(err)
	}
	old.key = key
	if right, err := h.verify(ctx, h.known, "password12", old.String()); err != nil || !right {
		t.Errorf("verify = %v, %v, want true", right, err)
	}
}

func TestHasher_RefusesBrokenHashes(t *testing.T) {
	for _, encoded := range []string{
		"x", "$argon2id$", "$argon2i$v=19$m=64,t=1,p=1$c2FsdA$a2V5", "$argon2id$v=18$m=64,t=1,p=1$c2FsdA$a2V5",
		"$argon2id$v=19$m=64,t=1,p=1$!$a2V5", "$argon2id$v=19$m=64,t=1,p=1$c2FsdA$",
		// Other spellings of a valid hash: line breaks, excess bits, signs and zeros in numbers.
		"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$a2V5\n", "$argon2id$v=19$m=64,t=1,p=1$c2Fs\r\ndHNhbHQ$a2V5",
		"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHR$a2V5", "$argon2id$v=19$m=+64,t=1,p=1$c2FsdHNhbHQ$a2V5", "$argon2id$v=19$m=064,t=1,p=1$c2FsdHNhbHQ$a2V5",
	} {
		h := newHasher()
		if right, err := h.verify(context.Background(), h.known, "password12", encoded); err == nil || right {
			t.Errorf("verify with %q = %v, %v, want an error", encoded, right, err)
		}
	}
}

func TestHasher_WaitsForASlot(t *testing.T) {
	h := newHasher()
	h.known <- struct{}{}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := h.hash(ctx, "password12"); !errors.Is(err, context.Canceled) {
		t.Errorf("with all slots taken: %v, want context.Canceled", err)
	}
}

func TestCheckPassword(t *testing.T) {
	for password, rule := range map[string]string{
		"":                         "min",
		"tidy harbor":              "min",
		"一二三四五六七八九十百":              "min",
		"tidy harbour":             "",
		"一二三四五六七八九十百千":             "",
		strings.Repeat("éacu", 64): "",
		strings.Repeat("éacu", 65): "max",
		"tidy harbour\xff":         "utf8",
		"tidy harbour\x00":         "nocontrol",
		"\ttidy harbour":           "nocontrol",
		"tidy harbour\u0085":       "nocontrol",
		"tidy\x7fharbour more":     "nocontrol",
		"\ufefftidy harbor":        "min",
		"\ufeff":                   "min",
		"Password1234":             "common",
		"\ufeff1qaz2wsx3edc":       "common",
		// Characters are counted in the form that is stored.
		strings.Repeat("e\u0301", 11):    "min",
		strings.Repeat("e\u0301acu", 64): "",
	} {
		err := CheckPassword(password)
		var refusal *fault.Error
		switch {
		case rule == "" && err != nil:
			t.Errorf("%q: %v", password, err)
		case rule != "" && (!errors.As(err, &refusal) || refusal.Extensions["rule"] != rule):
			t.Errorf("%q: %v, want the rule %s", password, err, rule)
		}
	}
}

func TestNewPassword(t *testing.T) {
	form := regexp.MustCompile(`^[a-z2-7]{5}(-[a-z2-7]{5}){3}$`)
	if a, b := NewPassword(), NewPassword(); a == b || !form.MatchString(a) || CheckPassword(a) != nil {
		t.Errorf("passwords %q, %q", a, b)
	}
}
