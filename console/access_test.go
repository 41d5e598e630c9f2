package console

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"rollcall/models"
)

// TestLoggedOut_RedirectsToLogin: the login leads back to the page, also after a form.
func TestLoggedOut_RedirectsToLogin(t *testing.T) {
	s := onSQLite(t)
	pages := map[string]bool{}
	for _, rt := range routes {
		pages[rt.pattern] = true
	}
	for _, rt := range routes {
		method, path := s.path(rt)
		got := s.as("").send(method, path, nil)
		switch {
		case rt.access.Role == "":
			// The second page of a login leads back to the first.
			if strings.HasPrefix(got.Header.Get("Location"), "/console/login") && !strings.HasSuffix(rt.pattern, loginCodePath) {
				t.Errorf("%s: leads to the login", rt.pattern)
			}
		case path == Root:
			got.wantRedirect(t, "/console/login")
		case method == http.MethodGet || pages[strings.Replace(rt.pattern, "POST ", "GET ", 1)]:
			got.wantRedirect(t, "/console/login?"+url.Values{"next": {path}}.Encode())
		default:
			got.wantRedirect(t, "/console/login")
		}
	}
	if !s.there(s.dev, "ann") {
		t.Error("the user was deleted without a login")
	}
}

// lowerPOSTs has the POSTs of apps that need less than the role admin, and those of no app that need
// less than the role owner. So a new POST is not open to more operators by oversight.
var lowerPOSTs = map[string]access{
	"POST /console/login":              localGuests,
	"POST /console/login/code":         localGuests,
	"POST /console/invitation/{token}": anyone, // refuses while operators log in by SSO only
	"POST /console/language":           anyone, // sets a cookie
	"POST /console/logout":             viewers,
	"POST /console/login/passkey":      localGuests,
	// The operator's own account.
	"POST /console/account/new-password":    localViewers,
	"POST /console/account/password":        localViewers,
	"POST /console/account/passkeys":        localViewers,
	"POST /console/account/passkeys/add":    localViewers,
	"POST /console/account/passkeys/remove": localViewers,
	"POST /console/account/totp":            localViewers,
	"POST /console/account/totp/confirm":    localViewers,
	"POST /console/account/totp/remove":     localViewers,
	"POST /console/account/recovery-codes":  localViewers,
	"POST /console/account/end-session":     viewers,
	"POST /console/account/api-keys/new":    viewers,
	"POST /console/account/api-keys/revoke": viewers,
	"POST /console/account/end-sessions":    viewers,

	"POST /console/apps/{key}/users/{id}/notes":         moderators,
	"POST /console/apps/{key}/users/{id}/ban":           moderators,
	"POST /console/apps/{key}/users/{id}/unban":         moderators,
	"POST /console/apps/{key}/users/{id}/disconnect":    moderators,
	"POST /console/apps/{key}/users/{id}/sign-out":      moderators,
	"POST /console/apps/{key}/users/{id}/expire-tokens": moderators,
	"POST /console/apps/{key}/users/{id}/whitelist-on":  moderators,
	"POST /console/apps/{key}/users/{id}/whitelist-off": moderators,
	// Admins delete the notes of others.
	"POST /console/apps/{key}/users/{id}/notes/{note}/delete": moderators,

	"POST /console/apps/{key}/permission/allow":   moderators,
	"POST /console/apps/{key}/permission/unblock": moderators,
	"POST /console/apps/{key}/bulk/ban":           moderators,
	"POST /console/apps/{key}/bulk/unban":         moderators,
	"POST /console/apps/{key}/bulk/sign-out":      moderators,
	"POST /console/apps/{key}/bulk/disconnect":    moderators,
	"POST /console/apps/{key}/bulk/expire-tokens": moderators,

	// Both export what the operator may see of the audit.
	"POST /console/audit.csv":    admins,
	"POST /console/audit.ndjson": admins,

	"POST /console/apps/new": adminsOfAll,
	"POST /console/explorer": confirmed, // finds the app by appOf
}

// openGETs has the pages outside of apps that operators of named apps may see. They show nothing of
// other apps, which TestPages_OfferAndShowOnlyWhatOperatorsMay checks.
var openGETs = map[string]bool{
	"GET /console/{$}":                     true,
	"GET /console/find":                    true,
	"GET /console/now":                     true, // every page shows it
	"GET /console/account":                 true,
	"GET /console/account/passkeys":        true,
	"GET /console/account/passkeys/remove": true,
	"GET /console/account/totp":            true,
	"GET /console/account/totp/remove":     true,
	"GET /console/account/recovery-codes":  true,
	"GET /console/account/new-password":    true,
	"GET /console/account/end-session":     true,
	"GET /console/account/api-keys/new":    true,
	"GET /console/account/api-keys/revoke": true,
	"GET /console/account/end-sessions":    true,
	"GET /console/audit":                   true,
	"GET /console/audit/find":              true, // fixed names
	"GET /console/explorer":                true,
	"GET /console/shown/{shown}":           true,
	"GET /console/confirm/{form}":          true, // a form of this session
	"GET /console/confirm/{form}/sso":      true,
	"/console/":                            true, // the page for unknown paths
}

// readablePages has the pages that show something and have a form, which needs a higher role.
var readablePages = map[string]bool{
	"GET /console/apps/{key}/settings":         true,
	"GET /console/apps/{key}/users/{id}/notes": true,
	"GET /console/explorer":                    true,
	"GET /console/login":                       true,
}

func TestRoutes_HaveTheRoleOfTheirKind(t *testing.T) {
	for _, rt := range routes {
		ofApp := strings.Contains(rt.pattern, "{key}")
		path, isPOST := strings.CutPrefix(rt.pattern, "POST ")
		if ofApp && rt.access.AllApps {
			t.Errorf("%s belongs to one app, and needs all", rt.pattern)
		}
		if isPOST {
			needed := owners
			if ofApp {
				needed = admins
			}
			if lower, listed := lowerPOSTs[rt.pattern]; listed {
				needed = lower
			}
			if rt.access.Right != needed.Right || rt.access.local != needed.local {
				t.Errorf("%s needs %+v, want %+v", rt.pattern, rt.access, needed)
			}
			continue
		}
		if !ofApp && rt.access.Role != "" && !rt.access.AllApps && !openGETs[rt.pattern] {
			t.Errorf("%s is open to operators of named apps", rt.pattern)
		}
		path, _ = strings.CutPrefix(path, "GET ")
		for _, change := range routes {
			if change.pattern == "POST "+path && change.access.Role != rt.access.Role && !readablePages[rt.pattern] {
				t.Errorf("%s needs %q, and its POST %q", rt.pattern, rt.access.Role, change.access.Role)
			}
		}
	}
}

// grants are the kinds of operators. Those of named apps are for the DEVELOPMENT app.
func (s *site) grants() map[string]models.Grant {
	all := map[string]models.Grant{}
	for _, role := range models.Roles() {
		all[string(role)+" of all"] = models.Grant{Role: role, AllApps: true}
		if role != models.RoleOwner {
			all[string(role)+" of one"] = models.Grant{Role: role, AppIDs: models.IDs{s.dev.ID}}
		}
	}
	for name, grant := range all {
		s.create(name, grant)
	}
	return all
}

// withoutKeys matches the random keys of forms.
var withoutKeys = regexp.MustCompile(`name="once" value="[A-Z0-9]+"`)

// TestRoutes_Matrix sends the request of each route as each kind of operator, in its own app, in
// another one and in a missing one. Handlers are replaced, so that nothing but the rule decides.
func TestRoutes_Matrix(t *testing.T) {
	s := onSQLite(t)
	const reached = http.StatusTeapot
	var stubs []route
	for _, rt := range routes {
		if rt.pattern != "POST /console/login" {
			rt.handle = func(_ *console, v *visit) error {
				v.w.WriteHeader(reached)
				return nil
			}
		}
		stubs = append(stubs, rt)
	}
	server := httptest.NewServer(newConsole(s.deps, stubs))
	t.Cleanup(server.Close)
	s.url = server.URL
	rank := map[models.Role]int{"": -1, models.RoleViewer: 0, models.RoleModerator: 1, models.RoleAdmin: 2, models.RoleOwner: 3}
	for name, grant := range s.grants() {
		b := s.as(name)
		for _, rt := range routes {
			if rt.pattern == "POST /console/login" {
				continue
			}
			method, path := s.path(rt)
			want := reached
			if rank[grant.Role] < rank[rt.access.Role] || rt.access.AllApps && !grant.AllApps {
				want = http.StatusForbidden
			}
			if got := b.send(method, path, nil); got.StatusCode != want {
				t.Errorf("%s: %s: %d, want %d", name, rt.pattern, got.StatusCode, want)
			}
			if !strings.Contains(path, s.dev.Key) {
				continue
			}
			missing := b.send(method, strings.Replace(path, s.dev.Key, "rcmissing", 1), nil)
			other := b.send(method, strings.Replace(path, s.dev.Key, s.prod.Key, 1), nil)
			if want == reached && missing.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %s of a missing app: %d", name, rt.pattern, missing.StatusCode)
			}
			switch same := withoutKeys.ReplaceAllString(strings.ReplaceAll(other.body, s.prod.Key, "rcmissing"), ""); {
			case grant.AllApps:
				if other.StatusCode != want {
					t.Errorf("%s: %s of another app: %d, want %d", name, rt.pattern, other.StatusCode, want)
				}
			case other.StatusCode != missing.StatusCode || same != withoutKeys.ReplaceAllString(missing.body, ""):
				t.Errorf("%s: %s tells an app of others from a missing one: %d %s", name, rt.pattern, other.StatusCode, other.body)
			}
		}
	}
}

var (
	forms       = regexp.MustCompile(`<form([^>]*)>`)
	formActions = regexp.MustCompile(`<button[^>]* formaction="([^"]*)"`)
	attributes  = regexp.MustCompile(`(method|action)="([^"]*)"`)
	searches    = regexp.MustCompile(`data-find="([^"]*)"`)
)

// targets returns the requests that the page's links, forms and fields send, as "METHOD path".
func (a *answer) targets() []string {
	var list []string
	for _, link := range a.links() {
		list = append(list, "GET "+link)
	}
	for _, match := range formActions.FindAllStringSubmatch(a.body, -1) {
		list = append(list, "GET "+match[1])
	}
	for _, match := range searches.FindAllStringSubmatch(a.body, -1) {
		for path := range strings.FieldsSeq(match[1]) {
			list = append(list, "GET "+path)
		}
	}
	for _, form := range forms.FindAllStringSubmatch(a.body, -1) {
		has := map[string]string{}
		for _, match := range attributes.FindAllStringSubmatch(form[1], -1) {
			has[match[1]] = match[2]
		}
		list = append(list, strings.ToUpper(has["method"])+" "+has["action"])
	}
	return list
}

// TestPages_OfferAndShowOnlyWhatOperatorsMay requests every page as each kind of operator. A page
// must show nothing of apps that the operator is not for, and have no link or form that the rule
// refuses.
func TestPages_OfferAndShowOnlyWhatOperatorsMay(t *testing.T) {
	s := onSQLite(t)
	s.connect(s.dev, "ann", silent{})
	s.open("192.0.2.1")
	s.check(banAnn(s))
	mux := http.NewServeMux()
	rules := map[string]access{}
	for _, rt := range routes {
		mux.HandleFunc(rt.pattern, func(http.ResponseWriter, *http.Request) {})
		rules[rt.pattern] = rt.access
	}
	for name, grant := range s.grants() {
		b := s.as(name)
		for _, rt := range routes {
			method, path := s.path(rt)
			if method != http.MethodGet || lacking(path) != 0 || (rights{grant}).check(rt.access) != nil {
				continue
			}
			page := b.get(path)
			page.want(t, page.StatusCode, "!error.needs")
			if page.StatusCode >= http.StatusBadRequest {
				t.Errorf("%s: %s: %d", name, path, page.StatusCode)
			}
			if !grant.AllApps && (strings.Contains(page.body, s.prod.Key) || strings.Contains(page.body, "<bdi>live</bdi>")) {
				t.Errorf("%s: %s shows another app\n%s", name, path, page.body)
			}
			for _, target := range page.targets() {
				method, to, _ := strings.Cut(target, " ")
				if !strings.HasPrefix(to, Root) || to == settingsPath(s.dev) { // without its button, the settings are only shown
					continue
				}
				r := httptest.NewRequest(method, to, nil)
				_, pattern := mux.Handler(r)
				if err := (rights{grant}).check(rules[pattern]); err != nil {
					t.Errorf("%s: %s offers %s: %v", name, path, target, err)
				}
			}
		}
	}
}

func TestAudit_OfNamedAppsHasTheirEntriesOnly(t *testing.T) {
	s := onSQLite(t)
	s.operator("mo", models.RoleModerator, s.dev)
	b := s.as("mo")
	b.get(auditPath).want(t, http.StatusOK, "<bdi>"+s.dev.Key+"</bdi>", "!<bdi>live</bdi>", "!<bdi>viewer</bdi>")
	b.get(auditPath+"?app="+s.prod.Key).want(t, http.StatusNotFound)
	b.get(auditPath+"?target="+s.prod.Key).want(t, http.StatusOK, "<h2>No entries match<")
	b.get(auditPath+"?action=operator.login").want(t, http.StatusOK, "<h2>No entries match<")
	s.as("viewer").get(auditPath).want(t, http.StatusOK, "<bdi>"+s.dev.Key+"</bdi>", "<bdi>live</bdi>", "<bdi>viewer</bdi>")
}

func TestExplorer_RefusesAppsOfOthers(t *testing.T) {
	s := onSQLite(t)
	s.operator("ada", models.RoleAdmin, s.dev)
	b := s.as("ada")
	for _, app := range []string{s.prod.Key, "rcmissing"} {
		b.post(explorerPath, url.Values{"app": {app}}).want(t, http.StatusNotFound, "!eyJ")
	}
	b.reveal(explorerPath, url.Values{"app": {s.dev.Key}}).want(t, http.StatusOK, "Bearer")
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

func TestForms_AcceptedFromTheConsolesURL(t *testing.T) {
	s := onSQLite(t)
	s.deps.URL = "https://Console.example"
	s.serve()
	b := s.as("admin")
	b.head = http.Header{"Origin": {"https://console.example.evil.example"}}
	b.post("/console/logout", nil).want(t, http.StatusForbidden, "sent from another site")
	if log := s.log.String(); !strings.Contains(log, `origin=https://console.example.evil.example host=127.0.0.1:`) || !strings.Contains(log, "setting=ROLLCALL_CONSOLE_URL") {
		t.Errorf("the log lacks the origin, the host or the setting: %s", log)
	}
	b.head = http.Header{"Origin": {"http://console.example"}}
	b.post("/console/logout", nil).want(t, http.StatusForbidden, "sent from another site")
	b.head = http.Header{"Origin": {"https://console.example"}}
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
