package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/outbox"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

// webhooksPage is the data of webhooks.html.
type webhooksPage struct {
	App  appRow
	Path string
	// NewPath is the page that creates an endpoint, or "" if the visitor may not create one.
	NewPath   string
	Endpoints []endpointRow
	// Limit is how many endpoints an app may have.
	Limit int
}

// Full reports whether the app has as many endpoints as it may have.
func (p webhooksPage) Full() bool { return len(p.Endpoints) >= p.Limit }

// endpointRow is a webhook endpoint on a page.
type endpointRow struct {
	*models.WebhookEndpoint
	Path string
	// ShownURL is the URL as this visitor may see it.
	ShownURL string
	// Types are the types that it receives, or nil for all.
	Types []outbox.Type
	// Pending and Failed count its deliveries, and Health has its attempts, if the page has read them.
	Pending, Failed deliveryCount
	Health          endpointHealth
}

// endpointHealth is how the attempts of the last day ended.
type endpointHealth struct{ *webhooks.Health }

// Attempts returns the number of attempts.
func (h endpointHealth) Attempts() int {
	sum := h.Sum()
	return int(sum.Succeeded + sum.Failed)
}

// Rate returns the percentage of the attempts that succeeded, rounded down to a tenth, so that it is
// 100 only if all did.
func (h endpointHealth) Rate() string {
	sum := h.Sum()
	tenths := sum.Succeeded * 1000 / max(1, sum.Succeeded+sum.Failed)
	return strings.TrimSuffix(fmt.Sprintf("%d.%d", tenths/10, tenths%10), ".0")
}

// healthBar is an hour in the strip: its class says how its attempts ended.
type healthBar struct {
	X     int
	Class string
}

// Bars returns the hours, the present one last.
func (h endpointHealth) Bars() (list []healthBar) {
	for i, hour := range h.Health {
		bar := healthBar{X: i * 8, Class: "some"}
		switch {
		case hour == (webhooks.Attempts{}):
			bar.Class = "none"
		case hour.Failed == 0:
			bar.Class = "good"
		case hour.Succeeded == 0:
			bar.Class = "bad"
		}
		list = append(list, bar)
	}
	return list
}

// Enabled reports whether events are delivered to the endpoint.
func (r endpointRow) Enabled() bool { return r.State == models.EndpointEnabled }

// ByFailure reports whether the endpoint was disabled because of its responses.
func (r endpointRow) ByFailure() bool {
	return !r.Enabled() && (r.StateReason == webhooks.ReasonFailing || r.StateReason == webhooks.ReasonGone)
}

// ReasonText returns the text that explains why the endpoint is disabled.
func (r endpointRow) ReasonText() string {
	switch r.StateReason {
	case webhooks.ReasonFailing:
		return "webhook.reason.failing"
	case webhooks.ReasonGone:
		return "webhook.reason.gone"
	}
	return "webhook.reason.requested"
}

// Named returns the description, or the URL if there is none.
func (r endpointRow) Named() string {
	if r.Description != "" {
		return r.Description
	}
	return r.ShownURL
}

// deliveryCount is a number of deliveries, up to webhooks.CountLimit+1.
type deliveryCount int

// String returns the number for a page. It ends with a plus sign if there may be more.
func (n deliveryCount) String() string {
	if n > webhooks.CountLimit {
		return display(webhooks.CountLimit) + "+"
	}
	return display(int(n))
}

// webhooksPath returns the page that lists the app's webhook endpoints.
func webhooksPath(app *models.App) string { return appPath(app) + "/webhooks" }

// endpointPath returns the page of an endpoint.
func endpointPath(app *models.App, id int64) string {
	return webhooksPath(app) + "/" + strconv.FormatInt(id, 10)
}

// endpointRow returns the row of an endpoint without its counts.
func (c *console) endpointRow(v *visit, app *models.App, e *models.WebhookEndpoint) endpointRow {
	row := endpointRow{WebhookEndpoint: e, Path: endpointPath(app, e.ID), ShownURL: e.URL, Types: outbox.ParseTypes(e.EventTypes)}
	if before, _, found := strings.Cut(e.URL, "?"); found && !v.rights().Administer() {
		row.ShownURL = before + "?…" // a query often contains a key, which viewers may not see
	}
	return row
}

// endpointRows returns the rows of endpoints with their counts.
func (c *console) endpointRows(v *visit, app *models.App, list ...*models.WebhookEndpoint) ([]endpointRow, error) {
	backlogs, err := c.Webhooks.Backlogs(v.r.Context(), list...)
	if err != nil {
		return nil, err
	}
	health, err := c.Webhooks.Health(v.r.Context(), list...)
	if err != nil {
		return nil, err
	}
	rows := make([]endpointRow, len(list))
	for i, e := range list {
		rows[i] = c.endpointRow(v, app, e)
		rows[i].Health = endpointHealth{health[e.ID]}
		rows[i].Pending, rows[i].Failed = deliveryCount(backlogs[e.ID].Pending), deliveryCount(backlogs[e.ID].Failed)
	}
	return rows, nil
}

func (c *console) listWebhooks(v *visit) error {
	app := v.app
	list, err := c.Webhooks.List(v.r.Context(), app)
	if err != nil {
		return err
	}
	p := webhooksPage{App: c.appRow(v, app), Path: webhooksPath(app), Limit: outbox.MaxEndpoints}
	if v.rights().Administer() {
		p.NewPath = p.Path + "/new"
	}
	if p.Endpoints, err = c.endpointRows(v, app, list...); err != nil {
		return err
	}
	return c.show(v, "webhooks", p)
}

// webhookSummary is what the overview shows of an app's webhooks.
type webhookSummary struct {
	Path   string
	Failed deliveryCount
	// Disabled is how many endpoints were disabled because of their responses.
	Disabled int
}

// webhookSummary returns the summary, or nil if the app has no endpoints.
func (c *console) webhookSummary(v *visit, app *models.App) (*webhookSummary, error) {
	list, err := c.Webhooks.List(v.r.Context(), app)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	rows, err := c.endpointRows(v, app, list...)
	if err != nil {
		return nil, err
	}
	s := &webhookSummary{Path: webhooksPath(app)}
	for _, row := range rows {
		s.Failed += row.Failed
		if row.ByFailure() {
			s.Disabled++
		}
	}
	return s, nil
}

// endpoint returns the app and the endpoint in the path, or a problem if one of them is unknown.
func (c *console) endpoint(v *visit) (*models.App, *models.WebhookEndpoint, error) {
	app := v.app
	id, err := strconv.ParseInt(v.r.PathValue("endpoint"), 10, 64)
	if err != nil {
		return nil, nil, c.notFound(v)
	}
	e, err := c.Webhooks.Endpoint(v.r.Context(), app, id)
	return app, e, err
}

// endpointPage is the data of webhook.html: an endpoint and a page of its deliveries.
type endpointPage struct {
	App      appRow
	ListPath string
	// Path is the first page of the deliveries in the chosen state.
	Path       string
	Endpoint   endpointRow
	State      models.DeliveryState
	Deliveries []deliveryRow
	pager
	May rights
	// PreviousEnds is when the previous secret ends, or nil if it has ended.
	PreviousEnds *models.Time
	// PausedUntil is when the endpoint's pause after failures ends, or nil if there is none.
	PausedUntil *models.Time
}

// States returns the states to choose from.
func (endpointPage) States() []models.DeliveryState { return deliveryStates }

var deliveryStates = []models.DeliveryState{models.DeliveryPending, models.DeliveryFailed, models.DeliveryDelivered}

func (c *console) showWebhook(v *visit) error {
	app, e, err := c.endpoint(v)
	if err != nil {
		return err
	}
	state := models.DeliveryState(v.r.URL.Query().Get("state"))
	if state != "" && !slices.Contains(deliveryStates, state) {
		return c.notFound(v)
	}
	request := pageBothWays(v, deliveriesPerPage)
	found, err := c.Webhooks.Browse(v.r.Context(), e, state, request)
	if err != nil {
		return err
	}
	rows, err := c.endpointRows(v, app, e)
	if err != nil {
		return err
	}
	p := endpointPage{
		App: c.appRow(v, app), ListPath: webhooksPath(app), Path: rows[0].Path, Endpoint: rows[0], State: state,
		pager: pagerBothWays(v, request, found.PageInfo()), May: v.rights(),
		PreviousEnds: c.previousSecretEnds(e),
	}
	if e.State == models.EndpointEnabled && e.ResumeAt > models.TimeOf(c.Clock()) {
		p.PausedUntil = &e.ResumeAt
	}
	if state != "" {
		p.Path += "?" + url.Values{"state": {string(state)}}.Encode()
	}
	for _, d := range found.Nodes() {
		p.Deliveries = append(p.Deliveries, deliveryRowOf(app, e, d))
	}
	return c.show(v, "webhook", p)
}

// previousSecretEnds returns when the endpoint's previous secret ends, or nil if it has ended.
func (c *console) previousSecretEnds(e *models.WebhookEndpoint) *models.Time {
	if len(e.PreviousSecret) == 0 || e.PreviousSecretEndsAt <= models.TimeOf(c.Clock()) {
		return nil
	}
	return &e.PreviousSecretEndsAt
}
