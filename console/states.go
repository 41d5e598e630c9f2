package console

import (
	"context"

	"rollcall/internal/page"
	"rollcall/internal/users"
	"rollcall/models"
)

// stateList is the list of an app's users in one state, ordered by its start or its end. The name
// ends the list's path, begins the keys of its texts, and is the key of its filter in showFilters.
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
	userList
	Path string
}

// Banned reports whether this is the list of banned users.
func (p statesPage) Banned() bool { return p.Name == bannedList.name }

// MayAct reports whether the visitor may bring users into this state.
func (p statesPage) MayAct() bool {
	if p.Banned() {
		return p.May.Moderate()
	}
	return p.May.Administer()
}

func (l *stateList) path(app *models.App) string { return appPath(app) + "/" + l.name }

// showStates returns the handler of the list's pages.
func showStates(l *stateList) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		app := v.app
		list, err := c.userList(v, c.appRow(v, app), l.name, pageBothWays(v, sizeOf(v)), func(r page.Request) (*users.Connection, error) {
			return l.read(c.Users, v.r.Context(), app, r)
		})
		if err != nil {
			return err
		}
		list.Show = l.name
		return c.show(v, "states", statesPage{list, l.path(app)})
	}
}
