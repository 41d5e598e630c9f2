package validate

import "testing"

func TestHasVisible(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                         "",
		"white space":                   " \t\u00a0\u2003\u3000\u2028",
		"zero-width space":              "\u200b",
		"joiners":                       "\u200c\u200d\u2060",
		"byte order mark":               "\ufeff",
		"Hangul fillers":                "\u3164\u115f\u1160\uffa0",
		"Braille blank":                 "\u2800",
		"soft hyphen":                   "\u00ad",
		"combining grapheme joiner":     "\u034f",
		"Khmer inherent vowels":         "\u17b4\u17b5",
		"Mongolian selectors":           "\u180b\u180c\u180d\u180e\u180f",
		"marks of direction":            "\u200e\u200f\u061c",
		"override":                      "\u202e",
		"tags":                          "\U000e0001\U000e0041\U000e007f",
		"variation selectors":           "\ufe0f\U000e0100",
		"reserved ignorable":            "\u2065\ufff0\U000e0fff",
		"combining mark alone":          "\u0301",
		"spacing combining mark alone":  "\u093e",
		"enclosing mark alone":          "\u20dd",
		"interlinear annotation":        "\ufff9\ufffa\ufffb",
		"control":                       "\x00\x7f\u0085",
		"noncharacter":                  "\ufffe\U0010ffff",
		"object replacement character":  "\ufffc",
		"null notehead":                 "\U0001d159",
		"Egyptian blanks":               "\U00013441\U00013442",
		"white space and fillers mixed": " \u200b\u3164 \u0301",
	} {
		if HasVisible(text) {
			t.Errorf("%s: %+q counts as visible", name, text)
		}
	}
	for name, text := range map[string]string{
		"letter":                       "a",
		"letter among spaces":          " \u3000ß ",
		"Chinese":                      "林",
		"Arabic":                       "\u200fمها",
		"Hangul without its fillers":   "\u1100\u1161",
		"Devanagari with vowel sign":   "\u0915\u093e",
		"letter with a combining mark": "e\u0301",
		"digit":                        "7",
		"punctuation":                  "_",
		"emoji":                        "😀",
		"keycap":                       "1\ufe0f\u20e3",
		"family of emoji":              "👩\u200d👧",
		"flag of tags":                 "🏴\U000e0067\U000e0062\U000e007f",
		"Braille letter":               "\u2801",
		"private use":                  "\uf8ff",
		"newer than Go's tables":       "\U0001fadf\U0003347a",
		"replacement character":        "\ufffd",
	} {
		if !HasVisible(text) {
			t.Errorf("%s: %+q counts as invisible", name, text)
		}
	}
}

func TestHasOverride(t *testing.T) {
	for _, r := range "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" {
		if text := "ann" + string(r) + "bob"; !HasOverride(text) {
			t.Errorf("%+q has no override", text)
		}
	}
	for _, text := range []string{"", "ann", "מהא", "مها\u200f", "a\u200eb\u061cc\u2065\u206a"} {
		if HasOverride(text) {
			t.Errorf("%+q has an override", text)
		}
	}
}
