package console

import (
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// userAction is something an operator does to one user: a page that asks, and a
// form that does it. The name begins its texts, and ends its path unless that is
// another's.
type userAction struct {
	Name string
	path string
	// Danger marks what cannot be taken back.
	Danger bool
	// fits says whether there is anything to do to the user as it is.
	fits func(*userPage) bool
	do   func(*console, *visit, *userPage) (*models.ItemResult, error)
}

// userActions are what a user's page offers, in this order, where they fit.
// Banning asks for more than a yes, and has a file of its own; so has changing a
// ban, which is banning again.
var (
	banUser = &userAction{
		Name: "ban",
		fits: func(p *userPage) bool { return p.User.State == models.UserActive },
	}
	changeBan = &userAction{
		Name: "change-ban",
		path: "ban",
		fits: func(p *userPage) bool { return p.User.State == models.UserBanned },
	}
	unbanUser = &userAction{
		Name: "unban",
		fits: func(p *userPage) bool { return p.User.State == models.UserBanned },
		do: func(c *console, v *visit, p *userPage) (*models.ItemResult, error) {
			return single(c.Users.Unban(v.r.Context(), p.App.App, p.ids(), c.actor(v)))
		},
	}
	disconnectUser = &userAction{
		Name: "disconnect",
		fits: func(p *userPage) bool { return len(p.Devices) > 0 },
		do:   (*console).disconnect,
	}
	expireTokens = &userAction{
		Name: "expire-tokens",
		fits: func(p *userPage) bool { return p.User.State != models.UserDeactivated },
		do: func(c *console, v *visit, p *userPage) (*models.ItemResult, error) {
			// The next millisecond, so that the youngest token ends too.
			from := models.TimeOf(c.Clock()) + 1
			return single(c.Users.ExpireTokens(v.r.Context(), p.App.App, p.ids(), from, c.actor(v)))
		},
	}
	deactivateUser = &userAction{
		Name:   "deactivate",
		Danger: true,
		fits:   func(p *userPage) bool { return p.User.State != models.UserDeactivated },
		do: func(c *console, v *visit, p *userPage) (*models.ItemResult, error) {
			return single(c.Users.Deactivate(v.r.Context(), p.App.App, p.ids(), c.actor(v)))
		},
	}
	reactivateUser = &userAction{
		Name: "reactivate",
		fits: func(p *userPage) bool { return p.User.State == models.UserDeactivated },
		do: func(c *console, v *visit, p *userPage) (*models.ItemResult, error) {
			return single(c.Users.Reactivate(v.r.Context(), p.App.App, p.ids(), c.actor(v)))
		},
	}
	whitelistOn  = whitelistSwitch("whitelist-on", true)
	whitelistOff = whitelistSwitch("whitelist-off", false)
	userActions  = []*userAction{
		banUser, unbanUser, changeBan, disconnectUser, expireTokens, whitelistOn, whitelistOff, deactivateUser, reactivateUser,
	}
)

// Path is the end of the action's path.
func (a *userAction) Path() string {
	if a.path != "" {
		return a.path
	}
	return a.Name
}

// whitelistSwitch is turning the user's whitelist on or off.
func whitelistSwitch(name string, on bool) *userAction {
	return &userAction{
		Name: name,
		fits: func(p *userPage) bool { return p.User.State != models.UserDeactivated && p.User.WhitelistEnabled != on },
		do: func(c *console, v *visit, p *userPage) (*models.ItemResult, error) {
			return single(c.Relations.SetWhitelistEnabled(v.r.Context(), p.App.App, p.ids(), on, c.actor(v)))
		},
	}
}

// single is the answer of a rule that was asked about one user.
func single(results []*models.ItemResult, err error) (*models.ItemResult, error) {
	if err != nil {
		return nil, err
	}
	return results[0], nil
}

// actionPage is what user_action.html shows.
type actionPage struct {
	*userPage
	Action *userAction
	// Fits: there is something to do.
	Fits bool
	// Device is the one that a disconnect is about; nil: all of them.
	Device *models.Device
}

// ask answers the page that says what an action will do, with the button that
// does it.
func ask(a *userAction) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		p, err := c.userPage(v)
		if err != nil {
			return err
		}
		page := actionPage{userPage: p, Action: a, Fits: a.fits(p)}
		if id := v.r.URL.Query().Get("device"); id != "" {
			page.Device = p.device(id)
			page.Fits = page.Fits && page.Device != nil
		}
		return c.show(v, "user_action", page)
	}
}

// act carries an action out and leads back to the user, where it says what has
// happened.
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
		return c.answerAction(v, a, p, result)
	}
}

// answerAction leads back to the user with what came of an action.
func (c *console) answerAction(v *visit, a *userAction, p *userPage, result *models.ItemResult) error {
	text := "action." + a.Name + ".done"
	switch result.Outcome {
	case models.OutcomeAlready:
		text = "action." + a.Name + ".already"
	case models.OutcomeRefused, models.OutcomeNotFound:
		text = "action.refused"
		if known := text + "." + result.Error.Code; hasFlash(known) {
			text = known
		}
	}
	if err := c.setFlash(v, text, p.User.ExternalID); err != nil {
		return err
	}
	return v.redirect(p.User.Path)
}

// disconnect ends the connection of the form's device, or of all.
func (c *console) disconnect(v *visit, p *userPage) (*models.ItemResult, error) {
	already := &models.ItemResult{ID: p.User.ExternalID, Outcome: models.OutcomeAlready}
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
	err := c.Users.AuditDisconnect(v.r.Context(), p.App.App, p.User.ExternalID, len(devices), c.actor(v))
	if err != nil {
		return nil, err
	}
	n, err := c.Presence.Disconnect(v.r.Context(), status.AccountOf(p.User.User), devices, status.ReasonDisconnected)
	if n == 0 || err != nil {
		return already, err
	}
	return &models.ItemResult{ID: p.User.ExternalID, Outcome: models.OutcomeDone}, nil
}
