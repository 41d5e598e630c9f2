package console

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

var shownPassword = regexp.MustCompile(`<dt>Password</dt><dd><code>([^<]+)</code>`)

// login says whether the operator gets in with the password.
func (s *site) login(name, password string) bool {
	answer := s.browser().post("/console/login", url.Values{"name": {name}, "password": {password}})
	return answer.StatusCode == http.StatusSeeOther
}

func TestOperators(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b := s.as("admin")
		b.post(operatorsPath, url.Values{"name": {"viewer"}, "role": {"admin"}}).want(t, http.StatusUnprocessableEntity, `id="name-error" role="alert"`, "Another operator has this name.")
		b.post(operatorsPath, url.Values{"name": {"App Server"}, "role": {"admin"}}).want(t, http.StatusUnprocessableEntity, "Another operator has this name.")
		b.post(operatorsPath, url.Values{"name": {""}, "role": {"admin"}}).want(t, http.StatusUnprocessableEntity, `id="name-error" role="alert"`)
		b.post(operatorsPath, url.Values{"name": {"x"}, "role": {"god"}}).want(t, http.StatusUnprocessableEntity, `id="role-error" role="alert"`)
		made := b.post(operatorsPath, url.Values{"name": {hostile}, "role": {"viewer"}})
		made.want(t, http.StatusOK, "shown this once", "!<script>alert")
		secret := shownPassword.FindStringSubmatch(made.body)[1]
		if !s.login(hostile, secret) {
			t.Fatal("the password shown does not work")
		}
		b.get(operatorsPath).want(t, http.StatusOK, "&lt;script&gt;", "!<script>alert", "!"+secret)
		path := operatorsPath + "/" + s.operatorID(hostile)
		page := b.get(path)
		page.want(t, http.StatusOK, `name="session"`, "!<script>alert")
		session := regexp.MustCompile(`name="session" value="(\d+)"`).FindStringSubmatch(page.body)[1]
		b.post(path+"/end-session", url.Values{"session": {"x"}}).want(t, http.StatusBadRequest)
		other := operatorsPath + "/" + s.operatorID("viewer")
		b.post(other+"/end-session", url.Values{"session": {session}}).wantRedirect(t, other)
		b.get(path).want(t, http.StatusOK, "The session had ended already.", `name="session" value="`+session+`"`)
		b.post(path+"/end-session", url.Values{"session": {session}}).wantRedirect(t, path)
		b.get(path).want(t, http.StatusOK, "The session has ended.", "Nobody is logged in.")
		again := b.post(path+"/password", nil)
		again.want(t, http.StatusOK, "shown this once", "!"+secret)
		if s.login(hostile, secret) || !s.login(hostile, shownPassword.FindStringSubmatch(again.body)[1]) {
			t.Error("the password is not the new one")
		}
		b.get(operatorsPath+"/0").want(t, http.StatusNotFound)
		b.get(operatorsPath+"/nobody").want(t, http.StatusNotFound)
		b.get(auditPath+"?action=operator.set_password").want(t, http.StatusOK, "!"+secret, "Set a password")
		viewer := s.as("viewer")
		viewer.get(operatorsPath).want(t, http.StatusOK, "!Create the operator")
		viewer.get(path).want(t, http.StatusOK, "!Set a new password</button>", `!name="session"`)
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
		b.get(accountPath).want(t, http.StatusOK, "Your password is changed", "this one", `!name="session"`)
		elsewhere.get("/console/").wantRedirect(t, "/console/login")
		if s.login("viewer", password) || !s.login("viewer", "another password") {
			t.Error("the password is not the new one")
		}
		page := b.get(accountPath)
		session := regexp.MustCompile(`name="session" value="(\d+)"`).FindStringSubmatch(page.body)[1]
		admin.post(accountPath+"/end-session", url.Values{"session": {session}}).wantRedirect(t, accountPath)
		admin.get(accountPath).want(t, http.StatusOK, "The session had ended already.") // it is not the admin's
		b.get(accountPath).want(t, http.StatusOK, `name="session" value="`+session+`"`)
		b.post(accountPath+"/end-session", url.Values{"session": {session}}).wantRedirect(t, accountPath)
		b.get(accountPath).want(t, http.StatusOK, "The session has ended.", `!name="session" value="`+session+`"`)

		var entries []models.AuditEntry
		s.check(db.Read(context.Background()).Where("action IN ?", []string{"operator.set_password", "operator.end_session"}).Order("id").Find(&entries).Error)
		if len(entries) != 2 || entries[0].Actor != "viewer" || entries[1].Actor != "viewer" || strings.Contains(s.log.String(), "another password") {
			t.Errorf("audit %+v", entries)
		}
	})
}

func TestGuessingThePresentPassword(t *testing.T) {
	s := onSQLite(t)
	b := s.as("viewer")
	form := url.Values{"current": {"wrong"}, "password": {"another password"}, "again": {"another password"}}
	for range 5 {
		b.post(accountPath+"/password", form).want(t, http.StatusUnprocessableEntity)
	}
	form.Set("current", password)
	b.post(accountPath+"/password", form).want(t, http.StatusTooManyRequests, "Wait a moment")
}
