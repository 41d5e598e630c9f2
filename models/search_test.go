package models

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSearchForm_IgnoresAccentsCaseAndWidth(t *testing.T) {
	for text, want := range map[string]string{
		"Ann@Example.com":   "ann@example.com",
		"Zoë":               "zoe",
		"Zoe\u0308":         "zoe", // a combining mark
		"É":                 "e",
		"Straße STRASSE":    "strasse strasse",
		"İstanbul Işık":     "istanbul isik",
		"Łukasz Øre":        "lukasz ore",
		"Ægir Œuvre Đorđe":  "aegir oeuvre dorde",
		"Ａｎｎ":               "ann", // full width
		"𝓐𝓷𝓷 ①":             "ann 1",
		"ﬁn":                "fin",
		"ΣΊΣΥΦΟΣ":           "σισυφοσ",
		"σίσυφος":           "σισυφοσ",
		"Ёлка Йод":          "елка иод",
		"林丽":                "林丽",
		"가각":                "가각",
		"ｶﾞ":                "カ",
		"กำ กี":             "กํา กี", // vowels of Thai stay
		"नि":                "नि",
		"❤️ 👨‍👩‍👧":          "❤ 👨👩👧",
		"a\u200bn\u202en\n": "ann",
		"\u0301":            "",
		"":                  "",
	} {
		got := SearchForm(text)
		if got != want {
			t.Errorf("%q is %q (%+q), want %q", text, got, got, want)
		}
		if again := SearchForm(got); again != got {
			t.Errorf("%q: the form of its form is %q, not %q", text, again, got)
		}
	}
}

func TestSearchForm_HasABound(t *testing.T) {
	for _, r := range []string{"ﷺ", "각", "𝓐", "㌖", "😀", "ΐ"} {
		name := SearchForm(strings.Repeat(r, 64))
		if n := utf8.RuneCountInString(name); n > maxSearchForm || n < 64 || !utf8.ValidString(name) {
			t.Errorf("the form of 64 × %s has %d characters: %q", r, n, name)
		}
		if n := utf8.RuneCountInString(SearchName(strings.Repeat(r, 64), strings.Repeat("x", 64))); n > 192 {
			t.Errorf("the column needs %d characters for 64 × %s", n, r)
		}
	}
}
