package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/apps"
	"rollcall/models"
)

// secretPage is the data of app_secret.html: a secret that was just made; see reveal.
type secretPage struct {
	App appRow
	// Title is the text that explains why there is a secret.
	Title, Secret string
	// PreviousEnds is when the secret before it ends, or nil if it has ended.
	PreviousEnds *models.Time
	// NextPath is where the page's link leads, and Next its text.
	NextPath, Next string
}

// secretApp returns what a page with a secret shows of an app.
func secretApp(app *models.App) appRow {
	return appRow{App: &models.App{Key: app.Key, Name: app.Name, Environment: app.Environment}}
}

// rotatePage is the data of rotate_secret.html.
type rotatePage struct {
	question
	App appRow
	// PreviousEnds is when the previous secret ends, or nil if it has ended.
	PreviousEnds *models.Time
	Form         overlapForm
}

// overlapForm has how long the present secret stays valid.
type overlapForm struct {
	Overlap, Amount, Unit string
	Errors                faults
}

// overlaps are the times to choose from, besides none.
var overlaps = []banLength{
	{60, "hours", 1},
	{24 * 60, "hours", 24},
	{7 * 24 * 60, "days", 7},
}

// noOverlap is the choice that the present secret ends at once.
const noOverlap = "0"

// Overlaps returns the times to choose from.
func (overlapForm) Overlaps() []banLength { return overlaps }

// Units returns the units to choose from.
func (overlapForm) Units() []string { return banUnits }

// readOverlap reads the form and records what is wrong with it.
func readOverlap(r *http.Request) (form overlapForm, overlap time.Duration) {
	form = overlapForm{
		Overlap: r.PostFormValue("overlap"),
		Amount:  strings.TrimSpace(r.PostFormValue("amount")),
		Unit:    r.PostFormValue("unit"),
		Errors:  faults{},
	}
	minutes, _ := strconv.Atoi(form.Overlap)
	switch known := slices.ContainsFunc(overlaps, func(l banLength) bool { return l.Minutes == minutes }); {
	case form.Overlap == ownLength:
		amount, err := strconv.ParseUint(form.Amount, 10, 16) // more is too long in every unit
		minutes = int(amount) * unitMinutes[form.Unit]
		if err != nil || minutes == 0 || time.Duration(minutes)*time.Minute > apps.MaxOverlap {
			form.Errors.set("amount", "secret.amount.wrong")
		}
	case form.Overlap != noOverlap && !known:
		form.Errors.set("overlap", "secret.overlap.wrong")
	case form.Amount != "":
		// A time that was entered but is not chosen is an error: it must not be ignored.
		form.Errors.set("amount", "ban.amount.unchosen")
	}
	return form, time.Duration(minutes) * time.Minute
}

// rotatePage returns the page with that form.
func (c *console) rotatePage(v *visit, app *models.App, form overlapForm) rotatePage {
	return rotatePage{
		question: question{Path: v.r.URL.EscapedPath(), Back: settingsPath(app), Fits: true, Danger: true},
		App:      c.appRow(v, app), PreviousEnds: c.previousEnds(app), Form: form,
	}
}

// previousEnds returns when the app's previous secret ends, or nil if it has ended.
func (c *console) previousEnds(app *models.App) *models.Time {
	if app.PreviousSecretEndsAt <= models.TimeOf(c.Clock()) {
		return nil
	}
	return &app.PreviousSecretEndsAt
}

// askRotateSecret shows what a new secret will end, and asks when.
func (c *console) askRotateSecret(v *visit) error {
	app := v.app
	return c.show(v, "rotate_secret", c.rotatePage(v, app, overlapForm{Overlap: noOverlap, Unit: "hours"}))
}

// rotateSecret makes a new secret and reveals it.
func (c *console) rotateSecret(v *visit) error {
	app := v.app
	form, overlap := readOverlap(v.r)
	if len(form.Errors) > 0 {
		return c.render(v, http.StatusUnprocessableEntity, "rotate_secret", c.rotatePage(v, app, form))
	}
	app, secret, err := c.Apps.RotateSecret(v.r.Context(), app.Key, overlap, c.actor(v))
	if err != nil {
		return err
	}
	if app == nil {
		return c.notFound(v)
	}
	return c.reveal(v, "app_secret", secretPage{
		App: secretApp(app), Title: "secret.done", Secret: secret, PreviousEnds: c.previousEnds(app), NextPath: settingsPath(app), Next: "secret.back",
	})
}
