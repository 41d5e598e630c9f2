package console

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/fault"
)

// sessionCookie holds the token of the operator's session.
const sessionCookie = "rollcall_session"

// loginPage is what login.html shows.
type loginPage struct {
	Next, Name string
	// Wrong: the name or the password was.
	Wrong bool
	// WaitSeconds is how long to wait after too many wrong passwords.
	WaitSeconds int
}

func (c *console) showLogin(v *visit) error {
	next := localPath(v.r.URL.Query().Get("next"))
	if v.operator != nil {
		return v.redirect(next)
	}
	return c.show(v, "login", loginPage{Next: next})
}

func (c *console) login(v *visit) error {
	if err := v.r.ParseForm(); err != nil {
		return problem{http.StatusBadRequest, "error.invalid"}
	}
	page := loginPage{Next: localPath(v.r.PostForm.Get("next")), Name: v.r.PostForm.Get("name")}
	token, _, err := c.Operators.Login(v.r.Context(), page.Name, v.r.PostForm.Get("password"), c.ClientAddress(v.r), v.r.UserAgent())
	var refusal *fault.Error
	switch {
	case err == nil:
		c.setCookie(v, sessionCookie, token, seconds(apps.SessionLifetime))
		return v.redirect(page.Next)
	case !errors.As(err, &refusal):
		return err
	case refusal.Code == fault.Unauthenticated:
		page.Wrong = true
		return c.render(v, http.StatusUnauthorized, "login", page)
	case refusal.Code == fault.RateLimited:
		page.WaitSeconds = retryAfter(v, refusal)
		return c.render(v, http.StatusTooManyRequests, "login", page)
	}
	return err
}

// retryAfter answers how many seconds to wait before another try, and says it to
// programs too.
func retryAfter(v *visit, refusal *fault.Error) int {
	ms, _ := refusal.Extensions["retryAfterMs"].(int64)
	wait := seconds(time.Duration(ms) * time.Millisecond)
	v.w.Header().Set("Retry-After", strconv.Itoa(wait))
	return wait
}

func (c *console) logout(v *visit) error {
	if err := c.Operators.Logout(v.r.Context(), v.session, c.actor(v)); err != nil {
		return err
	}
	c.setCookie(v, sessionCookie, "", -1)
	return v.redirect(Root + "login")
}
