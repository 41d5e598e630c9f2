package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"rollcall/internal/apps"
	"rollcall/internal/page"
	"rollcall/internal/users"
	"rollcall/models"
)

// The choices of a length that are not in banLengths: one that the operator enters, and a ban that
// lasts until it is lifted.
const (
	ownLength       = "own"
	permanentLength = "permanent"
)

// banLength is a length to choose.
type banLength struct {
	Minutes int
	// Unit and Amount are used in the text.
	Unit   string
	Amount int
}

var banLengths = []banLength{
	{60, "hours", 1},
	{3 * 60, "hours", 3},
	{24 * 60, "days", 1},
	{7 * 24 * 60, "days", 7},
	{30 * 24 * 60, "days", 30},
}

// banUnits are the units of a length that the operator enters.
var banUnits = []string{"minutes", "hours", "days"}

var unitMinutes = map[string]int{"minutes": 1, "hours": 60, "days": 24 * 60}

// banForm has the length and the reason of a ban.
type banForm struct {
	Length, Amount, Unit, Reason string
	// Prefilled is the reason that the form began with. A preset that is chosen replaces it.
	Prefilled string
	// Presets are those of the app.
	Presets []banPreset
	Errors  faults
}

// banPreset is a length with a reason to choose, which the app defines. Its value in the form is its
// line in the settings, with presetPrefix, so that a form remains right if the presets are changed.
type banPreset struct{ apps.BanPreset }

const presetPrefix = "preset "

// Value returns the value in the form.
func (p banPreset) Value() string { return presetPrefix + p.String() }

// Length returns the length, or nil if the ban is permanent.
func (p banPreset) Length() *banLength {
	if p.Permanent {
		return nil
	}
	return lengthOf(int(p.BanPreset.Length / time.Minute))
}

// lengthOf returns a number of minutes in the largest unit in which it is a whole number.
func lengthOf(minutes int) *banLength {
	length := &banLength{minutes, "minutes", minutes}
	for _, unit := range banUnits {
		if minutes%unitMinutes[unit] == 0 {
			length.Unit, length.Amount = unit, minutes/unitMinutes[unit]
		}
	}
	return length
}

func banPresets(app *models.App) []banPreset {
	var presets []banPreset
	for _, p := range apps.BanPresets(app) {
		presets = append(presets, banPreset{p})
	}
	return presets
}

// Lengths returns the lengths to choose from.
func (banForm) Lengths() []banLength { return banLengths }

// Units returns the units to choose from.
func (banForm) Units() []string { return banUnits }

// banPage is the data of user_ban.html.
type banPage struct {
	*userPage
	Form banForm
	// Version is the ban that the form replaces; see users.BanVersion.
	Version string
	// Changed is the ban in force that another operator or App Server has imposed since the form was
	// loaded, or nil.
	Changed *banRow
	// Lifted is true if the ban was lifted or expired since then.
	Lifted bool
}

// Action returns what the form does: ban the user, or change its ban.
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
	page := banPage{userPage: p, Form: newBan(v.app), Version: c.banVersion(p)}
	if page.Action() == changeBan && p.User.BanReason != nil {
		page.Form.Reason = *p.User.BanReason // a changed ban keeps its reason unless the operator edits it
		page.Form.Prefilled = page.Form.Reason
	}
	return c.show(v, "user_ban", page)
}

func (c *console) ban(v *visit) error {
	p, err := c.userPage(v)
	if err != nil {
		return err
	}
	form, sentence := readBan(v.r, v.app)
	page := banPage{userPage: p, Form: form, Version: v.r.PostFormValue("version")}
	if len(form.Errors) > 0 {
		return c.render(v, http.StatusUnprocessableEntity, "user_ban", page)
	}
	sentence.Version = page.Version
	result, err := single(c.Users.Ban(v.r.Context(), p.App.App, p.ids(), sentence, c.actor(v)))
	if err != nil {
		return err
	}
	if users.IsStale(result.Error) {
		return c.askBanAgain(v, form)
	}
	return c.showResult(v, page.Action(), p, result)
}

// banVersion returns the version of the user's ban on the page.
func (c *console) banVersion(p *userPage) string {
	return users.BanVersion(p.User.User, models.TimeOf(c.Clock()))
}

// askBanAgain shows the form again with what has changed since it was loaded. The next submission
// replaces that.
func (c *console) askBanAgain(v *visit, form banForm) error {
	p, err := c.userPage(v)
	if err != nil {
		return err
	}
	again := banPage{userPage: p, Form: form, Version: c.banVersion(p), Lifted: p.User.State != models.UserBanned}
	if !again.Lifted {
		h, _, err := c.banHistory(v, p.User, page.Request{First: 1})
		if err != nil {
			return err
		}
		if len(h.Bans) > 0 {
			again.Changed = &h.Bans[0]
		}
	}
	return c.render(v, http.StatusConflict, "user_ban", again)
}

// newBan returns the form before anything is filled in.
func newBan(app *models.App) banForm {
	return banForm{Length: strconv.Itoa(banLengths[2].Minutes), Unit: "days", Presets: banPresets(app)}
}

// readBan reads the form and records what is wrong with it.
func readBan(r *http.Request, app *models.App) (form banForm, sentence users.Sentence) {
	form = banForm{
		Length:  r.PostFormValue("length"),
		Amount:  strings.TrimSpace(r.PostFormValue("amount")),
		Unit:    r.PostFormValue("unit"),
		Reason:  strings.TrimSpace(r.PostFormValue("reason")),
		Presets: banPresets(app),
		Errors:  faults{},

		Prefilled: strings.TrimSpace(r.PostFormValue("prefilled")),
	}
	var minutes int
	chosen := slices.IndexFunc(form.Presets, func(p banPreset) bool { return p.Value() == form.Length })
	permanent := form.Length == permanentLength
	switch {
	case chosen >= 0:
		preset := form.Presets[chosen]
		minutes, permanent = int(preset.BanPreset.Length/time.Minute), preset.Permanent
		if form.Reason == "" || form.Reason == form.Prefilled && preset.Reason != "" {
			form.Reason = preset.Reason
		}
		if form.Amount != "" {
			form.Errors.set("amount", "ban.amount.unchosen")
		}
	case form.Length == ownLength:
		amount, err := strconv.ParseUint(form.Amount, 10, 16) // more is too long in every unit
		unit := unitMinutes[form.Unit]
		minutes = int(amount) * unit
		if length := (users.Sentence{Length: time.Duration(minutes) * time.Minute}); err != nil || length.Validate() != nil {
			form.Errors.set("amount", "ban.amount.wrong")
		}
	default:
		minutes, _ = strconv.Atoi(form.Length)
		switch {
		case !permanent && !slices.ContainsFunc(banLengths, func(l banLength) bool { return l.Minutes == minutes }):
			form.Errors.set("length", "ban.length.wrong")
		case form.Amount != "":
			// A length that was entered but is not chosen is an error: it must not be ignored.
			form.Errors.set("amount", "ban.amount.unchosen")
		}
	}
	sentence = users.Sentence{
		Length: time.Duration(minutes) * time.Minute, Permanent: permanent, Reason: form.reason(),
	}
	// With a length that is allowed, because the form shows the errors of both fields.
	if reason := (users.Sentence{Length: time.Hour, Reason: sentence.Reason}); !utf8.ValidString(form.Reason) || reason.Validate() != nil {
		form.Errors.set("reason", "ban.reason.wrong")
	}
	return form, sentence
}

// reason returns the ban's reason, or nil if none is given.
func (f banForm) reason() *string {
	if f.Reason == "" {
		return nil
	}
	return &f.Reason
}
