package console

import (
	"errors"
	"html/template"
	"net/http"

	"rollcall/internal/fault"
	"rollcall/internal/operators"
	"rollcall/models"
)

const (
	// totpPath is the page that sets up an authenticator app.
	totpPath = accountPath + "/totp"
	// recoveryPath is the page that makes new recovery codes.
	recoveryPath = accountPath + "/recovery-codes"
)

// factorsPart is the data of the part of the account page about the second factor.
type factorsPart struct {
	*operators.Factors
	TOTPPath, RecoveryPath, PasskeysPath string
}

// AllCodes returns how many recovery codes an operator gets.
func (factorsPart) AllCodes() int { return operators.RecoveryCodes }

func (c *console) factorsPart(v *visit) (factorsPart, error) {
	factors, err := c.Operators.Factors(v.r.Context(), v.operator)
	return factorsPart{Factors: factors, TOTPPath: totpPath, RecoveryPath: recoveryPath, PasskeysPath: passkeysPath}, err
}

// enrolment has the routes that an operator may use before it has the second factor that it must
// have, besides those of anyone.
var enrolment = map[string]bool{
	"POST /console/logout":               true,
	"GET /console/account/totp":          true,
	"POST /console/account/totp":         true,
	"POST /console/account/totp/confirm": true,
	"GET /console/account/passkeys":      true,
	"POST /console/account/passkeys":     true,
	"POST /console/account/passkeys/add": true,
	"GET /console/now":                   true,
}

// mustEnrol reports whether the visitor must set up a second factor before it may do anything else.
func (c *console) mustEnrol(v *visit) bool {
	return v.operator != nil && c.Operators.LacksSecondFactor(v.operator)
}

// totpPage is the data of totp.html.
type totpPage struct {
	Path, Back string
	// PasskeysPath is where to set up a passkey instead, or "" if there are none at this address.
	PasskeysPath string
	// Started is what to enter in the app, or nil before the operator has begun. QR is its QR code.
	Started *operators.Enrolment
	QR      *qrCode
	// Required is true if the operator can do nothing else before.
	Required bool
	Errors   faults
}

// AppURL returns the URL that opens an authenticator app on the visitor's device. Its scheme is otpauth,
// which html/template refuses in other strings; StartedTOTP escapes the rest.
func (p totpPage) AppURL() template.URL { return template.URL(p.Started.URL) }

// Minutes returns for how long the secret can be confirmed.
func (totpPage) Minutes() int { return int(operators.EnrolmentLifetime.Minutes()) }

func (c *console) showTOTP(v *visit) error {
	return c.renderTOTP(v, http.StatusOK, nil)
}

func (c *console) renderTOTP(v *visit, status int, wrong faults) error {
	started, err := c.Operators.StartedTOTP(v.r.Context(), v.operator)
	if err != nil {
		return err
	}
	p := totpPage{Path: totpPath, Back: accountPath, Started: started, Required: c.mustEnrol(v), Errors: wrong}
	if _, ok := c.relyingParty(v.r); ok && p.Required {
		p.PasskeysPath = passkeysPath
	}
	if started != nil {
		if p.QR, err = newQRCode(started.URL); err != nil {
			return err
		}
	}
	return c.render(v, status, "totp", p)
}

func (c *console) startTOTP(v *visit) error {
	if err := c.Operators.StartTOTP(v.r.Context(), v.operator); err != nil {
		return err
	}
	return v.redirect(totpPath)
}

// confirmTOTP makes the app the visitor's second factor if its code is right, and shows the first
// recovery codes.
func (c *console) confirmTOTP(v *visit) error {
	required := c.mustEnrol(v)
	codes, err := c.Operators.ConfirmTOTP(v.r.Context(), v.operator, v.r.PostFormValue("code"), c.actor(v))
	var refusal *fault.Error
	if errors.As(err, &refusal) && refusal.Code == fault.InvalidArgument {
		return c.renderTOTP(v, http.StatusUnprocessableEntity, faultOf("code", "wrong.code.setup"))
	}
	if err != nil {
		return err
	}
	return c.enrolled(v, "totp.done", codes, required)
}

// enrolled responds to an operator that has set up a second factor. It shows the recovery codes, if
// there are new ones, and leads to the account page, or to the page that the operator wanted if it was
// required to do this first.
func (c *console) enrolled(v *visit, text string, codes []string, required bool) error {
	back := accountPath
	if required {
		back = c.takeWanted(v)
	}
	if codes != nil {
		return c.reveal(v, "recovery_codes", recoveryPage{Title: text, Codes: codes, Back: back})
	}
	if err := c.setFlash(v, text, ""); err != nil {
		return err
	}
	return v.redirect(back)
}

func (c *console) removeTOTP(v *visit) error {
	removed, err := c.Operators.RemoveTOTP(v.r.Context(), v.operator, c.actor(v))
	if err != nil {
		return err
	}
	if !removed {
		return c.toAccount(v, "totp.gone")
	}
	return c.toAccount(v, "totp.removed")
}

// recoveryPage is the data of recovery_codes.html: codes that were just made; see reveal.
type recoveryPage struct {
	// Title is the text that explains why there are codes.
	Title string
	Codes []string
	Back  string
}

func (c *console) renewRecoveryCodes(v *visit) error {
	codes, err := c.Operators.RenewRecoveryCodes(v.r.Context(), v.operator, c.actor(v))
	var refusal *fault.Error
	if errors.As(err, &refusal) && refusal.Code == fault.InvalidArgument {
		return c.toAccount(v, "recovery.refused")
	}
	if err != nil {
		return err
	}
	return c.reveal(v, "recovery_codes", recoveryPage{Title: "recovery.title", Codes: codes, Back: accountPath})
}

// toAccount redirects to the account page, which shows that message.
func (c *console) toAccount(v *visit, text string) error {
	if err := c.setFlash(v, text, ""); err != nil {
		return err
	}
	return v.redirect(accountPath)
}

// factorQuestion is a change of the visitor's second factors that a page asks about first.
type factorQuestion struct {
	// Name begins the keys of its texts.
	Name string
	// Danger marks a change that makes the account less safe.
	Danger bool
}

// The questions.
var (
	askRemoveTOTP    = factorQuestion{"totp-remove", true}
	askRecoveryCodes = factorQuestion{"recovery-renew", false}
)

// factorQuestionPage is the data of second_factor_ask.html.
type factorQuestionPage struct {
	factorQuestion
	Path, Back string
	// Passkey is the passkey that the question is about, if NeedsPasskey, or nil if it was removed.
	Passkey      *models.OperatorPasskey
	NeedsPasskey bool
}

// Gone reports whether there is nothing left to ask about.
func (p factorQuestionPage) Gone() bool { return p.NeedsPasskey && p.Passkey == nil }

// askFactor returns a handler that shows the question, with a form that posts to the same path.
func askFactor(q factorQuestion) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		return c.show(v, "second_factor_ask", factorQuestionPage{factorQuestion: q, Path: v.r.URL.EscapedPath(), Back: accountPath})
	}
}
