package console

import (
	"net/http"
	"net/url"
	"testing"
)

// TestTemporaryPassword_ComesFirst checks that an operator whose password another person has set can
// do nothing but change it.
func TestTemporaryPassword_ComesFirst(t *testing.T) {
	s := onSQLite(t)
	made := s.as("admin").reveal(operatorsPath+"/"+s.operatorID("viewer")+"/password", nil)
	temporary := shownPassword.FindStringSubmatch(made.body)[1]
	b := s.browser()
	b.login("viewer", temporary).wantRedirect(t, Root)
	for _, rt := range routes {
		method, path := s.path(rt)
		switch {
		case rt.access.Role == "":
		case ownPassword[rt.pattern]:
		case rt.access.Role == "viewer" && !rt.access.AllApps:
			b.send(method, path, nil).wantRedirect(t, newPasswordPath)
		}
	}
	b.head.Set("HX-Request", "true")
	part := b.get(appPath(s.dev) + "/counts")
	part.want(t, http.StatusForbidden)
	if got := part.Header.Get("HX-Redirect"); got != newPasswordPath {
		t.Errorf("HX-Redirect %q", got)
	}
	b.head.Del("HX-Request")

	b.get(newPasswordPath).want(t, http.StatusOK, "Choose your own password", "!Audit", "Log out")
	form := func(current, next, again string) url.Values {
		return url.Values{"current": {current}, "password": {next}, "again": {again}}
	}
	for _, wrong := range []struct {
		form url.Values
		text string
	}{
		{form("a wrong one", "another password", "another password"), "That is not your current password."},
		{form(temporary, "another password", "another passwords"), "The two passwords are not the same."},
		{form(temporary, "short", "short"), "The password is too short."},
		{form(temporary, temporary, temporary), "This is your current password. Choose another one."},
	} {
		b.post(newPasswordPath, wrong.form).want(t, http.StatusUnprocessableEntity, "Choose your own password", `role="alert">`+wrong.text)
	}
	// The operator lands on the page that it wanted.
	wanted := usersPath(s.dev) + "?q=%22a%22&show=banned"
	b.get(wanted).wantRedirect(t, newPasswordPath)
	b.post(newPasswordPath, form(temporary, "another password", "another password")).wantRedirect(t, wanted)
	b.get(Root).want(t, http.StatusOK, "Your password was changed", "Audit")
	b.get(newPasswordPath).wantRedirect(t, accountPath)
	for pattern := range ownPassword {
		found := false
		for _, rt := range routes {
			found = found || rt.pattern == pattern
		}
		if !found {
			t.Errorf("%s is no route", pattern)
		}
	}
}
