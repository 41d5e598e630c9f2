package console

import (
	"net/http"
	"strings"

	"rollcall/internal/apps"
	"rollcall/models"
)

// newAppPath is the page that creates an app; no app has the key "new".
const newAppPath = Root + "apps/new"

// newAppPage is the data of app_new.html: the values of the form, and what is wrong with them.
type newAppPage struct {
	Path                       string
	Name, Environment, Edition string
	Errors                     faults
}

// Environments returns the environments to choose from.
func (newAppPage) Environments() []models.Environment {
	return []models.Environment{models.EnvironmentDevelopment, models.EnvironmentProduction}
}

// UserLimit returns the initial user limit of an app in edition STANDARD.
func (newAppPage) UserLimit() int { return apps.DefaultUserLimit }

// Editions returns the editions to choose from.
func (newAppPage) Editions() []models.Edition { return editions }

func (c *console) askCreateApp(v *visit) error {
	return c.show(v, "app_new", newAppPage{
		Path: newAppPath, Environment: string(models.EnvironmentDevelopment), Edition: string(models.EditionStandard),
	})
}

// createApp creates an app and reveals its secret.
func (c *console) createApp(v *visit) error {
	p := newAppPage{
		Path: newAppPath, Name: strings.TrimSpace(v.r.PostFormValue("name")),
		Environment: v.r.PostFormValue("environment"), Edition: v.r.PostFormValue("edition"),
	}
	app, secret, err := c.Apps.Create(v.r.Context(), apps.NewApp{
		Name: p.Name, Environment: models.Environment(p.Environment), Edition: models.Edition(p.Edition),
	}, c.actor(v))
	if refusalOf(err) != nil {
		p.Errors = faultsOf(v, err)
		if p.Errors["name"].Key == "wrong.name.unique" { // which is about names of operators
			p.Errors.set("name", "settings.wrong.unique")
		}
		return c.render(v, http.StatusUnprocessableEntity, "app_new", p)
	}
	if err != nil {
		return err
	}
	return c.reveal(v, "app_secret", secretPage{
		App: secretApp(app), Title: "app.made", Secret: secret, NextPath: overviewPath(app), Next: "app.made.next",
	})
}
