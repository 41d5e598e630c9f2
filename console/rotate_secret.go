package console

// secretPage is what app_secret.html shows: a secret that was just made, on this
// one answer, which nothing keeps, and nowhere else.
type secretPage struct {
	App appRow
	// Title is the text that says why there is a secret.
	Title, Secret string
	// NextPath is where to go from here, and Next the text that says so.
	NextPath, Next string
}

// rotatePage is what rotate_secret.html shows.
type rotatePage struct {
	App        appRow
	Path, Back string
}

// askRotateSecret says what a new secret will end.
func (c *console) askRotateSecret(v *visit) error {
	app, err := c.app(v)
	if err != nil {
		return err
	}
	return c.show(v, "rotate_secret", rotatePage{App: c.appRow(v, app), Path: v.r.URL.EscapedPath(), Back: settingsPath(app)})
}

// rotateSecret answers with the new secret itself, without a redirect.
func (c *console) rotateSecret(v *visit) error {
	app, err := c.app(v)
	if err != nil {
		return err
	}
	app, secret, err := c.Apps.RotateSecret(v.r.Context(), app.Key, c.actor(v))
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
