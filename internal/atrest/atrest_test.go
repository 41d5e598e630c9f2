package atrest

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func parse(t *testing.T, text string) Keys {
	t.Helper()
	k, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var (
	first  = "first-" + strings.Repeat("a", 32)
	second = "second-" + strings.Repeat("b", 32)
	secret = bytes.Repeat([]byte{7}, PlainSize)
)

func TestKeys_Rotation(t *testing.T) {
	for _, test := range []struct {
		seals, opens string
		current      bool
		err          error
	}{
		{"", "", true, nil},
		{"", first, false, nil},
		{first, first, true, nil},
		{first, first + ", " + second, true, nil},
		{first, second + "," + first, false, nil},
		{first, second, false, ErrWrongKey},
		{first, "", false, ErrNoKey},
	} {
		stored := parse(t, test.seals).Seal(secret, "row 1")
		got, current, err := parse(t, test.opens).Open(stored, "row 1")
		if !errors.Is(err, test.err) || current != test.current || err == nil && !bytes.Equal(got, secret) {
			t.Errorf("sealed with %q, opened with %q: %v, %v", test.seals, test.opens, current, err)
		}
		if plain := test.seals == ""; bytes.Contains(stored, secret) != plain {
			t.Errorf("%q: stored %x", test.seals, stored)
		}
		if err != nil && !strings.Contains(err.Error(), Setting) {
			t.Errorf("the error %q names no setting", err)
		}
	}
}

func TestKeys_BindToThePlace(t *testing.T) {
	k := parse(t, first)
	stored := k.Seal(secret, "row 1")
	if _, _, err := k.Open(stored, "row 2"); !errors.Is(err, ErrWrongKey) {
		t.Errorf("moved to another row: %v", err)
	}
	for i := range stored {
		changed := bytes.Clone(stored)
		changed[i] ^= 1
		if _, _, err := k.Open(changed, "row 1"); err == nil {
			t.Errorf("byte %d is not protected", i)
		}
	}
	for _, n := range []int{0, 1, PlainSize - 1, PlainSize + 1, len(stored) - 1} {
		if _, _, err := k.Open(stored[:n], "row 1"); err == nil {
			t.Errorf("%d bytes were opened", n)
		}
	}
	if bytes.Equal(stored, k.Seal(secret, "row 1")) {
		t.Error("a nonce was used twice")
	}
}

func TestParse_RefusesWeakKeys(t *testing.T) {
	for _, text := range []string{"hunter2", first + ",hunter2", first + "," + first, first + ",", ","} {
		if _, err := Parse(text); err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), first) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
