package console

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/golang-jwt/jwt/v5"

	"rollcall/internal/database"
	"rollcall/internal/operators"
	"rollcall/internal/sso"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// provider is an OpenID Provider at which the same person is always logged in.
type provider struct {
	*httptest.Server
	site *site
	key  *rsa.PrivateKey

	mu sync.Mutex
	// person has the claims of the ID token; they replace those of a valid one. Nil removes a claim.
	person map[string]any
	// userInfo has the claims of the UserInfo endpoint, which is offered if it is not nil.
	userInfo map[string]any
	// sign signs the claims, if set.
	sign func(claims string) string
	// down makes the provider fail.
	down bool
	// asked are the parameters of the last login, and codes those by their codes.
	asked url.Values
	codes map[string]url.Values
}

const clientID, clientSecret = "console", "the client's secret"

func newProvider(s *site) *provider {
	s.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	s.check(err)
	p := &provider{site: s, key: key, codes: map[string]url.Values{}, person: map[string]any{"sub": "1"}}
	metadata := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "RS256"}}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case p.down:
			http.Error(w, "down", http.StatusBadGateway)
		case r.URL.Path == "/auth":
			p.authorize(w, r)
		case r.URL.Path == "/token":
			p.token(w, r)
		case r.URL.Path == "/userinfo":
			_ = json.NewEncoder(w).Encode(p.userInfo)
		case r.URL.Path == "/.well-known/openid-configuration" && p.userInfo != nil:
			_ = json.NewEncoder(w).Encode(map[string]any{
				"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
				"userinfo_endpoint": p.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
			})
		default:
			metadata.ServeHTTP(w, r)
		}
	}))
	metadata.SetIssuer(p.URL)
	s.t.Cleanup(p.Close)
	return p
}

func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	p.asked = r.URL.Query()
	if p.asked.Get("response_type") != "code" || p.asked.Get("client_id") != clientID || p.asked.Get("code_challenge_method") != "S256" ||
		len(p.asked.Get("state")) < 26 || len(p.asked.Get("nonce")) < 26 || !strings.Contains(p.asked.Get("scope"), "openid") {
		http.Error(w, "not a login: "+r.URL.RawQuery, http.StatusBadRequest)
		return
	}
	code := rand.Text()
	p.codes[code] = p.asked
	http.Redirect(w, r, p.asked.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {p.asked.Get("state")}}.Encode(), http.StatusFound)
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	asked := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	verifier := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	id, secret, _ := r.BasicAuth()
	if id == "" {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	secret, _ = url.QueryUnescape(secret)
	w.Header().Set("Content-Type", "application/json")
	if asked == nil || id != clientID || secret != clientSecret || r.PostFormValue("redirect_uri") != asked.Get("redirect_uri") ||
		base64.RawURLEncoding.EncodeToString(verifier[:]) != asked.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error": "invalid_grant"}`))
		return
	}
	now := p.site.clock()
	claims := map[string]any{
		"iss": p.URL, "aud": clientID, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "nonce": asked.Get("nonce"),
	}
	if asked.Get("prompt") == "login" {
		claims["auth_time"] = now.Unix()
	}
	maps.Copy(claims, p.person)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	text, _ := json.Marshal(claims)
	sign := p.sign
	if sign == nil {
		sign = func(claims string) string { return oidctest.SignIDToken(p.key, "k", "RS256", claims) }
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": sign(string(text))})
}

// set changes what the provider says.
func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// is makes another person log in.
func (p *provider) is(person map[string]any) { p.set(func() { p.person = person }) }

// signOn makes the site's operators log in at a provider, whose groups "platform", "support" and
// "guests" have roles.
func (s *site) signOn(adjust func(*operators.SSO)) *provider {
	s.t.Helper()
	p := newProvider(s)
	s.signOnAt(p, adjust)
	return p
}

// signOnAt makes the site a node whose operators log in at p.
func (s *site) signOnAt(p *provider, adjust func(*operators.SSO)) {
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	s.t.Cleanup(server.Close)
	s.url = server.URL
	if s.deps.URL == "" {
		s.deps.URL = server.URL
	}
	settings := &operators.SSO{
		Provider: sso.New(sso.Config{
			Issuer: p.URL, ClientID: clientID, ClientSecret: clientSecret, RedirectURL: s.deps.URL + SSOCallback,
			Scopes: []string{"profile", "email"}, GroupsClaim: "groups", Clock: s.clock,
		}),
		Roles: []operators.GroupRole{
			{Group: "platform", Role: models.RoleOwner}, {Group: "support", Role: models.RoleModerator, Apps: []string{s.dev.Key}},
			{Group: "guests", Role: models.RoleViewer},
		},
		LocalLogin: true, Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	}
	if adjust != nil {
		adjust(settings)
	}
	s.deps.Operators = s.deps.Operators.(*operators.Service).SigningOn(settings)
	handler = New(s.deps)
}

// toProvider follows a redirect to the provider, and returns the path to which it sends the browser
// back.
func (b *browser) toProvider(sent *answer) string {
	b.t.Helper()
	target := sent.Header.Get("Location")
	if sent.StatusCode != http.StatusSeeOther || !strings.Contains(target, "/auth?") {
		b.t.Fatalf("%s: %d to %q, want the provider\n%s", sent.Request.URL.Path, sent.StatusCode, target, sent.body)
	}
	response, err := b.client.Get(target)
	b.check(err)
	response.Body.Close()
	back, err := url.Parse(response.Header.Get("Location"))
	b.check(err)
	if back.Path != SSOCallback {
		b.t.Fatalf("the provider sends the browser to %q", back)
	}
	return back.RequestURI()
}

// signIn logs in at the provider, and returns the response to the browser that has come back.
func (b *browser) signIn() *answer {
	b.t.Helper()
	return b.get(b.toProvider(b.get(ssoPath)))
}

// refused checks that the browser has no session, and that the login page has that text.
func (b *browser) refused(got *answer, text string) {
	b.t.Helper()
	target := got.Header.Get("Location")
	if got.StatusCode != http.StatusSeeOther || !strings.HasPrefix(target, Root+"login") {
		b.t.Fatalf("%d to %q, want the login page\n%s", got.StatusCode, target, got.body)
	}
	b.get(target).want(b.t, http.StatusOK, text, "Log in by SSO")
	b.get(Root).wantRedirect(b.t, Root+"login")
}

func TestSSO_GroupsDecideOnTheRoleAtEachLogin(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		p := s.signOn(nil)
		b, owner := s.browser(), s.as("admin")
		b.get("/console/login").want(t, http.StatusOK, `href="`+s.url+ssoPath, "Log in by SSO", `name="password"`)

		p.is(map[string]any{"sub": "7", "preferred_username": "kim", "email": "kim@acme.example", "groups": []string{"staff", "support"}})
		next := "/console/apps/" + s.dev.Key + "/users?q=ab"
		b.get(b.toProvider(b.get(ssoPath+"?"+url.Values{"next": {next}}.Encode()))).wantRedirect(t, next)
		b.get(Root).want(t, http.StatusOK, "kim", "<bdi>demo</bdi>", "!<bdi>live</bdi>", ">moderator<")
		b.get(accountPath).want(t, http.StatusOK, "Single sign-on", "SSO", "This session", "!Current password", "!Authenticator")
		owner.get(operatorsPath).want(t, http.StatusOK, ">SSO<", ">local account<")
		path := operatorsPath + "/" + s.operatorID("kim")
		owner.get(path).want(t, http.StatusOK, p.URL, "<code>7</code>", "End all sessions", "!/role\"", "!/password\"")
		owner.get(auditPath+"?action=operator.create").want(t, http.StatusOK, "SSO", "moderator · <bdi>demo</bdi>")
		owner.get(auditPath+"?action=operator.login").want(t, http.StatusOK, ">SSO<")

		// What belongs to the provider is not changed here.
		owner.get(path+"/role").want(t, http.StatusOK, "are set at the OpenID Provider", "!<fieldset")
		owner.post(path+"/role", url.Values{"role": {"owner"}, "scope": {"all"}}).wantRedirect(t, path)
		owner.get(path).want(t, http.StatusOK, "kim logs in by SSO", ">moderator<")
		owner.post(path+"/password", nil).wantRedirect(t, path)
		for _, own := range []string{"/password", "/totp", "/passkeys", "/recovery-codes"} {
			b.post(accountPath+own, nil).want(t, http.StatusForbidden, "You log in by SSO")
		}
		s.browser().login("kim", "").want(t, http.StatusUnauthorized, "The name or the password is wrong.")

		// The open session has the new role at once, too.
		p.is(map[string]any{"sub": "7", "preferred_username": "admin", "groups": []string{"support", "platform"}})
		again := s.browser()
		again.signIn().wantRedirect(t, Root)
		for _, session := range []*browser{b, again} {
			session.get(operatorsPath).want(t, http.StatusOK, ">kim<", "Invite")
		}
		owner.get(auditPath+"?action=operator.set_role").want(t, http.StatusOK, ">owner<")

		// Without a group that has a role, the sessions and the API keys end.
		kim := s.operatorNamed("kim")
		_, key, err := s.deps.Operators.CreateKey(t.Context(), kim, operators.NewKey{Name: "deploy", Grant: kim.Grant, Lifetime: 24 * time.Hour}, setup)
		s.check(err)
		_, err = s.deps.Operators.(*operators.Service).ByKey(t.Context(), key, "")
		s.check(err)
		p.is(map[string]any{"sub": "7", "groups": []string{"staff"}})
		third := s.browser()
		third.refused(third.signIn(), "none of your groups")
		for _, session := range []*browser{b, again} {
			session.get(Root).wantRedirect(t, Root+"login")
		}
		if _, err := s.deps.Operators.(*operators.Service).ByKey(t.Context(), key, ""); err == nil {
			t.Error("the API key still works")
		}
		owner.get(path).want(t, http.StatusOK, "SSO: no group with a role", "No open session")
		if !strings.Contains(s.log.String(), "staff") {
			t.Error("the log does not have the groups that gave no role")
		}
	})
}

// TestSSO_NamesAreNotIdentities: only issuer and subject make a person an existing operator.
func TestSSO_NamesAreNotIdentities(t *testing.T) {
	s := onSQLite(t)
	p := s.signOn(nil)
	for _, person := range []struct{ subject, username, email, want string }{
		{"1", "admin", "admin@acme.example", "admin@acme.example"},
		{"2", "admin", "admin@acme.example", "admin-2"},
		{"3", "command line", "", "command line-2"},
		{"4", "ad\u202emin", "", ""},
		{"5", strings.Repeat("x", 70), "", ""},
		{"1 ", "", "", ""},
		{"1", "other", "viewer", "admin@acme.example"},
	} {
		p.is(map[string]any{"sub": person.subject, "preferred_username": person.username, "email": person.email, "groups": "guests"})
		b := s.browser()
		b.signIn().wantRedirect(t, Root)
		b.get(operatorsPath).want(t, http.StatusOK, ">viewer<", "!Invite an operator")
		name := person.want
		if name == "" {
			name = "sso-"
		}
		b.get(accountPath).want(t, http.StatusOK, "<bdi>"+name)
	}
	list, err := s.deps.Operators.List(context.Background())
	s.check(err)
	if len(list) != 2+6 {
		t.Errorf("%d operators", len(list))
	}
	if !s.login("admin", password) {
		t.Error("the local operator was taken over")
	}
}

func TestSSO_RefusesForgedAndForeignLogins(t *testing.T) {
	s := onSQLite(t)
	p := s.signOn(func(o *operators.SSO) { o.Domains = []string{"acme.example"} })
	p.set(func() { p.userInfo = map[string]any{"sub": "1", "groups": "guests"} })
	good := map[string]any{
		"sub": "1", "preferred_username": "kim", "email": "kim@ACME.example", "email_verified": true, "groups": []string{"guests"},
	}
	with := func(changes map[string]any) map[string]any {
		claims := maps.Clone(good)
		maps.Copy(claims, changes)
		return claims
	}
	past := s.clock().Add(-time.Hour).Unix()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	s.check(err)
	public, err := x509.MarshalPKIXPublicKey(p.key.Public())
	s.check(err)
	const invalid, email, groups = "response of the OpenID Provider is not valid", "your e-mail address is not verified", "none of your groups"
	for name, c := range map[string]struct {
		claims map[string]any
		sign   func(string) string
		want   string
	}{
		"another nonce":           {claims: with(map[string]any{"nonce": rand.Text()}), want: invalid},
		"no nonce":                {claims: with(map[string]any{"nonce": nil}), want: invalid},
		"another audience":        {claims: with(map[string]any{"aud": "another client"}), want: invalid},
		"issued to another":       {claims: with(map[string]any{"aud": []string{"other", clientID}, "azp": "other"}), want: invalid},
		"several without azp":     {claims: with(map[string]any{"aud": []string{"other", clientID}}), want: invalid},
		"another issuer":          {claims: with(map[string]any{"iss": "https://evil.example"}), want: invalid},
		"expired":                 {claims: with(map[string]any{"exp": past}), want: invalid},
		"no subject":              {claims: with(map[string]any{"sub": nil}), want: invalid},
		"another key":             {claims: good, sign: func(c string) string { return oidctest.SignIDToken(other, "k", "RS256", c) }, want: invalid},
		"no signature":            {claims: good, sign: unsigned, want: invalid},
		"HMAC by the public key":  {claims: good, sign: func(c string) string { return hmacSigned(public, c) }, want: invalid},
		"unverified e-mail":       {claims: with(map[string]any{"email_verified": false}), want: email},
		"e-mail not verified":     {claims: with(map[string]any{"email_verified": nil}), want: email},
		"another domain":          {claims: with(map[string]any{"email": "kim@acme.example.evil.example"}), want: email},
		"a domain in the name":    {claims: with(map[string]any{"email": "kim@acme.example@evil.example"}), want: email},
		"a domain alone":          {claims: with(map[string]any{"email": "acme.example"}), want: email},
		"no group":                {claims: with(map[string]any{"groups": []string{}}), want: groups},
		"groups of another shape": {claims: with(map[string]any{"groups": []any{1, true}}), want: groups},
		"user info of another":    {claims: with(map[string]any{"sub": "2", "groups": nil}), want: invalid},
	} {
		t.Run(name, func(t *testing.T) {
			s.pass(time.Hour) // the limits of failed logins
			if c.claims["exp"] == nil {
				c.claims = with(c.claims)
			}
			p.set(func() { p.person, p.sign = c.claims, c.sign })
			b := s.browser()
			b.refused(b.signIn(), c.want)
		})
	}
	list, err := s.deps.Operators.List(context.Background())
	s.check(err)
	if len(list) != 2 {
		t.Errorf("a refused login has created one of %d operators", len(list))
	}
	s.pass(time.Hour)
	p.set(func() { p.person, p.sign = with(map[string]any{"groups": nil}), nil })
	s.browser().signIn().wantRedirect(t, Root) // and the user info has the groups
	if log := s.log.String(); strings.Contains(log, clientSecret) || strings.Contains(log, "eyJ") {
		t.Error("the log has the client's secret or a token")
	}
}

func unsigned(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","kid":"k"}`)) + "." + encode([]byte(claims)) + "."
}

func hmacSigned(key []byte, claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256","kid":"k"}`)) + "." + encode([]byte(claims))
	signature, err := jwt.SigningMethodHS256.Sign(text, key)
	if err != nil {
		panic(err)
	}
	return text + "." + encode(signature)
}

func TestSSO_StateIsOfOneBrowserAndOneLogin(t *testing.T) {
	s := onSQLite(t)
	p := s.signOn(nil)
	p.is(map[string]any{"sub": "1", "preferred_username": "kim", "groups": "guests"})
	const expired = "has expired, or another one was begun"

	t.Run("another browser", func(t *testing.T) { // an attacker's login, which a victim's browser opens
		victim := s.browser()
		victim.refused(victim.get(s.browser().toLogin()), expired)
		victim.get(ssoPath)
		victim.refused(victim.get(s.browser().toLogin()), expired)
	})
	t.Run("another state", func(t *testing.T) {
		b := s.browser()
		back, err := url.Parse(b.toLogin())
		s.check(err)
		b.refused(b.get(SSOCallback+"?"+url.Values{"code": {back.Query().Get("code")}, "state": {rand.Text()}}.Encode()), expired)
	})
	t.Run("replayed", func(t *testing.T) {
		b := s.browser()
		sent := b.get(ssoPath)
		cookie := sent.Cookies()[0]
		if cookie.Name != ssoCookie || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
			t.Errorf("the cookie is %v", cookie)
		}
		b.get(b.toProvider(sent)).wantRedirect(t, Root)
		// With the cookie, and a new code that fits it.
		thief := s.browser()
		back := thief.toProvider(sent)
		thief.head.Set("Cookie", cookie.Name+"="+cookie.Value)
		thief.refused(thief.get(back), expired)
	})
	t.Run("too late", func(t *testing.T) {
		b := s.browser()
		back := b.toLogin()
		s.pass(operators.SSOLifetime)
		b.refused(b.get(back), expired)
	})
	t.Run("another node", func(t *testing.T) {
		first := s.url
		s.signOnAt(p, nil)
		b := s.browser()
		back := b.toLogin()
		s.url = first // cookies do not depend on the port
		b.get(back).wantRedirect(t, Root)
	})
	t.Run("refused by the provider", func(t *testing.T) {
		b := s.browser()
		back := b.toLogin()
		refusal := strings.Replace(back, "code=", "error=access_denied&was=", 1)
		b.refused(b.get(refusal), "has refused the login")
		s.as("admin").get(auditPath+"?action=operator.login_failed").want(t, http.StatusOK, "refused by the OpenID Provider")
	})
	t.Run("next leads nowhere else", func(t *testing.T) {
		for _, next := range []string{"https://evil.example/", "//evil.example/console/", "/console/../", "/console/" + strings.Repeat("x", maxNext)} {
			b := s.browser()
			b.get(b.toProvider(b.get(ssoPath+"?"+url.Values{"next": {next}}.Encode()))).wantRedirect(t, Root)
		}
	})
}

// toLogin logs in at the provider, and returns the path to which it sends the browser back.
func (b *browser) toLogin() string {
	b.t.Helper()
	return b.toProvider(b.get(ssoPath))
}

func TestSSO_ProviderAway(t *testing.T) {
	s := onSQLite(t)
	p := newProvider(s)
	p.set(func() { p.down = true })
	s.signOnAt(p, nil)
	b := s.browser()
	b.get("/console/login").want(t, http.StatusOK, "does not respond right now", "Log in by SSO", `name="password"`)
	b.get(ssoPath).want(t, http.StatusServiceUnavailable, "does not respond right now")
	if !s.login("admin", password) {
		t.Error("local operators cannot log in while the provider is away")
	}
	p.set(func() { p.down, p.person = false, map[string]any{"sub": "1", "groups": "guests"} })
	s.pass(10 * time.Second)
	b.get("/console/login").want(t, http.StatusOK, "!does not respond right now")
	back := b.toLogin()
	p.set(func() { p.down = true })
	b.refused(b.get(back), "does not respond right now. Try again.")
	p.set(func() { p.down = false })
	b.signIn().wantRedirect(t, Root)
}

func TestSSO_ConfirmsAtTheProvider(t *testing.T) {
	s := onSQLite(t)
	p := s.signOn(nil)
	kim := map[string]any{"sub": "7", "preferred_username": "kim", "groups": "platform"}
	p.is(kim)
	b := s.browser()
	b.signIn().wantRedirect(t, Root)
	if p.asked.Has("prompt") || p.asked.Has("max_age") {
		t.Errorf("a login asks for %v", p.asked)
	}
	invite := url.Values{"name": {"ivy"}, "role": {"viewer"}, "scope": {"named"}, "app": {s.dev.Key, s.prod.Key}}
	question := b.post(invitationsPath, invite).Header.Get("Location")
	if !strings.HasPrefix(question, Root+"confirm/") {
		t.Fatalf("an unconfirmed form leads to %q", question)
	}
	b.get(question).want(t, http.StatusOK, "needs a new login at the OpenID Provider", `href="`+question+`/sso"`,
		"<strong>Invite a colleague</strong>", "<bdi>ivy</bdi>", `!value="ivy"`)
	rotate := b.post(appPath(s.dev)+"/rotate-secret", url.Values{"overlap": {"0"}}).Header.Get("Location")
	b.get(rotate).want(t, http.StatusOK, "<strong>Rotate the secret</strong>", "<dt>App</dt><dd><bdi>"+s.dev.Name)

	for name, person := range map[string]map[string]any{
		"another person":      {"sub": "8", "groups": "platform", "preferred_username": "kim"},
		"an earlier login":    {"sub": "7", "groups": "platform", "auth_time": s.clock().Add(-2 * time.Minute).Unix()},
		"no time":             {"sub": "7", "groups": "platform", "auth_time": nil},
		"a time of no number": {"sub": "7", "groups": "platform", "auth_time": "9999999999"},
	} {
		p.is(person)
		b.get(b.toProvider(b.get(question+"/sso"))).wantRedirect(t, question)
		b.get(question).want(t, http.StatusOK, "has not confirmed that it is you", "!Continue")
		b.post(invitationsPath, invite).want(t, http.StatusSeeOther, "!ivy")
		if t.Failed() {
			t.Fatal(name)
		}
		s.pass(time.Minute) // the limit of wrong confirmations
	}
	p.is(kim)
	// A login that another session has begun confirms nothing.
	other := s.browser()
	other.signIn().wantRedirect(t, Root)
	back := b.toProvider(b.get(question + "/sso"))
	if p.asked.Get("prompt") != "login" || p.asked.Get("max_age") != "0" {
		t.Errorf("a confirmation asks for %v", p.asked)
	}
	other.get(back).wantRedirect(t, Root+"login")
	other.post(invitationsPath, invite).want(t, http.StatusSeeOther)

	b.get(back).wantRedirect(t, question)
	page := b.get(question)
	page.want(t, http.StatusOK, "has confirmed that it is you", "Continue", `action="`+invitationsPath+`"`, `value="ivy"`, `value="`+s.prod.Key+`"`)
	done := b.post(invitationsPath, invite)
	if !strings.HasPrefix(done.Header.Get("Location"), shownPath) {
		t.Errorf("a confirmed form: %d to %q", done.StatusCode, done.Header.Get("Location"))
	}
	s.as("admin").get(question).want(t, http.StatusGone, "!ivy")
	s.as("admin").get(auditPath+"?action=operator.confirm_failed").want(t, http.StatusOK, ">kim<", "SSO: another account", "invalid response of the OpenID Provider")
	// An operator that has lost its groups cannot confirm.
	s.pass(operators.ConfirmationLifetime)
	p.is(map[string]any{"sub": "7", "groups": "staff"})
	question = b.post(invitationsPath, url.Values{"name": {"joe"}, "role": {"viewer"}, "scope": {"all"}}).Header.Get("Location")
	b.get(b.toProvider(b.get(question+"/sso"))).wantRedirect(t, question)
	b.get(question).wantRedirect(t, Root+"login?"+url.Values{"next": {question}}.Encode())
}

func TestSSO_LocalLoginOff(t *testing.T) {
	s := onSQLite(t)
	_, token := s.invitation()
	before := s.as("admin")
	p := newProvider(s)
	s.signOnAt(p, func(o *operators.SSO) { o.LocalLogin = false })
	p.is(map[string]any{"sub": "7", "preferred_username": "kim", "groups": "platform"})
	b := s.browser()
	b.get("/console/login").want(t, http.StatusOK, "Log in by SSO", "by SSO only", `!name="password"`, "!passkey")
	const off = "Operators of this service log in by SSO only."
	b.login("admin", password).want(t, http.StatusForbidden, off)
	b.post("/console/login/code", url.Values{"code": {"123456"}}).want(t, http.StatusForbidden, off)
	b.post(passkeyLoginPath, url.Values{"passkey": {"{}"}}).want(t, http.StatusForbidden, off)
	const refused = "This invitation cannot be accepted: operators of this service log in by SSO only."
	b.get(invitationPath+token).want(t, http.StatusForbidden, "<h1>Your invitation</h1>", refused, `href="/console/login"`)
	b.post(invitationPath+token, passwords("another password")).want(t, http.StatusForbidden, refused)
	// Nor does a session that a password has begun count.
	before.get(Root).wantRedirect(t, Root+"login")
	if _, err := s.deps.Operators.Login(context.Background(), operators.LoginRequest{Name: "admin", Password: password}); err == nil {
		t.Error("the rules accept a password")
	}

	b.signIn().wantRedirect(t, Root)
	b.get(operatorsPath).want(t, http.StatusOK, "Operators log in by SSO only.", "!Invite an operator")
	b.get(invitationPath+token).want(t, http.StatusForbidden, refused, "You are already logged in by SSO", `href="/console/">Back to the apps`, "!password")
	b.post(invitationPath+token, passwords("another password")).want(t, http.StatusForbidden, refused)
}

// TestSSO_MayAcceptAnInvitation: an operator that is logged in by SSO may open an invitation to a local
// account, which ends that session as it ends others.
func TestSSO_MayAcceptAnInvitation(t *testing.T) {
	s := onSQLite(t)
	p := s.signOn(nil)
	p.is(map[string]any{"sub": "7", "preferred_username": "kim", "groups": "platform"})
	b := s.browser()
	b.signIn().wantRedirect(t, Root)
	_, token := s.invitation()
	b.get(invitationPath+token).want(t, http.StatusOK, "You are logged in as kim. Accepting the invitation ends that session.", `name="password"`)
	b.post(invitationPath+token, passwords("another password")).wantRedirect(t, Root)
}
