package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/operators"
	"rollcall/internal/testenv"
)

func TestLoginAndLogout(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b := s.browser()
		target := "/console/apps/" + s.dev.Key + "/users?q=ab"
		login := b.get(target).Header.Get("Location")
		b.get(login).want(t, http.StatusOK, `name="next" value="`+target+`"`, "!Log out")

		wrong := b.post("/console/login", url.Values{"name": {hostile}, "password": {"wrong password"}, "next": {target}})
		wrong.want(t, http.StatusUnauthorized, "The name or the password is wrong.", `role="alert"`, `aria-invalid="true"`,
			"&lt;script&gt;", "!<script>alert", "!wrong password")
		if len(wrong.Cookies()) != 0 {
			t.Errorf("cookies after a wrong password: %v", wrong.Cookies())
		}

		b.post("/console/login", url.Values{"name": {"admin"}, "password": {password}, "next": {target}}).wantRedirect(t, target)
		b.get(target).want(t, http.StatusOK, "admin", "Log out")
		b.get("/console/login").wantRedirect(t, "/console/")
		b.get("/console/login?next="+url.QueryEscape("//evil.example")).wantRedirect(t, "/console/")

		other := s.as("admin")
		b.post("/console/logout", nil).wantRedirect(t, "/console/login")
		b.get("/console/").wantRedirect(t, "/console/login")
		other.get("/console/").want(t, http.StatusOK)
	})
}

func TestLoginLeadsNowhereElse(t *testing.T) {
	s := onSQLite(t)
	b := s.browser()
	got := b.post("/console/login", url.Values{"name": {"admin"}, "password": {password}, "next": {"https://evil.example/console/"}})
	got.wantRedirect(t, "/console/")
}

func TestCookies(t *testing.T) {
	s := onSQLite(t)
	for _, secure := range []bool{false, true} {
		b, prefix, root := s.browser(), "", "/console/"
		if secure {
			b.head.Set("X-Test-TLS", "yes")
			prefix, root = "__Host-", "/"
		}
		form := url.Values{"name": {"admin"}, "password": {password}, "language": {"en"}}
		for path, name := range map[string]string{"/console/login": sessionCookie, "/console/language": languageCookie} {
			cookies := b.post(path, form).Cookies()
			if len(cookies) == 0 || cookies[0].Name != prefix+name {
				t.Fatalf("%s sets %v", path, cookies)
			}
			for _, c := range cookies {
				if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != root || c.Secure != secure || c.Domain != "" ||
					!strings.HasPrefix(c.Name, prefix+"rollcall_") {
					t.Errorf("%s: cookie %v, TLS %v", path, c, secure)
				}
			}
		}
	}
}

// TestCookies_OverTLS: over TLS the console reads only cookies that no other host and no plain
// response can have set, and over plain HTTP only the others.
func TestCookies_OverTLS(t *testing.T) {
	s := onSQLite(t)
	login := func(tls string) (session, device *http.Cookie) {
		b := s.browser()
		if tls != "" {
			b.head.Set("X-Test-TLS", tls)
		}
		cookies := b.login("admin", password).Cookies()
		return cookies[0], cookies[1]
	}
	plain, plainDevice := login("")
	secure, secureDevice := login("yes")
	for _, c := range []struct {
		tls     string
		cookies string
		in      bool
	}{
		{"", plain.Name + "=" + plain.Value, true},
		{"yes", secure.Name + "=" + secure.Value, true},
		{"yes", plain.Name + "=" + plain.Value, false},
		{"yes", plain.Name + "=" + secure.Value, false},
		{"", secure.Name + "=" + secure.Value, false},
		{"yes", plain.Name + "=planted; " + secure.Name + "=" + secure.Value, true},
	} {
		b := s.browser()
		b.head.Set("Cookie", c.cookies)
		if c.tls != "" {
			b.head.Set("X-Test-TLS", c.tls)
		}
		want := http.StatusSeeOther
		if c.in {
			want = http.StatusOK
		}
		if got := b.get("/console/"); got.StatusCode != want {
			t.Errorf("TLS %q, %s: %d, want %d", c.tls, c.cookies, got.StatusCode, want)
		}
	}

	// The other cookies follow the same rule: a known browser can log in while guests fail to.
	guest := s.browser()
	for range 5 {
		guest.login("admin", "wrong password").want(t, http.StatusUnauthorized)
	}
	for cookie, want := range map[*http.Cookie]int{plainDevice: http.StatusTooManyRequests, secureDevice: http.StatusSeeOther} {
		b := s.browser()
		b.head.Set("X-Test-TLS", "yes")
		b.head.Set("Cookie", cookie.Name+"="+cookie.Value)
		if got := b.login("admin", password); got.StatusCode != want {
			t.Errorf("a login over TLS with %s: %d, want %d", cookie.Name, got.StatusCode, want)
		}
	}
	b := s.browser()
	b.head.Set("X-Test-TLS", "yes")
	for name, want := range map[string]string{languageCookie: "en", hostPrefix + languageCookie: "zh-CN"} {
		b.head.Set("Cookie", name+"=zh-CN")
		b.get("/console/login").want(t, http.StatusOK, `lang="`+want+`"`)
	}
}

func TestLogin_NewSession(t *testing.T) {
	s := onSQLite(t)
	b := s.browser()
	b.head.Set("Cookie", sessionCookie+"=chosen-by-someone-else")
	cookies := b.login("admin", password).Cookies()
	if len(cookies) != 2 || cookies[0].Value == "chosen-by-someone-else" || len(cookies[0].Value) < 43 {
		t.Errorf("cookies %v", cookies)
	}
	b.get("/console/").wantRedirect(t, "/console/login")
	if strings.Contains(s.log.String(), cookies[0].Value) {
		t.Error("the log has the session's token")
	}
	if strings.Contains(s.log.String(), cookies[1].Value) {
		t.Error("the log has the browser's mark")
	}
}

func TestLoginIsThrottled(t *testing.T) {
	s := onSQLite(t)
	b := s.browser()
	b.head.Set("X-Test-Address", "192.0.2.1")
	for range 5 {
		b.login("admin", "wrong password").want(t, http.StatusUnauthorized)
	}
	got := b.login("admin", password)
	got.want(t, http.StatusTooManyRequests, "Too many wrong passwords. Try again in 1 second.")
	if wait := got.Header.Get("Retry-After"); wait != "1" {
		t.Errorf("Retry-After %q", wait)
	}
	elsewhere := s.browser()
	elsewhere.head.Set("X-Test-Address", "192.0.2.2")
	elsewhere.login("admin", password).wantRedirect(t, "/console/")
	s.pass(2 * time.Second)
	b.login("admin", password).wantRedirect(t, "/console/")
}

// TestLogin_KnownBrowser: guests at the same address do not lock out a browser that the operator
// has logged in with before.
func TestLogin_KnownBrowser(t *testing.T) {
	s := onSQLite(t)
	known, guest := s.browser(), s.browser()
	known.login("admin", password).wantRedirect(t, "/console/")
	known.post("/console/logout", nil).wantRedirect(t, "/console/login")
	for range 5 {
		guest.login("admin", "wrong password").want(t, http.StatusUnauthorized)
	}
	guest.login("admin", password).want(t, http.StatusTooManyRequests)
	known.login("admin", password).wantRedirect(t, "/console/")
	// A new password gives the browser a new device cookie.
	next := url.Values{"current": {password}, "password": {"another password"}, "again": {"another password"}}
	known.post("/console/account/password", next).wantRedirect(t, "/console/account")
	known.post("/console/logout", nil).wantRedirect(t, "/console/login")
	known.login("admin", "another password").wantRedirect(t, "/console/")
}

// TestLogin_TooManyInAll: the page shows when to try again, in both languages.
func TestLogin_TooManyInAll(t *testing.T) {
	s := onSQLite(t)
	b := s.browser()
	for i := range 30 {
		b.login("name "+strconv.Itoa(i), "wrong password").want(t, http.StatusUnauthorized)
	}
	for language, text := range map[string]string{
		"en":    "Too many logins are failing or waiting right now. Try again in 20 seconds.",
		"zh-CN": "当前失败或等待中的登录过多。请在 20 秒后重试。",
	} {
		b.head.Set("Accept-Language", language)
		got := b.login("another name", "wrong password")
		got.want(t, http.StatusTooManyRequests, text, `role="alert"`, "another name")
		if wait := got.Header.Get("Retry-After"); wait != "20" {
			t.Errorf("Retry-After %q", wait)
		}
	}
	elsewhere := s.browser()
	elsewhere.head.Set("X-Test-Address", "192.0.2.2")
	elsewhere.login("admin", password).wantRedirect(t, "/console/")
	elsewhere.get("/console/audit?action=operator.login_failed").want(t, http.StatusOK,
		"unknown name, 30 times, last", "!name 1")
}

func TestChangePassword_Common(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	for language, text := range map[string]string{"en": "This is a common password.", "zh-CN": "此密码过于常见"} {
		b.head.Set("Accept-Language", language)
		b.post("/console/account/password", url.Values{"current": {password}, "password": {"Password1234"}, "again": {"Password1234"}}).
			want(t, http.StatusUnprocessableEntity, text, "12", "!Password1234")
	}
}

func TestSessionEndsByTime(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	s.pass(operators.SessionIdle - time.Second)
	b.get("/console/").want(t, http.StatusOK)
	s.pass(operators.SessionIdle)
	b.get("/console/").wantRedirect(t, "/console/login")
}

func TestBrokenForms(t *testing.T) {
	s := onSQLite(t)
	b := s.browser()
	b.post("/console/login", url.Values{"password": {strings.Repeat("x", 100<<10)}}).want(t, http.StatusRequestEntityTooLarge)
	b.post("/console/login", nil).want(t, http.StatusUnauthorized)
}

func TestLoggedOutScriptIsSentToTheLogin(t *testing.T) {
	s := onSQLite(t)
	b := s.browser()
	b.head.Set("HX-Request", "true")
	got := b.get("/console/")
	got.want(t, http.StatusUnauthorized)
	if target := got.Header.Get("HX-Redirect"); target != "/console/login" {
		t.Errorf("HX-Redirect %q", target)
	}
}

// TestGuestForms_Bounded sends the longest valid password, and forms longer than the limit.
func TestGuestForms_Bounded(t *testing.T) {
	s := onSQLite(t)
	b := s.browser()
	login := func(password string) *answer {
		return b.post("/console/login", url.Values{"name": {"admin"}, "password": {password}})
	}
	login(strings.Repeat("\U0001F600", 4*operators.MaxPasswordLength)).want(t, http.StatusUnauthorized)
	login(strings.Repeat("x", maxGuestForm)).want(t, http.StatusRequestEntityTooLarge)
}
