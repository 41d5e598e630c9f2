package console

import (
	"errors"
	"net/http"

	"rollcall/internal/fault"
	"rollcall/internal/operators"
)

// accountPath is where operators see to their own account.
const accountPath = Root + "account"

// accountPage is what account.html shows.
type accountPage struct {
	Path, SessionPath, SessionsPath string
	Sessions                        []sessionRow
	// WrongField is the field of the password's form that was refused, and Wrong
	// the end of the text that says why.
	WrongField, Wrong string
	// WaitSeconds is how long to wait after too many wrong present passwords.
	WaitSeconds int
}

// MinPassword is how long a password must be.
func (accountPage) MinPassword() int { return operators.MinPasswordLength }

// Others is how many sessions there are besides the one that the page is seen with.
func (p accountPage) Others() int { return others(p.Sessions) }

// MayEnd: these are the visitor's own sessions.
func (accountPage) MayEnd() bool { return true }

func (c *console) showAccount(v *visit) error {
	p, err := c.accountPage(v)
	if err != nil {
		return err
	}
	return c.show(v, "account", p)
}

func (c *console) accountPage(v *visit) (*accountPage, error) {
	rows, err := c.sessions(v, v.operator.ID)
	return &accountPage{
		Path: accountPath, SessionPath: accountPath + "/end-session", SessionsPath: accountPath + "/end-sessions", Sessions: rows,
	}, err
}

// changePassword changes the visitor's own password, which ends its other
// sessions.
func (c *console) changePassword(v *visit) error {
	p, err := c.accountPage(v)
	if err != nil {
		return err
	}
	next := v.r.PostFormValue("password")
	if next != v.r.PostFormValue("again") {
		p.WrongField, p.Wrong = "again", "password.again"
		return c.render(v, http.StatusUnprocessableEntity, "account", p)
	}
	device, err := c.Operators.ChangePassword(v.r.Context(), v.operator, v.session, v.r.PostFormValue("current"), next, c.actor(v))
	var refusal *fault.Error
	if errors.As(err, &refusal) && refusal.Code == fault.InvalidArgument {
		p.WrongField, p.Wrong = wrongPassword(v, refusal)
		return c.render(v, http.StatusUnprocessableEntity, "account", p)
	}
	if refusal != nil && refusal.Code == fault.RateLimited {
		p.WrongField, p.WaitSeconds = "current", retryAfter(v, refusal)
		return c.render(v, http.StatusTooManyRequests, "account", p)
	}
	if err != nil {
		return err
	}
	c.setCookie(v, deviceCookie, device, seconds(deviceAge))
	if err := c.setFlash(v, "password.done", ""); err != nil {
		return err
	}
	return v.redirect(accountPath)
}

// wrongPassword answers the field of a form with a password that the rules
// refused, and the end of the text that says why.
func wrongPassword(v *visit, refusal *fault.Error) (field, text string) {
	field, _ = refusal.Extensions["field"].(string)
	rule, _ := refusal.Extensions["rule"].(string)
	if text = field + "." + rule; !v.locale.has("wrong." + text) {
		text = "other"
	}
	return field, text
}
