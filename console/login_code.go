package console

import (
	"errors"
	"net/http"
	"net/url"

	"rollcall/internal/fault"
	"rollcall/internal/operators"
)

const (
	// pendingCookie holds the token of a login that still needs a second factor.
	pendingCookie = "rollcall_login"
	// loginCodePath is the page that asks for it.
	loginCodePath = Root + "login/code"
)

// loginCodePage is the data of login_code.html.
type loginCodePage struct {
	Path, Next, Name string
	// Passkey is the part of the form that asks for a passkey.
	Passkey passkeyField
	// Wrong is true if the code was wrong.
	Wrong bool
	// WaitSeconds is how long to wait after too many wrong codes, or 0 if there were not too many.
	WaitSeconds int
}

// askCode lets the browser continue a login at the page that asks for the second factor.
func (c *console) askCode(v *visit, login *operators.Login, next string) error {
	c.setCookie(v, pendingCookie, login.Pending, seconds(operators.PendingLifetime))
	return v.redirect(loginCodePath + "?" + url.Values{"next": {next}}.Encode())
}

func (c *console) showLoginCode(v *visit) error {
	next := localPath(v.r.URL.Query().Get("next"))
	if v.operator != nil {
		return v.redirect(next)
	}
	return c.renderLoginCode(v, http.StatusOK, loginCodePage{Next: next})
}

// renderLoginCode responds with the page for the login that the browser continues. It offers a passkey
// only to an operator that has one.
func (c *console) renderLoginCode(v *visit, status int, p loginCodePage) error {
	operator, err := c.Operators.PendingLogin(v.r.Context(), c.cookie(v.r, pendingCookie))
	if fault.CodeOf(err) == fault.Unauthenticated {
		return c.loginExpired(v, p.Next)
	}
	if err != nil {
		return err
	}
	factors, err := c.Operators.Factors(v.r.Context(), operator)
	if err != nil {
		return err
	}
	p.Path, p.Name = loginCodePath, operator.Name
	if len(factors.Passkeys) > 0 {
		p.Passkey = c.passkeyLogin(v)
	}
	return c.render(v, status, "login_code", p)
}

// loginCode finishes a login with a code.
func (c *console) loginCode(v *visit) error {
	p := loginCodePage{Next: localPath(v.r.PostForm.Get("next"))}
	login, err := c.Operators.FinishLogin(v.r.Context(), operators.FactorRequest{
		Pending: c.cookie(v.r, pendingCookie), Code: v.r.PostForm.Get("code"),
		Address: c.ClientAddress(v.r), UserAgent: v.r.UserAgent(), Device: c.cookie(v.r, deviceCookie),
	})
	var refusal *fault.Error
	switch {
	case err == nil:
		c.setCookie(v, pendingCookie, "", -1)
		if err := c.logIn(v, login); err != nil {
			return err
		}
		return v.redirect(p.Next)
	case !errors.As(err, &refusal):
		return err
	case refusal.Code == fault.Unauthenticated:
		return c.loginExpired(v, p.Next)
	case refusal.Code == fault.InvalidArgument:
		p.Wrong = true
		return c.renderLoginCode(v, http.StatusUnprocessableEntity, p)
	case refusal.Code == fault.RateLimited:
		p.WaitSeconds = retryAfter(v, refusal)
		return c.renderLoginCode(v, http.StatusTooManyRequests, p)
	}
	return err
}

// loginExpired lets the browser log in from the beginning.
func (c *console) loginExpired(v *visit, next string) error {
	c.setCookie(v, pendingCookie, "", -1)
	if err := c.setFlash(v, "login.expired", ""); err != nil {
		return err
	}
	return v.redirect(Root + "login?" + url.Values{"next": {next}}.Encode())
}
