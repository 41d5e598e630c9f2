package console

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/apps"
	"rollcall/internal/trusted"
	"rollcall/models"
)

// trust restricts users to the documents in files, whose contents are by their paths.
func (s *site) trust(files map[string]string) {
	s.t.Helper()
	folder := s.t.TempDir()
	for name, content := range files {
		path := filepath.Join(folder, name)
		s.check(os.MkdirAll(filepath.Dir(path), 0o700))
		s.check(os.WriteFile(path, []byte(content), 0o600))
	}
	// The name of the operation is the second word.
	operations := func(text string) ([]trusted.Operation, error) {
		kind, rest, _ := strings.Cut(text, " ")
		name, _, _ := strings.Cut(rest, " ")
		return []trusted.Operation{{Kind: kind, Name: strings.Trim(name, "{")}}, nil
	}
	store, err := trusted.Open(folder, operations, slog.New(slog.DiscardHandler))
	s.check(err)
	s.deps.Trusted = store
	s.serve()
}

func TestTrustedDocuments_StateOfTheApp(t *testing.T) {
	s := onSQLite(t)
	b := s.as("viewer")
	path := trustedPath(s.dev)
	b.get(path).want(t, http.StatusOK, "<h2>No trusted documents<", "set ROLLCALL_TRUSTED_DOCUMENTS", s.dev.Key+".json", "!<table")
	b.get(path+"/document?id=a").want(t, http.StatusNotFound)
	b.get(settingsPath(s.dev)).want(t, http.StatusOK, "this app has no trusted documents", `href="`+path+`"`)

	s.trust(map[string]string{
		s.prod.Key + ".json":       `{}`,
		s.dev.Key + "/web.json":    `{"a/b ?": "query Me { me { id } }", "..": "query { a<b }"}`,
		s.dev.Key + "/mobile.json": `{"c1": "mutation Logout { logout { loggedOut } }"}`,
	})
	b.get(path).want(t, http.StatusOK, "Only trusted documents", s.dev.Key+"/web.json", "2 documents, changed", "1 document, changed",
		"<bdi>Me</bdi>", "<bdi>Logout</bdi>", ">mutation<", "<bdi>..</bdi>", `<code title="a/b ?">`, `href="`+path+`/document?id=a%2Fb&#43;%3F"`)
	b.get(path+"?q=LOG").want(t, http.StatusOK, "<bdi>Logout</bdi>", "!<bdi>Me</bdi>")
	b.get(path+"?q=a/B").want(t, http.StatusOK, "<bdi>Me</bdi>", "!<bdi>Logout</bdi>")
	b.get(path+"?q=%3Cb").want(t, http.StatusOK, "No document matches “&lt;b”", "Show all documents")
	b.get(path+"/document?id=a%2Fb+%3F").want(t, http.StatusOK, "<title>Me ·", "query Me { me { id } }", "web.json", "22 bytes",
		"2e3e49f19828396c35f7f9415f5558239d37f5d85b674851f58bf43337f5aaab")
	b.get(path+"/document?id=..").want(t, http.StatusOK, "query { a&lt;b }")
	b.get(path+"/document?id=A%2Fb+%3F").want(t, http.StatusNotFound)
	b.get(settingsPath(s.dev)).want(t, http.StatusOK, "Users may send only", "3 documents")

	b.get(trustedPath(s.prod)).want(t, http.StatusOK, "The files have no documents", "Users can send nothing", "!<table")
	b.get(trustedPath(s.prod)+"/document?id=c1").want(t, http.StatusNotFound)
	other, _, err := s.apps.Create(t.Context(), apps.NewApp{Name: "other", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship}, setup)
	s.check(err)
	b.get(trustedPath(other)).want(t, http.StatusOK, "<h2>No trusted documents<", "has no file for this app", s.deps.Trusted.Path(), other.Key+".json")
}

func TestTrustedDocuments_Pages(t *testing.T) {
	s := onSQLite(t)
	var list []string
	for i := range trustedPerPage + 1 {
		list = append(list, fmt.Sprintf(`"%03d": "query Q%03d { me { id } }"`, i, i))
	}
	s.trust(map[string]string{s.dev.Key + ".json": "{" + strings.Join(list, ",") + "}"})
	b := s.as("viewer")
	path := trustedPath(s.dev)
	b.get(path+"?q=q").want(t, http.StatusOK, "<bdi>Q049</bdi>", "!<bdi>Q050</bdi>", `rel="next" href="`+path+`?after=50&amp;q=q"`, "!rel=\"prev\"")
	b.get(path+"?after=50&q=q").want(t, http.StatusOK, "!<bdi>Q049</bdi>", "<bdi>Q050</bdi>", `rel="prev" href="`+path+`?q=q"`, "!rel=\"next\"")
	for _, odd := range []string{"-1", "x", "99"} {
		b.get(path+"?after="+odd).want(t, http.StatusOK)
	}
}

func TestTrustedDocuments_FailureIsShown(t *testing.T) {
	c := loadEmbedded()
	page, err := c.pages.page("en", "trusted_documents")
	if err != nil {
		t.Fatal(err)
	}
	shown := trustedPage{Setting: "/etc/trusted", Restricted: true, FailedAt: 1_790_000_000_000, Problem: `web.json: the document "x" <is bad>`}
	shown.App = appRow{App: &models.App{Environment: models.EnvironmentProduction}}
	var out strings.Builder
	if err := page.ExecuteTemplate(&out, "content", view{Page: shown}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cannot use the present files since", "2026-09-21", "&lt;is bad&gt;", "stay in force"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
