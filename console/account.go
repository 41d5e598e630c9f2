package console

import (
	"errors"
	"net/http"

	"rollcall/internal/fault"
	"rollcall/internal/operators"
)

// accountPath is the page on which operators manage their own account.
const accountPath = Root + "account"

// accountPage is the data of account.html.
type accountPage struct {
	Path, SessionPath, SessionsPath string
	Sessions                        []sessionRow
	Factors                         factorsPart
	Logins                          []auditRow
	Keys                            []keyRow
	// KeyPath revokes a key, and NewKeyPath makes one.
	KeyPath, NewKeyPath string
	sessionTimes
	// BySSO is true if the operator logs in by SSO.
	BySSO bool
	// Scope is the apps that the operator is for.
	Scope scope
	passwordForm
}

// passwordForm is what is wrong with the form that changes the visitor's password.
type passwordForm struct{ Errors faults }

// MinPassword returns the minimum length of a password.
func (passwordForm) MinPassword() int { return operators.MinPasswordLength }

// Others returns the number of the operator's sessions other than the current one.
func (p accountPage) Others() int { return others(p.Sessions) }

// Own reports that the account is the visitor's.
func (accountPage) Own() bool { return true }

// MayEnd reports whether the visitor may end the sessions. They are the visitor's own, so it may.
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
	if err != nil {
		return nil, err
	}
	factors, err := c.factorsPart(v)
	if err != nil {
		return nil, err
	}
	apps, err := c.appsOf(v)
	if err != nil {
		return nil, err
	}
	logins, err := c.logins(v, v.operator)
	if err != nil {
		return nil, err
	}
	keys, err := c.keys(v, apps, v.operator)
	if err != nil {
		return nil, err
	}
	return &accountPage{
		Path: accountPath, SessionPath: accountPath + "/end-session", SessionsPath: accountPath + "/end-sessions", Sessions: rows,
		Factors: factors, Logins: logins, Scope: scopeOf(apps, v.operator.Grant), BySSO: v.operator.BySSO(),
		Keys: keys, KeyPath: revokeKeyPath, NewKeyPath: newKeyPath,
	}, nil
}

// changePassword changes the visitor's own password and ends its other sessions.
func (c *console) changePassword(v *visit) error {
	form, status, err := c.changeOwnPassword(v)
	if err != nil {
		return err
	}
	if status == 0 {
		return v.redirect(accountPath)
	}
	p, err := c.accountPage(v)
	if err != nil {
		return err
	}
	p.passwordForm = form
	return c.render(v, status, "account", p)
}

// repeated returns what is wrong with a new password that was not entered twice alike: that, and what
// is wrong with the password itself.
func repeated(r *http.Request) error {
	next := r.PostFormValue("password")
	if next == r.PostFormValue("again") {
		return nil
	}
	return errors.Join(operators.CheckPassword(next), fault.Invalid("again", "same", "the passwords differ"))
}

// changeOwnPassword changes the visitor's own password, and sets a message for the next page. If it
// is refused, status is that of the page with the form.
func (c *console) changeOwnPassword(v *visit) (f passwordForm, status int, err error) {
	if err := repeated(v.r); err != nil {
		return passwordForm{Errors: faultsOf(v, err)}, http.StatusUnprocessableEntity, nil
	}
	next := v.r.PostFormValue("password")
	device, err := c.Operators.ChangePassword(v.r.Context(), v.operator, v.session, v.r.PostFormValue("current"), next, c.actor(v))
	var refusal *fault.Error
	if errors.As(err, &refusal) && refusal.Code == fault.InvalidArgument {
		return passwordForm{Errors: faultsOf(v, err)}, http.StatusUnprocessableEntity, nil
	}
	if refusal != nil && refusal.Code == fault.RateLimited {
		wait, err := v.locale.count("login.wait", retryAfter(v, refusal))
		throttled := faultText{Key: "login.throttled", Value: wait}
		return passwordForm{faults{"current": throttled}}, http.StatusTooManyRequests, err
	}
	if err != nil {
		return f, 0, err
	}
	c.setCookie(v, deviceCookie, device, seconds(deviceAge))
	return f, 0, c.setFlash(v, "password.done", "")
}
