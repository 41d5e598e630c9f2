package operators

import (
	"context"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/models"
)

var rp = RelyingParty{ID: "console.example", Origin: "https://console.example"}

// passkeyed is an operator "ada" with a passkey and an open session.
type passkeyed struct {
	*Service
	t        *testing.T
	clock    *tick
	operator *models.Operator
	session  *models.OperatorSession
	device   *authenticator
}

func withPasskey(t *testing.T, db *database.DB) *passkeyed {
	t.Helper()
	o, clock := newOperatorsWithKeys(t, db)
	mustCreate(t, o, "ada", models.RoleAdmin)
	token, operator := mustLogin(t, o, "ada")
	session, _, err := o.ByToken(context.Background(), token)
	if err != nil {
		t.Fatal(err)
	}
	p := &passkeyed{Service: o, t: t, clock: clock, operator: operator, session: session}
	var recovery []string
	p.device, recovery, err = p.add("phone")
	if err != nil || len(recovery) != RecoveryCodes {
		t.Fatalf("AddPasskey: %q, %v", recovery, err)
	}
	return p
}

// add registers another passkey.
func (p *passkeyed) add(name string) (*authenticator, []string, error) {
	p.t.Helper()
	device := newAuthenticator(p.t, rp)
	recovery, err := p.AddPasskey(context.Background(), rp, p.operator, p.session, NewPasskey{Name: name, Response: device.register(p.registration())}, ada)
	return device, recovery, err
}

func (p *passkeyed) registration() string {
	p.t.Helper()
	options, err := p.PasskeyRegistration(context.Background(), rp, p.operator, p.session)
	if err != nil {
		p.t.Fatal(err)
	}
	return options
}

// options returns those of a login.
func (p *passkeyed) options() string {
	p.t.Helper()
	options, err := p.PasskeyLogin(context.Background(), rp)
	if err != nil {
		p.t.Fatal(err)
	}
	return options
}

func (p *passkeyed) login(response, pending string) (*Login, error) {
	return p.LoginByPasskey(context.Background(), rp, PasskeyRequest{Response: response, Pending: pending, Address: "192.0.2.1", UserAgent: "browser"})
}

func TestLoginByPasskey_AloneAndAfterThePassword(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		p := withPasskey(t, db)
		response := p.device.sign(p.options())
		login, err := p.login(response, "")
		if err != nil || login.Operator.Name != "ada" || login.Device == "" {
			t.Fatalf("%+v, %v", login, err)
		}
		if session, _, err := p.ByToken(ctx, login.Token); err != nil || session.Method != models.MethodPasskey {
			t.Errorf("session %+v, %v", session, err)
		}
		if _, err := p.login(response, ""); ruleOf(err) != "wrong" {
			t.Errorf("the response again: %v", err)
		}
		pending, err := p.Login(ctx, LoginRequest{Name: "ada", Password: "tidy harbour", Address: "192.0.2.1"})
		if err != nil || pending.Pending == "" {
			t.Fatalf("the password alone: %+v, %v", pending, err)
		}
		both, err := p.login(p.device.sign(p.options()), pending.Pending)
		if err != nil {
			t.Fatal(err)
		}
		if session, _, err := p.ByToken(ctx, both.Token); err != nil || session.Method != models.MethodPasswordPasskey {
			t.Errorf("session %+v, %v", session, err)
		}
		if _, err := p.PendingLogin(ctx, pending.Pending); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("the login that waited: %v", err)
		}
		factors, err := p.Factors(ctx, p.operator)
		if err != nil || len(factors.Passkeys) != 1 || factors.Passkeys[0].Name != "phone" || factors.Passkeys[0].LastUsedAt != models.TimeOf(p.clock.now) {
			t.Errorf("%+v, %v", factors, err)
		}
		want := []string{"ada operator.add_passkey ada: phone", "ada operator.login ada: method=passkey client=browser"}
		for _, line := range want {
			if got := audited(t, p.Service); !slices.Contains(got, line) {
				t.Errorf("no %q in the audit:\n%s", line, strings.Join(got, "\n"))
			}
		}
	})
}

func TestLoginByPasskey_Refuses(t *testing.T) {
	ctx := context.Background()
	p := withPasskey(t, testenv.Open(t, testenv.SQLiteURL(t)))
	refused := func(what, response string) {
		t.Helper()
		if _, err := p.login(response, ""); ruleOf(err) != "wrong" {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("no response", "")
	refused("noise", `{"id": "x", "response": {}}`)
	refused("an unknown passkey", newAuthenticator(t, rp).sign(p.options()))
	refused("a challenge for a registration", p.device.sign(p.registration()))
	forged := *p.device
	forged.key = newAuthenticator(t, rp).key
	refused("another key", forged.sign(p.options()))
	elsewhere := *p.device
	elsewhere.rp = RelyingParty{ID: rp.ID, Origin: "https://console.example.evil.example"}
	refused("another origin", elsewhere.sign(p.options()))
	otherHost := *p.device
	otherHost.rp = RelyingParty{ID: "evil.example", Origin: rp.Origin}
	refused("another host", otherHost.sign(p.options()))
	unverified := *p.device
	unverified.unverified = true
	refused("a user that is not verified", unverified.sign(p.options()))
	other := *p.device
	other.handle = []byte("12345")
	refused("another operator's handle", other.sign(p.options()))
	late := p.options()
	p.clock.now = p.clock.now.Add(ChallengeLifetime)
	refused("an old challenge", p.device.sign(late))

	if _, err := p.login(p.device.sign(p.options()), ""); err != nil {
		t.Fatal(err)
	}
	copied := *p.device
	copied.counter--
	refused("a counter that does not grow", copied.sign(p.options()))
	if _, err := p.login(p.device.sign(p.options()), ""); err != nil {
		t.Errorf("the passkey itself: %v", err)
	}
	if got := strings.Join(audited(t, p.Service), "\n"); !strings.Contains(got, " operator.login_failed ada: reason=wrong_passkey count=") {
		t.Errorf("audit:\n%s", got)
	}
	if removed, err := p.RemovePasskey(ctx, p.operator, 1, ada); !removed || err != nil {
		t.Errorf("RemovePasskey = %v, %v", removed, err)
	}
	refused("a removed passkey", p.device.sign(p.options()))
}

func TestLoginByPasskey_NetworkLimit(t *testing.T) {
	p := withPasskey(t, testenv.Open(t, testenv.SQLiteURL(t)))
	failed(p.Service, networkRule, "192.0.2.1", networkRule.Free)
	if _, err := p.login(p.device.sign(p.options()), ""); limitOf(t, err) != LimitLogins {
		t.Errorf("beyond the limit: %v", err)
	}
}

func TestAddPasskey_Refuses(t *testing.T) {
	ctx := context.Background()
	p := withPasskey(t, testenv.Open(t, testenv.SQLiteURL(t)))
	device := newAuthenticator(t, rp)
	response := device.register(p.registration())
	if _, err := p.AddPasskey(ctx, rp, p.operator, p.session, NewPasskey{Name: " ", Response: response}, ada); ruleOf(err) == "" {
		t.Errorf("no name: %v", err)
	}
	for what, in := range map[string]string{
		"a challenge for a login": newAuthenticator(t, rp).register(p.options()),
		"another origin":          newAuthenticator(t, RelyingParty{ID: rp.ID, Origin: "https://evil.example"}).register(p.registration()),
		"a passkey twice":         p.device.register(p.registration()),
		"noise":                   "{}",
	} {
		if _, err := p.AddPasskey(ctx, rp, p.operator, p.session, NewPasskey{Name: "laptop", Response: in}, ada); ruleOf(err) != "wrong" {
			t.Errorf("%s: %v", what, err)
		}
	}
	other := *p.session
	other.ID++
	if _, err := p.AddPasskey(ctx, rp, p.operator, &other, NewPasskey{Name: "laptop", Response: response}, ada); ruleOf(err) != "wrong" {
		t.Errorf("in another session: %v", err)
	}
	for range MaxPasskeys - 1 {
		if _, recovery, err := p.add("another"); err != nil || recovery != nil {
			t.Fatalf("%q, %v", recovery, err)
		}
	}
	if _, _, err := p.add("one too many"); ruleOf(err) != "max" {
		t.Errorf("one too many: %v", err)
	}
}

func TestConfirmByPasskey_OnlyInItsSession(t *testing.T) {
	ctx := context.Background()
	p := withPasskey(t, testenv.Open(t, testenv.SQLiteURL(t)))
	options, err := p.PasskeyConfirmation(ctx, rp, p.session)
	if err != nil {
		t.Fatal(err)
	}
	confirm := func(response string) error {
		return p.ConfirmByPasskey(ctx, rp, p.operator, p.session, response, ada)
	}
	if err := confirm(p.device.sign(p.options())); ruleOf(err) != "wrong" || p.Confirmed(p.session) {
		t.Errorf("a challenge for a login: %v", err)
	}
	if err := confirm(p.device.sign(options)); err != nil || !p.Confirmed(p.session) {
		t.Errorf("the right one: %v", err)
	}
	if _, err := p.ResetSecondFactor(ctx, "ada", shell); err != nil {
		t.Fatal(err)
	}
	mustLogin(t, p.Service, "ada")
}
