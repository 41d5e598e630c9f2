package console

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/models"
)

var shownPassword = regexp.MustCompile(`<dt>Password</dt><dd><code[^>]*>([^<]+)</code>`)

// linkedSession matches the link to end a session.
var linkedSession = regexp.MustCompile(`end-session\?session=(\d+)"`)

// login reports whether the operator can log in with the password.
func (s *site) login(name, password string) bool {
	answer := s.browser().post("/console/login", url.Values{"name": {name}, "password": {password}})
	return answer.StatusCode == http.StatusSeeOther
}

func TestOperators(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b := s.as("admin")
		s.operator(hostile, models.RoleViewer)
		secret := password
		if !s.login(hostile, secret) {
			t.Fatal("the operator cannot log in")
		}
		b.get(operatorsPath).want(t, http.StatusOK, "&lt;script&gt;", "!<script>alert", "!"+secret)
		path := operatorsPath + "/" + s.operatorID(hostile)
		page := b.get(path)
		page.want(t, http.StatusOK, "end-session?session=", "!<script>alert")
		session := linkedSession.FindStringSubmatch(page.body)[1]
		b.get(path+"/end-session?session="+session).want(t, http.StatusOK, "End this session of", `name="session" value="`+session+`"`, "!<script>alert")
		b.get(path+"/end-session?session=0").want(t, http.StatusOK, "The session had already ended.", "!<form class")
		b.post(path+"/end-session", url.Values{"session": {"x"}}).want(t, http.StatusBadRequest)
		other := operatorsPath + "/" + s.operatorID("viewer")
		b.post(other+"/end-session", url.Values{"session": {session}}).wantRedirect(t, other)
		b.get(other).want(t, http.StatusOK, "The session had already ended.")
		b.get(path).want(t, http.StatusOK, "end-session?session="+session+`"`)
		b.post(path+"/end-session", url.Values{"session": {session}}).wantRedirect(t, path)
		b.get(path).want(t, http.StatusOK, "The session has ended.", "No open sessions")
		b.get(path+"/password").want(t, http.StatusOK, "Set a new password for", "all sessions of the operator end")
		again := b.reveal(path+"/password", nil)
		again.want(t, http.StatusOK, "<h1>The new password</h1>", "shown here for 5 minutes", "Back to the operator", "!"+secret)
		if s.login(hostile, secret) || !s.login(hostile, shownPassword.FindStringSubmatch(again.body)[1]) {
			t.Error("the password is not the new one")
		}
		b.get(operatorsPath+"/0").want(t, http.StatusNotFound)
		b.get(operatorsPath+"/nobody").want(t, http.StatusNotFound)
		b.get(auditPath+"?action=operator.set_password").want(t, http.StatusOK, "!"+secret, "Set a password")
		viewer := s.as("viewer")
		viewer.get(operatorsPath).want(t, http.StatusOK, "!Invite a colleague", "!Open invitations")
		viewer.get(path).want(t, http.StatusOK, "!Set a new password", "!Delete this operator", "!end-session")
	})
}

func TestOwnAccount(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b, elsewhere, admin := s.as("viewer"), s.as("viewer"), s.as("admin")
		form := func(current, password, again string) url.Values {
			return url.Values{"current": {current}, "password": {password}, "again": {again}}
		}
		for field, wrong := range map[string]url.Values{
			"current":  form("wrong", "another password", "another password"),
			"password": form(password, "short", "short"),
			"again":    form(password, "another password", "another passwort"),
		} {
			b.post(accountPath+"/password", wrong).want(t, http.StatusUnprocessableEntity, `id="`+field+`-error" role="alert"`, "!another passw")
		}
		elsewhere.get("/console/").want(t, http.StatusOK, "Log out")
		b.post(accountPath+"/password", form(password, "another password", "another password")).wantRedirect(t, accountPath)
		b.get(accountPath).want(t, http.StatusOK, "Your password was changed", "This session", "!end-session")
		elsewhere.get("/console/").wantRedirect(t, "/console/login")
		if s.login("viewer", password) || !s.login("viewer", "another password") {
			t.Error("the password is not the new one")
		}
		page := b.get(accountPath)
		session := linkedSession.FindStringSubmatch(page.body)[1]
		admin.get(accountPath+"/end-session?session="+session).want(t, http.StatusOK, "The session had already ended.") // it is not the admin's
		admin.post(accountPath+"/end-session", url.Values{"session": {session}}).wantRedirect(t, accountPath)
		admin.get(accountPath).want(t, http.StatusOK, "The session had already ended.") // it is not the admin's
		b.get(accountPath).want(t, http.StatusOK, "end-session?session="+session+`"`, "End all other sessions")
		b.get(accountPath+"/end-session?session="+session).want(t, http.StatusOK, "End this session?", `name="session" value="`+session+`"`)
		b.post(accountPath+"/end-session", url.Values{"session": {session}}).wantRedirect(t, accountPath)
		b.get(accountPath).want(t, http.StatusOK, "The session has ended.", "!session="+session+`"`, "!End all other sessions")
		b.get(accountPath+"/end-sessions").want(t, http.StatusOK, "You have no other session.")
		third := s.browser()
		third.login("viewer", "another password")
		b.get(accountPath+"/end-sessions").want(t, http.StatusOK, "End all your other sessions?")
		b.post(accountPath+"/end-sessions", nil).wantRedirect(t, accountPath)
		b.get(accountPath).want(t, http.StatusOK, "The sessions have ended.", "This session")
		third.get("/console/").wantRedirect(t, "/console/login")

		var entries []models.AuditEntry
		s.check(db.Read(context.Background()).Where("action IN ?", []string{"operator.set_password", "operator.end_session", "operator.end_sessions"}).Order("id").Find(&entries).Error)
		if len(entries) != 3 || entries[0].Actor != "viewer" || entries[1].Actor != "viewer" || entries[2].Actor != "viewer" || strings.Contains(s.log.String(), "another password") {
			t.Errorf("audit %+v", entries)
		}
	})
}

func TestChangePassword_IsThrottled(t *testing.T) {
	s := onSQLite(t)
	b := s.as("viewer")
	form := url.Values{"current": {"wrong"}, "password": {"another password"}, "again": {"another password"}}
	for range 5 {
		b.post(accountPath+"/password", form).want(t, http.StatusUnprocessableEntity)
	}
	form.Set("current", password)
	throttled := b.post(accountPath+"/password", form)
	throttled.want(t, http.StatusTooManyRequests, `id="current-error" role="alert">Too many wrong passwords. <bdi>Try again in 1 second.</bdi>`, "Your account", "!another password")
	if got := throttled.Header.Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After: %q", got)
	}
	s.pass(2 * time.Second)
	b.post(accountPath+"/password", form).wantRedirect(t, accountPath)
}

func TestOperatorActions(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b, viewer := s.as("admin"), s.as("viewer")
		path, own := operatorsPath+"/"+s.operatorID("viewer"), operatorsPath+"/"+s.operatorID("admin")

		// Neither the page nor a form lets owners change their own role or delete their account.
		member := url.Values{"role": {"admin"}, "scope": {"all"}}
		b.get(own).want(t, http.StatusOK, "This is your own account", "!Role and apps", "!Delete this operator", "!Set a new password", `class="button" href="/console/account"`)
		for _, action := range []string{"role", "delete"} {
			b.get(own+"/"+action).want(t, http.StatusOK, "This is your own account", "!<form class")
			b.post(own+"/"+action, member).wantRedirect(t, own)
			b.get(own).want(t, http.StatusOK, "Ask another owner")
		}
		b.get(own+"/password").want(t, http.StatusOK, "This is your own account", "!<form class", `class="button" href="/console/account"`)
		b.post(own+"/password", nil).wantRedirect(t, accountPath)
		b.get(accountPath).want(t, http.StatusOK, "To change your own password, enter the current one on this page.")
		if !s.login("admin", password) {
			t.Fatal("the owner's own password was changed")
		}

		// A new role applies from the next request on.
		clear, other := clearPath(s.dev), clearPath(s.prod)
		viewer.get(clear).want(t, http.StatusForbidden)
		b.get(path).want(t, http.StatusOK, "Role and apps", ">viewer</span> <span><span class=\"whole\">All apps")
		asked := b.get(path + "/role")
		asked.want(t, http.StatusOK, "Change what viewer may do?", `action="`+path+`/role"`)
		if form := asked.form(); form.Get("role") != "viewer" || form.Get("scope") != "all" || form.Has("app") {
			t.Errorf("the form begins with %v", form)
		}
		viewer.get(clear).want(t, http.StatusForbidden) // the question alone changes nothing
		for _, wrong := range []struct {
			form url.Values
			text string
		}{
			{url.Values{"role": {"god"}, "scope": {"all"}}, "Choose a role."},
			{url.Values{"role": {"admin"}}, "Choose all apps, or name at least one app."},
			{url.Values{"role": {"admin"}, "scope": {"named"}}, "Choose all apps, or name at least one app."},
			{url.Values{"role": {"admin"}, "scope": {"all"}, "app": {s.dev.Key}}, "Choose all apps, or name at least one app."},
			{url.Values{"role": {"owner"}, "scope": {"named"}, "app": {s.dev.Key}}, "An owner is always for all apps."},
			{url.Values{"role": {"admin"}, "scope": {"named"}, "app": {"rcmissing"}}, "One of these apps no longer exists."},
		} {
			b.post(path+"/role", wrong.form).want(t, http.StatusUnprocessableEntity, `role="alert">`+wrong.text, "Change what viewer may do?")
		}
		one := url.Values{"role": {"admin"}, "scope": {"named"}, "app": {s.dev.Key}}
		b.post(path+"/role", one).wantRedirect(t, path)
		b.get(path).want(t, http.StatusOK, "The role of viewer was changed.", ">admin</span> <span><bdi>demo</bdi></span>")
		if form := b.get(path + "/role").form(); form.Get("scope") != "named" || form.Get("app") != s.dev.Key {
			t.Errorf("then the form begins with %v", form)
		}
		viewer.get(clear).want(t, http.StatusOK)
		viewer.get(other).want(t, http.StatusNotFound)
		viewer.get(accountPath).want(t, http.StatusOK, "<bdi>demo</bdi>", "!Operators")
		b.get(operatorsPath).want(t, http.StatusOK, "<bdi>demo</bdi>", "All apps")
		b.post(path+"/role", one).wantRedirect(t, path)
		b.get(path).want(t, http.StatusOK, "viewer already had this role for these apps.")
		viewer.post(own+"/role", member).want(t, http.StatusForbidden)
		b.post(path+"/role", url.Values{"role": {"owner"}, "scope": {"all"}}).wantRedirect(t, path)
		viewer.post(own+"/role", member).wantRedirect(t, own)
		b.get(clear).want(t, http.StatusOK)
		b.post(path+"/delete", nil).want(t, http.StatusForbidden, "This needs the role owner.")
		viewer.post(own+"/role", url.Values{"role": {"owner"}, "scope": {"all"}}).wantRedirect(t, own)

		// All sessions, and then the account.
		again := s.as("viewer")
		b.get(path+"/end-sessions").want(t, http.StatusOK, "End all sessions of viewer?", "2 sessions")
		b.post(path+"/end-sessions", nil).wantRedirect(t, path)
		b.get(path).want(t, http.StatusOK, "The sessions have ended.", "No open sessions", "!End all sessions")
		for _, ended := range []*browser{viewer, again} {
			ended.get("/console/").wantRedirect(t, "/console/login")
		}
		last := s.as("viewer")
		b.get(path+"/delete").want(t, http.StatusOK, "Delete the operator viewer?", "1 session")
		b.post(path+"/delete", nil).wantRedirect(t, operatorsPath)
		b.get(operatorsPath).want(t, http.StatusOK, "The operator viewer was deleted.", "!"+path+`"`)
		last.get("/console/").wantRedirect(t, "/console/login")
		b.post(path+"/delete", nil).want(t, http.StatusNotFound)
		b.get(path).want(t, http.StatusNotFound)

		for action, words := range map[string][]string{
			"operator.set_role": {"Changed a role <span", ">admin · <bdi>demo</bdi></span>", ">owner</span>"}, "operator.delete": {"Deleted an operator <span", "1 session<"},
			"operator.end_sessions": {"Ended all sessions <span", "2 sessions<"},
		} {
			b.get(auditPath+"?actor=admin&action="+action).want(t, http.StatusOK, words...)
		}
		b.login("nobody", "x")
		b.login("admin", "x")
		b.get(auditPath+"?action=operator.login_failed").want(t, http.StatusOK, "unknown name<", "wrong password<", "!reason=", `<td class="none" data-label="Target"><span><span class="muted">none</span></span></td>`)
	})
}

// TestOperatorActions_LastOwner: the rule refuses even if the question was shown before.
func TestOperatorActions_LastOwner(t *testing.T) {
	s := onSQLite(t)
	operators := s.deps.Operators
	s.operator("second", models.RoleOwner)
	path := operatorsPath + "/" + s.operatorID("second")
	s.deps.Operators = lastOwner{operators}
	s.serve()
	b := s.as("admin")
	b.post(path+"/delete", nil).wantRedirect(t, path)
	b.get(path).want(t, http.StatusOK, "second is the only owner; nothing was changed.")
}

// lastOwner refuses as the rules do if another owner was removed concurrently.
type lastOwner struct{ Operators }

func (lastOwner) Delete(context.Context, string, models.Actor) error {
	return fault.Invalid("operator", "last_owner", "the only owner")
}
