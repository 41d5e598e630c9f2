package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/fault"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

// endpointAction is something an operator does to an endpoint: a page that asks for confirmation, and
// a form that does it. The name ends the path and is part of the keys of its texts.
type endpointAction struct {
	Name string
	// Danger marks an action that cannot be undone.
	Danger bool
	// fits reports whether the action would change the endpoint.
	fits func(endpointRow) bool
	do   func(*console, *visit, *models.App, int64) error
}

var (
	enableEndpoint = &endpointAction{
		Name: "enable",
		fits: func(r endpointRow) bool { return !r.Enabled() },
		do: func(c *console, v *visit, app *models.App, id int64) error {
			_, err := c.Webhooks.Enable(v.r.Context(), app, id, c.actor(v))
			return err
		},
	}
	disableEndpoint = &endpointAction{
		Name: "disable",
		fits: endpointRow.Enabled,
		do: func(c *console, v *visit, app *models.App, id int64) error {
			_, err := c.Webhooks.Update(v.r.Context(), app, id, webhooks.EndpointChange{State: models.EndpointDisabled}, c.actor(v))
			return err
		},
	}
	deleteEndpoint = &endpointAction{
		Name:   "delete",
		Danger: true,
		fits:   func(endpointRow) bool { return true },
		do: func(c *console, v *visit, app *models.App, id int64) error {
			_, err := c.Webhooks.Delete(v.r.Context(), app, id, c.actor(v))
			return err
		},
	}
)

// endpointActionPage is the data of webhook_action.html.
type endpointActionPage struct {
	question
	App      appRow
	Action   *endpointAction
	Endpoint endpointRow
}

// askEndpoint returns a handler that shows what the action will do, with a button that does it.
func askEndpoint(a *endpointAction) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		app, e, err := c.endpoint(v)
		if err != nil {
			return err
		}
		rows, err := c.endpointRows(v, app, e)
		if err != nil {
			return err
		}
		return c.show(v, "webhook_action", endpointActionPage{
			question: question{Path: v.r.URL.EscapedPath(), Back: rows[0].Path, Fits: a.fits(rows[0]), Danger: a.Danger},
			App:      c.appRow(v, app), Action: a, Endpoint: rows[0],
		})
	}
}

// actOnEndpoint returns a handler that carries out the action and redirects to the endpoint's page,
// or to the list if there is no endpoint any more.
func actOnEndpoint(a *endpointAction) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		app, e, err := c.endpoint(v)
		if err != nil {
			return err
		}
		row := c.endpointRow(v, app, e)
		text, target := "webhook."+a.Name+".already", row.Path
		if a.fits(row) {
			if err := a.do(c, v, app, e.ID); err != nil {
				return err
			}
			text = "webhook." + a.Name + ".done"
		}
		if a == deleteEndpoint {
			target = webhooksPath(app)
		}
		if err := c.setFlash(v, text, ""); err != nil {
			return err
		}
		return v.redirect(target)
	}
}

// refusedWebhook redirects to the endpoint's page with a message, if an action was refused because
// the endpoint is disabled. It returns other errors.
func (c *console) refusedWebhook(v *visit, app *models.App, e *models.WebhookEndpoint, err error) error {
	refusal, ok := fault.As(err)
	if !ok || refusal.Rule() == nil || *refusal.Rule() != "enabled" {
		return err
	}
	if err := c.setFlash(v, "webhook.refused.disabled", ""); err != nil {
		return err
	}
	return v.redirect(endpointPath(app, e.ID))
}

// endpointSecretPage is the data of webhook_secret.html: a secret that was just made; see reveal.
type endpointSecretPage struct {
	App appRow
	// Title is the text that explains why there is a secret.
	Title, Secret string
	Endpoint      endpointRow
	// PreviousEnds is when the secret before it ends, or nil if it has ended.
	PreviousEnds *models.Time
}

// secretEndpoint returns what a page with a secret shows of an endpoint.
func (c *console) secretEndpoint(v *visit, app *models.App, e *models.WebhookEndpoint) endpointRow {
	row := c.endpointRow(v, app, e)
	return endpointRow{WebhookEndpoint: new(models.WebhookEndpoint), Path: row.Path, ShownURL: row.ShownURL}
}

// rotateEndpointPage is the data of webhook_rotate.html.
type rotateEndpointPage struct {
	question
	App          appRow
	Endpoint     endpointRow
	PreviousEnds *models.Time
	Form         overlapForm
}

func (c *console) rotateEndpointPage(v *visit, app *models.App, e *models.WebhookEndpoint, form overlapForm) rotateEndpointPage {
	row := c.endpointRow(v, app, e)
	return rotateEndpointPage{
		question: question{Path: v.r.URL.EscapedPath(), Back: row.Path, Fits: true, Danger: true},
		App:      c.appRow(v, app), Endpoint: row, PreviousEnds: c.previousSecretEnds(e), Form: form,
	}
}

// askRotateEndpointSecret asks how long the present secret signs beside the new one.
func (c *console) askRotateEndpointSecret(v *visit) error {
	app, e, err := c.endpoint(v)
	if err != nil {
		return err
	}
	return c.show(v, "webhook_rotate", c.rotateEndpointPage(v, app, e, overlapForm{Overlap: strconv.Itoa(24 * 60), Unit: "hours"}))
}

// rotateEndpointSecret makes a new secret and reveals it.
func (c *console) rotateEndpointSecret(v *visit) error {
	app, e, err := c.endpoint(v)
	if err != nil {
		return err
	}
	form, overlap := readOverlap(v.r)
	if len(form.Errors) > 0 {
		return c.render(v, http.StatusUnprocessableEntity, "webhook_rotate", c.rotateEndpointPage(v, app, e, form))
	}
	e, secret, err := c.Webhooks.RotateSecret(v.r.Context(), app, e.ID, overlap, c.actor(v))
	if err != nil {
		return err
	}
	return c.reveal(v, "webhook_secret", endpointSecretPage{
		App: secretApp(app), Title: "webhook.rotate.done", Secret: secret, Endpoint: c.secretEndpoint(v, app, e), PreviousEnds: c.previousSecretEnds(e),
	})
}

// sinceForm has how old the events are whose failed deliveries are sent again.
type sinceForm struct {
	Since, Amount, Unit string
	Errors              faults
}

// sinces are the times to choose from. The last is as long as failed deliveries are kept.
var sinces = []banLength{
	{60, "hours", 1},
	{24 * 60, "hours", 24},
	{7 * 24 * 60, "days", 7},
	{30 * 24 * 60, "days", 30},
}

// Sinces returns the times to choose from.
func (sinceForm) Sinces() []banLength { return sinces }

// Units returns the units to choose from.
func (sinceForm) Units() []string { return banUnits }

// readSince reads the form and records what is wrong with it.
func readSince(r *http.Request) (form sinceForm, since time.Duration) {
	form = sinceForm{
		Since: r.PostFormValue("since"), Amount: strings.TrimSpace(r.PostFormValue("amount")), Unit: r.PostFormValue("unit"),
		Errors: faults{},
	}
	minutes, _ := strconv.Atoi(form.Since)
	switch known := slices.ContainsFunc(sinces, func(l banLength) bool { return l.Minutes == minutes }); {
	case form.Since == ownLength:
		amount, err := strconv.ParseUint(form.Amount, 10, 16)
		minutes = int(amount) * unitMinutes[form.Unit]
		if err != nil || minutes == 0 || minutes > sinces[len(sinces)-1].Minutes {
			form.Errors.set("amount", "webhook.since.amount.wrong")
		}
	case !known:
		form.Errors.set("since", "wrong.choice")
	case form.Amount != "":
		// A time that was entered but is not chosen is an error: it must not be ignored.
		form.Errors.set("amount", "ban.amount.unchosen")
	}
	return form, time.Duration(minutes) * time.Minute
}
