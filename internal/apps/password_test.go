package apps

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
		if got, err := h.verify(ctx, password, first); err != nil || got != want {
			t.Errorf("verify(%q) = %v, %v, want %v", password, got, err, want)
		}
	}
	if got, err := h.verify(ctx, "correct horse", ""); err != nil || got {
		t.Errorf("an account that is not there: %v, %v, want false", got, err)
	}
}

func TestHasherKeepsReadingOtherCosts(t *testing.T) {
	ctx := context.Background()
	h := newHasher()
	old := phcHash{memory: 64, time: 1, threads: 2, salt: []byte("saltsalt")}
	key, err := h.derive(ctx, "password12", old, 16)
	if err != nil {
		t.Fatal(err)
	}
	old.key = key
	if right, err := h.verify(ctx, "password12", old.String()); err != nil || !right {
		t.Errorf("verify = %v, %v, want true", right, err)
	}
}

func TestHasherRefusesBrokenHashes(t *testing.T) {
	for _, encoded := range []string{
		"x", "$argon2id$", "$argon2i$v=19$m=64,t=1,p=1$c2FsdA$a2V5", "$argon2id$v=18$m=64,t=1,p=1$c2FsdA$a2V5",
		"$argon2id$v=19$m=64,t=1,p=1$!$a2V5", "$argon2id$v=19$m=64,t=1,p=1$c2FsdA$",
	} {
		if right, err := newHasher().verify(context.Background(), "password12", encoded); err == nil || right {
			t.Errorf("verify with %q = %v, %v, want an error", encoded, right, err)
		}
	}
}

func TestHasherWaitsItsTurn(t *testing.T) {
	h := newHasher()
	for range cap(h.slots) {
		h.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := h.hash(ctx, "password12"); !errors.Is(err, context.Canceled) {
		t.Errorf("with all slots taken: %v, want context.Canceled", err)
	}
}

func TestCheckPassword(t *testing.T) {
	for password, rule := range map[string]string{
		"":                       "min",
		"1234567":                "min",
		"一二三四五六七":                "min",
		"1234567890":             "",
		"一二三四五六七八九十":             "",
		strings.Repeat("é", 256): "",
		strings.Repeat("é", 257): "max",
		"1234567890\xff":         "utf8",
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
	if a, b := newPassword(), newPassword(); a == b || !form.MatchString(a) || CheckPassword(a) != nil {
		t.Errorf("passwords %q, %q", a, b)
	}
}
