package console

// secretPage is what rotate_secret.html shows.
type secretPage struct {
	App  appRow
	Path string
	// Back leads to the app's settings.
	Back string
	// Secret is "" until it has been made.
	Secret string
}

// askRotateSecret says what a new secret will end.
func (c *console) askRotateSecret(v *visit) error {
	app, err := c.app(v)
	if err != nil {
		return err
	}
	return c.show(v, "rotate_secret", secretPage{App: c.appRow(v, app), Path: v.r.URL.EscapedPath(), Back: settingsPath(app)})
}

// rotateSecret answers with the new secret itself, without a redirect: it stands
// on this one answer, which nothing keeps, and nowhere else.
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
	return c.show(v, "rotate_secret", secretPage{App: c.appRow(v, app), Back: settingsPath(app), Secret: secret})
}
