package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/webhooks"
	"rollcall/models"
)

// deliveriesPerPage is the number of deliveries on a page.
const deliveriesPerPage = 20

// deliveryRow is a delivery on a page.
type deliveryRow struct {
	*webhooks.Sent
	Path string
	// UserPath is the page of the event's user, or "" if it has none.
	UserPath string
	// Next is the time of the next attempt if the delivery is pending. It is not earlier than the end
	// of the endpoint's pause after failures.
	Next models.Time
}

// Attempted reports whether an attempt has ended, also before the delivery was replayed.
func (r deliveryRow) Attempted() bool {
	return r.Attempts > 0 || r.LastStatus != 0 || r.LastError != nil && !r.Own().Disabled
}

// Own returns why there was no response, if the reason is not one of the receiver or the network.
func (r deliveryRow) Own() deliveryProblem { return deliveryProblem{webhooks.ProblemOf(&r.Delivery)} }

// deliveryProblem is a reason that pages have a text for.
type deliveryProblem struct{ webhooks.Problem }

// Seconds formats the time-out.
func (p deliveryProblem) Seconds() string {
	return strconv.FormatFloat(p.Timeout.Seconds(), 'f', -1, 64)
}

// Problem returns the beginning of the last response, or why there was none.
func (r deliveryRow) Problem() string {
	if r.LastError == nil {
		return ""
	}
	return *r.LastError
}

// Pending reports whether there is a further attempt.
func (r deliveryRow) Pending() bool { return r.State == models.DeliveryPending }

func deliveryRowOf(app *models.App, e *models.WebhookEndpoint, d *webhooks.Sent) deliveryRow {
	row := deliveryRow{Sent: d, Next: max(d.NextAttemptAt, e.ResumeAt), Path: endpointPath(app, d.EndpointID) + "/deliveries/" + strconv.FormatInt(d.ID, 10)}
	if d.Subject != "" {
		row.UserPath = userPath(app, d.Subject)
	}
	return row
}

// deliveryPage is the data of webhook_delivery.html.
type deliveryPage struct {
	App      appRow
	ListPath string
	Endpoint endpointRow
	Delivery deliveryRow
	// Headers are those of the request, in alphabetical order.
	Headers []headerRow
	Body    string
	// MayReplay is true if the visitor may send the delivery again and the endpoint is enabled.
	MayReplay bool
	May       rights
}

// headerRow is a header of a request.
type headerRow struct {
	Name, Value string
	// Withheld is true for a signature that the visitor may not see: with it, the visitor could
	// send the event as Rollcall does.
	Withheld bool
}

// signatureHeader is the header with the signature of a request.
const signatureHeader = "webhook-signature"

func (c *console) deliveryPage(v *visit) (*deliveryPage, error) {
	app, e, err := c.endpoint(v)
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseInt(v.r.PathValue("delivery"), 10, 64)
	if err != nil {
		return nil, c.notFound(v)
	}
	x, err := c.Webhooks.Exchange(v.r.Context(), app, e, id)
	if err != nil {
		return nil, err
	}
	if x == nil {
		return nil, c.notFound(v)
	}
	p := &deliveryPage{
		App: c.appRow(v, app), ListPath: webhooksPath(app), Endpoint: c.endpointRow(v, app, e), Delivery: deliveryRowOf(app, e, &x.Sent),
		Body: string(x.Body), May: v.rights(),
	}
	p.MayReplay = p.May.Administer() && p.Endpoint.Enabled()
	for name, values := range x.Header {
		h := headerRow{Name: strings.ToLower(name), Value: strings.Join(values, ", ")}
		if h.Name == signatureHeader && !p.May.Administer() {
			h.Value, h.Withheld = "", true
		}
		p.Headers = append(p.Headers, h)
	}
	slices.SortFunc(p.Headers, func(a, b headerRow) int { return strings.Compare(a.Name, b.Name) })
	return p, nil
}

func (c *console) showDelivery(v *visit) error {
	p, err := c.deliveryPage(v)
	if err != nil {
		return err
	}
	return c.show(v, "webhook_delivery", p)
}

// statusStopPolling makes htmx stop polling (https://htmx.org/docs/#load_polling).
const statusStopPolling = 286

// pollDelivery responds with the progress of a delivery. A page stops polling when the delivery has
// ended.
func (c *console) pollDelivery(v *visit) error {
	p, err := c.deliveryPage(v)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if !p.Delivery.Pending() {
		status = statusStopPolling
	}
	return c.renderPart(v, status, "webhook_delivery", "delivery-now", p)
}

// testWebhook sends a test event to the endpoint and redirects to its delivery.
func (c *console) testWebhook(v *visit) error {
	app, e, err := c.endpoint(v)
	if err != nil {
		return err
	}
	d, err := c.Webhooks.Test(v.r.Context(), app, e.ID, c.actor(v))
	if err != nil {
		return c.refusedWebhook(v, app, e, err)
	}
	if err := c.setFlash(v, "webhook.test.done", ""); err != nil {
		return err
	}
	return v.redirect(deliveryRowOf(app, e, d).Path)
}

// replayDelivery sends one delivery again.
func (c *console) replayDelivery(v *visit) error {
	p, err := c.deliveryPage(v)
	if err != nil {
		return err
	}
	app, e := p.App.App, p.Endpoint.WebhookEndpoint
	if _, err := c.Webhooks.ReplayOne(v.r.Context(), app, e.ID, p.Delivery.ID, c.actor(v)); err != nil {
		return c.refusedWebhook(v, app, e, err)
	}
	if err := c.setFlash(v, "delivery.replay.done", ""); err != nil {
		return err
	}
	return v.redirect(p.Delivery.Path)
}

// replayPage is the data of webhook_replay.html.
type replayPage struct {
	question
	App      appRow
	Endpoint endpointRow
	Form     sinceForm
	// Limit is how many deliveries are replayed at once.
	Limit int
}

func (c *console) replayPage(v *visit, app *models.App, e *models.WebhookEndpoint, form sinceForm) (*replayPage, error) {
	rows, err := c.endpointRows(v, app, e)
	if err != nil {
		return nil, err
	}
	return &replayPage{
		question: question{Path: v.r.URL.EscapedPath(), Back: rows[0].Path, Fits: rows[0].Enabled()},
		App:      c.appRow(v, app), Endpoint: rows[0], Form: form, Limit: webhooks.MaxDeliveries,
	}, nil
}

// askReplay asks since when failed deliveries are sent again.
func (c *console) askReplay(v *visit) error {
	app, e, err := c.endpoint(v)
	if err != nil {
		return err
	}
	p, err := c.replayPage(v, app, e, sinceForm{Since: strconv.Itoa(24 * 60), Unit: "hours"})
	if err != nil {
		return err
	}
	return c.show(v, "webhook_replay", p)
}

// replayFailed sends the failed deliveries again whose events are not older than the form says.
func (c *console) replayFailed(v *visit) error {
	app, e, err := c.endpoint(v)
	if err != nil {
		return err
	}
	form, since := readSince(v.r)
	if len(form.Errors) > 0 {
		p, err := c.replayPage(v, app, e, form)
		if err != nil {
			return err
		}
		return c.render(v, http.StatusUnprocessableEntity, "webhook_replay", p)
	}
	n, err := c.Webhooks.Replay(v.r.Context(), app, nil, webhooks.Filter{
		EndpointID: e.ID, State: models.DeliveryFailed, Since: models.TimeOf(c.Clock().Add(-since)), Limit: webhooks.MaxDeliveries,
	}, c.actor(v))
	if err != nil {
		return c.refusedWebhook(v, app, e, err)
	}
	text := "webhook.replay.done"
	switch n {
	case 0:
		text = "webhook.replay.nothing"
	case webhooks.MaxDeliveries:
		text = "webhook.replay.more"
	}
	if err := c.setFlash(v, text, display(n)); err != nil {
		return err
	}
	return v.redirect(endpointPath(app, e.ID))
}
