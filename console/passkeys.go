package console

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"rollcall/internal/fault"
	"rollcall/internal/operators"
	"rollcall/models"
)

const (
	// passkeysPath is the page that adds a passkey.
	passkeysPath = accountPath + "/passkeys"
	// passkeyLoginPath receives a passkey instead of a name and a password.
	passkeyLoginPath = Root + "login/passkey"
	// confirmPasskey is the field for the passkey in the form of confirm.html.
	confirmPasskey = "present-passkey"
)

// passkeyField is the part of a form in which passkey.js asks for a passkey. It is hidden without
// the script.
type passkeyField struct {
	// Kind is "create" or "get". Options are for the browser, as JSON, or "" if the page offers no
	// passkey.
	Kind, Options string
	// Name is the field for the response, and Text the text of the button.
	Name, Text string
}

// relyingParty returns the console as the visitor's browser sees it. ok is false if browsers have no
// passkeys there: at an IP address, and without TLS except on localhost.
func (c *console) relyingParty(r *http.Request) (rp operators.RelyingParty, ok bool) {
	u, err := url.Parse(strings.ToLower(c.origin(r)))
	if err != nil || u.Hostname() == "" {
		return rp, false
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return rp, false
	}
	if u.Scheme != "https" && host != "localhost" && !strings.HasSuffix(host, ".localhost") {
		return rp, false
	}
	return operators.RelyingParty{ID: host, Origin: u.Scheme + "://" + u.Host}, true
}

// passkeyLogin returns the part of a form that logs in by a passkey. It is empty if there are none
// here, and while the database is away.
func (c *console) passkeyLogin(v *visit) passkeyField {
	rp, ok := c.relyingParty(v.r)
	if !ok || !c.Operators.LocalLogin() {
		return passkeyField{}
	}
	options, err := c.Operators.PasskeyLogin(v.r.Context(), rp)
	if err != nil {
		return passkeyField{}
	}
	return passkeyField{Kind: "get", Options: options, Name: "passkey", Text: "passkey.login"}
}

// loginByPasskey begins a session by a passkey, alone or after the password.
func (c *console) loginByPasskey(v *visit) error {
	next := localPath(v.r.PostForm.Get("next"))
	rp, ok := c.relyingParty(v.r)
	if !ok {
		return problem{http.StatusBadRequest, "error.invalid"}
	}
	login, err := c.Operators.LoginByPasskey(v.r.Context(), rp, operators.PasskeyRequest{
		Response: v.r.PostForm.Get("passkey"), Pending: c.cookie(v.r, pendingCookie),
		Address: c.ClientAddress(v.r), UserAgent: v.r.UserAgent(), Device: c.cookie(v.r, deviceCookie),
	})
	page := loginPage{Next: next}
	var refusal *fault.Error
	switch {
	case err == nil:
		c.setCookie(v, pendingCookie, "", -1)
		if err := c.logIn(v, login); err != nil {
			return err
		}
		return v.redirect(next)
	case !errors.As(err, &refusal):
		return err
	case refusal.Code == fault.InvalidArgument:
		page.WrongPasskey, page.Passkey = true, c.passkeyLogin(v)
		return c.renderLogin(v, http.StatusUnauthorized, page)
	case refusal.Code == fault.RateLimited:
		page.Limited, page.WaitSeconds, page.Passkey = limitText(refusal), retryAfter(v, refusal), c.passkeyLogin(v)
		return c.renderLogin(v, http.StatusTooManyRequests, page)
	}
	return err
}

// passkeysPage is the data of passkeys.html.
type passkeysPage struct {
	Path, Back string
	// Possible is true if browsers have passkeys at this address.
	Possible bool
	// Required is true if the operator can do nothing else before.
	Required bool
	// Passkey is the part of the form that makes one. It is empty before the operator has begun.
	Passkey passkeyField
	Name    string
	// Wrong is the text that explains what was refused, or "".
	Wrong string
}

func (c *console) passkeysPage(v *visit) passkeysPage {
	_, possible := c.relyingParty(v.r)
	return passkeysPage{Path: passkeysPath, Back: accountPath, Possible: possible, Required: c.mustEnrol(v)}
}

func (c *console) showPasskeys(v *visit) error { return c.show(v, "passkeys", c.passkeysPage(v)) }

// startPasskey responds with the form that makes a passkey.
func (c *console) startPasskey(v *visit) error {
	return c.renderPasskeyForm(v, http.StatusOK, c.passkeysPage(v))
}

func (c *console) renderPasskeyForm(v *visit, status int, p passkeysPage) error {
	if rp, ok := c.relyingParty(v.r); ok {
		options, err := c.Operators.PasskeyRegistration(v.r.Context(), rp, v.operator, v.session)
		if err != nil {
			return err
		}
		p.Passkey = passkeyField{Kind: "create", Options: options, Name: "passkey", Text: "passkey.make"}
	}
	return c.render(v, status, "passkeys", p)
}

// addPasskey stores a passkey. That the visitor has confirmed its identity follows from the
// challenge, which only startPasskey hands out.
func (c *console) addPasskey(v *visit) error {
	p := c.passkeysPage(v)
	p.Name = strings.TrimSpace(v.r.PostFormValue("name"))
	rp, ok := c.relyingParty(v.r)
	if !ok {
		return c.render(v, http.StatusUnprocessableEntity, "passkeys", p)
	}
	in := operators.NewPasskey{Name: p.Name, Response: v.r.PostFormValue("passkey")}
	required := c.mustEnrol(v)
	codes, err := c.Operators.AddPasskey(v.r.Context(), rp, v.operator, v.session, in, c.actor(v))
	var refusal *fault.Error
	if errors.As(err, &refusal) && refusal.Code == fault.InvalidArgument {
		// The page has no form for another try: that needs a new confirmation.
		for field, text := range faultsOf(v, refusal) {
			if p.Wrong = text.Key; field == "passkey" && p.Wrong == "wrong.other" {
				p.Wrong = "wrong.passkey.wrong"
			}
		}
		return c.render(v, http.StatusUnprocessableEntity, "passkeys", p)
	}
	if err != nil {
		return err
	}
	return c.enrolled(v, "passkey.done", codes, required)
}

// askRemovePasskey shows the passkey of the query, with a form that removes it.
func (c *console) askRemovePasskey(v *visit) error {
	p := factorQuestionPage{factorQuestion: factorQuestion{"passkey-remove", true}, Path: v.r.URL.EscapedPath(), Back: accountPath, NeedsPasskey: true}
	var err error
	if p.Passkey, err = c.passkey(v, v.r.URL.Query().Get("passkey")); err != nil {
		return err
	}
	return c.show(v, "second_factor_ask", p)
}

// passkey returns the visitor's passkey with this ID, or nil if there is none.
func (c *console) passkey(v *visit, id string) (*models.OperatorPasskey, error) {
	factors, err := c.Operators.Factors(v.r.Context(), v.operator)
	if err != nil {
		return nil, err
	}
	for _, passkey := range factors.Passkeys {
		if strconv.FormatInt(passkey.ID, 10) == id {
			return passkey, nil
		}
	}
	return nil, nil
}

func (c *console) removePasskey(v *visit) error {
	id, err := strconv.ParseInt(v.r.PostFormValue("passkey"), 10, 64)
	if err != nil {
		return problem{http.StatusBadRequest, "error.invalid"}
	}
	removed, err := c.Operators.RemovePasskey(v.r.Context(), v.operator, id, c.actor(v))
	if err != nil {
		return err
	}
	if !removed {
		return c.toAccount(v, "passkey.gone")
	}
	return c.toAccount(v, "passkey.removed")
}

// passkeyConfirmation returns the part of the form of confirm.html that asks for a passkey. It is
// empty if the visitor has none.
func (c *console) passkeyConfirmation(v *visit) (passkeyField, error) {
	rp, ok := c.relyingParty(v.r)
	if !ok || !v.operator.HasSecondFactor {
		return passkeyField{}, nil
	}
	factors, err := c.Operators.Factors(v.r.Context(), v.operator)
	if err != nil || len(factors.Passkeys) == 0 {
		return passkeyField{}, err
	}
	options, err := c.Operators.PasskeyConfirmation(v.r.Context(), rp, v.session)
	return passkeyField{Kind: "get", Options: options, Name: confirmPasskey, Text: "passkey.confirm"}, err
}

// proof confirms the visitor's identity by what the form of confirm.html has sent.
func (c *console) proof(v *visit, form url.Values) error {
	response := form.Get(confirmPasskey)
	rp, ok := c.relyingParty(v.r)
	if response == "" || !ok {
		return c.Operators.Confirm(v.r.Context(), v.operator, v.session, form.Get(confirmField), c.actor(v))
	}
	return c.Operators.ConfirmByPasskey(v.r.Context(), rp, v.operator, v.session, response, c.actor(v))
}

// passkeyRow is a passkey in the list on the account page.
type passkeyRow struct {
	*models.OperatorPasskey
	RemovePath string
}

// PasskeyRows returns the visitor's passkeys.
func (p factorsPart) PasskeyRows() []passkeyRow {
	rows := make([]passkeyRow, len(p.Passkeys))
	for i, passkey := range p.Passkeys {
		rows[i] = passkeyRow{passkey, passkeysPath + "/remove?passkey=" + strconv.FormatInt(passkey.ID, 10)}
	}
	return rows
}
