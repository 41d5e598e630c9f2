package console

import (
	"context"
	"net/http"

	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// userAction is something an operator does to one user: a page that asks for confirmation, and a
// form that does it. The name begins the keys of its texts. It also ends the path unless path is
// set.
type userAction struct {
	Name string
	path string
	// main actions are shown first, the others in a menu.
	main bool
	// Direct marks an action that a button does at once, without asking: it costs the user little,
	// and may be urgent.
	Direct bool
	// Danger marks an action that cannot be undone. It has texts about what is erased and what is kept.
	Danger bool
	// closes is true if it closes the user's devices, which the nodes also do without Redis.
	closes bool
	// needs is the access of its routes.
	needs access
	// fits reports whether the action would change the user.
	fits func(*userPage) bool
	do   func(*console, *visit, *userPage) (*batch.Result, error)
}

// userActions are the actions on a user's page, in this order; the page shows those that fit. A ban
// needs more than a confirmation and has a file of its own. Changing a ban is banning again.
var (
	banUser = &userAction{
		Name: "ban",
		main: true, closes: true, needs: moderators,
		fits: func(p *userPage) bool { return p.User.State == models.UserActive },
	}
	changeBan = &userAction{
		Name: "change-ban",
		main: true, needs: moderators,
		path: "ban",
		fits: func(p *userPage) bool { return p.User.State == models.UserBanned },
	}
	unbanUser = &userAction{
		Name: "unban",
		main: true, needs: moderators,
		fits: func(p *userPage) bool { return p.User.State == models.UserBanned },
		do: func(c *console, v *visit, p *userPage) (*batch.Result, error) {
			return single(c.Users.Unban(v.r.Context(), p.App.App, p.ids(), c.actor(v)))
		},
	}
	disconnectUser = &userAction{
		Name: "disconnect", needs: moderators,
		fits: func(p *userPage) bool { return len(p.Devices) > 0 },
		do:   (*console).disconnect,
	}
	expireTokens = &userAction{
		Name: "expire-tokens", needs: moderators,
		fits: func(p *userPage) bool { return p.User.State != models.UserDeactivated },
		do: func(c *console, v *visit, p *userPage) (*batch.Result, error) {
			// The next millisecond, so that the newest token ends too.
			from := models.TimeOf(c.Clock()) + 1
			return single(c.Users.ExpireTokens(v.r.Context(), p.App.App, p.ids(), from, c.actor(v)))
		},
	}
	signOutUser = &userAction{
		Name:   "sign-out",
		main:   true,
		Direct: true,
		needs:  moderators,
		fits:   func(p *userPage) bool { return p.User.State != models.UserDeactivated },
	}
	deactivateUser = &userAction{
		Name: "deactivate", Danger: true, closes: true, needs: admins,
		fits: func(p *userPage) bool { return p.User.State != models.UserDeactivated },
		do: func(c *console, v *visit, p *userPage) (*batch.Result, error) {
			return single(c.Users.Deactivate(v.r.Context(), p.App.App, p.ids(), c.actor(v)))
		},
	}
	reactivateUser = &userAction{
		Name: "reactivate",
		main: true, needs: admins,
		fits: func(p *userPage) bool { return p.User.State == models.UserDeactivated },
		do: func(c *console, v *visit, p *userPage) (*batch.Result, error) {
			return single(c.Users.Reactivate(v.r.Context(), p.App.App, p.ids(), c.actor(v)))
		},
	}
	whitelistOn  = whitelistSwitch("whitelist-on", true)
	whitelistOff = whitelistSwitch("whitelist-off", false)
	userActions  = []*userAction{
		banUser, unbanUser, changeBan, signOutUser, disconnectUser, expireTokens, whitelistOn, whitelistOff, deactivateUser, reactivateUser,
	}
)

// Path returns the end of the action's path.
func (a *userAction) Path() string {
	if a.path != "" {
		return a.path
	}
	return a.Name
}

// whitelistSwitch returns the action that turns the user's whitelist on or off.
func whitelistSwitch(name string, on bool) *userAction {
	return &userAction{
		Name: name, needs: moderators,
		fits: func(p *userPage) bool { return p.User.State != models.UserDeactivated && p.User.WhitelistEnabled != on },
		do: func(c *console, v *visit, p *userPage) (*batch.Result, error) {
			return single(c.Relations.SetWhitelistEnabled(v.r.Context(), p.App.App, p.ids(), on, c.actor(v)))
		},
	}
}

// single returns the result of a rule that was called for one user.
func single(results []*batch.Result, err error) (*batch.Result, error) {
	if err != nil {
		return nil, err
	}
	return results[0], nil
}

// actionPage is the data of user_action.html.
type actionPage struct {
	*userPage
	question
	Action *userAction
	// Device is the device to disconnect, or nil for all of them. Gone is true if the device to
	// disconnect no longer is connected. Unknown is true if it is unknown which devices are connected.
	Device        *deviceRow
	Gone, Unknown bool
}

// ask returns a handler that shows what the action will do, with a button that does it.
func ask(a *userAction) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		p, err := c.userPage(v)
		if err != nil {
			return err
		}
		page := actionPage{userPage: p, Action: a, question: question{
			Path: v.r.URL.EscapedPath(), Back: p.User.Path, Fits: a.fits(p), Danger: a.Danger,
		}}
		page.Unknown = a == disconnectUser && !p.DevicesKnown
		if id := v.r.URL.Query().Get("device"); id != "" {
			if d := p.device(id); d != nil {
				page.Device = &c.withClients(v, p, []models.Device{*d})[0]
			}
			page.Gone = page.Device == nil
			page.Fits = page.Fits && !page.Gone
		}
		return c.show(v, "user_action", page)
	}
}

// act returns a handler that carries out the action and redirects to the user's page, which shows
// the result.
func act(a *userAction) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		p, err := c.userPage(v)
		if err != nil {
			return err
		}
		result, err := a.do(c, v, p)
		if err != nil {
			return err
		}
		return c.showResult(v, a, p, result)
	}
}

// resultText returns the key of the message about a result: that of name with ".done" or
// ".already", or that of the refusal.
func resultText(name string, result *batch.Result) string {
	switch result.Outcome {
	case models.OutcomeAlready:
		return name + ".already"
	case models.OutcomeRefused, models.OutcomeNotFound:
		if known := "action.refused." + string(result.Error.Code); hasFlash(known) {
			return known
		}
		return "action.refused"
	}
	return name + ".done"
}

// showResult redirects to the user's page, or to its devices after an action on one of them, with a
// message about the result.
func (c *console) showResult(v *visit, a *userAction, p *userPage, result *batch.Result) error {
	text := resultText("action."+a.Name, result)
	device := v.r.PostFormValue("device") != ""
	switch {
	case device && result.Outcome == models.OutcomeAlready:
		text = "action.disconnect.gone"
	case device && result.Outcome == models.OutcomeDone:
		text = "action.disconnect.one.done"
	}
	// Redis did not respond before, and what follows did not fail: the database has it.
	later := !p.DevicesKnown && a.closes && result.Outcome == models.OutcomeDone
	if err := c.putFlash(v, flash{Text: text, Subject: p.User.ExternalID, DevicesLater: later}); err != nil {
		return err
	}
	if a == deactivateUser {
		return c.showErased(v, result, audit.ActionUserDeactivate, p.User.Path)
	}
	if device {
		return v.redirect(p.User.Path + "/" + userDevices)
	}
	return v.redirect(p.User.Path)
}

// signOut ends all tokens of the user and disconnects all of its devices.
func (c *console) signOut(v *visit) error {
	p, err := c.userPage(v)
	if err != nil {
		return err
	}
	result, err := single(c.Users.SignOut(v.r.Context(), p.App.App, p.ids(), c.actor(v)))
	if err != nil {
		return err
	}
	if !c.disconnectSignedOut(v.r.Context(), result) {
		if err := c.setFlash(v, "action.sign-out.devices", p.User.ExternalID); err != nil {
			return err
		}
		return v.redirect(p.User.Path)
	}
	return c.showResult(v, signOutUser, p, result)
}

// disconnectSignedOut disconnects the devices of the users that were just signed out. It reports false
// if Redis is unreachable: the nodes then close the devices within 5 s, and disconnectSignedOut does not
// wait for a time-out for each user.
func (c *console) disconnectSignedOut(ctx context.Context, results ...*batch.Result) bool {
	for _, r := range results {
		if r.Outcome != models.OutcomeDone {
			continue
		}
		if _, err := c.Presence.DisconnectAll(ctx, status.AccountOf(r.User)); err != nil {
			c.Logger.WarnContext(ctx, "disconnecting signed-out users failed; their nodes close the devices", "user", r.User.ID, "error", err)
			return false
		}
	}
	return true
}

// errDevicesUnknown is the problem of a disconnection while it is unknown which devices are connected.
var errDevicesUnknown = problem{http.StatusServiceUnavailable, "action.disconnect.unknown"}

// disconnect closes the connection of the device in the form, or all connections of the user.
func (c *console) disconnect(v *visit, p *userPage) (*batch.Result, error) {
	already := &batch.Result{UserID: p.User.ExternalID, Outcome: models.OutcomeAlready}
	if !p.DevicesKnown {
		return nil, errDevicesUnknown
	}
	var devices []string
	if id := v.r.PostFormValue("device"); id != "" {
		if p.device(id) == nil {
			return already, nil
		}
		devices = []string{id}
	}
	if len(p.Devices) == 0 {
		return already, nil
	}
	n, err := c.Presence.Disconnect(v.r.Context(), status.AccountOf(p.User.User), devices, c.actor(v))
	if n == 0 || err != nil {
		return already, err
	}
	return &batch.Result{UserID: p.User.ExternalID, Outcome: models.OutcomeDone}, nil
}
