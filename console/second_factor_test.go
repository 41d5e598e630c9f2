package console

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/operators"
	"rollcall/internal/testenv"
	"rollcall/models"
)

var (
	shownAppSecret = regexp.MustCompile(`<dd><code data-copy="Copy"[^>]*>([A-Z2-7 ]+)</code>`)
	shownRecovery  = regexp.MustCompile(`<li><code>([a-z2-7-]{19})</code>`)
)

// codeOf returns what an authenticator app with that secret shows.
func (s *site) codeOf(secret string) string {
	s.t.Helper()
	code, err := totp.GenerateCode(secret, s.clock())
	s.check(err)
	return code
}

// setUpApp sets up an authenticator app for the operator of a browser that has confirmed its
// password, and waits until its next code.
func (b *browser) setUpApp() (secret string, recovery []string) {
	b.t.Helper()
	b.post(totpPath, nil).wantRedirect(b.t, totpPath)
	page := b.get(totpPath)
	page.want(b.t, http.StatusOK, "<svg", "QR code with the secret")
	secret = strings.ReplaceAll(shownAppSecret.FindStringSubmatch(page.body)[1], " ", "")
	// A phone opens its app by the link.
	page.want(b.t, http.StatusOK, `<a href="otpauth://totp/Rollcall:`, "?secret="+secret+"&amp;issuer=Rollcall\">")
	done := b.reveal(totpPath+"/confirm", url.Values{"code": {b.codeOf(secret)}})
	done.want(b.t, http.StatusOK, "The authenticator app is set up", "shown here for 5 minutes")
	for _, match := range shownRecovery.FindAllStringSubmatch(done.body, -1) {
		recovery = append(recovery, match[1])
	}
	if len(recovery) != operators.RecoveryCodes {
		b.t.Fatalf("recovery codes %q", recovery)
	}
	b.pass(30 * time.Second)
	return secret, recovery
}

// operatorNamed returns an operator.
func (s *site) operatorNamed(name string) *models.Operator {
	s.t.Helper()
	list, err := s.deps.Operators.List(context.Background())
	s.check(err)
	at := slices.IndexFunc(list, func(o *models.Operator) bool { return o.Name == name })
	return list[at]
}

// startTOTP returns a new secret that the operator has not confirmed.
func (s *site) startTOTP(name string) string {
	s.t.Helper()
	operator := s.operatorNamed(name)
	s.check(s.deps.Operators.StartTOTP(context.Background(), operator))
	started, err := s.deps.Operators.StartedTOTP(context.Background(), operator)
	s.check(err)
	return started.Secret
}

// enrol gives the operator an authenticator app, and returns its secret.
func (s *site) enrol(name string) string {
	s.t.Helper()
	secret := s.startTOTP(name)
	_, err := s.deps.Operators.ConfirmTOTP(context.Background(), s.operatorNamed(name), s.codeOf(secret), setup)
	s.check(err)
	s.pass(30 * time.Second)
	return secret
}

// TestLoginCode_IsAuditedInItsTransaction checks that a login whose audit entry cannot be written
// begins no session and uses up no code.
func TestLoginCode_IsAuditedInItsTransaction(t *testing.T) {
	s := onSQLite(t)
	secret := s.enrol("viewer")
	b := s.browser()
	b.login("viewer", password)
	before := s.tables()
	s.exec("CREATE TRIGGER mute BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'mute'); END")
	b.loginCode(s.codeOf(secret)).want(t, http.StatusInternalServerError, "Something went wrong")
	if !maps.Equal(s.tables(), before) {
		t.Error("the login has changed something without an audit entry")
	}
	s.exec("DROP TRIGGER mute")
	b.loginCode(s.codeOf(secret)).wantRedirect(t, operatorsPath)
}

// addPasskey gives the operator a passkey that no device has, and returns its ID.
func (s *site) addPasskey(name string) string {
	s.t.Helper()
	operator := s.operatorNamed(name)
	passkey := &models.OperatorPasskey{OperatorID: operator.ID, Name: "Phone " + hostile[:10], CredentialHash: []byte("hash"), Credential: []byte("{}"), CreatedAt: models.TimeOf(s.clock())}
	s.check(s.db.Tx(context.Background(), func(tx *gorm.DB) error {
		if err := tx.Create(passkey).Error; err != nil {
			return err
		}
		return tx.Model(operator).Update("has_second_factor", true).Error
	}))
	return strconv.FormatInt(passkey.ID, 10)
}

// TestPasskeys_OfferedWhereBrowsersHaveThem checks at which addresses the login offers a passkey.
func TestPasskeys_OfferedWhereBrowsersHaveThem(t *testing.T) {
	s := onSQLite(t)
	const offered = `data-passkey="get"`
	b := s.browser()
	b.get("/console/login").want(t, http.StatusOK, "!"+offered, "!passkey.js") // an IP address
	c := &console{Deps: s.deps}
	for _, x := range []struct{ url, host, tls, id, origin string }{
		{"", "localhost:8080", "", "localhost", "http://localhost:8080"},
		{"", "console.example", "yes", "console.example", "https://console.example"},
		{"", "console.example", "", "", ""},
		{"", "192.0.2.1:8080", "yes", "", ""},
		{"", "[::1]:8080", "", "", ""},
		{"", "", "", "", ""},
		{"https://Console.example:8443", "10.0.0.1:8080", "", "console.example", "https://console.example:8443"},
	} {
		c.URL = x.url
		r := httptest.NewRequest(http.MethodGet, "/console/login", nil)
		r.Host = x.host
		if x.tls != "" {
			r.Header.Set("X-Test-TLS", x.tls)
		}
		rp, ok := c.relyingParty(r)
		if rp.ID != x.id || rp.Origin != x.origin || ok != (x.id != "") {
			t.Errorf("%+v: %+v, %v", x, rp, ok)
		}
	}
	s.deps.URL = "https://console.example"
	s.serve()
	b.get("/console/login").want(t, http.StatusOK, offered, "passkey.js", `action="/console/login/passkey"`)
	b.post(passkeyLoginPath, url.Values{"passkey": {"{}"}, "next": {operatorsPath}}).
		want(t, http.StatusUnauthorized, "The passkey was not accepted", offered, `name="next" value="`+operatorsPath+`"`)
	// The second page of a login offers one only to an operator that has one.
	s.enrol("viewer")
	b.login("viewer", password)
	b.get(loginCodePath).want(t, http.StatusOK, "authenticator", "!"+offered, "!passkey.js")
	b.loginCode("123").want(t, http.StatusUnprocessableEntity, "The code is wrong", `value="viewer"`, "!"+offered)
	s.addPasskey("viewer")
	b.get(loginCodePath).want(t, http.StatusOK, offered, "passkey.js")
	b.loginCode("123").want(t, http.StatusUnprocessableEntity, offered)
}

func TestPasskeys_OfAnAccount(t *testing.T) {
	s := onSQLite(t)
	s.deps.URL = "https://console.example"
	s.serve()
	b := s.loggedIn("viewer")
	b.get(accountPath).want(t, http.StatusOK, "Add a passkey", "!Last used")
	b.get(passkeysPath).want(t, http.StatusOK, "fingerprint", "!data-passkey")
	b.post(passkeysPath, nil).want(t, http.StatusForbidden, "Confirm your password", "!data-passkey")
	b.post(passkeysPath, url.Values{confirmField: {password}}).want(t, http.StatusOK, `data-passkey="create"`, "passkey.js", "Passkeys need JavaScript", `action="`+passkeysPath+`/add"`)
	b.post(passkeysPath+"/add", url.Values{"name": {"Phone"}, "passkey": {"{}"}}).want(t, http.StatusUnprocessableEntity, "The passkey was not accepted")
	b.post(passkeysPath+"/add", url.Values{"name": {""}, "passkey": {"{}"}}).want(t, http.StatusUnprocessableEntity, "A name has 1 to 64 characters.")
	id := s.addPasskey("viewer")
	b.get(accountPath).want(t, http.StatusOK, "Phone &lt;script", "never", "Recovery codes")
	s.pass(operators.ConfirmationLifetime)
	b.get(passkeysPath+"/remove?passkey="+id).want(t, http.StatusOK, "Remove this passkey?", "Phone", `value="`+id+`"`)
	b.post(passkeysPath+"/remove", url.Values{"passkey": {id}}).want(t, http.StatusForbidden, "Confirm with a code", `data-passkey="get"`, `name="passkey" value="`+id+`"`, "<dd><bdi>Phone")
	b.post(passkeysPath+"/remove", url.Values{"passkey": {id}, confirmField: {""}, confirmPasskey: {"{}"}}).
		want(t, http.StatusUnprocessableEntity, "The passkey was not accepted", `name="passkey" value="`+id+`"`)
	s.check(s.db.Tx(context.Background(), func(tx *gorm.DB) error {
		return tx.Model(&models.OperatorSession{}).Where("1 = 1").Update("confirmed_at", models.TimeOf(s.clock())).Error
	}))
	b.post(passkeysPath+"/remove", url.Values{"passkey": {"x"}}).want(t, http.StatusBadRequest)
	for _, text := range []string{"The passkey was removed.", "The passkey had already been removed."} {
		b.post(passkeysPath+"/remove", url.Values{"passkey": {id}}).wantRedirect(t, accountPath)
		b.get(accountPath).want(t, http.StatusOK, text, "!Recovery codes")
	}
	b.get(passkeysPath+"/remove?passkey="+id).want(t, http.StatusOK, "already been removed", "!Remove the passkey")
}

// loginCode sends a code on the second page of the login.
func (b *browser) loginCode(code string) *answer {
	b.t.Helper()
	return b.post(loginCodePath, url.Values{"code": {code}, "next": {operatorsPath}, "name": {"viewer"}})
}

func TestSecondFactor_IsAskedForAtTheLogin(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b := s.as("viewer")
		b.get(accountPath).want(t, http.StatusOK, "Set up an app", "Not set up", "!Recovery codes", "!Remove")
		secret, recovery := b.setUpApp()
		b.get(accountPath).want(t, http.StatusOK, "Set up another app", "10 of 10 codes are left", "!"+secret, "!"+recovery[0])
		b.post(totpPath+"/confirm", url.Values{"code": {s.codeOf(secret)}}).want(t, http.StatusUnprocessableEntity, "The set-up has expired")

		next := s.browser()
		asked := next.post("/console/login", url.Values{"name": {"viewer"}, "password": {password}, "next": {operatorsPath}})
		asked.wantRedirect(t, loginCodePath+"?next="+url.QueryEscape(operatorsPath))
		for _, c := range asked.Cookies() {
			if c.Name != pendingCookie {
				t.Errorf("cookie %v after the password", c)
			}
		}
		next.get(operatorsPath).wantRedirect(t, "/console/login?"+url.Values{"next": {operatorsPath}}.Encode())
		page := next.get(asked.Header.Get("Location"))
		page.want(t, http.StatusOK, "Enter a code", `value="viewer"`, `name="next" value="`+operatorsPath+`"`, "!Log out")
		next.loginCode("000000").want(t, http.StatusUnprocessableEntity, "The code is wrong, or it was used before", `role="alert"`, `value="viewer"`)
		next.loginCode(s.codeOf(secret)).wantRedirect(t, operatorsPath)
		next.get(operatorsPath).want(t, http.StatusOK, "Log out")
		next.get(loginCodePath).wantRedirect(t, Root)

		lost := s.browser()
		lost.login("viewer", password)
		lost.loginCode(recovery[2]).wantRedirect(t, operatorsPath)
		lost.get(accountPath).want(t, http.StatusOK, "9 of 10 codes are left")
		lost.get("/console/audit?action=operator.login").want(t, http.StatusOK, "password and code", "password and recovery code")
		lost.get("/console/audit?action=operator.login_failed").want(t, http.StatusOK, "right password, wrong code")
		if log := s.log.String(); strings.Contains(log, secret) || strings.Contains(log, recovery[2]) {
			t.Error("the log has a secret")
		}
	})
}

func TestLoginCode_Expires(t *testing.T) {
	s := onSQLite(t)
	secret := s.enrol("viewer")
	b := s.browser()
	b.login("viewer", password)
	s.pass(operators.PendingLifetime)
	b.loginCode(s.codeOf(secret)).wantRedirect(t, "/console/login?"+url.Values{"next": {operatorsPath}}.Encode())
	b.get("/console/login").want(t, http.StatusOK, "The login has expired.")
	b.get(loginCodePath).wantRedirect(t, "/console/login?"+url.Values{"next": {Root}}.Encode())
}

func TestLoginCode_IsThrottled(t *testing.T) {
	s := onSQLite(t)
	secret := s.enrol("viewer")
	b := s.browser()
	b.login("viewer", password)
	for range 5 {
		b.loginCode("000000").want(t, http.StatusUnprocessableEntity)
	}
	throttled := b.loginCode(s.codeOf(secret))
	throttled.want(t, http.StatusTooManyRequests, "Too many wrong codes. Try again in 1 second.", `role="alert"`)
	if got := throttled.Header.Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After: %q", got)
	}
}

// TestSecondFactor_ChangesAreConfirmed checks that an open session alone can change nothing of the
// second factor, whatever the operator's role, and that a code confirms in place of the password.
func TestSecondFactor_ChangesAreConfirmed(t *testing.T) {
	s := onSQLite(t)
	b := s.loggedIn("viewer")
	b.post(totpPath, nil).want(t, http.StatusForbidden, "Confirm your password")
	b.post(totpPath, url.Values{confirmField: {password}}).wantRedirect(t, totpPath)
	secret, recovery := b.setUpApp()
	s.pass(operators.ConfirmationLifetime)
	for path, done := range map[string]string{
		recoveryPath:         "Make new recovery codes?",
		totpPath + "/remove": "Remove the authenticator app?",
	} {
		b.get(path).want(t, http.StatusOK, done, `action="`+path+`"`)
		b.post(path, nil).want(t, http.StatusForbidden, "Confirm with a code", `action="`+path+`"`, "!Password")
		b.post(path, url.Values{confirmField: {password}}).want(t, http.StatusUnprocessableEntity, "The code is wrong")
	}
	b.reveal(recoveryPath, url.Values{confirmField: {s.codeOf(secret)}}).want(t, http.StatusOK, "shown here for 5 minutes", "!"+recovery[0])
	b.post(totpPath+"/remove", nil).wantRedirect(t, accountPath)
	b.get(accountPath).want(t, http.StatusOK, "The authenticator app was removed.", "Set up an app", "!Recovery codes")
	b.post(totpPath+"/remove", nil).want(t, http.StatusSeeOther)
	b.post(recoveryPath, nil).wantRedirect(t, accountPath)
	b.get(accountPath).want(t, http.StatusOK, "no second factor yet")
	s.browser().login("viewer", password).wantRedirect(t, Root)
}

// TestLoginHistory_ShowsFailures checks the list of logins on the account page and on the operator's
// page, and that sessions name their client and method.
func TestLoginHistory_ShowsFailures(t *testing.T) {
	s := onSQLite(t)
	secret := s.enrol("viewer")
	b := s.browser()
	b.head.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	b.head.Set("X-Test-Address", "192.0.2.7")
	b.login("viewer", "wrong password")
	b.login("viewer", "wrong password")
	b.login("viewer", password)
	b.loginCode(s.codeOf(secret)).wantRedirect(t, operatorsPath)
	want := []string{
		"<code>192.0.2.7</code>", "Firefox on Linux", "password and code",
		"Logged in</span>", "Failed</span>", "wrong password, 2 times", "A session ends after 12 hours without use, and 7 days after its login.",
	}
	b.get(accountPath).want(t, http.StatusOK, want...)
	s.as("admin").get(operatorsPath+"/"+s.operatorID("viewer")).want(t, http.StatusOK, want...)
	s.as("admin").get(accountPath).want(t, http.StatusOK, "!192.0.2.7", "!failed</span>")
	b.head.Set("Accept-Language", "zh-CN")
	b.get(accountPath).want(t, http.StatusOK, "Linux 上的 Firefox", "密码和验证码", "密码错误")
}

// TestRequiredSecondFactor_ComesFirst checks that an operator without the second factor that it must
// have can do nothing but set it up.
func TestRequiredSecondFactor_ComesFirst(t *testing.T) {
	s := onSQLite(t)
	admin, viewer := s.as("admin"), s.as("viewer")
	s.deps.Operators = s.deps.Operators.(*operators.Service).Requiring(operators.RequireAdmins)
	s.serve()
	viewer.get(operatorsPath).want(t, http.StatusOK)
	for _, rt := range routes {
		method, path := s.path(rt)
		switch got := admin.send(method, path, nil); {
		case rt.pattern == "POST /console/logout":
			admin = s.as("admin")
		case rt.pattern == "GET "+totpPath:
			got.want(t, http.StatusOK, "Your account needs a second factor", "!Go back", "!Audit", "Log out")
		case enrolment[rt.pattern]:
			if got.StatusCode >= http.StatusInternalServerError {
				t.Errorf("%s: %d", rt.pattern, got.StatusCode)
			}
		case rt.access.Role != "":
			got.wantRedirect(t, totpPath)
		}
	}
	admin.head.Set("HX-Request", "true")
	part := admin.get(appPath(s.dev) + "/counts")
	part.want(t, http.StatusForbidden)
	if got := part.Header.Get("HX-Redirect"); got != totpPath {
		t.Errorf("HX-Redirect %q", got)
	}
	admin.head.Del("HX-Request")
	admin.get(usersPath(s.dev)).wantRedirect(t, totpPath)
	admin.post(totpPath, nil).wantRedirect(t, totpPath)
	secret := strings.ReplaceAll(shownAppSecret.FindStringSubmatch(admin.get(totpPath).body)[1], " ", "")
	done := admin.reveal(totpPath+"/confirm", url.Values{"code": {admin.codeOf(secret)}})
	if links := done.links(); !slices.Contains(links, usersPath(s.dev)) {
		t.Errorf("the page with the recovery codes leads to %q, not to the page that was wanted", links)
	}
	admin.get(operatorsPath).want(t, http.StatusOK, "Audit")
	for pattern := range enrolment {
		if !slices.ContainsFunc(routes, func(rt route) bool { return rt.pattern == pattern }) {
			t.Errorf("%s is no route", pattern)
		}
	}
}

func TestResetSecondFactor_OnTheOperatorsPage(t *testing.T) {
	s := onSQLite(t)
	admin, viewer := s.as("admin"), s.as("viewer")
	path := operatorsPath + "/" + s.operatorID("viewer")
	admin.get(path).want(t, http.StatusOK, "without a second factor", "!Reset the second factor")
	viewer.setUpApp()
	admin.get(path).want(t, http.StatusOK, "with a second factor", "Reset the second factor")
	admin.get(path+"/reset-second-factor").want(t, http.StatusOK, "Reset the second factor of viewer?", "make sure that the request is genuine")
	admin.post(path+"/reset-second-factor", nil).wantRedirect(t, path)
	admin.get(path).want(t, http.StatusOK, "viewer has no second factor now.", "No open sessions")
	admin.post(path+"/reset-second-factor", nil).wantRedirect(t, path)
	admin.get(path).want(t, http.StatusOK, "viewer has no second factor; there is nothing to do.")
	viewer.get(Root).wantRedirect(t, "/console/login")
	s.browser().login("viewer", password).wantRedirect(t, Root)
}
