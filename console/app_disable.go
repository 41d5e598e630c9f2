package console

import (
	"net/http"
	"strings"

	"rollcall/models"
)

// appQuestion is the data of app_disable.html and app_enable.html, and part of that of
// app_delete.html.
type appQuestion struct {
	question
	App appRow
	// Typed is what was typed as the name of the app.
	Typed  string
	Errors faults
}

// appQuestion returns a question about the app. fits is true if there is something to do.
func (c *console) appQuestion(v *visit, fits, danger bool) appQuestion {
	return appQuestion{
		question: question{Path: v.r.URL.EscapedPath(), Back: settingsPath(v.app), Fits: fits, Danger: danger},
		App:      c.appRow(v, v.app),
	}
}

// readName reads the typed name of the app, and reports whether it is right.
func (q *appQuestion) readName(v *visit) bool {
	q.Typed = strings.TrimSpace(v.r.PostFormValue("name"))
	if q.Typed == strings.TrimSpace(q.App.Name) {
		return true
	}
	q.Errors = faultOf("name", "app.type.wrong")
	return false
}

// askDisableApp shows what it means to disable the app.
func (c *console) askDisableApp(v *visit) error {
	return c.show(v, "app_disable", c.appQuestion(v, !v.app.Disabled(), true))
}

// disableApp disables the app if its name was typed.
func (c *console) disableApp(v *visit) error {
	q := c.appQuestion(v, !v.app.Disabled(), true)
	if !q.readName(v) && q.Fits {
		return c.render(v, http.StatusUnprocessableEntity, "app_disable", q)
	}
	app, changed, err := c.Apps.Disable(v.r.Context(), v.app.Key, c.actor(v))
	return c.showAppState(v, app, "disable", changed, err)
}

// askEnableApp shows what it means to enable the app.
func (c *console) askEnableApp(v *visit) error {
	return c.show(v, "app_enable", c.appQuestion(v, v.app.Disabled(), false))
}

// enableApp enables the app.
func (c *console) enableApp(v *visit) error {
	app, changed, err := c.Apps.Enable(v.r.Context(), v.app.Key, c.actor(v))
	return c.showAppState(v, app, "enable", changed, err)
}

// showAppState redirects to the settings, which show what was done to the app.
func (c *console) showAppState(v *visit, app *models.App, what string, changed bool, err error) error {
	if err != nil {
		return err
	}
	if app == nil {
		return c.notFound(v)
	}
	text := "app." + what + ".already"
	if changed {
		text = "app." + what + ".done"
	}
	if err := c.setFlash(v, text, app.Name); err != nil {
		return err
	}
	return v.redirect(settingsPath(app))
}
