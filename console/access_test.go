package console

import (
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func TestLoggedOut_RedirectsToLogin(t *testing.T) {
	s := onSQLite(t)
	for _, rt := range routes {
		method, path := s.path(rt)
		got := s.as("").send(method, path, nil)
		switch {
		case rt.access == anyone:
			// The second page of a login leads back to the first.
			if strings.HasPrefix(got.Header.Get("Location"), "/console/login") && !strings.HasSuffix(rt.pattern, loginCodePath) {
				t.Errorf("%s: leads to the login", rt.pattern)
			}
		case method == http.MethodGet && path != Root:
			got.wantRedirect(t, "/console/login?"+url.Values{"next": {path}}.Encode())
		default:
			got.wantRedirect(t, "/console/login")
		}
	}
	if !s.there(s.dev, "ann") {
		t.Error("the user was deleted without a login")
	}
}

// TestRoutes_POSTsNeedAdmin keeps a new POST from being open to viewers by oversight: a POST that
// viewers may use must be listed here.
func TestRoutes_POSTsNeedAdmin(t *testing.T) {
	open := map[string]bool{
		"POST /console/login":      true,
		"POST /console/login/code": true,
		"POST /console/logout":     true, // ends the viewer's own session
		"POST /console/language":   true, // sets a cookie
		// The viewer's own account.
		"POST /console/account/password":       true,
		"POST /console/account/totp":           true,
		"POST /console/account/totp/confirm":   true,
		"POST /console/account/totp/remove":    true,
		"POST /console/account/recovery-codes": true,
		"POST /console/account/end-session":    true,
		"POST /console/account/end-sessions":   true,
	}
	for _, rt := range routes {
		if strings.HasPrefix(rt.pattern, "POST ") && rt.access != admins && rt.access != confirmed && !open[rt.pattern] {
			t.Errorf("%s is open to operators other than admins", rt.pattern)
		}
	}
}

func TestViewerSeesAndChangesNothing(t *testing.T) {
	s := onSQLite(t)
	viewer := s.as("viewer")
	for _, rt := range routes {
		method, path := s.path(rt)
		switch {
		case rt.access == admins, rt.access == confirmed:
			viewer.send(method, path, nil).want(t, http.StatusForbidden, "Your role is viewer")
		case rt.access == viewers && method == http.MethodGet && !strings.HasSuffix(path, "nowhere"):
			viewer.get(path).want(t, http.StatusOK, "!Delete this user")
		}
	}
	if !s.there(s.dev, "ann") {
		t.Error("a viewer deleted a user")
	}
	viewer.get("/console/apps/"+s.dev.Key+"/users/ann").want(t, http.StatusOK, "Your role is viewer")
}

func TestCrossSiteForms_Refused(t *testing.T) {
	s := onSQLite(t)
	heads := map[string]http.Header{
		"Sec-Fetch-Site":           {"Sec-Fetch-Site": {"cross-site"}},
		"a sibling's":              {"Sec-Fetch-Site": {"same-site"}},
		"an old browser's Origin":  {"Origin": {"http://evil.example"}},
		"a hidden Origin":          {"Origin": {"null"}},
		"another port on the host": {"Origin": {"http://127.0.0.1:1"}},
	}
	for name, head := range heads {
		b := s.as("admin")
		b.head = head
		for _, rt := range routes {
			if method, path := s.path(rt); method == http.MethodPost {
				b.post(path, url.Values{"language": {"zh-CN"}}).want(t, http.StatusForbidden, "sent from another site")
			}
		}
		b.head = http.Header{}
		b.get("/console/").want(t, http.StatusOK, `lang="en"`, "Log out")
		if !s.there(s.dev, "ann") {
			t.Fatalf("%s: deleted a user", name)
		}
	}
	b := s.as("admin")
	b.head = http.Header{"Origin": {s.url}}
	b.post("/console/logout", nil).wantRedirect(t, "/console/login")
}

var (
	inlineCode = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|javascript:|<script(?:[^>]*\ssrc=)?[^>]*>[^<]`)
	elsewhere  = regexp.MustCompile(`(?i)(?:src|href|action)="(?:https?:)?//`)
)

func TestResponses_SecurityHeaders(t *testing.T) {
	s := onSQLite(t)
	paths := []string{"/console/static/nothing.css"}
	for _, rt := range routes {
		if method, path := s.path(rt); method == http.MethodGet {
			paths = append(paths, path)
		}
	}
	for _, operator := range []string{"", "viewer", "admin"} {
		b := s.as(operator)
		for _, path := range paths {
			got := b.get(path)
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
					"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
				"X-Frame-Options":            "DENY",
				"Referrer-Policy":            "same-origin",
				"Cross-Origin-Opener-Policy": "same-origin",
				"Cache-Control":              "no-store",
			} {
				if have := got.Header.Get(name); have != want {
					t.Errorf("%s as %q: %s is %q", path, operator, name, have)
				}
			}
			if found := inlineCode.FindString(got.body); found != "" {
				t.Errorf("%s as %q: inline code %q", path, operator, found)
			}
			if found := elsewhere.FindString(got.body); found != "" {
				t.Errorf("%s as %q: another host, %q", path, operator, found)
			}
		}
	}
}

// TestTemplatesHaveNoInlineCode also checks template branches that no other test renders.
func TestTemplatesHaveNoInlineCode(t *testing.T) {
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := templateFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found := inlineCode.Find(text); found != nil {
			t.Errorf("%s: inline code %q", file, found)
		}
	}
}

func TestLocalPath(t *testing.T) {
	for target, want := range map[string]string{
		"/console/":                       "/console/",
		"/console/apps/k/users?q=a&after": "/console/apps/k/users?q=a&after",
		"/console/apps/k/users/~..":       "/console/apps/k/users/~..",
		"":                                Root,
		"/":                               Root,
		"/graphql":                        Root,
		"//evil.example/console/":         Root,
		"///evil.example/console/":        Root,
		"https://evil.example/console/":   Root,
		"javascript:alert(1)":             Root,
		"/console/../graphql":             Root,
		"/console/..%2f..%2fgraphql":      Root,
		"/console/\\evil.example":         Root,
		"/console/\r\nSet-Cookie: a=b":    Root,
		"\x00/console/":                   Root,
	} {
		if got := localPath(target); got != want {
			t.Errorf("localPath(%q) = %q, want %q", target, got, want)
		}
	}
}
