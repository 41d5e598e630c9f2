package console

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"rollcall/internal/fault"
	"rollcall/internal/operators"
)

const (
	// sessionCookie holds the token of the operator's session.
	sessionCookie = "rollcall_session"
	// deviceCookie marks a browser that an operator has logged in with; see operators.Login.
	deviceCookie = "rollcall_device"
	// deviceAge is the lifetime of the cookie since the last login. Browsers allow no longer one.
	deviceAge = 400 * 24 * time.Hour
)

// loginPage is the data of login.html.
type loginPage struct {
	Next, Name string
	// Wrong is true if the name or the password was wrong, WrongPasskey if a passkey was.
	Wrong, WrongPasskey bool
	// Passkey is the part of the form that logs in by a passkey.
	Passkey passkeyField
	// Local is true if operators may log in with a password. SSO is the other way to log in.
	Local bool
	SSO   ssoPart
	// Limited is the text that names the limit that was reached, or "" if none was. WaitSeconds is
	// how long to wait.
	Limited     string
	WaitSeconds int
	// Ended is the text that explains how the last session ended, or "".
	Ended string
}

func (c *console) showLogin(v *visit) error {
	next := localPath(v.r.URL.Query().Get("next"))
	if v.operator != nil {
		return v.redirect(next)
	}
	page := loginPage{Next: next, Passkey: c.passkeyLogin(v)}
	if end := c.endOf(v); end != nil {
		page.Ended = endText(end)
	}
	return c.renderLogin(v, http.StatusOK, page)
}

// renderLogin responds with the login page.
func (c *console) renderLogin(v *visit, status int, p loginPage) error {
	p.Local, p.SSO = c.Operators.LocalLogin(), c.ssoPart(v, p.Next)
	return c.render(v, status, "login", p)
}

func (c *console) login(v *visit) error {
	page := loginPage{Next: localPath(v.r.PostForm.Get("next")), Name: v.r.PostForm.Get("name")}
	request := operators.LoginRequest{
		Name: page.Name, Password: v.r.PostForm.Get("password"), Address: c.ClientAddress(v.r), UserAgent: v.r.UserAgent(),
		Device: c.cookie(v.r, deviceCookie),
	}
	login, err := c.Operators.Login(v.r.Context(), request)
	var refusal *fault.Error
	switch {
	case err == nil && login.Pending != "":
		return c.askCode(v, login, page.Next)
	case err == nil:
		if err := c.logIn(v, login); err != nil {
			return err
		}
		return v.redirect(page.Next)
	case !errors.As(err, &refusal):
		return err
	case refusal.Code == fault.Unauthenticated:
		page.Wrong, page.Passkey = true, c.passkeyLogin(v)
		return c.renderLogin(v, http.StatusUnauthorized, page)
	case refusal.Code == fault.RateLimited:
		page.Limited, page.WaitSeconds = limitText(refusal), retryAfter(v, refusal)
		return c.renderLogin(v, http.StatusTooManyRequests, page)
	}
	return err
}

// logIn gives the browser its session. If its last one was the same operator's, the next page explains
// how that ended.
func (c *console) logIn(v *visit, login *operators.Login) error {
	if end := c.endOf(v); end != nil && end.OperatorID == login.Operator.ID && endText(end) != "" {
		if err := c.setFlash(v, endText(end), ""); err != nil {
			return err
		}
	}
	c.setCookie(v, sessionCookie, login.Token, seconds(operators.SessionLifetime+operators.EndMemory))
	if login.Device != "" {
		c.setCookie(v, deviceCookie, login.Device, seconds(deviceAge))
	}
	return nil
}

// retryAfter returns how many seconds to wait before another try, and sets the header Retry-After.
func retryAfter(v *visit, refusal *fault.Error) int {
	ms, _ := refusal.Extensions["retryAfterMs"].(int64)
	wait := seconds(time.Duration(ms) * time.Millisecond)
	v.w.Header().Set("Retry-After", strconv.Itoa(wait))
	return wait
}

// limitText returns the text that names the limit that a login has reached.
func limitText(refusal *fault.Error) string {
	if refusal.Extensions["limit"] == operators.LimitLogins {
		return "login.crowded"
	}
	return "login.throttled"
}

func (c *console) logout(v *visit) error {
	if err := c.Operators.Logout(v.r.Context(), v.session, c.actor(v)); err != nil {
		return err
	}
	c.setCookie(v, sessionCookie, "", -1)
	return v.redirect(Root + "login")
}
