package transport

import "testing"

func TestHasHalf(t *testing.T) {
	for text, want := range map[string]bool{
		``: false, `"a"`: false, `"\u0041\n"`: false, `"\ud83d\ude00"`: false, `"\uD83D\uDE00\uD83D\uDE00"`: false,
		`"\\ud83d"`: false, `"\\\\ud83d"`: false, `"\u00e9\\u"`: false,
		`"\ud83d"`: true, `"\ude00"`: true, `"\uDE00\uD83D"`: true, `"\ud83d\ud83d\ude00"`: true, `"\ud83d\u0041"`: true,
		`"\ud83d \ude00"`: true, `"\\\ud83d"`: true, `{"\udfff":1}`: true, `"\ud83d\\ude00"`: true,
		`\ud83`: false, `\`: false, `\u`: false, // no JSON, which the parser says
	} {
		if got := hasHalf(text); got != want {
			t.Errorf("%s: %t, want %t", text, got, want)
		}
	}
}

func TestJoinHalves(t *testing.T) {
	for document, want := range map[string]string{
		`{a}`:                           `{a}`,
		`{a(b: "\u0041\\ud83d\"")}`:     `{a(b: "\u0041\\ud83d\"")}`,
		`{a(b: "x\ud83d\ude00y")}`:      `{a(b: "x😀y")}`,
		`{a(b: "é" c: "\uD83D\uDE00")}`: `{a(b: "é" c: "😀")}`,
		// Where an escape is none.
		`{a(b: """\ud83d \""" \ud83d""" c: "\ud83d\ude00")} # \ud83d "`: `{a(b: """\ud83d \""" \ud83d""" c: "😀")} # \ud83d "`,
		"# \" \\ud83d\n{a(b: \"\")} # \\ud83d":                          "# \" \\ud83d\n{a(b: \"\")} # \\ud83d",
		// What cannot be parsed stays so.
		`{a(b: "\u00`:    `{a(b: "\u00`,
		`{a(b: """\u`:    `{a(b: """\u`,
		`{a(b: "\u0041\`: `{a(b: "\u0041\`,
	} {
		if got, ok := joinHalves(document); got != want || !ok {
			t.Errorf("%s: %s, %t, want %s", document, got, ok, want)
		}
	}
	for _, document := range []string{
		`{a(b: "\ud83d")}`, `{a(b: "\ude00\ud83d")}`, `{a(b: """x""" c: "\ud83d")}`, `{a(b: "\\\ud83d")}`, "#\n{a(b: \"\\ud83d",
	} {
		if got, ok := joinHalves(document); ok {
			t.Errorf("%s: became %s", document, got)
		}
	}
}
