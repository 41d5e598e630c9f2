package console

import (
	"net/http"
	"net/url"
	"strings"
)

// ownPassword has the routes that an operator may use before it has replaced a temporary password,
// besides those of anyone.
var ownPassword = map[string]bool{
	"POST /console/logout":               true,
	"GET /console/account/new-password":  true,
	"POST /console/account/new-password": true,
	"GET /console/now":                   true,
}

// duty returns the page that the visitor must attend to before it may use the route, or "" if it may
// use it: first the password, then the second factor.
func (c *console) duty(v *visit, rt route) string {
	switch {
	case rt.access.Role == "" || v.operator == nil:
		return ""
	case v.operator.PasswordTemporary:
		if !ownPassword[rt.pattern] {
			return newPasswordPath
		}
	case c.mustEnrol(v) && !enrolment[rt.pattern]:
		return totpPath
	}
	return ""
}

// hasDuty reports whether the visitor must attend to something before it may do anything else.
func (c *console) hasDuty(v *visit) bool {
	return v.operator != nil && (v.operator.PasswordTemporary || c.mustEnrol(v))
}

const (
	// wantedCookie holds the page that an operator wanted before it had to attend to something else.
	wantedCookie = "rollcall_wanted"
	// wantedAge is for how many seconds.
	wantedAge = 60 * 60
)

// takeWanted returns the page that the operator wanted before its duty, or Root, and forgets it.
func (c *console) takeWanted(v *visit) string {
	wanted := c.cookie(v.r, wantedCookie)
	if wanted == "" {
		return Root
	}
	c.setCookie(v, wantedCookie, "", -1)
	page, err := url.PathUnescape(wanted)
	if err != nil {
		return Root
	}
	return localPath(page)
}

// toDuty redirects the browser to the page that duty has returned, and notes the page that it wanted.
func (c *console) toDuty(v *visit, target string) {
	if v.r.Header.Get("HX-Request") == "true" {
		// After a redirect, htmx would put that page into a part of this one.
		v.w.Header().Set("HX-Redirect", target)
		v.w.WriteHeader(http.StatusForbidden)
		return
	}
	// The duties are one after the other; their own pages are not wanted.
	if here := v.here(); !strings.HasPrefix(here, accountPath+"/") && !c.polls[v.r.Pattern] {
		c.setCookie(v, wantedCookie, url.PathEscape(here), wantedAge)
	}
	_ = v.redirect(target)
}
