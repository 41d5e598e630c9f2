package operators

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/models"
)

// enrolled is an operator "ada" with an authenticator app.
type enrolled struct {
	*Service
	t        *testing.T
	clock    *tick
	operator *models.Operator
	secret   string
	recovery []string
}

var ada = models.Actor{Name: "ada", Address: "192.0.2.1"}

// newOperatorsWithKeys is newOperators for a database in which a server has created the token keys.
func newOperatorsWithKeys(t *testing.T, db *database.DB) (*Service, *tick) {
	t.Helper()
	o, clock := newOperators(db)
	if _, err := token.OpenKeys(context.Background(), db, "", clock.read); err != nil {
		t.Fatal(err)
	}
	return o, clock
}

// enrol creates the operator ada and sets up its authenticator app.
func enrol(t *testing.T, db *database.DB) *enrolled {
	t.Helper()
	ctx := context.Background()
	o, clock := newOperatorsWithKeys(t, db)
	mustCreate(t, o, "ada", models.RoleAdmin)
	operator, err := o.ByName(ctx, "ada")
	if err != nil {
		t.Fatal(err)
	}
	e := &enrolled{Service: o, t: t, clock: clock, operator: operator}
	e.secret = e.start()
	if e.recovery, err = o.ConfirmTOTP(ctx, operator, e.code(0), ada); err != nil || len(e.recovery) != RecoveryCodes {
		t.Fatalf("ConfirmTOTP = %q, %v", e.recovery, err)
	}
	e.clock.now = e.clock.now.Add(codePeriod) // the code of this period has been used
	return e
}

// start calls StartTOTP and returns the secret.
func (e *enrolled) start() string {
	e.t.Helper()
	if err := e.StartTOTP(context.Background(), e.operator); err != nil {
		e.t.Fatal(err)
	}
	started, err := e.StartedTOTP(context.Background(), e.operator)
	if err != nil || started == nil || !strings.HasPrefix(started.URL, "otpauth://totp/Rollcall:ada?secret="+started.Secret+"&") {
		e.t.Fatalf("StartedTOTP = %+v, %v", started, err)
	}
	return started.Secret
}

// code returns what the authenticator app shows some periods from now.
func (e *enrolled) code(periods int) string {
	e.t.Helper()
	code, err := totp.GenerateCode(e.secret, e.clock.now.Add(time.Duration(periods)*codePeriod))
	if err != nil {
		e.t.Fatal(err)
	}
	return code
}

// password logs ada in by its password, and returns the token of the login that waits.
func (e *enrolled) password() string {
	e.t.Helper()
	login, err := e.Login(context.Background(), LoginRequest{Name: "ada", Password: "tidy harbour", Address: "192.0.2.1"})
	if err != nil || login.Token != "" || login.Device != "" || login.Pending == "" {
		e.t.Fatalf("Login = %+v, %v", login, err)
	}
	return login.Pending
}

func (e *enrolled) finish(pending, code, device string) (*Login, error) {
	return e.FinishLogin(context.Background(), FactorRequest{
		Pending: pending, Code: code, Address: "192.0.2.1", UserAgent: "browser", Device: device,
	})
}

func TestFinishLogin_AcceptsEachCodeOnce(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		e := enrol(t, db)
		ctx := context.Background()
		pending := e.password()
		for _, wrong := range []string{"", e.code(2), e.code(-2), e.recovery[0][1:]} {
			if _, err := e.finish(pending, wrong, ""); ruleOf(err) != "wrong" {
				t.Errorf("code %q: %v", wrong, err)
			}
		}
		code := e.code(0)
		login, err := e.finish(pending, " "+code[:3]+" "+code[3:], "")
		if err != nil || login.Token == "" || login.Device == "" {
			t.Fatalf("the right code: %+v, %v", login, err)
		}
		session, _, err := e.ByToken(ctx, login.Token)
		if err != nil || session.Method != models.MethodCode {
			t.Errorf("session %+v, %v", session, err)
		}
		if _, err := e.finish(pending, e.code(1), ""); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("the login again: %v", err)
		}
		next := e.password()
		if _, err := e.finish(next, code, ""); ruleOf(err) != "wrong" {
			t.Errorf("the code again: %v", err)
		}
		if _, err := e.finish(next, e.code(1), ""); err != nil {
			t.Errorf("the code of a clock that is fast: %v", err)
		}
		if _, err := e.finish(e.password(), e.code(0), ""); ruleOf(err) != "wrong" {
			t.Errorf("a code before one that was used: %v", err)
		}
		lines := audited(t, e.Service)
		for _, want := range []string{
			"ada operator.add_totp ada: ", "ada operator.login ada: method=password_and_code client=browser",
			" operator.login_failed ada: reason=wrong_code count=6 last=2026-11-20T08:00:30.000Z client=browser",
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("no audit entry %q:\n%s", want, strings.Join(lines, "\n"))
			}
		}
	})
}

func TestFinishLogin_RecoveryCodes(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		e := enrol(t, db)
		ctx := context.Background()
		login, err := e.finish(e.password(), strings.ToUpper(e.recovery[3]), "")
		if err != nil {
			t.Fatal(err)
		}
		if session, _, err := e.ByToken(ctx, login.Token); err != nil || session.Method != models.MethodRecoveryCode {
			t.Errorf("session %+v, %v", session, err)
		}
		if _, err := e.finish(e.password(), e.recovery[3], ""); ruleOf(err) != "wrong" {
			t.Errorf("the code again: %v", err)
		}
		left := func() int {
			t.Helper()
			factors, err := e.Factors(ctx, e.operator)
			if err != nil || factors.TOTP == nil {
				t.Fatalf("%+v, %v", factors, err)
			}
			return factors.RecoveryCodes
		}
		if n := left(); n != RecoveryCodes-1 {
			t.Errorf("%d codes are left", n)
		}
		renewed, err := e.RenewRecoveryCodes(ctx, e.operator, ada)
		if err != nil || len(renewed) != RecoveryCodes || left() != RecoveryCodes {
			t.Fatalf("%q, %v", renewed, err)
		}
		pending := e.password()
		if _, err := e.finish(pending, e.recovery[4], ""); ruleOf(err) != "wrong" {
			t.Errorf("a replaced code: %v", err)
		}
		if _, err := e.finish(pending, renewed[9], ""); err != nil {
			t.Errorf("a new code: %v", err)
		}
	})
}

// TestFinishLogin_Expires checks that a login that waits ends after five minutes, with a new
// password, and with a change of the second factor.
func TestFinishLogin_Expires(t *testing.T) {
	ctx := context.Background()
	e := enrol(t, testenv.Open(t, testenv.SQLiteURL(t)))
	if _, err := e.PendingLogin(ctx, "unknown"); fault.CodeOf(err) != fault.Unauthenticated {
		t.Errorf("an unknown login: %v", err)
	}
	ended := func(what, pending string) {
		t.Helper()
		if _, err := e.finish(pending, e.code(0), ""); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %v", what, err)
		}
	}
	pending := e.password()
	e.clock.now = e.clock.now.Add(PendingLifetime)
	ended("after five minutes", pending)
	pending = e.password()
	if _, err := e.SetPassword(ctx, "ada", "tidy harbour", shell); err != nil {
		t.Fatal(err)
	}
	ended("with a new password", pending)
	pending = e.password()
	if _, err := e.ResetSecondFactor(ctx, "ada", shell); err != nil {
		t.Fatal(err)
	}
	ended("after a reset", pending)
}

func TestFinishLogin_IsThrottled(t *testing.T) {
	e := enrol(t, testenv.Open(t, testenv.SQLiteURL(t)))
	login, err := e.finish(e.password(), e.recovery[0], "")
	if err != nil {
		t.Fatal(err)
	}
	// A client that knows the password guesses, from many networks.
	pending := e.password()
	for range codeRule.Free {
		if _, err := e.finish(pending, "000000", ""); ruleOf(err) != "wrong" {
			t.Fatal(err)
		}
	}
	if _, err := e.finish(pending, e.code(0), ""); limitOf(t, err) != LimitPassword {
		t.Errorf("after five wrong codes: %v", err)
	}
	if _, err := e.finish(e.password(), e.code(0), login.Device); err != nil {
		t.Errorf("a browser that has logged in before: %v", err)
	}
	e.clock.now = e.clock.now.Add(codeRule.Delay)
	if _, err := e.finish(pending, e.code(1), ""); err != nil {
		t.Errorf("after the delay: %v", err)
	}
}

// TestFinishLogin_OnAnotherNode checks that a login may continue on another node, with the same
// configured token key.
func TestFinishLogin_OnAnotherNode(t *testing.T) {
	db := testenv.Open(t, testenv.SQLiteURL(t))
	e := enrol(t, db)
	other := *e
	other.Service = New(db, e.clock.read)
	if _, err := other.finish(e.password(), e.code(0), ""); err != nil {
		t.Error(err)
	}
}

// TestConfirmTOTP_Replaces checks that a new app replaces the former one only with its first code,
// and that the recovery codes stay.
func TestConfirmTOTP_Replaces(t *testing.T) {
	ctx := context.Background()
	e := enrol(t, testenv.Open(t, testenv.SQLiteURL(t)))
	former, next := e.secret, e.start()
	if _, err := e.ConfirmTOTP(ctx, e.operator, e.code(0), ada); ruleOf(err) != "wrong" {
		t.Errorf("a code of the former app: %v", err)
	}
	if _, err := e.finish(e.password(), e.code(0), ""); err != nil {
		t.Errorf("the former app: %v", err)
	}
	e.secret = next
	if again, err := e.ConfirmTOTP(ctx, e.operator, e.code(0), ada); err != nil || again != nil {
		t.Fatalf("%q, %v", again, err)
	}
	pending := e.password()
	if _, err := e.finish(pending, e.code(0), ""); ruleOf(err) != "wrong" {
		t.Errorf("the code that confirmed the app: %v", err)
	}
	e.secret = former
	if _, err := e.finish(pending, e.code(1), ""); ruleOf(err) != "wrong" {
		t.Errorf("the replaced app: %v", err)
	}
	e.secret = next
	if _, err := e.finish(pending, e.code(1), ""); err != nil {
		t.Errorf("the new app: %v", err)
	}
	e.secret = e.start()
	e.clock.now = e.clock.now.Add(EnrolmentLifetime)
	if _, err := e.ConfirmTOTP(ctx, e.operator, e.code(0), ada); ruleOf(err) != "expired" {
		t.Errorf("after 15 minutes: %v", err)
	}
}

func TestRemoveTOTP_RemovesRecoveryCodes(t *testing.T) {
	ctx := context.Background()
	e := enrol(t, testenv.Open(t, testenv.SQLiteURL(t)))
	for _, want := range []bool{true, false} {
		if removed, err := e.RemoveTOTP(ctx, e.operator, ada); removed != want || err != nil {
			t.Errorf("RemoveTOTP = %v, %v", removed, err)
		}
	}
	if factors, err := e.Factors(ctx, e.operator); err != nil || factors.TOTP != nil || factors.RecoveryCodes != 0 {
		t.Errorf("%+v, %v", factors, err)
	}
	if _, err := e.RenewRecoveryCodes(ctx, e.operator, ada); ruleOf(err) != "no_second_factor" {
		t.Errorf("recovery codes without a second factor: %v", err)
	}
	mustLogin(t, e.Service, "ada")
}

func TestResetSecondFactor_EndsSessions(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		e := enrol(t, db)
		login, err := e.finish(e.password(), e.code(0), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.ResetSecondFactor(ctx, "ada", ada); ruleOf(err) != "self" {
			t.Errorf("one's own: %v", err)
		}
		for _, want := range []bool{true, false} {
			if reset, err := e.ResetSecondFactor(ctx, "ada", shell); reset != want || err != nil {
				t.Errorf("ResetSecondFactor = %v, %v", reset, err)
			}
		}
		if _, _, err := e.ByToken(ctx, login.Token); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("the session: %v", err)
		}
		mustLogin(t, e.Service, "ada")
		if got := audited(t, e.Service); !slices.Contains(got, "shell operator.reset_second_factor ada: sessions=1") {
			t.Errorf("audit:\n%s", strings.Join(got, "\n"))
		}
		for _, table := range []any{&models.OperatorTOTP{}, &models.OperatorRecoveryCode{}} {
			var left int64
			if err := db.Read(ctx).Model(table).Count(&left).Error; err != nil || left != 0 {
				t.Errorf("%T: %d rows, %v", table, left, err)
			}
		}
	})
}

// TestConfirm_ByCode checks that an operator with a second factor confirms its identity by a code,
// and not by its password.
func TestConfirm_ByCode(t *testing.T) {
	ctx := context.Background()
	e := enrol(t, testenv.Open(t, testenv.SQLiteURL(t)))
	login, err := e.finish(e.password(), e.code(0), "")
	if err != nil {
		t.Fatal(err)
	}
	session, operator, err := e.ByToken(ctx, login.Token)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"tidy harbour", e.code(0), ""} {
		if err := e.Confirm(ctx, operator, session, wrong, ada); ruleOf(err) != "wrong" || e.Confirmed(session) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := e.Confirm(ctx, operator, session, e.code(1), ada); err != nil || !e.Confirmed(session) {
		t.Errorf("the next code: %v", err)
	}
}

// TestSecrets_AreEncrypted checks that the secrets of authenticator apps are stored encrypted, and
// follow the token keys.
func TestSecrets_AreEncrypted(t *testing.T) {
	ctx := context.Background()
	db := testenv.Open(t, testenv.SQLiteURL(t))
	e := enrol(t, db)
	const configured = "a configured key of 32 characters"
	renewed := e.Encrypting(configured)
	if unopened, _, err := renewed.Start(ctx); unopened != 0 || err != nil {
		t.Fatalf("%d, %v", unopened, err)
	}
	// Without the stored keys, the configured one decrypts.
	err := db.Tx(ctx, func(tx *gorm.DB) error { return tx.Where("1 = 1").Delete(&models.TokenKey{}).Error })
	if err != nil {
		t.Fatal(err)
	}
	e.Service = renewed
	if _, err := e.finish(e.password(), e.code(0), ""); err != nil {
		t.Errorf("with the configured key: %v", err)
	}
	other := e.Encrypting("another configured key of 32 characters")
	if unopened, keyErr, err := other.Start(ctx); unopened != 1 || keyErr == nil || err != nil {
		t.Errorf("with another key: %d, %v, %v", unopened, keyErr, err)
	}
	e.Service = other
	if _, err := e.finish(e.password(), e.code(1), ""); err == nil || fault.CodeOf(err) != fault.Internal {
		t.Errorf("a code that cannot be checked: %v", err)
	}
	if _, err := e.finish(e.password(), e.recovery[0], ""); err != nil {
		t.Errorf("a recovery code: %v", err)
	}
}

func TestLacksSecondFactor_ByRequirement(t *testing.T) {
	for requirement, want := range map[Requirement]string{
		"": "", RequireNone: "", RequireOwners: "owner", RequireAdmins: "admin owner", RequireModerators: "moderator admin owner", RequireAll: "viewer moderator admin owner",
	} {
		o := new(Service).Requiring(requirement)
		var lack []string
		for _, role := range models.Roles() {
			if o.LacksSecondFactor(&models.Operator{Grant: of(role)}) {
				lack = append(lack, string(role))
			}
			if o.LacksSecondFactor(&models.Operator{Grant: of(role), HasSecondFactor: true}) {
				t.Errorf("%q: a %s with a second factor lacks one", requirement, role)
			}
		}
		if got := strings.Join(lack, " "); got != want {
			t.Errorf("%q: required of %q, want %q", requirement, got, want)
		}
	}
}
