package console

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/operators"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// shownKey returns the key on a page that shows it.
func (a *answer) shownKey(t *testing.T) string {
	t.Helper()
	found := shownLink.FindStringSubmatch(a.body)
	if found == nil || !strings.HasPrefix(found[1], operators.KeyMark) {
		t.Fatalf("the page shows no key\n%s", a.body)
	}
	return html.UnescapeString(found[1])
}

// TestAPIKeys_AreMadeShownOnceAndRevoked makes a key as an operator does, and revokes it as an owner.
func TestAPIKeys_AreMadeShownOnceAndRevoked(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		s.operator("mia", models.RoleAdmin, s.dev)
		b := s.loggedIn("mia")
		page := b.get(newKeyPath)
		// The form offers what the operator may do, and chooses the least.
		page.want(t, http.StatusOK, `value="admin"`, `value="viewer" checked`, `value="named" checked`, `value="`+s.dev.Key+`">`, "!"+`value="owner"`, "!"+`value="all"`, "!"+s.prod.Key)
		form := page.form()
		form.Set("name", hostile)
		form.Set("role", "admin")
		form.Set("app", s.dev.Key)
		form.Set("expiry", ownLength)
		form.Set("days", "7")
		form.Del("") // the button
		asked := b.post(newKeyPath, form)
		asked.want(t, http.StatusForbidden, "Confirm your password", "!"+operators.KeyMark)
		form = asked.form()
		form.Del("")
		form.Set(confirmField, password)
		made := b.post(newKeyPath, form)
		target := made.Header.Get("Location")
		shown := b.get(target)
		shown.want(t, http.StatusOK, "shown here for 5 minutes", `!aria-current="page"`, "&lt;script&gt;", "!<script>alert", "curl "+s.url+"/console/api ",
			`<dd><span class="badge">admin</span> <bdi>`+s.dev.Name+`</bdi></dd>`)
		key := shown.shownKey(t)
		use, err := s.deps.Operators.(*operators.Service).ByKey(context.Background(), key, "203.0.113.9")
		s.check(err)
		if use.Operator.Name != "mia" || use.Grant.Role != models.RoleAdmin || use.Key.ExpiresAt != models.TimeOf(s.clock().Add(7*24*time.Hour)) {
			t.Errorf("%+v, %+v", use.Grant, use.Key)
		}
		s.pass(shownFor)
		b.get(target).want(t, http.StatusGone, "!"+key)

		b.get(accountPath).want(t, http.StatusOK, "&lt;script&gt;", key[:12]+"…", "203.0.113.9", "!"+key[:20])
		s.as("viewer").get("/console/operators/"+s.operatorID("mia")).want(t, http.StatusOK, "!"+key[:12])
		owner := s.as("admin")
		list := owner.get("/console/operators/" + s.operatorID("mia"))
		list.want(t, http.StatusOK, key[:12]+"…", "203.0.113.9")
		var revoke string
		for _, link := range list.links() {
			if strings.Contains(link, "/revoke-key?") {
				revoke = link
			}
		}
		ask := owner.get(revoke)
		ask.want(t, http.StatusOK, "Revoke this API key of mia?", key[:12])
		values := url.Values{keyField: {ask.form().Get(keyField)}}
		// Not by another operator on its own account.
		viewer := s.as("viewer")
		viewer.post(revokeKeyPath, values).wantRedirect(t, accountPath)
		viewer.get(accountPath).want(t, http.StatusOK, "This API key had already been revoked.")
		_, err = s.deps.Operators.(*operators.Service).ByKey(context.Background(), key, "203.0.113.9")
		s.check(err)
		path, _, _ := strings.Cut(revoke, "?")
		owner.post(path, values).wantRedirect(t, "/console/operators/"+s.operatorID("mia"))
		owner.get("/console/operators/"+s.operatorID("mia")).want(t, http.StatusOK, "The API key was revoked.")
		if _, err := s.deps.Operators.(*operators.Service).ByKey(context.Background(), key, "203.0.113.9"); err == nil {
			t.Error("the revoked key works")
		}
		owner.get(auditPath+"?target=mia").want(t, http.StatusOK, "Made an API key", "Revoked an API key", "<code>"+key[:12]+"…</code>", "!"+key[:20])
	})
}

func TestAPIKeys_FormNamesWhatIsWrong(t *testing.T) {
	s := onSQLite(t)
	s.operator("mia", models.RoleAdmin, s.dev)
	b := s.as("mia")
	// For an operator that may do everything too, the form chooses the least.
	s.as("admin").get(newKeyPath).want(t, http.StatusOK, `value="viewer" checked`, `value="named" checked`, `value="all">`, `value="`+s.prod.Key+`">`)
	valid := url.Values{"name": {"deploy"}, "expiry": {"30"}, "role": {"viewer"}, "scope": {"named"}, "app": {s.dev.Key}}
	for _, c := range []struct{ field, value, text string }{
		{"name", "", "A name has 1 to 64 characters."},
		{"expiry", "", "Enter a whole number of days from 1 to 365."},
		{"expiry", "own", "Enter a whole number of days from 1 to 365."},
		{"expiry", "366", "Enter a whole number of days from 1 to 365."},
		{"expiry", "99999999999999999999", "Enter a whole number of days from 1 to 365."},
		{"role", "", "Choose a role."},
		{"role", "owner", "An owner is always for all apps."},
		{"scope", "", "Choose all apps, or"},
		{"app", "", "Choose all apps, or"},
		{"scope", "all", "Choose all apps, or name at least one app."},
		{"app", s.prod.Key, "One of these apps no longer exists."},
	} {
		form := url.Values{}
		for name, values := range valid {
			form[name] = values
		}
		form.Set(c.field, c.value)
		if c.value == "" && c.field != "name" {
			form.Del(c.field)
		}
		b.post(newKeyPath, form).want(t, http.StatusUnprocessableEntity, `role="alert">`+c.text, "!"+operators.KeyMark)
	}
	b.reveal(newKeyPath, valid).shownKey(t)
	b.post(newKeyPath, valid).want(t, http.StatusUnprocessableEntity, "You already have an API key of this name.")
	// A key with more than its operator may, by a forged form.
	all := url.Values{"name": {"more"}, "expiry": {"30"}, "role": {"viewer"}, "scope": {"all"}}
	b.post(newKeyPath, all).want(t, http.StatusUnprocessableEntity, "An API key cannot be for apps that you are not for.")
	s.as("viewer").post(newKeyPath, url.Values{"name": {"more"}, "expiry": {"30"}, "role": {"moderator"}, "scope": {"all"}}).
		want(t, http.StatusUnprocessableEntity, "An API key cannot have a higher role than yours.")
}
