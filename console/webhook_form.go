package console

import (
	"net/http"
	"slices"
	"strings"

	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

// endpointFormPage is the data of webhook_form.html, which creates or changes an endpoint: the values
// of the form, and what is wrong with them.
type endpointFormPage struct {
	App      appRow
	ListPath string
	Path     string
	Back     string
	// Endpoint is the one to change, or nil for a new one.
	Endpoint         *endpointRow
	URL, Description string
	// Events is allEvents or someEvents, and Chosen the types that are ticked.
	Events string
	Chosen []string
	// Loaded is what the form of an endpoint contained when it was loaded, by the names of the
	// fields. Fields that still have these values are not written, because another operator may
	// have changed them since.
	Loaded map[string]string
	// Stale is the endpoint as it is now if it was changed since the form was loaded, or nil.
	Stale  *endpointRow
	Errors faults
	// Full is true if the app has as many endpoints as it may have, which is Limit.
	Full  bool
	Limit int
}

// The values of the field "events".
const (
	allEvents  = "all"
	someEvents = "some"
)

// typeGroup is the types of events about one thing.
type typeGroup []typeField

// typeField is a type of events to choose.
type typeField struct {
	Type    string
	Checked bool
}

// Groups returns the types to choose from, grouped by what precedes the dot.
func (p endpointFormPage) Groups() (groups []typeGroup) {
	last := ""
	for _, t := range outbox.Types() {
		subject, _, _ := strings.Cut(string(t), ".")
		if subject != last {
			groups, last = append(groups, nil), subject
		}
		at := &groups[len(groups)-1]
		*at = append(*at, typeField{string(t), slices.Contains(p.Chosen, string(t))})
	}
	return groups
}

// read copies the form into the page and returns the types, which are nil for all. ok is false if the
// choice of events is incomplete.
func (p *endpointFormPage) read(r *http.Request) (types []outbox.Type, ok bool) {
	p.URL, p.Description = strings.TrimSpace(r.PostFormValue("url")), strings.TrimSpace(r.PostFormValue("description"))
	p.Events, p.Chosen = r.PostFormValue("events"), r.PostForm["type"]
	for _, t := range p.Chosen {
		types = append(types, outbox.Type(t))
	}
	p.Errors = faults{}
	switch {
	case p.Events == allEvents && len(p.Chosen) > 0:
		// Types that were ticked but are not chosen are an error: they must not be ignored.
		p.Errors.set("eventTypes", "webhook.wrong.events.both")
	case p.Events == someEvents && len(p.Chosen) == 0:
		p.Errors.set("eventTypes", "webhook.wrong.events.none")
	case p.Events != allEvents && p.Events != someEvents:
		p.Errors.set("eventTypes", "webhook.wrong.events.choice")
	}
	return types, len(p.Errors) == 0
}

// refuse records what the rules refuse, the first of each field that is not wrong already. It reports
// false if err is not about the fields of the form.
func (p *endpointFormPage) refuse(v *visit, err error) bool {
	refused := false
	for _, refusal := range fault.All(err) {
		if refusal.Code != fault.InvalidArgument || refusal.Field() == nil || refusal.Rule() == nil {
			continue
		}
		field, _, _ := strings.Cut(*refusal.Field(), ".")
		if field != "url" && field != "description" && field != "eventTypes" {
			continue
		}
		refused = true
		if p.Errors.Of(field).Key != "" {
			continue
		}
		rule := *refusal.Rule()
		if field == "url" && p.URL == "" {
			rule = "required" // a change has no rule of its own for that
		}
		text := "webhook.wrong." + field + "." + rule
		if !v.locale.has(text) {
			text = "webhook.wrong.other"
		}
		p.Errors.set(field, text)
	}
	return refused
}

func (c *console) newEndpointPage(v *visit) (*endpointFormPage, error) {
	app := v.app
	list, err := c.Webhooks.List(v.r.Context(), app)
	if err != nil {
		return nil, err
	}
	path := webhooksPath(app)
	return &endpointFormPage{
		App: c.appRow(v, app), ListPath: path, Path: path + "/new", Back: path, Events: allEvents,
		Full: len(list) >= outbox.MaxEndpoints, Limit: outbox.MaxEndpoints,
	}, nil
}

func (c *console) askCreateEndpoint(v *visit) error {
	p, err := c.newEndpointPage(v)
	if err != nil {
		return err
	}
	return c.show(v, "webhook_form", p)
}

// createEndpoint creates an endpoint and reveals its secret.
func (c *console) createEndpoint(v *visit) error {
	p, err := c.newEndpointPage(v)
	if err != nil {
		return err
	}
	types, ok := p.read(v.r)
	in := webhooks.NewEndpoint{URL: p.URL, Description: p.Description, Types: types}
	if p.Full || !ok {
		p.refuse(v, c.Webhooks.Check(in))
		return c.render(v, http.StatusUnprocessableEntity, "webhook_form", p)
	}
	app := p.App.App
	e, secret, err := c.Webhooks.Create(v.r.Context(), app, in, c.actor(v))
	p.Full = fault.CodeOf(err) == fault.WebhookLimitReached
	if p.refuse(v, err) || p.Full {
		return c.render(v, http.StatusUnprocessableEntity, "webhook_form", p)
	}
	if err != nil {
		return err
	}
	return c.reveal(v, "webhook_secret", endpointSecretPage{
		App: secretApp(app), Title: "webhook.made", Secret: secret, Endpoint: c.secretEndpoint(v, app, e),
	})
}

func (c *console) editEndpointPage(v *visit) (*endpointFormPage, *models.App, error) {
	app, e, err := c.endpoint(v)
	if err != nil {
		return nil, nil, err
	}
	row := c.endpointRow(v, app, e)
	p := &endpointFormPage{
		App: c.appRow(v, app), ListPath: webhooksPath(app), Path: row.Path + "/edit", Back: row.Path, Endpoint: &row,
		URL: e.URL, Description: e.Description, Events: allEvents,
		Loaded: map[string]string{"url": e.URL, "description": e.Description, "types": e.EventTypes},
	}
	for _, t := range row.Types {
		p.Events, p.Chosen = someEvents, append(p.Chosen, string(t))
	}
	return p, app, nil
}

func (c *console) askEditEndpoint(v *visit) error {
	p, _, err := c.editEndpointPage(v)
	if err != nil {
		return err
	}
	return c.show(v, "webhook_form", p)
}

func (c *console) editEndpoint(v *visit) error {
	p, app, err := c.editEndpointPage(v)
	if err != nil {
		return err
	}
	types, ok := p.read(v.r)
	for name := range p.Loaded {
		if v.r.PostForm.Has(loadedPrefix + name) {
			p.Loaded[name] = v.r.PostForm.Get(loadedPrefix + name)
		}
	}
	change := webhooks.EndpointChange{Seen: &models.WebhookEndpoint{
		URL: p.Loaded["url"], Description: p.Loaded["description"], EventTypes: p.Loaded["types"],
	}}
	if p.URL != p.Loaded["url"] {
		change.URL = &p.URL
	}
	if p.Description != p.Loaded["description"] {
		change.Description = &p.Description
	}
	if strings.Join(p.Chosen, ",") != p.Loaded["types"] {
		change.Types = append([]outbox.Type{}, types...) // not nil: an empty list stands for all
	}
	if !ok {
		p.refuse(v, c.Webhooks.CheckChange(change))
		return c.render(v, http.StatusUnprocessableEntity, "webhook_form", p)
	}
	if change.URL == nil && change.Description == nil && change.Types == nil {
		if err := c.setFlash(v, "settings.same", ""); err != nil {
			return err
		}
		return v.redirect(p.Back)
	}
	_, err = c.Webhooks.Update(v.r.Context(), app, p.Endpoint.ID, change, c.actor(v))
	if webhooks.IsStale(err) {
		now, _, err := c.editEndpointPage(v)
		if err != nil {
			return err
		}
		p.Stale, p.Loaded = now.Endpoint, now.Loaded // the next submission replaces what the operator now sees
		return c.render(v, http.StatusConflict, "webhook_form", p)
	}
	if p.refuse(v, err) {
		return c.render(v, http.StatusUnprocessableEntity, "webhook_form", p)
	}
	if err != nil {
		return err
	}
	if err := c.setFlash(v, "webhook.edit.done", ""); err != nil {
		return err
	}
	return v.redirect(p.Back)
}
