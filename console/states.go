package console

import (
	"context"

	"rollcall/internal/page"
	"rollcall/internal/users"
	"rollcall/models"
)

// stateList is a list of an app's users in one state, the end or the beginning of
// which orders them. Its name ends its path and its texts.
type stateList struct {
	name string
	read func(Users, context.Context, *models.App, page.Request) (*users.Connection, error)
}

var (
	bannedList      = &stateList{"banned", Users.Banned}
	deactivatedList = &stateList{"deactivated", Users.Deactivated}
)

// statesPage is what states.html shows.
type statesPage struct {
	App        appRow
	Name, Path string
	Users      []userRow
	// MayChange: the visitor may choose those banned to lift their bans.
	MayChange bool
	First     bool
	Next      string
}

// Banned says whether it is the list of those banned.
func (p statesPage) Banned() bool { return p.Name == bannedList.name }

// Choosing says whether there are users to choose.
func (p statesPage) Choosing() bool { return p.Banned() && p.MayChange }

func (l *stateList) path(app *models.App) string { return appPath(app) + "/" + l.name }

// showStates answers the pages of a list.
func showStates(l *stateList) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		app, err := c.app(v)
		if err != nil {
			return err
		}
		request := pageOf(v, usersPerPage)
		found, err := l.read(c.Users, v.r.Context(), app, request)
		if err != nil {
			return err
		}
		p := statesPage{App: c.appRow(v, app), Name: l.name, Path: l.path(app), First: request.After == nil, MayChange: v.operator.Role == models.RoleAdmin}
		p.Users = c.userRows(v, app, found.Nodes())
		p.Next = nextPage(v, found.PageInfo())
		return c.show(v, "states", p)
	}
}
