package console

import (
	"errors"
	"maps"
	"net/http"
	"slices"

	"rollcall/internal/fault"
	"rollcall/internal/operators"
)

// confirmField is the field for the password or the code in the form of confirm.html. No other form
// has a field of that name.
const confirmField = "present-password"

// confirmPage is the data of confirm.html. It asks for the password, or for a code if the operator
// has a second factor, in a form that contains all fields of the form that was sent, and sends them
// again.
type confirmPage struct {
	Path, Back string
	Fields     []formField
	// ByCode is true if the page asks for a code. Passkey is the part that asks for a passkey.
	ByCode  bool
	Passkey passkeyField
	// Wrong is true if the password, the code or the passkey was wrong, WrongPasskey if it was the
	// passkey.
	Wrong, WrongPasskey bool
	// WaitSeconds is how long to wait after too many wrong ones, or 0 if there were not too many.
	WaitSeconds int
}

// formField is a field that the form sends again.
type formField struct{ Name, Value string }

// Field returns the name of the field for the password or the code.
func (confirmPage) Field() string { return confirmField }

// Minutes returns for how long a confirmation is valid.
func (confirmPage) Minutes() int { return int(operators.ConfirmationLifetime.Minutes()) }

// confirm reports whether the visitor has confirmed its identity recently, in an earlier form or in
// this one. Otherwise it responds with a page that asks for it and then does what this form asked
// for. A session alone, such as an open browser, is not enough to take over an account
// or an app.
func (c *console) confirm(v *visit) (confirmed bool, err error) {
	if c.Operators.Confirmed(v.session) {
		return true, nil
	}
	if err := v.r.ParseForm(); err != nil {
		return false, problem{http.StatusBadRequest, "error.invalid"}
	}
	form := v.r.PostForm
	p := confirmPage{Path: v.r.URL.RequestURI(), Back: v.r.URL.EscapedPath(), ByCode: v.operator.HasSecondFactor}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[name] {
			if name != confirmField && name != onceField && name != confirmPasskey {
				p.Fields = append(p.Fields, formField{name, value})
			}
		}
	}
	if v.operator.BySSO() {
		return false, c.waitForSSO(v, keptForm{Path: p.Path, Back: p.Back, Fields: p.Fields})
	}
	if p.Passkey, err = c.passkeyConfirmation(v); err != nil {
		return false, err
	}
	if !form.Has(confirmField) {
		return false, c.render(v, http.StatusForbidden, "confirm", p)
	}
	err = c.proof(v, form)
	var refusal *fault.Error
	switch {
	case err == nil:
		return true, nil
	case !errors.As(err, &refusal):
		return false, err
	case refusal.Code == fault.InvalidArgument:
		field, _ := refusal.Extensions["field"].(string)
		p.Wrong, p.WrongPasskey = true, field == "passkey"
		return false, c.render(v, http.StatusUnprocessableEntity, "confirm", p)
	case refusal.Code == fault.RateLimited:
		p.WaitSeconds = retryAfter(v, refusal)
		return false, c.render(v, http.StatusTooManyRequests, "confirm", p)
	case refusal.Code == fault.Unauthenticated:
		return false, errLoggedOut
	}
	return false, err
}
