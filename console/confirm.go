package console

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/database"
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
	actionToConfirm
	// ByCode is true if the page asks for a code. Passkey is the part that asks for a passkey.
	ByCode  bool
	Passkey passkeyField
	// Wrong is true if the password, the code or the passkey was wrong, WrongPasskey if it was the
	// passkey.
	Wrong, WrongPasskey bool
	// WaitSeconds is how long to wait after too many wrong ones, or 0 if there were not too many.
	WaitSeconds int
}

// actionToConfirm names what a form does that needs a confirmation.
type actionToConfirm struct {
	// Action is the key of its name. App is the name of its app, and Subject what else it is about;
	// each may be "".
	Action, App, Subject string
}

// actionNames are the keys of the names of all routes with access.confirm, by their patterns.
var actionNames = map[string]string{
	"POST /console/apps/{key}/users/{id}/deactivate":             "action.deactivate.title",
	"POST /console/apps/{key}/users/{id}/delete":                 "delete.title",
	"POST /console/apps/{key}/bulk/deactivate":                   "bulk.deactivate.title",
	"POST /console/apps/{key}/bulk/delete":                       "bulk.delete.title",
	"POST /console/apps/{key}/clear":                             "clear.open",
	"POST /console/apps/{key}/rotate-secret":                     "secret.open",
	"POST /console/apps/{key}/disable":                           "app.disable.open",
	"POST /console/apps/{key}/enable":                            "app.enable.open",
	"POST /console/apps/{key}/delete":                            "app.delete.open",
	"POST /console/apps/{key}/webhooks/new":                      "webhook.create",
	"POST /console/apps/{key}/webhooks/{endpoint}/edit":          "webhook.edit.title",
	"POST /console/apps/{key}/webhooks/{endpoint}/rotate-secret": "secret.open",
	"POST /console/operators/invitations":                        "invite.title",
	"POST /console/operators/{operator}/role":                    "confirm.action.role",
	"POST /console/operators/{operator}/password":                "operator.password.open",
	"POST /console/operators/{operator}/reset-second-factor":     "operator.reset-second-factor.open",
	"POST /console/operators/{operator}/delete":                  "operator.delete.title",
	"POST /console/account/totp":                                 "totp.open",
	"POST /console/account/totp/remove":                          "confirm.action.remove_totp",
	"POST /console/account/passkeys":                             "passkey.open",
	"POST /console/account/passkeys/remove":                      "factor.passkey-remove.confirm",
	"POST /console/account/recovery-codes":                       "confirm.action.recovery",
	"POST /console/account/api-keys/new":                         "api_key.new",
	"POST /console/explorer":                                     "confirm.action.explorer",
}

// actionToConfirm returns what the form that was sent does.
func (c *console) actionToConfirm(v *visit) (actionToConfirm, error) {
	a, form := actionToConfirm{Action: actionNames[v.r.Pattern]}, v.r.PostForm
	if v.app != nil {
		a.App = v.app.Name
	}
	switch {
	case v.r.PathValue("id") != "":
		a.Subject = v.userID()
	case v.r.PathValue("endpoint") != "":
		app, e, err := c.endpoint(v)
		if err != nil {
			return a, err
		}
		a.Subject = c.endpointRow(v, app, e).Named()
	case v.r.PathValue("operator") != "":
		o, err := c.operator(v)
		if err != nil {
			return a, err
		}
		a.Subject = o.Name
	case form.Has("id"):
		return c.aboutUsers(v, a, len(form["id"]))
	case form.Get("count") != "":
		if n, err := strconv.Atoi(strings.ReplaceAll(form.Get("count"), ",", "")); err == nil {
			return c.aboutUsers(v, a, n)
		}
	case form.Has("passkey"):
		passkey, err := c.passkey(v, form.Get("passkey"))
		if err != nil || passkey == nil {
			return a, err
		}
		a.Subject = passkey.Name
	case v.app == nil:
		a.Subject = strings.TrimSpace(form.Get("name")) // of an invitation or an API key
	default:
		a.Subject = form.Get("url")
	}
	return a, nil
}

// aboutUsers returns a with a number of users as its subject.
func (c *console) aboutUsers(v *visit, a actionToConfirm, n int) (actionToConfirm, error) {
	var err error
	a.Subject, err = v.locale.count("users.total", n)
	return a, err
}

// formField is a field that the form sends again.
type formField struct{ Name, Value string }

// Field returns the name of the field for the password or the code.
func (confirmPage) Field() string { return confirmField }

// Minutes returns for how long a confirmation is valid.
func (confirmPage) Minutes() int { return int(operators.ConfirmationLifetime.Minutes()) }

// confirm reports whether the visitor has confirmed its identity recently, in an earlier form or in
// this one. Otherwise it responds with what is wrong with the form, or with a page that asks for the
// confirmation and then does what this form asked for. A session alone, such as an open browser, is
// not enough to take over an account or an app.
func (c *console) confirm(v *visit, handle func(*console, *visit) error) (confirmed bool, err error) {
	if c.Operators.Confirmed(v.session) {
		return true, nil
	}
	form := v.r.PostForm
	if !form.Has(confirmField) {
		if responded, err := c.rehearse(v, handle); responded || err != nil {
			return false, err
		}
	}
	action, err := c.actionToConfirm(v)
	if err != nil {
		return false, err
	}
	p := confirmPage{actionToConfirm: action, Path: v.r.URL.RequestURI(), Back: v.r.URL.EscapedPath(), ByCode: v.operator.HasSecondFactor}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[name] {
			if name != confirmField && name != onceField && name != confirmPasskey {
				p.Fields = append(p.Fields, formField{name, value})
			}
		}
	}
	if v.operator.BySSO() {
		return false, c.waitForSSO(v, keptForm{actionToConfirm: action, Path: p.Path, Back: p.Back, Fields: p.Fields})
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

// rehearse lets a form be handled without committing anything, and reports whether it has responded:
// with what is wrong with the form. A handler that comes to a change, or responds with anything but an
// error, has no effect: the form needs a confirmation first.
func (c *console) rehearse(v *visit, handle func(*console, *visit) error) (responded bool, err error) {
	rehearsal, w, trial := database.Rehearsal(), &heldResponse{head: http.Header{}}, *v
	trial.w, trial.r = w, v.r.Clone(rehearsal.Context(v.r.Context()))
	// Copies, because rules update the rows that they are given.
	trial.operator, trial.session, trial.app = copyOf(v.operator), copyOf(v.session), copyOf(v.app)
	err = handle(c, &trial)
	if rehearsal.Refused() {
		return false, nil
	}
	if err != nil || w.status < http.StatusBadRequest {
		return false, err
	}
	maps.Copy(v.w.Header(), w.head)
	v.w.WriteHeader(w.status)
	_, _ = v.w.Write(w.body.Bytes()) // the browser may have disconnected
	return true, nil
}

func copyOf[T any](row *T) *T {
	if row == nil {
		return nil
	}
	same := *row
	return &same
}

// heldResponse keeps a response until it is known whether to send it.
type heldResponse struct {
	head   http.Header
	status int
	body   bytes.Buffer
}

// Header returns the header of the response.
func (w *heldResponse) Header() http.Header { return w.head }

// WriteHeader keeps the status.
func (w *heldResponse) WriteHeader(status int) { w.status = status }

// Write keeps a part of the body.
func (w *heldResponse) Write(p []byte) (int, error) { return w.body.Write(p) }
