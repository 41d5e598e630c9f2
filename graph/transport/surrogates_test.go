package transport

import "testing"

func TestHasHalf(t *testing.T) {
	for text, want := range map[string]bool{
		``: false, `"a"`: false, `"\u0041\n"`: false, `"\ud83d\ude00"`: false, `"\uD83D\uDE00\uD83D\uDE00"`: false,
		`"\\ud83d"`: false, `"\\\\ud83d"`: false, `"\u00e9\\u"`: false,
		`"\ud83d"`: true, `"\ude00"`: true, `"\uDE00\uD83D"`: true, `"\ud83d\ud83d\ude00"`: true, `"\ud83d\u0041"`: true,
		`"\ud83d \ude00"`: true, `"\\\ud83d"`: true, `{"\udfff":1}`: true, `"\ud83d\\ude00"`: true,
		`\ud83`: false, `\`: false, `\u`: false, // not JSON, which the parser refuses
	} {
		if got := hasHalf(text); got != want {
			t.Errorf("%s: %t, want %t", text, got, want)
		}
	}
}

func TestTranslateEscapes(t *testing.T) {
	for document, want := range map[string]string{
		`{a}`:                           `{a}`,
		`{a(b: "\u0041\\ud83d\"")}`:     `{a(b: "\u0041\\ud83d\"")}`,
		`{a(b: "x\ud83d\ude00y")}`:      `{a(b: "x😀y")}`,
		`{a(b: "é" c: "\uD83D\uDE00")}`: `{a(b: "é" c: "😀")}`,
		// Escapes of any width.
		`{a(b: "x\u{1F600}y\u{1f600}")}`:                `{a(b: "x😀y😀")}`,
		`{a(b: "\u{0}\u{22}\u{a}\u{41}\u{FFFF}")}`:      `{a(b: "\u0000\u0022\u000a\u0041\uffff")}`,
		`{a(b: "\u{000000000000000000000000010FFFF}")}`: "{a(b: \"\U0010FFFF\")}",
		`{a(b: "\\u{1F600}\\\u{41}")}`:                  `{a(b: "\\u{1F600}\\\u0041")}`,
		`{a(b: """\u{1F600}""")} # \u{1F600}`:           `{a(b: """\u{1F600}""")} # \u{1F600}`,
		// Not characters: gqlparser refuses them.
		`{a(b: "\u{} \u{g} \u{110000} \u{1F600 \u{-1} \u{+1} \u{1_0} \u{FFFFFFFFFFFFFFFFF}")}`: `{a(b: "\u{} \u{g} \u{110000} \u{1F600 \u{-1} \u{+1} \u{1_0} \u{FFFFFFFFFFFFFFFFF}")}`,
		`{a(b: "\u{1F`: `{a(b: "\u{1F`,
		// Text in which escapes have no meaning.
		`{a(b: """\ud83d \""" \ud83d""" c: "\ud83d\ude00")} # \ud83d "`: `{a(b: """\ud83d \""" \ud83d""" c: "😀")} # \ud83d "`,
		"# \" \\ud83d\n{a(b: \"\")} # \\ud83d":                          "# \" \\ud83d\n{a(b: \"\")} # \\ud83d",
		// Invalid documents remain unchanged.
		`{a(b: "\u00`:    `{a(b: "\u00`,
		`{a(b: """\u`:    `{a(b: """\u`,
		`{a(b: "\u0041\`: `{a(b: "\u0041\`,
	} {
		if got, ok := translateEscapes(document); got != want || !ok {
			t.Errorf("%s: %s, %t, want %s", document, got, ok, want)
		}
	}
	for _, document := range []string{
		`{a(b: "\ud83d")}`, `{a(b: "\ude00\ud83d")}`, `{a(b: """x""" c: "\ud83d")}`, `{a(b: "\\\ud83d")}`, "#\n{a(b: \"\\ud83d",
		`{a(b: "\u{d83d}")}`, `{a(b: "\u{D83D}\u{DE00}")}`, `{a(b: "\ud83d\u{de00}")}`, `{a(b: "\u{d83d}\ude00")}`, `{a(b: "\u{00DFFF}")}`,
	} {
		if got, ok := translateEscapes(document); ok {
			t.Errorf("%s: became %s", document, got)
		}
	}
}
