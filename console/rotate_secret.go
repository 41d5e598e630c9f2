package console

// secretPage is the data of app_secret.html: a secret that was just made. It appears in this
// response only and is not stored in plain text.
type secretPage struct {
	App appRow
	// Title is the text that explains why there is a secret.
	Title, Secret string
	// NextPath is where the page's link leads, and Next its text.
	NextPath, Next string
}

// rotatePage is the data of rotate_secret.html.
type rotatePage struct {
	App        appRow
	Path, Back string
}

// askRotateSecret shows what a new secret will end.
func (c *console) askRotateSecret(v *visit) error {
	app, err := c.app(v)
	if err != nil {
		return err
	}
	return c.show(v, "rotate_secret", rotatePage{App: c.appRow(v, app), Path: v.r.URL.EscapedPath(), Back: settingsPath(app)})
}

// rotateSecret responds with the new secret itself, without a redirect.
func (c *console) rotateSecret(v *visit) error {
	app, err := c.app(v)
	if err != nil {
		return err
	}
	app, secret, err := c.Apps.RotateSecret(v.r.Context(), app.Key, 0, c.actor(v))
	if err != nil {
		return err
	}
	if app == nil {
		return c.notFound(v)
	}
	return c.show(v, "app_secret", secretPage{
		App: c.appRow(v, app), Title: "secret.done", Secret: secret, NextPath: settingsPath(app), Next: "secret.back",
	})
}
