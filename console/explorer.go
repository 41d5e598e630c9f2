package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"rollcall/internal/fault"
	"rollcall/models"
)

const (
	// explorerPath is where the GraphQL explorer is.
	explorerPath = Root + "explorer"
	// explorerTokenTTL is how long a token made for the explorer lives.
	explorerTokenTTL = time.Hour
)

// explorerPage is what explorer.html shows.
type explorerPage struct {
	Path string
	// Apps are the choices, none for who may not have a token made.
	Apps []*models.App
	// App is the key of the one chosen, and User the ID of one of its users, "" for
	// a token of the app itself.
	App, User string
	// AppName is the chosen app's.
	AppName string
	// Token was just made; it stands on this one answer and nowhere else. "": none.
	Token   string
	Expires models.Time
	// Kept is what stood in the Headers pane when a token was refused.
	Kept string
	// Wrong is the text that says why there is no token for the user.
	Wrong string
}

// Headers is what the Headers pane begins with, "" for what GraphiQL begins with.
func (p explorerPage) Headers() (string, error) {
	if p.Token == "" {
		return p.Kept, nil
	}
	text, err := json.Marshal(map[string]string{"Authorization": "Bearer " + p.Token})
	return string(text), err
}

// showExplorer shows GraphiQL, which speaks to the API as any client does: with a
// token, not with the console's session. A link to it may choose the app.
func (c *console) showExplorer(v *visit) error {
	p, err := c.explorerPage(v)
	if err != nil {
		return err
	}
	p.App = v.r.FormValue("app")
	return c.show(v, "explorer", p)
}

// explorerPage answers the page without a token.
func (c *console) explorerPage(v *visit) (*explorerPage, error) {
	p := &explorerPage{Path: explorerPath}
	if v.operator.Role != models.RoleAdmin {
		return p, nil
	}
	var err error
	p.Apps, err = c.Apps.List(v.r.Context())
	return p, err
}

// tokenRefusals are the texts that say why a user gets no token.
var tokenRefusals = map[fault.Code]string{
	fault.UserNotFound:    "explorer.user.unknown",
	fault.UserDeactivated: "explorer.user.deactivated",
	fault.UserBanned:      "explorer.user.banned",
}

// fillExplorer answers the explorer with a new token filled in, without a redirect:
// an address and a cookie are kept, this answer is not.
func (c *console) fillExplorer(v *visit) error {
	p, err := c.explorerPage(v)
	if err != nil {
		return err
	}
	p.App, p.User = v.r.PostFormValue("app"), searchText(v.r.PostFormValue("user"))
	app, err := c.Apps.ByKey(v.r.Context(), p.App)
	if err != nil {
		return err
	}
	if app == nil {
		return c.notFound(v)
	}
	p.AppName = app.Name
	if p.User == "" {
		p.Token, p.Expires, err = c.Apps.GrantToken(v.r.Context(), app, explorerTokenTTL, c.actor(v))
		if err != nil {
			return err
		}
		return c.show(v, "explorer", p)
	}
	granted, err := c.Users.GrantToken(v.r.Context(), app, p.User, explorerTokenTTL, c.actor(v))
	var refusal *fault.Error
	if errors.As(err, &refusal) && tokenRefusals[refusal.Code] != "" {
		p.Wrong, p.Kept = tokenRefusals[refusal.Code], v.r.PostFormValue("headers")
		return c.render(v, http.StatusUnprocessableEntity, "explorer", p)
	}
	if err != nil {
		return err
	}
	p.Token, p.Expires = granted.Token, *granted.ExpiresAt
	return c.show(v, "explorer", p)
}
