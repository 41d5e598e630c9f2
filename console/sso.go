package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"rollcall/internal/fault"
	"rollcall/internal/operators"
	"rollcall/models"
)

const (
	// ssoPath is the page that sends the browser to the OpenID Provider.
	ssoPath = Root + "login/sso"
	// SSOCallback is the path to which the provider sends the browser back.
	SSOCallback = ssoPath + "/callback"
	// ssoCookie holds the ticket of a login at the provider, or of a confirmation.
	ssoCookie = "rollcall_sso"
	// ssoReturnTime limits the login after the browser has come back. It waits for the provider.
	ssoReturnTime = 10 * time.Second
	// maxNext is the maximum length of the page to return to. The cookie contains it.
	maxNext = 1000
)

// ssoPart is the part of the login page for the login at the provider.
type ssoPart struct {
	// Path is where the login begins, or "" if there is no SSO. Name is what to call the provider, or
	// "".
	Path, Name string
	// Away is true if the provider does not respond.
	Away bool
}

func (c *console) ssoPart(v *visit, next string) ssoPart {
	name, on := c.Operators.SSO()
	if !on {
		return ssoPart{}
	}
	// At the configured address, because the provider leads back there, and cookies belong to it.
	path := c.URL + ssoPath + "?" + url.Values{"next": {next}}.Encode()
	return ssoPart{Path: path, Name: name, Away: c.Operators.CheckSSO(v.r.Context()) != nil}
}

// loginBySSO sends the browser to the provider. It is a link, not a form: Chromium applies the
// content policy's form-action to the redirects after a form.
func (c *console) loginBySSO(v *visit) error {
	if _, on := c.Operators.SSO(); !on {
		return c.notFound(v)
	}
	next := localPath(v.r.URL.Query().Get("next"))
	if v.operator != nil {
		return v.redirect(next)
	}
	if len(next) > maxNext {
		next = Root
	}
	err := c.toProvider(v, next, nil)
	if fault.CodeOf(err) == fault.Unavailable {
		c.outages.Warn(v.r.Context(), "login by SSO", "requestId", requestID(v.r), "error", err)
		return c.renderLogin(v, http.StatusServiceUnavailable, loginPage{Next: next, Passkey: c.passkeyLogin(v)})
	}
	return err
}

// toProvider redirects the browser to the provider, for a login or, in a session, for a confirmation.
func (c *console) toProvider(v *visit, next string, session *models.OperatorSession) error {
	target, ticket, err := c.Operators.BeginSSO(v.r.Context(), next, session)
	if err != nil {
		return err
	}
	c.setCookie(v, ssoCookie, ticket, seconds(operators.SSOLifetime))
	return v.redirect(target)
}

// returnFromSSO continues what the browser has begun, when the provider has sent it back.
func (c *console) returnFromSSO(v *visit) error {
	if _, on := c.Operators.SSO(); !on {
		return c.notFound(v)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), ssoReturnTime)
	defer cancel()
	v.r = v.r.WithContext(ctx)
	v.limit.wait(ssoReturnTime + lastTime)
	query := v.r.URL.Query()
	flow, err := c.Operators.ReadSSO(ctx, c.cookie(v.r, ssoCookie), query.Get("state"))
	if fault.CodeOf(err) == fault.Unauthenticated {
		return c.ssoEnded(v, Root+"login", "sso.expired")
	}
	if err != nil {
		return err
	}
	in := operators.SSORequest{
		Code: query.Get("code"), Problem: query.Get("error"), Address: c.ClientAddress(v.r), UserAgent: v.r.UserAgent(), Device: c.cookie(v.r, deviceCookie),
	}
	next := localPath(flow.Next)
	if flow.Session != 0 {
		if v.session == nil {
			return errLoggedOut
		}
		err := c.Operators.ConfirmBySSO(ctx, flow, in, v.operator, v.session, c.actor(v))
		return c.ssoEnded(v, next, ssoText(err, "sso.confirmed"), err)
	}
	login, err := c.Operators.LoginBySSO(ctx, flow, in)
	if err == nil {
		c.setCookie(v, ssoCookie, "", -1)
		if err := c.logIn(v, login); err != nil {
			return err
		}
		return v.redirect(next)
	}
	return c.ssoEnded(v, Root+"login?"+url.Values{"next": {next}}.Encode(), ssoText(err, ""), err)
}

// ssoEnded redirects from the callback, whose address must not be loaded again, with a message. If the
// message is "", it returns the errors.
func (c *console) ssoEnded(v *visit, target, text string, errs ...error) error {
	c.setCookie(v, ssoCookie, "", -1)
	if text == "" {
		return errors.Join(errs...)
	}
	if err := c.setFlash(v, text, ""); err != nil {
		return err
	}
	return v.redirect(target)
}

// ssoText returns the text about the result of a login at the provider, or "" if the error is about
// something else.
func ssoText(err error, done string) string {
	var refusal *fault.Error
	switch {
	case err == nil:
		return done
	case !errors.As(err, &refusal):
		return ""
	case refusal.Code == fault.Unauthenticated:
		return "sso.expired"
	case refusal.Code == fault.Unavailable:
		return "sso.away"
	case refusal.Code == fault.RateLimited:
		return "sso.throttled"
	}
	rule, _ := refusal.Extensions["rule"].(string)
	if text := "sso." + rule; refusal.Extensions["field"] == "sso" && hasFlash(text) {
		return text
	}
	return ""
}

// keptForm is a form that waits until an operator that logs in by SSO has confirmed its identity at
// the provider. Its fields must not pass through the provider.
type keptForm struct {
	actionToConfirm
	Path, Back string
	Fields     []formField
}

// keptFor is how long it waits.
const keptFor = operators.SSOLifetime + operators.ConfirmationLifetime

// waitForSSO redirects to the page that leads to the provider, and afterwards sends the form.
func (c *console) waitForSSO(v *visit, form keptForm) error {
	key, err := c.Sealed.Put(v.r.Context(), v.session.ID, form, keptFor)
	if err != nil {
		return err
	}
	return v.redirect(Root + "confirm/" + url.PathEscape(key))
}

// keptFormPage is the data of confirm_sso.html.
type keptFormPage struct {
	keptForm
	// Provider is what to call the provider, or "". ProviderPath leads to it.
	Provider, ProviderPath string
	// Confirmed is true after the visitor has confirmed its identity.
	Confirmed bool
}

// Minutes returns for how long a confirmation is valid.
func (keptFormPage) Minutes() int { return int(operators.ConfirmationLifetime.Minutes()) }

func (c *console) showKeptForm(v *visit) error {
	p := keptFormPage{Confirmed: c.Operators.Confirmed(v.session), ProviderPath: v.r.URL.EscapedPath() + "/sso"}
	p.Provider, _ = c.Operators.SSO()
	found, err := c.Sealed.Get(v.r.Context(), v.session.ID, v.r.PathValue("form"), &p.keptForm)
	if err != nil {
		return err
	}
	if !found {
		return problem{http.StatusGone, "error.form_gone"}
	}
	return c.show(v, "confirm_sso", p)
}

// confirmBySSO sends the browser to the provider to confirm the visitor's identity, and then back to
// the form.
func (c *console) confirmBySSO(v *visit) error {
	if !v.operator.BySSO() {
		return c.notFound(v)
	}
	back := Root + "confirm/" + url.PathEscape(v.r.PathValue("form"))
	if len(back) > maxNext {
		return c.notFound(v)
	}
	err := c.toProvider(v, back, v.session)
	if fault.CodeOf(err) == fault.Unavailable {
		return c.ssoEnded(v, back, "sso.away")
	}
	return err
}
