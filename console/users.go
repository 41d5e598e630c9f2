package console

import (
	"strings"
	"unicode"

	"rollcall/internal/users"
	"rollcall/models"
)

// usersPerPage is how many users a page shows.
const usersPerPage = 20

// usersPage is what users.html shows.
type usersPage struct {
	App   appRow
	Users []userRow
	// Search is what was asked for.
	Search string
	// First is whether this is the first page; Next leads to the next, "" on the last.
	First bool
	Next  string
}

type userRow struct {
	*models.User
	Path   string
	State  models.UserState
	Status models.UserStatus
}

func (c *console) listUsers(v *visit) error {
	app, err := c.app(v)
	if err != nil {
		return err
	}
	query := v.r.URL.Query()
	search := searchText(query.Get("q"))
	request := pageOf(v, usersPerPage)
	found, err := c.Users.List(v.r.Context(), app, users.Filter{Search: search}, request)
	if err != nil {
		return err
	}
	shown := usersPage{App: c.appRow(app), Search: search, First: request.After == nil}
	for _, u := range found.Nodes() {
		shown.Users = append(shown.Users, c.userRow(app, u))
	}
	shown.Next = nextPage(v, found.PageInfo())
	return c.show(v, "users", shown)
}

// searchText leaves out what no ID and no name has, and what was typed by mistake
// around it.
func searchText(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "")))
}

func (c *console) userRow(app *models.App, u *models.User) userRow {
	return userRow{
		User:   u,
		Path:   userPath(app, u.ExternalID),
		State:  u.State(models.TimeOf(c.Clock())),
		Status: c.Presence.StatusOf(u),
	}
}
