package trusted

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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

// check refuses documents that begin with "bad". Its operation has the document as its name.
func check(document string) ([]Operation, error) {
	if strings.HasPrefix(document, "bad") {
		return nil, errors.New("it is bad")
	}
	return []Operation{{"query", document}}, nil
}

// text returns the text of the document with that ID.
func text(docs *Documents, id string) (text string, ok bool) {
	if doc := docs.ByID(id); doc != nil {
		return doc.Text, true
	}
	return "", false
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
		got, ok := text(s.For(c.app), c.id)
		if got != c.text || ok != (c.text != "") || c.text != "" && !s.For(c.app).Contains(c.text) {
			t.Errorf("%s, %s: %q, %t; want %q", c.app, c.id, got, ok, c.text)
		}
	}
	two := s.For("two")
	var ids, files []string
	for _, doc := range two.All {
		ids = append(ids, doc.ID+" "+filepath.Base(doc.File))
	}
	for _, f := range two.Files {
		files = append(files, fmt.Sprintf("%s %d", filepath.Base(f.Path), f.Documents))
	}
	// In the order of the names of operations, which are the texts.
	if want := []string{"b x.json", "c x.json", "a web.json"}; !slices.Equal(ids, want) {
		t.Errorf("the documents are %q, want %q", ids, want)
	}
	if want := []string{"x.json 2", "web.json 2"}; !slices.Equal(files, want) {
		t.Errorf("the files are %q, want %q", files, want)
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
	if got, _ := text(s.For("one"), "a"); got != "{ a }" {
		t.Errorf("the document is %q", got)
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
			wrong         string
		}{
			{"another document", `{"a": "{ a }", "b": "{ b }"}`, true, true, ""},
			{"a bad file", `{"b": "bad"}`, true, true, "it is bad"},
			{"no JSON", `{`, true, true, "JSON"},
			{"no file", "", true, true, "has none"},
			{"the file again", `{"a": "{ a }", "b": "{ b }"}`, true, true, ""},
			{"one document removed", `{"b": "{ b }", "c": "{ c }"}`, false, true, ""},
		} {
			before := s.Status()
			if step.content == "" {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				write(t, path, step.content)
			}
			time.Sleep(2 * checkInterval)
			synctest.Wait()
			_, a := text(s.For("one"), "a")
			_, b := text(s.For("one"), "b")
			if a != step.a || b != step.b {
				t.Errorf("%s: a %t, b %t", step.name, a, b)
			}
			now := s.Status()
			switch {
			case step.wrong == "" && (now.Err != nil || !now.ReadAt.After(before.ReadAt)):
				t.Errorf("%s: %+v, want no error and a later time", step.name, now)
			case step.wrong != "" && (now.Err == nil || !strings.Contains(now.Err.Error(), step.wrong) || now.ReadAt != before.ReadAt):
				t.Errorf("%s: %+v, want the error %q and the earlier time", step.name, now, step.wrong)
			case before.Err != nil && now.Err != nil && now.FailedAt != before.FailedAt:
				t.Errorf("%s: the time of the failure moved from %s to %s", step.name, before.FailedAt, now.FailedAt)
			}
		}
	})
}
