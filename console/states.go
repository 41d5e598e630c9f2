package console

import (
	"context"

	"rollcall/internal/page"
	"rollcall/internal/users"
	"rollcall/models"
)

// stateList is the list of an app's users in one state, ordered by its start or its end. The name
// ends the list's path and begins the keys of its texts.
type stateList struct {
	name string
	read func(Users, context.Context, *models.App, page.Request) (*users.Connection, error)
}

var (
	bannedList      = &stateList{"banned", Users.Banned}
	deactivatedList = &stateList{"deactivated", Users.Deactivated}
)

// statesPage is the data of states.html.
type statesPage struct {
	App        appRow
	Name, Path string
	Users      []userRow
	// May is what the visitor may do. Moderators choose banned users to lift their bans.
	May   rights
	First bool
	Next  string
}

// Banned reports whether this is the list of banned users.
func (p statesPage) Banned() bool { return p.Name == bannedList.name }

// Choosing reports whether users can be chosen.
func (p statesPage) Choosing() bool { return p.Banned() && p.May.Moderate() }

func (l *stateList) path(app *models.App) string { return appPath(app) + "/" + l.name }

// showStates returns the handler of the list's pages.
func showStates(l *stateList) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		app := v.app
		request := pageOf(v, usersPerPage)
		found, err := l.read(c.Users, v.r.Context(), app, request)
		if err != nil {
			return err
		}
		p := statesPage{App: c.appRow(v, app), Name: l.name, Path: l.path(app), First: request.After == nil, May: v.rights()}
		p.Users = c.userRows(v, app, found.Nodes())
		p.Next = nextPage(v, found.PageInfo())
		return c.show(v, "states", p)
	}
}
