package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"rollcall/internal/users"
	"rollcall/internal/validate"
)

// maxBanReason is how many characters a ban's reason may have, as in the API.
const maxBanReason = 255

// ownLength is the choice of a length that is not among banLengths.
const ownLength = "own"

// banLength is a length to choose.
type banLength struct {
	Minutes int
	// Unit and Amount are how it is said.
	Unit   string
	Amount int
}

var banLengths = []banLength{
	{10, "minutes", 10},
	{60, "hours", 1},
	{24 * 60, "days", 1},
	{7 * 24 * 60, "days", 7},
	{30 * 24 * 60, "days", 30},
}

// banUnits are the units of an own length.
var banUnits = []string{"minutes", "hours", "days"}

var unitMinutes = map[string]int{"minutes": 1, "hours": 60, "days": 24 * 60}

// banForm is what is asked for: how long, and why.
type banForm struct {
	Length, Amount, Unit, Reason string
	// Errors has the text for each field that is not as it should be.
	Errors map[string]string
}

// Lengths are the choices.
func (banForm) Lengths() []banLength { return banLengths }

// Units are those of an own length.
func (banForm) Units() []string { return banUnits }

// banPage is what user_ban.html shows.
type banPage struct {
	*userPage
	Form banForm
}

// Action is what the form does to the user as it is.
func (p banPage) Action() *userAction {
	if changeBan.fits(p.userPage) {
		return changeBan
	}
	return banUser
}

func (c *console) askBan(v *visit) error {
	p, err := c.userPage(v)
	if err != nil {
		return err
	}
	page := banPage{p, newBan()}
	if page.Action() == changeBan && p.User.BanReason != nil {
		page.Form.Reason = *p.User.BanReason // whoever changes the end keeps the reason
	}
	return c.show(v, "user_ban", page)
}

func (c *console) ban(v *visit) error {
	p, err := c.userPage(v)
	if err != nil {
		return err
	}
	form, length := readBan(v.r)
	page := banPage{p, form}
	if len(form.Errors) > 0 {
		return c.render(v, http.StatusUnprocessableEntity, "user_ban", page)
	}
	result, err := single(c.Users.Ban(v.r.Context(), p.App.App, p.ids(), length, form.reason(), c.actor(v)))
	if err != nil {
		return err
	}
	return c.answerAction(v, page.Action(), p, result)
}

// newBan is the form before anything is filled in.
func newBan() banForm {
	return banForm{Length: strconv.Itoa(banLengths[2].Minutes), Unit: "days"}
}

// readBan reads the form and notes what is wrong with it.
func readBan(r *http.Request) (form banForm, length time.Duration) {
	form = banForm{
		Length: r.PostFormValue("length"),
		Amount: strings.TrimSpace(r.PostFormValue("amount")),
		Unit:   r.PostFormValue("unit"),
		Reason: strings.TrimSpace(r.PostFormValue("reason")),
		Errors: map[string]string{},
	}
	var minutes int
	if form.Length == ownLength {
		amount, err := strconv.Atoi(form.Amount)
		unit := unitMinutes[form.Unit]
		if err != nil || unit == 0 || amount < 1 || amount > users.MaxBanMinutes/unit {
			form.Errors["amount"] = "ban.amount.wrong"
		}
		minutes = amount * unit
	} else {
		minutes, _ = strconv.Atoi(form.Length)
		switch {
		case !slices.ContainsFunc(banLengths, func(l banLength) bool { return l.Minutes == minutes }):
			form.Errors["length"] = "ban.length.wrong"
		case form.Amount != "":
			// Whoever fills it in means it: nobody is banned for another length.
			form.Errors["amount"] = "ban.amount.unchosen"
		}
	}
	if !utf8.ValidString(form.Reason) || utf8.RuneCountInString(form.Reason) > maxBanReason ||
		validate.HasControl(form.Reason) {
		form.Errors["reason"] = "ban.reason.wrong"
	}
	return form, time.Duration(minutes) * time.Minute
}

// reason is the ban's reason, nil where none is given.
func (f banForm) reason() *string {
	if f.Reason == "" {
		return nil
	}
	return &f.Reason
}
