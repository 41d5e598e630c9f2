package console

import (
	"context"
	"testing"

	"gorm.io/gorm"

	"rollcall/models"
)

func TestWithMarks(t *testing.T) {
	mark := func(code string) string { return `<span class="hidden-character">` + code + `</span>` }
	for in, want := range map[string]string{
		"<p>Ann 李\n\t</p>":                         "<p>Ann 李\n\t</p>",
		"<bdi>a\u202eb\u2066c</bdi>":               "<bdi>a" + mark("U+202E") + "b" + mark("U+2066") + "c</bdi>",
		"<p>a\u200bb\u00adc\ufeffd\u2028e</p>":     "<p>a" + mark("U+200B") + "b" + mark("U+00AD") + "c" + mark("U+FEFF") + "d" + mark("U+2028") + "e</p>",
		"<p>a\x00b\x1bc\u0085d\x7fe\u3164f</p>":    "<p>a" + mark("U+0000") + "b" + mark("U+001B") + "c" + mark("U+0085") + "d" + mark("U+007F") + "e" + mark("U+3164") + "f</p>",
		"<p>a\u200db</p>":                          "<p>a" + mark("U+200D") + "b</p>",
		"<p>👩\u200d🚀 ❤\ufe0f\u200d🔥 می\u200cخواهم": "<p>👩\u200d🚀 ❤\ufe0f\u200d🔥 می\u200cخواهم",
		"<p>🏴\U000e0067\U000e007f a\U000e0067":     "<p>🏴\U000e0067\U000e007f a" + mark("U+E0067"),
		`<input value="a` + "\u202e" + `b">`:       `<input value="a` + "\u202e" + `b">`,
		"<title>a\u202eb</title><p>\u202e":         "<title>a[U+202E]b</title><p>" + mark("U+202E"),
		`<option value="x">a` + "\u202e</option>":  `<option value="x">a[U+202E]</option>`,
		"<textarea rows=2>\u202e</textarea>":       "<textarea rows=2>\u202e</textarea>",
	} {
		if got := string(withMarks([]byte(in))); got != want {
			t.Errorf("%q:\n%q, want\n%q", in, got, want)
		}
	}
}

func TestPages_ShowHiddenCharactersAsMarks(t *testing.T) {
	s := onSQLite(t)
	// The rules refuse such names today. Former releases did not.
	s.check(s.db.Tx(context.Background(), func(tx *gorm.DB) error {
		return tx.Model(&models.User{}).Where("external_id = ?", "ann").Update("name", "A\u202enn").Error
	}))
	b := s.as("admin")
	for _, path := range []string{usersPath(s.dev), userPath(s.dev, "ann"), userPath(s.dev, "ann") + "/ban", usersPath(s.dev) + "?search=ann"} {
		b.get(path).want(t, 200, "U+202E</span>nn", "!A\u202enn<")
	}
}
