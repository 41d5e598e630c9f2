package trusted

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// check refuses documents that begin with "bad".
func check(document string) error {
	if strings.HasPrefix(document, "bad") {
		return errors.New("it is bad")
	}
	return nil
}

var discard = slog.New(slog.DiscardHandler)

func TestOpen_Folder(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "one.json"), `{"a": "{ me { id } }"}`)
	write(t, filepath.Join(folder, "two", "web.json"), `{"a": "{ me { name } }", "b": "{ b }"}`)
	write(t, filepath.Join(folder, "two", "phone", "x.json"), `{"c": "{ c }", "b": "{ b }"}`)
	write(t, filepath.Join(folder, "none.json"), `{}`)
	write(t, filepath.Join(folder, "README.md"), `nothing`)
	write(t, filepath.Join(folder, "..data", "one.json"), `{"hidden": "{ hidden }"}`)
	s, err := Open(folder, check, discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ app, id, text string }{
		{"one", "a", "{ me { id } }"}, {"one", "b", ""}, {"one", "hidden", ""},
		{"two", "a", "{ me { name } }"}, {"two", "b", "{ b }"}, {"two", "c", "{ c }"},
		{"none", "a", ""}, {"three", "a", ""}, {"README", "a", ""},
	} {
		text, ok := s.For(c.app).Text(c.id)
		if text != c.text || ok != (c.text != "") || c.text != "" && !s.For(c.app).Contains(c.text) {
			t.Errorf("%s, %s: %q, %t; want %q", c.app, c.id, text, ok, c.text)
		}
	}
	if s.For("none") == nil || s.For("three") != nil || s.For("one").Contains("{ b }") {
		t.Error("apps are confused")
	}
}

func TestOpen_File(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.json")
	write(t, path, `{"a": "{ a }"}`)
	s, err := Open(path, check, discard)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := s.For("one").Text("a"); text != "{ a }" {
		t.Errorf("the document is %q", text)
	}
	var none *Store
	if none.For("one") != nil {
		t.Error("no store has documents")
	}
}

func TestOpen_Refuses(t *testing.T) {
	for content, want := range map[string]string{
		`[]`:                            "must be a JSON object",
		`{"a": 1}`:                      "must be a JSON object",
		`{"a": `:                        "must be a JSON object",
		``:                              "must be a JSON object",
		`{"": "{ a }"}`:                 "an ID has 0 bytes",
		`{"good": "{ a }", "x": "bad"}`: `the document "x": it is bad`,
		`{"` + strings.Repeat("i", 1025) + `": "{ a }"}`: "an ID has 1025 bytes",
	} {
		path := filepath.Join(t.TempDir(), "one.json")
		write(t, path, content)
		if _, err := Open(path, check, discard); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.40s: %v, want %q and the path", content, err, want)
		}
	}
	folder := t.TempDir()
	if _, err := Open(folder, check, discard); err == nil {
		t.Error("an empty folder was accepted")
	}
	if _, err := Open(filepath.Join(folder, "nothing"), check, discard); err == nil {
		t.Error("a path without a file was accepted")
	}
	write(t, filepath.Join(folder, "a", "1.json"), `{"x": "{ a }"}`)
	write(t, filepath.Join(folder, "a", "2.json"), `{"x": "{ b }"}`)
	if _, err := Open(folder, check, discard); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("two documents with one ID: %v", err)
	}
}

// TestRun_FollowsTheFiles changes files while Run looks at them. A bad file changes nothing.
func TestRun_FollowsTheFiles(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "one.json")
	write(t, path, `{"a": "{ a }"}`)
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(folder, check, discard)
		if err != nil {
			t.Fatal(err)
		}
		go s.Run(t.Context())
		for _, step := range []struct {
			name, content string
			a, b          bool
		}{
			{"another document", `{"a": "{ a }", "b": "{ b }"}`, true, true},
			{"a bad file", `{"b": "bad"}`, true, true},
			{"no JSON", `{`, true, true},
			{"one document removed", `{"b": "{ b }", "c": "{ c }"}`, false, true},
		} {
			write(t, path, step.content)
			time.Sleep(2 * checkInterval)
			synctest.Wait()
			_, a := s.For("one").Text("a")
			_, b := s.For("one").Text("b")
			if a != step.a || b != step.b {
				t.Errorf("%s: a %t, b %t", step.name, a, b)
			}
		}
	})
}
