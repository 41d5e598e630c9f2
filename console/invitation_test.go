package console

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/operators"
	"rollcall/internal/testenv"
	"rollcall/models"
)

var shownLink = regexp.MustCompile(`<code data-copy[^>]*>([^<]+)</code>`)

// invite invites an operator, for the DEVELOPMENT app unless it is an owner, and returns the link's path.
func (b *browser) invite(name string, role models.Role) string {
	b.t.Helper()
	form := url.Values{"name": {name}, "role": {string(role)}, "scope": {"named"}, "app": {b.dev.Key}}
	if role == models.RoleOwner {
		form = url.Values{"name": {name}, "role": {string(role)}, "scope": {"all"}}
	}
	made := b.reveal(invitationsPath, form)
	made.want(b.t, http.StatusOK, "<h1>The invitation</h1>", "shown here for 5 minutes")
	link := html.UnescapeString(shownLink.FindStringSubmatch(made.body)[1])
	path, ours := strings.CutPrefix(link, b.url)
	if !ours || !strings.HasPrefix(path, invitationPath) {
		b.t.Fatalf("the link is %s", link)
	}
	return path
}

func passwords(password string) url.Values {
	return url.Values{"password": {password}, "again": {password}}
}

func TestInvitation_IsAcceptedOnce(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b := s.as("admin")
		for _, wrong := range []struct{ name, role, text string }{
			{"viewer", "admin", "Another operator has this name."},
			{"App Server", "admin", "Another operator has this name."},
			{"", "admin", "A name has 1 to 64 characters."},
			{"\u3164", "admin", "at least one visible character"},
			{"adm\u202ein", "admin", "not contain bidirectional overrides"},
			{"x", "god", "Choose a role."},
		} {
			b.post(invitationsPath, url.Values{"name": {wrong.name}, "role": {wrong.role}, "scope": {"all"}}).
				want(t, http.StatusUnprocessableEntity, `role="alert">`, wrong.text, "!"+invitationPath)
		}
		path := b.invite(hostile, models.RoleModerator)
		b.post(invitationsPath, url.Values{"name": {hostile}, "role": {"admin"}, "scope": {"all"}}).
			want(t, http.StatusUnprocessableEntity, "This name is already invited.")
		b.get(operatorsPath).want(t, http.StatusOK, "Open invitations", "&lt;script&gt;", "!<script>alert", ">moderator<", "!"+path)
		b.get(auditPath+"?action=operator.invite").want(t, http.StatusOK, "moderator · <bdi>demo</bdi>")

		guest := s.browser()
		guest.get(path).want(t, http.StatusOK, "Choose a password to accept", "&lt;script&gt;", "!<script>alert", ">moderator<")
		for _, wrong := range []struct{ first, second, text string }{
			{"short", "short", "The password is too short."},
			{"short", "shorter", "The password is too short."},
			{"short", "shorter", "The two passwords are not the same."},
			{"another password", "another passwords", "The two passwords are not the same."},
			{"password1234", "password1234", "This is a common password."},
		} {
			guest.post(path, url.Values{"password": {wrong.first}, "again": {wrong.second}}).
				want(t, http.StatusUnprocessableEntity, wrong.text, "!value=\""+wrong.first)
		}
		guest.post(path, passwords("another password")).wantRedirect(t, Root)
		guest.get(Root).want(t, http.StatusOK, "<bdi>demo</bdi>", "!<bdi>live</bdi>", ">moderator<")
		guest.get(accountPath).want(t, http.StatusOK, "This session")
		if !s.login(hostile, "another password") {
			t.Error("the password does not work")
		}
		for _, later := range []*browser{s.browser(), guest} {
			later.get(path).want(t, http.StatusGone, "This invitation was already accepted.", "!<form method=\"post\" action=\""+invitationPath)
			later.post(path, passwords("a third password")).want(t, http.StatusGone, "This invitation was already accepted.")
		}
		if s.login(hostile, "a third password") {
			t.Error("the link was accepted twice")
		}
		b.get(operatorsPath).want(t, http.StatusOK, "No open invitations")
		b.get(auditPath+"?action=operator.accept_invitation").want(t, http.StatusOK, "&lt;script&gt;")
		b.get(auditPath+"?action=operator.login").want(t, http.StatusOK, ">invitation<")
		if token := strings.TrimPrefix(path, invitationPath); strings.Contains(s.log.String(), token) || strings.Contains(s.log.String(), "another password") {
			t.Error("the log has the link or the password")
		}
	})
}

func TestInvitation_RevokedExpiredOrUnknown(t *testing.T) {
	s := onSQLite(t)
	b, guest := s.as("admin"), s.browser()
	revoked := b.invite("olga", models.RoleAdmin)
	revoke := regexp.MustCompile(invitationsPath + `/\d+/revoke`).FindString(b.get(operatorsPath).body)
	b.post(revoke, nil).wantRedirect(t, operatorsPath)
	b.get(operatorsPath).want(t, http.StatusOK, "The invitation of olga was revoked.", "No open invitations")
	b.post(revoke, nil).wantRedirect(t, operatorsPath)
	b.get(operatorsPath).want(t, http.StatusOK, "This invitation was already accepted, revoked or expired.")
	b.post(invitationsPath+"/x/revoke", nil).want(t, http.StatusNotFound)
	b.get(auditPath+"?action=operator.revoke_invitation").want(t, http.StatusOK, "<bdi>olga</bdi>")

	expired := b.invite("olga", models.RoleAdmin) // the name is free again
	taken := b.invite("tina", models.RoleAdmin)
	s.operator("tina", models.RoleViewer)
	refused := map[string]string{revoked: "This invitation was revoked.", invitationPath + "x": "There is no such invitation."}
	guest.get(taken).want(t, http.StatusGone, "has been given this name since", "!name=\"password\"")
	guest.post(taken, passwords("another password")).want(t, http.StatusGone, "has been given this name since")
	s.pass(operators.InvitationLifetime)
	refused[expired] = "This invitation has expired."
	for path, text := range refused {
		status := http.StatusGone
		if strings.HasSuffix(path, "/x") {
			status = http.StatusNotFound
		}
		guest.get(path).want(t, status, text, "!name=\"password\"")
		guest.post(path, passwords("another password")).want(t, status, text)
	}
	if s.login("olga", "another password") {
		t.Error("a link that is not valid was accepted")
	}
	s.as("admin").get(operatorsPath).want(t, http.StatusOK, "No open invitations")
}

// TestInvitation_LinkHasTheConfiguredAddress: a proxy may change the host of requests.
func TestInvitation_LinkHasTheConfiguredAddress(t *testing.T) {
	s := onSQLite(t)
	s.deps.URL = "https://console.example"
	s.serve()
	made := s.as("admin").reveal(operatorsPath+"/invitations", url.Values{"name": {"eve"}, "role": {"owner"}, "scope": {"all"}})
	made.want(t, http.StatusOK, ">https://console.example"+invitationPath)
}

// TestInvitation_UnknownLinksAreLimited counts them as wrong passwords are, and valid ones not.
func TestInvitation_UnknownLinksAreLimited(t *testing.T) {
	s := onSQLite(t)
	path := s.as("admin").invite("olga", models.RoleViewer)
	guest := s.browser()
	guest.head.Set("X-Test-Address", "192.0.2.7")
	for range 20 {
		guest.get(path).want(t, http.StatusOK)
	}
	tried := 0
	for guest.get(invitationPath+"guess").StatusCode != http.StatusTooManyRequests {
		if tried++; tried > 20 {
			t.Fatal("guesses are not limited")
		}
	}
	limited := guest.get(path)
	limited.want(t, http.StatusTooManyRequests, "Try again in", "!name=\"password\"")
	if limited.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.pass(time.Minute)
	guest.get(path).want(t, http.StatusOK)
}

// TestInvitation_EndsTheSessionOfAnother: an owner that tries the link itself does not stay logged in
// unnoticed.
func TestInvitation_EndsTheSessionOfAnother(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	path := b.invite("olga", models.RoleViewer)
	b.get(path).want(t, http.StatusOK, "You are logged in as admin.")
	b.post(path, passwords("another password")).wantRedirect(t, Root)
	b.get(accountPath).want(t, http.StatusOK, "olga")
	s.as("viewer").get(operatorsPath+"/"+s.operatorID("admin")).want(t, http.StatusOK, "No open sessions")
}

// TestInvitation_EndsWithTheOwner: an operator that is no longer an owner must not let others in.
func TestInvitation_EndsWithTheOwner(t *testing.T) {
	s := onSQLite(t)
	b, guest := s.as("admin"), s.browser()
	for name, act := range map[string]func(path string){
		"deleted": func(path string) { b.post(path+"/delete", nil) },
		"demoted": func(path string) { b.post(path+"/role", url.Values{"role": {"admin"}, "scope": {"all"}}) },
	} {
		s.operator(name, models.RoleOwner)
		path := s.as(name).invite("friend of "+name, models.RoleOwner)
		guest.get(path).want(t, http.StatusOK)
		act(operatorsPath + "/" + s.operatorID(name))
		guest.get(path).want(t, http.StatusGone, "This invitation was revoked.")
	}
}
