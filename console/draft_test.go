package console

import (
	"context"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/operators"
	"rollcall/models"
)

// TestDraft_ComesBackAfterALogin: a form that is sent after its session has ended comes back with what
// was typed, to the operator that typed it, and is not carried out by itself.
func TestDraft_ComesBackAfterALogin(t *testing.T) {
	s := onSQLite(t)
	s.operator("other", models.RoleAdmin)
	path := userPath(s.dev, "ann") + "/ban"
	typed := url.Values{"length": {"own"}, "amount": {"17"}, "unit": {"days"}, "reason": {`says "<b>&" twice`}, "version": {"old"}}
	expired := func(b *browser) {
		t.Helper()
		s.pass(operators.SessionIdle)
		b.post(path, typed).wantRedirect(t, "/console/login?next="+url.QueryEscape(path))
		b.get("/console/login?next="+url.QueryEscape(path)).want(t, http.StatusOK, "not used for 12 hours")
	}
	login := func(b *browser, name string) {
		t.Helper()
		b.post("/console/login", url.Values{"name": {name}, "password": {password}, "next": {path}}).wantRedirect(t, path)
	}
	b := s.as("admin")
	expired(b)
	login(b, "admin")
	page := b.get(path)
	page.want(t, http.StatusOK, "it was not carried out", "not used for 12 hours")
	form := page.form()
	for name := range typed {
		if name != "version" && form.Get(name) != typed.Get(name) {
			t.Errorf("%s is %q, want %q", name, form.Get(name), typed.Get(name))
		}
	}
	if len(form.Get(onceField)) == 0 || form.Get("length") != "own" {
		t.Errorf("the form is %v", form)
	}
	b.get(userPath(s.dev, "ann")).want(t, http.StatusOK, "badge ACTIVE", "!badge BANNED")
	b.get(path).want(t, http.StatusOK, "!it was not carried out", "!&lt;b&gt;")

	b = s.as("admin")
	expired(b)
	login(b, "other")
	b.get(path).want(t, http.StatusOK, "!it was not carried out", "!&lt;b&gt;", "!not used for 12 hours")
	b.post("/console/logout", url.Values{})
	login(b, "admin")
	b.get(path).want(t, http.StatusOK, "!&lt;b&gt;")
}

// TestDraft_HasNoSecrets: fields for secrets are neither kept nor filled in.
func TestDraft_HasNoSecrets(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	s.pass(operators.SessionIdle)
	b.post(accountPath+"/password", url.Values{"current": {"my-old-secret"}, "password": {"my-new-secret"}, "again": {"my-new-secret"}})
	for _, cookie := range b.client.Jar.Cookies(must(url.Parse(s.url + Root))) {
		if cookie.Name == draftCookie {
			t.Error("a draft is kept")
		}
	}
	field := regexp.MustCompile(`<input[^>]*name="([^"]*)"[^>]*(?:type="password"|autocomplete="one-time-code")`)
	found := 0
	for _, file := range must(fs.Glob(templateFiles, "templates/*.html")) {
		for _, match := range field.FindAllStringSubmatch(string(must(templateFiles.ReadFile(file))), -1) {
			found++
			if !untypedFields[match[1]] && match[1] != "{{.Field}}" { // that of confirm.html
				t.Errorf("%s: a draft would have the field %q", file, match[1])
			}
		}
	}
	if found < 5 {
		t.Errorf("%d fields were found", found)
	}
}

// TestLogin_SaysWhyTheSessionEnded: at the login, and on the page after it.
func TestLogin_SaysWhyTheSessionEnded(t *testing.T) {
	s := onSQLite(t)
	ctx := context.Background()
	by := models.Actor{Name: "admin"}
	rules := s.deps.Operators.(*operators.Service)
	for _, c := range []struct {
		says string
		end  func(operatorID int64)
	}{
		{"not used for 12 hours", func(int64) { s.pass(operators.SessionIdle) }},
		{"ended by another operator or by a command", func(id int64) {
			_, err := rules.EndSessions(ctx, id, 0, by)
			s.check(err)
		}},
		{"You ended your last session in another browser", func(id int64) {
			_, err := rules.EndSessions(ctx, id, 0, models.Actor{Name: "viewer"})
			s.check(err)
		}},
		{"your password was changed", func(int64) {
			_, err := rules.SetPassword(ctx, "viewer", password, by)
			s.check(err)
		}},
	} {
		b := s.as("viewer")
		list, err := rules.List(ctx)
		s.check(err)
		for _, o := range list {
			if o.Name == "viewer" {
				c.end(o.ID)
			}
		}
		b.get(usersPath(s.dev)).wantRedirect(t, "/console/login?next="+url.QueryEscape(usersPath(s.dev)))
		b.get("/console/login").want(t, http.StatusOK, c.says)
		b.login("viewer", password)
		b.get(Root).want(t, http.StatusOK, c.says)
		b.get(Root).want(t, http.StatusOK, "!"+c.says)
	}
	// A session that was used for its whole life.
	b := s.as("viewer")
	for used := time.Duration(0); used < operators.SessionLifetime; used += 11 * time.Hour {
		b.get(Root)
		s.pass(11 * time.Hour)
	}
	b.get("/console/login").want(t, http.StatusOK, "7 days old")
	// Logging out needs no explanation.
	b = s.as("viewer")
	b.post("/console/logout", url.Values{})
	b.get("/console/login").want(t, http.StatusOK, "!Your last session")
}

var languageButton = regexp.MustCompile(`<button form="([^"]*)" formmethod="post" formaction="([^"]*)" formnovalidate class="link" name="language" value="zh-CN"`)

// otherLanguage sends a page's form as its button for Chinese does, and returns the page that it leads
// to.
func (b *browser) otherLanguage(page *answer, form url.Values) *answer {
	b.t.Helper()
	match := languageButton.FindStringSubmatch(page.body)
	if match == nil || !strings.Contains(page.body, ` id="`+match[1]+`"`) {
		b.t.Fatalf("the buttons send no form: %q", match)
	}
	form.Set("language", "zh-CN")
	got := b.post(strings.ReplaceAll(match[2], "&amp;", "&"), form)
	got.want(b.t, http.StatusSeeOther)
	return b.get(got.Header.Get("Location"))
}

// TestLanguage_KeepsWhatWasTyped: the page in the other language has it, without JavaScript.
func TestLanguage_KeepsWhatWasTyped(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	page := b.get(userPath(s.dev, "ann") + "/ban")
	form := page.form()
	form.Set("length", "permanent")
	form.Set("reason", "half typ")
	page = b.otherLanguage(page, form)
	page.want(t, http.StatusOK, `lang="zh-CN"`, `value="half typ"`, "!您的会话已结束")
	if got := page.form().Get("length"); got != "permanent" {
		t.Errorf("the length is %q", got)
	}
	b.get(userPath(s.dev, "ann")).want(t, http.StatusOK, "badge ACTIVE")

	// A search that was not sent is part of the address.
	page = b.get(usersPath(s.dev))
	page = b.otherLanguage(page, url.Values{"q": {"an"}})
	page.want(t, http.StatusOK, `value="an"`)

	// The address of the button leads nowhere else.
	for _, hostile := range []string{"next=https://evil.example/&action=x", "next=/console/&action=//evil.example/&method=get", "action=/console/logout"} {
		b.post("/console/language?"+hostile, url.Values{"language": {"en"}, "x": {"y"}}).wantRedirect(t, Root)
	}
}
