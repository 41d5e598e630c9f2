package console

import (
	"net/url"
	"strings"
	"unicode"

	"rollcall/internal/users"
	"rollcall/models"
)

// usersPerPage is the number of users on a page.
const usersPerPage = 20

// usersPage is the data of users.html.
type usersPage struct {
	App   appRow
	Users []userRow
	// Search is the text searched for.
	Search string
	// Show selects users: "" for all, or a key of showFilters.
	Show string
	// May is what the visitor may do. Moderators choose users to ban them; admins also delete users
	// and clear the app.
	May       rights
	ClearPath string
	// ExportPath is the form that exports the users shown.
	ExportPath string
	// First is true on the first page. Next is the path of the next page, or "" on the last.
	First bool
	Next  string
}

// showFilters are the filters to choose from.
var showFilters = map[string]users.Filter{
	"":            {},
	"online":      {Presences: []models.Presence{models.PresenceOnline}},
	"active":      {States: []models.UserState{models.UserActive}},
	"banned":      {States: []models.UserState{models.UserBanned}},
	"deactivated": {States: []models.UserState{models.UserDeactivated}},
}

// Shows returns the keys of showFilters in the order in which they are shown.
func (usersPage) Shows() []string { return []string{"online", "active", "banned", "deactivated"} }

// Filtered reports whether the page has a search or a filter.
func (p usersPage) Filtered() bool { return p.Search+p.Show != "" }

// FirstPage returns the path of the first page.
func (p usersPage) FirstPage() string {
	query := url.Values{}
	for name, value := range map[string]string{"q": p.Search, "show": p.Show} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if len(query) == 0 {
		return p.App.UsersPath
	}
	return p.App.UsersPath + "?" + query.Encode()
}

type userRow struct {
	*models.User
	Path   string
	State  models.UserState
	Status models.UserStatus
}

func (c *console) listUsers(v *visit) error {
	app := v.app
	query := v.r.URL.Query()
	search, show := searchText(query.Get("q")), query.Get("show")
	filter, known := showFilters[show]
	if !known {
		return c.notFound(v)
	}
	filter.Search = search
	request := pageOf(v, usersPerPage)
	found, err := c.Users.List(v.r.Context(), app, filter, request)
	if err != nil {
		return err
	}
	row, err := c.countedRow(v, app)
	if err != nil {
		return err
	}
	shown := usersPage{
		App: row, Search: search, Show: show, First: request.After == nil,
		May: v.rights(), ClearPath: clearPath(app), ExportPath: usersPath(app) + ".csv",
	}
	shown.Users = c.userRows(v, app, found.Nodes())
	shown.Next = nextPage(v, found.PageInfo())
	return c.show(v, "users", shown)
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
