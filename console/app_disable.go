package console

import (
	"net/http"
	"strings"

	"rollcall/models"
)

// disablePage is the data of app_disable.html, which disables or enables an app.
type disablePage struct {
	App   appRow
	Back  string
	Typed typedName
}

// typedName is a field in which the name of the app must be typed to confirm.
type typedName struct {
	App *models.App
	// Typed is what was typed, and Wrong is true if it is not the app's name.
	Typed string
	Wrong bool
}

// readTypedName reads the field from a form.
func readTypedName(v *visit) typedName {
	typed := strings.TrimSpace(v.r.PostFormValue("name"))
	return typedName{App: v.app, Typed: typed, Wrong: typed != strings.TrimSpace(v.app.Name)}
}

func (c *console) disablePage(v *visit, typed typedName) disablePage {
	return disablePage{App: c.appRow(v, v.app), Back: settingsPath(v.app), Typed: typed}
}

// askDisableApp shows what it means to disable the app, or to enable one that is disabled.
func (c *console) askDisableApp(v *visit) error {
	return c.show(v, "app_disable", c.disablePage(v, typedName{App: v.app}))
}

// disableApp disables the app if its name was typed.
func (c *console) disableApp(v *visit) error {
	if typed := readTypedName(v); typed.Wrong && !v.app.Disabled() {
		return c.render(v, http.StatusUnprocessableEntity, "app_disable", c.disablePage(v, typed))
	}
	app, changed, err := c.Apps.Disable(v.r.Context(), v.app.Key, c.actor(v))
	return c.showAppState(v, app, "disable", changed, err)
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
