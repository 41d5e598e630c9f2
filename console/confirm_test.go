package console

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/operators"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// loggedIn returns a browser that is logged in but has not confirmed its password.
func (s *site) loggedIn(operator string) *browser {
	s.t.Helper()
	b := s.browser()
	b.login(operator, password).wantRedirect(s.t, Root)
	return b
}

// TestConfirm_EverySuchForm sends each form that needs a confirmed password without one.
func TestConfirm_EverySuchForm(t *testing.T) {
	s := onSQLite(t)
	want := map[string]bool{
		"POST /console/operators/invitations":                    true,
		"POST /console/operators/{operator}/role":                true,
		"POST /console/operators/{operator}/password":            true,
		"POST /console/operators/{operator}/delete":              true,
		"POST /console/operators/{operator}/reset-second-factor": true,
		"POST /console/apps/{key}/rotate-secret":                 true,
		"POST /console/apps/{key}/disable":                       true,
		"POST /console/apps/{key}/enable":                        true,
		"POST /console/apps/{key}/delete":                        true,
		"POST /console/apps/{key}/webhooks/new":                  true,

		"POST /console/apps/{key}/webhooks/{endpoint}/edit":          true,
		"POST /console/apps/{key}/webhooks/{endpoint}/rotate-secret": true,
		"POST /console/explorer":                                     true,

		"POST /console/apps/{key}/users/{id}/deactivate": true,
		"POST /console/apps/{key}/bulk/deactivate":       true,
		"POST /console/apps/{key}/users/{id}/delete":     true,
		"POST /console/apps/{key}/bulk/delete":           true,
		"POST /console/apps/{key}/clear":                 true,

		"POST /console/account/totp":            true,
		"POST /console/account/totp/remove":     true,
		"POST /console/account/passkeys":        true,
		"POST /console/account/passkeys/remove": true,
		"POST /console/account/recovery-codes":  true,
		"POST /console/account/api-keys/new":    true,
	}
	// What the forms need so that nothing is wrong with them.
	right := url.Values{
		"name": {"olga"}, "role": {"admin"}, "scope": {"named"}, "app": {s.dev.Key}, "overlap": {"0"}, "expiry": {"30"},
		"url": {"https://hooks.example/"}, "events": {"all"}, "passkey": {"1"}, "id": {"ann"}, "count": {"1"},
	}
	before := s.audited(s.dev)
	for _, rt := range routes {
		if rt.access.confirm != want[rt.pattern] {
			t.Errorf("%s asks for the password: %v", rt.pattern, rt.access.confirm)
		}
		if !rt.access.confirm {
			continue
		}
		_, path := s.path(rt)
		b := s.loggedIn("admin")
		form := maps.Clone(right)
		switch {
		case strings.HasSuffix(path, "/disable"):
			form.Set("name", s.dev.Name)
		case strings.HasSuffix(path, "/apps/"+s.dev.Key+"/delete"):
			b.post(path, form).want(t, http.StatusConflict, "Disable it first", "!Confirm your password")
			continue
		}
		b.post(path, form).want(t, http.StatusForbidden, "Confirm your password", `action="`+path+`"`,
			`type="hidden" name="name" value="`+form.Get("name")+`"`, `value="admin" autocomplete="username"`)
		form.Set(confirmField, "a wrong password")
		b.post(path, form).want(t, http.StatusUnprocessableEntity, "That is not your current password.", `role="alert"`, "!a wrong password")
		// A viewer is refused even with the password, except for its own account.
		if rt.access.Role == models.RoleViewer {
			continue
		}
		form.Set(confirmField, password)
		s.loggedIn("viewer").post(path, form).want(t, http.StatusForbidden, "This needs the role")
	}
	if got := s.audited(s.dev); len(got) != len(before) {
		t.Errorf("done without a password: %q", got)
	}
	list, err := s.deps.Operators.List(context.Background())
	s.check(err)
	if len(list) != 2 || list[1].Name != "viewer" || list[1].Role != models.RoleViewer {
		t.Errorf("operators were changed without a password: %+v", list)
	}
}

// TestConfirm_CarriesTheFormAlong: the page that asks for the password keeps all fields, and the
// form takes effect once the password is right. The next form is not asked for it until the
// confirmation expires.
func TestConfirm_CarriesTheFormAlong(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b := s.loggedIn("admin")
		asked := b.post(invitationsPath, url.Values{"name": {`olga "<o>" 王`}, "role": {"admin"}, "scope": {"all"}})
		asked.want(t, http.StatusForbidden, "Confirm your password", "!<o>")
		form := asked.form()
		form.Del("")
		if form.Get("name") != `olga "<o>" 王` || form.Get("role") != "admin" || !form.Has(confirmField) {
			t.Fatalf("the form lost something: %v", form)
		}
		form.Set(confirmField, password)
		b.reveal(invitationsPath, form).want(t, http.StatusOK, "shown here for 5 minutes", "olga")
		// A form that has a page of its own, and one with several values for one field.
		rotate := appPath(s.dev) + "/rotate-secret"
		b.reveal(rotate, url.Values{"overlap": {"0"}}).want(t, http.StatusOK, "The new app secret")
		s.pass(operators.ConfirmationLifetime)
		several := b.post(rotate, url.Values{"overlap": {"0"}, "a": {"1", "2"}, "b": {"line\nline"}})
		several.want(t, http.StatusForbidden, `name="a" value="1"`, `name="a" value="2"`, "value=\"line\nline\"", "!The new app secret")
		s.loggedIn("admin").post(rotate, url.Values{"overlap": {"0"}}).want(t, http.StatusForbidden, "Confirm your password")
	})
}

// TestConfirm_ChecksTheFormFirst: a form with wrong fields says so before it asks for the password, also
// for what only the change itself finds, and changes nothing.
func TestConfirm_ChecksTheFormFirst(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		entries := func() (n int64) {
			s.check(s.db.Read(t.Context()).Model(&models.AuditEntry{}).Where("action <> ?", audit.ActionLogin).Count(&n).Error)
			return n
		}
		before, b, dev := entries(), s.loggedIn("admin"), appPath(s.dev)
		for _, wrong := range []struct {
			path, text string
			form       url.Values
		}{
			{invitationsPath, "Another operator has this name", url.Values{"name": {"viewer"}, "role": {"admin"}, "scope": {"all"}}},
			{operatorPath(s.operatorNamed("viewer")) + "/role", "Choose a role.", url.Values{"role": {"king"}, "scope": {"all"}}},
			{newKeyPath, "Enter a whole number of days", url.Values{"name": {"deploy"}, "role": {"viewer"}, "scope": {"all"}}},
			{explorerPath, "nobody", url.Values{"app": {s.dev.Key}, "user": {"nobody"}}},
			{dev + "/rotate-secret", `id="amount-error"`, url.Values{"overlap": {ownLength}}},
			{dev + "/disable", "This is not the name of the app", url.Values{"name": {"Another"}}},
			{dev + "/webhooks/new", `id="url-error"`, url.Values{"url": {"nowhere"}, "events": {"all"}}},
		} {
			b.post(wrong.path, wrong.form).want(t, http.StatusUnprocessableEntity, wrong.text, "!Confirm your password", "!present-password")
		}
		b.post(dev+"/rotate-secret", url.Values{"overlap": {"0"}}).want(t, http.StatusForbidden, "Confirm your password")
		if after := entries(); after != before {
			t.Errorf("%d entries in the audit, and then %d", before, after)
		}
	})
}

func TestConfirm_IsThrottled(t *testing.T) {
	s := onSQLite(t)
	b := s.loggedIn("admin")
	wrong := url.Values{"app": {s.dev.Key}, confirmField: {"a wrong password"}}
	for range 5 {
		b.post(explorerPath, wrong).want(t, http.StatusUnprocessableEntity)
	}
	right := url.Values{"app": {s.dev.Key}, confirmField: {password}}
	for language, text := range map[string]string{"en": "Too many wrong passwords. Try again in 1 second.", "zh-CN": "请在 1 秒后重试。"} {
		b.head.Set("Accept-Language", language)
		refused := b.post(explorerPath, right)
		refused.want(t, http.StatusTooManyRequests, text, `role="alert"`, `value="`+s.dev.Key+`"`)
		if filledToken(refused) != "" || refused.Header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q", refused.Header.Get("Retry-After"))
		}
	}
	b.head.Set("Accept-Language", "zh-CN")
	b.get("/console/audit?action=operator.confirm_failed").want(t, http.StatusOK, "身份确认失败", "密码错误", "admin")
	s.pass(2 * time.Second)
	if token := filledToken(b.reveal(explorerPath, right)); token == "" {
		t.Error("no token after the wait")
	}
	if strings.Contains(s.log.String(), "a wrong password") || strings.Contains(s.log.String(), password) {
		t.Error("the log has a password")
	}
}

func TestConfirm_BrokenForms(t *testing.T) {
	s := onSQLite(t)
	b := s.loggedIn("admin")
	b.post(explorerPath, url.Values{confirmField: {""}}).want(t, http.StatusUnprocessableEntity)
	b.post(explorerPath, url.Values{confirmField: {"\xff\x00"}}).want(t, http.StatusUnprocessableEntity)
	b.post(explorerPath+"?"+confirmField+"="+url.QueryEscape(password), url.Values{"app": {s.dev.Key}}).want(t, http.StatusForbidden, "Confirm your password")
	b.head.Set("Sec-Fetch-Site", "cross-site")
	b.post(explorerPath, url.Values{confirmField: {password}}).want(t, http.StatusForbidden, "sent from another site")
}

// TestConfirm_NamesTheAction: the page says what is done once the password is right.
func TestConfirm_NamesTheAction(t *testing.T) {
	patterns := 0
	for _, rt := range routes {
		if !rt.access.confirm {
			continue
		}
		patterns++
		if actionNames[rt.pattern] == "" {
			t.Errorf("%s asks for a confirmation of what has no name", rt.pattern)
		}
	}
	if patterns != len(actionNames) {
		t.Errorf("%d actions have names, %d need a confirmation", len(actionNames), patterns)
	}
	s := onSQLite(t)
	s.register(s.dev, "bob", "Bob")
	b := s.browser()
	b.login("admin", password)
	app := "<dt>App</dt><dd><bdi>" + s.dev.Name
	for path, want := range map[string]struct {
		form  url.Values
		texts []string
	}{
		userPath(s.dev, "ann") + "/deactivate": {nil, []string{"<strong>Erase and deactivate</strong>", "<bdi>ann</bdi>", app}},
		bulkPath(s.dev) + "/delete":            {url.Values{"id": {"ann", "bob"}}, []string{"<strong>Delete users</strong>", "<bdi>2 users</bdi>", app}},
		clearPath(s.dev):                       {url.Values{"count": {"2"}}, []string{"<strong>Delete all test users</strong>", "<bdi>2 users</bdi>", app}},
		invitationsPath:                        {url.Values{"name": {"ivy"}, "role": {"viewer"}, "scope": {"all"}}, []string{"<strong>Invite a colleague</strong>", "<bdi>ivy</bdi>", "!<dt>App</dt>"}},
	} {
		b.post(path, want.form).want(t, http.StatusForbidden, append(want.texts, "Confirm your password")...)
	}
}
