package console

import (
	"rollcall/internal/relations"
	"rollcall/models"
)

// permissionPage is the data of permission.html.
type permissionPage struct {
	App appRow
	// Path is the path of the page; From and To are the IDs of the two users.
	Path, From, To string
	// Decision is nil until both IDs are given.
	Decision *relations.Explanation
	// Sender and Recipient are nil if there is no such user.
	Sender, Recipient *userRow
}

// Reason returns the name of the rule that decided: the reason of a denial, or ALLOWED.
func (p permissionPage) Reason() string {
	switch {
	case !p.Decision.Allowed:
		return string(*p.Decision.Reason)
	case p.From == p.To:
		return "ONESELF"
	}
	return "ALLOWED"
}

// Changes returns what would change the decision.
func (p permissionPage) Changes() []relations.Change {
	return append(p.Decision.Needs, p.Decision.Stops...) // one of them is empty
}

// permissionPath returns the page that explains the app's decisions.
func permissionPath(app *models.App) string { return appPath(app) + "/permission" }

// explainPermission shows whether one user may message another, and why.
func (c *console) explainPermission(v *visit) error {
	app, err := c.app(v)
	if err != nil {
		return err
	}
	query := v.r.URL.Query()
	p := permissionPage{
		App: c.appRow(v, app), Path: permissionPath(app),
		From: searchText(query.Get("from")), To: searchText(query.Get("to")),
	}
	if p.From == "" || p.To == "" {
		return c.show(v, "permission", p)
	}
	if p.Decision, err = c.Relations.Explain(v.r.Context(), app, relations.Pair{From: p.From, To: p.To}); err != nil {
		return err
	}
	if p.Sender, err = c.rowOf(v, app, p.From); err != nil {
		return err
	}
	if p.Recipient, err = c.rowOf(v, app, p.To); err != nil {
		return err
	}
	return c.show(v, "permission", p)
}

// rowOf returns the user with that ID, or nil if there is none.
func (c *console) rowOf(v *visit, app *models.App, id string) (*userRow, error) {
	u, err := c.Users.ByID(v.r.Context(), app.ID, id)
	if u == nil || err != nil {
		return nil, err
	}
	row := c.userRow(v, app, u)
	return &row, nil
}
