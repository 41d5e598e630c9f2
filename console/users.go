package console

import (
	"strings"
	"unicode"

	"rollcall/internal/page"
	"rollcall/internal/users"
	"rollcall/models"
)

// usersPage is the data of users.html.
type usersPage struct {
	userList
	// OldestFirst reverses the order, which is the newest first.
	OldestFirst bool
}

// Shows returns the keys of showFilters in the order in which they are shown.
func (usersPage) Shows() []string { return []string{"online", "active", "banned", "deactivated"} }

// Filtered reports whether the page has a search or a filter.
func (p usersPage) Filtered() bool { return p.Search+p.Show != "" }

type userRow struct {
	*models.User
	Path   string
	State  models.UserState
	Status models.UserStatus
}

func (c *console) listUsers(v *visit) error {
	app := v.app
	query := v.r.URL.Query()
	filter, known := filterOf(query)
	if !known {
		return c.notFound(v)
	}
	row, err := c.countedRow(v, app)
	if err != nil {
		return err
	}
	request := pageBothWays(v, sizeOf(v))
	request.OldestFirst = query.Get("order") == "oldest"
	list, err := c.userList(v, row, usersList, request, func(r page.Request) (*users.Connection, error) {
		return c.Users.List(v.r.Context(), app, filter, r)
	})
	if err != nil {
		return err
	}
	list.Search, list.Show = filter.Search, query.Get("show")
	return c.show(v, "users", usersPage{list, request.OldestFirst})
}

// pollCounts responds with the number of users and how many are online.
func (c *console) pollCounts(v *visit) error {
	app := v.app
	row, err := c.countedRow(v, app)
	if err != nil {
		return err
	}
	return c.showPart(v, "users", "counts", row)
}

// searchText removes characters that no ID and no name contains, and spaces around the text.
func searchText(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "")))
}

func (c *console) userRow(v *visit, app *models.App, u *models.User) userRow {
	return c.userRows(v, app, []*models.User{u})[0]
}

func (c *console) userRows(v *visit, app *models.App, users []*models.User) []userRow {
	now := models.TimeOf(c.Clock())
	statuses := c.statuses(v, users)
	rows := make([]userRow, len(users))
	for i, u := range users {
		rows[i] = userRow{User: u, Path: userPath(app, u.ExternalID), State: u.State(now), Status: statuses[i]}
	}
	return rows
}
