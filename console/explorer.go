package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"rollcall/internal/fault"
	"rollcall/models"
)

const (
	// explorerPath is the page with the GraphQL explorer.
	explorerPath = Root + "explorer"
	// explorerTokenTTL is the lifetime of a token made for the explorer.
	explorerTokenTTL = time.Hour
)

// explorerPage is the data of explorer.html.
type explorerPage struct {
	Path string
	// Apps are the choices, or empty if the visitor may not have a token made.
	Apps []*models.App
	May  rights
	explorerToken
	// Kept is the text of the Headers pane at the time when a token was refused.
	Kept string
	// Errors explain why there is no token for the user.
	Errors faults
	// Found has the choices if several users were found for what was typed.
	Found typedUser
}

// NewAppPath returns the page that creates an app, or "" if the visitor may not create one.
func (p explorerPage) NewAppPath() string { return pathIf(p.May.may(adminsOfAll), newAppPath) }

// FindUsers returns the path that finds users of the chosen app by name.
func (explorerPage) FindUsers() string { return findUsersOfChosen }

// explorerToken is the choice in the form, and the token that was made for it.
type explorerToken struct {
	// App is the key of the chosen app. User is the ID of one of its users, or "" for an app token.
	App, User string
	// AppName is the name of the chosen app, and UserName that of the user.
	AppName, UserName string
	// Token is a token that was just made, or "".
	Token   string
	Expires models.Time
}

// UserLabel returns the name and the ID of the user of the token, or its ID if it has no name.
func (e explorerToken) UserLabel() string {
	if e.UserName == "" {
		return e.User
	}
	return fmt.Sprintf("%s (%s)", e.UserName, e.User)
}

// Headers returns the initial text of the Headers pane, or "" for GraphiQL's default.
func (p explorerPage) Headers() (string, error) {
	if p.Token == "" {
		return p.Kept, nil
	}
	text, err := json.Marshal(map[string]string{"Authorization": "Bearer " + p.Token})
	return string(text), err
}

// showExplorer shows GraphiQL. Like any other client, it calls the API with a token, not with the
// console's session. The query may choose the app.
func (c *console) showExplorer(v *visit) error {
	p, err := c.explorerPage(v)
	if err != nil {
		return err
	}
	p.App, p.User = v.r.FormValue("app"), searchText(v.r.FormValue("user"))
	if key := v.r.URL.Query().Get("shown"); key != "" {
		// Without the token if it is no longer shown.
		if _, err := c.Sealed.Get(v.r.Context(), v.session.ID, key, &p.explorerToken); err != nil {
			return err
		}
	}
	return c.show(v, "explorer", p)
}

// explorerPage returns the data of a page without a token.
func (c *console) explorerPage(v *visit) (*explorerPage, error) {
	p := &explorerPage{Path: explorerPath, May: v.rights()}
	if !p.May.Administer() {
		return p, nil
	}
	var err error
	p.Apps, err = c.appsOf(v)
	return p, err
}

// tokenRefusals are the texts that explain why a user gets no token.
var tokenRefusals = map[fault.Code]string{
	fault.UserNotFound:    "explorer.user.unknown",
	fault.UserDeactivated: "explorer.user.deactivated",
	fault.UserBanned:      "explorer.user.banned",
}

// fillExplorer redirects to the explorer, which has a new token filled in. The address has the key of
// the token, as in reveal.
func (c *console) fillExplorer(v *visit) error {
	p, err := c.explorerPage(v)
	if err != nil {
		return err
	}
	p.App, p.User = v.r.PostFormValue("app"), searchText(v.r.PostFormValue("user"))
	app, err := c.appOf(v, p.App)
	if err != nil {
		return err
	}
	p.AppName = app.Name
	if p.User == "" {
		p.Token, p.Expires, err = c.Apps.GrantToken(v.r.Context(), app, explorerTokenTTL, c.actor(v))
		if err != nil {
			return err
		}
		return c.revealToken(v, p)
	}
	if p.Found, err = c.typedUser(v, app, "explorer.user.label", p.User); err != nil {
		return err
	}
	if len(p.Found.Choices) > 0 {
		p.Found.choose(func(id string) string {
			return explorerPath + "?" + url.Values{"app": {app.Key}, "user": {id}}.Encode()
		})
		p.Kept = v.r.PostFormValue("headers")
		return c.render(v, http.StatusUnprocessableEntity, "explorer", p)
	}
	if p.User = p.Found.ID(); p.Found.User != nil {
		p.UserName = p.Found.User.Name
	}
	granted, err := c.Users.GrantToken(v.r.Context(), app, p.User, explorerTokenTTL, c.actor(v))
	var refusal *fault.Error
	if errors.As(err, &refusal) && tokenRefusals[refusal.Code] != "" {
		p.Errors, p.Kept = faultOf("user", tokenRefusals[refusal.Code], "user", p.User), v.r.PostFormValue("headers")
		return c.render(v, http.StatusUnprocessableEntity, "explorer", p)
	}
	if err != nil {
		return err
	}
	p.Token, p.Expires = granted.Token, *granted.ExpiresAt
	return c.revealToken(v, p)
}

// revealToken redirects to the explorer with the page's token.
func (c *console) revealToken(v *visit, p *explorerPage) error {
	key, err := c.Sealed.Put(v.r.Context(), v.session.ID, p.explorerToken, shownFor)
	if err != nil {
		return err
	}
	return v.redirect(explorerPath + "?" + url.Values{"shown": {key}}.Encode())
}
