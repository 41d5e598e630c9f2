package console

import (
	"cmp"
	"maps"
	"net/url"
	"strings"
	"unicode"

	"rollcall/internal/page"
	"rollcall/internal/users"
	"rollcall/models"
)

// usersPage is the data of users.html.
type usersPage struct {
	userList
	// Order is the key of the chosen order, and Sorted that of the order of the list, which is that of
	// the registration if a search or a filter does not have the chosen one.
	Order, Sorted string
	// sortable reports whether the list has all orders.
	sortable bool
	// query is that of the request.
	query url.Values
}

// userOrder is an order of the list of users. Its key in queries is one of userOrders.
type userOrder struct {
	by        users.Sort
	ascending bool
}

// userOrders are the orders to choose from. A minus reverses an order.
var userOrders = map[string]userOrder{
	"newest": {users.ByRegistration, false},
	"oldest": {users.ByRegistration, true},
	"name":   {users.ByName, true},
	"-name":  {users.ByName, false},
	"id":     {users.ByID, true},
	"-id":    {users.ByID, false},
	"seen":   {users.BySeen, false},
	"-seen":  {users.BySeen, true},
}

// Orders returns the keys of userOrders in the order in which they are shown.
func (usersPage) Orders() []string {
	return []string{"newest", "oldest", "name", "-name", "id", "-id", "seen", "-seen"}
}

// userColumn is a column of the list of users, whose head links to the list in its order.
type userColumn struct {
	// Text is the key of its name.
	Text string
	// Path is the list in the column's order, or in the reverse if it has the order already. It is "" if
	// the list does not have the order.
	Path string
	// Aria is the value of aria-sort, or "" if the list has another order.
	Aria string
}

// Columns returns the columns of the list.
func (p usersPage) Columns() []userColumn {
	return []userColumn{
		p.column("user.name", "name", "-name"),
		p.column("user.id", "id", "-id"),
		p.column("user.status", "seen", "-seen"),
		{Text: "user.state"},
		p.column("user.registered", "newest", "oldest"),
	}
}

// column returns the column with an order, whose key is first and, reversed, second.
func (p usersPage) column(text, first, second string) userColumn {
	column, key := userColumn{Text: text}, first
	if p.Sorted == first || p.Sorted == second {
		column.Aria = "descending"
		if userOrders[p.Sorted].ascending {
			column.Aria = "ascending"
		}
		if p.Sorted == first {
			key = second
		}
	}
	if userOrders[first].by != users.ByRegistration && !p.sortable {
		return column
	}
	query := maps.Clone(p.query)
	query.Del("after")
	query.Del("before")
	query.Set("order", key)
	column.Path = p.App.UsersPath + "?" + query.Encode()
	return column
}

// RowActions returns the actions on a user in its row: the main ones of its page.
func (p usersPage) RowActions(row userRow) []*userAction {
	return (&userPage{App: p.App, User: row, May: p.May}).MainActions()
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

// LastSeen returns when the user was last online, or nil if it is online, never was, or is deactivated.
func (r userRow) LastSeen() *models.Time {
	if r.Status.Presence == models.PresenceOnline || r.DeactivatedAt != nil {
		return nil
	}
	return r.Status.ChangedAt
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
	p := usersPage{Order: cmp.Or(query.Get("order"), "newest"), sortable: filter.Sortable(), query: query}
	if _, known := userOrders[p.Order]; !known {
		return c.notFound(v)
	}
	if p.Sorted = p.Order; !p.sortable && userOrders[p.Order].by != users.ByRegistration {
		p.Sorted = "newest"
	}
	order, request := userOrders[p.Sorted], pageBothWays(v, sizeOf(v))
	request.OldestFirst = order.ascending
	p.userList, err = c.userList(v, row, usersList, request, func(r page.Request) (*users.Connection, error) {
		return c.Users.ListBy(v.r.Context(), app, filter, order.by, r)
	})
	if err != nil {
		return err
	}
	p.Search, p.Show = filter.Search, query.Get("show")
	return c.show(v, "users", p)
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
