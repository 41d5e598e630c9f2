package console

import (
	"net/url"
	"slices"
	"strconv"

	"rollcall/internal/page"
	"rollcall/internal/users"
	"rollcall/models"
)

// pageSizes are the numbers of users on a page to choose from, the default first.
var pageSizes = []int{20, 50, 100}

// userList is a page of a list of users, from which users can be chosen. It is part of users.html
// and states.html.
type userList struct {
	App appRow
	// Name is the list: "users", "banned" or "deactivated".
	Name  string
	Users []userRow
	// Total is the number of users in the list, on all of its pages.
	Total int
	// Search and Show are the filter; Show is a key of showFilters.
	Search, Show string
	// Size is the number of users on a page.
	Size int
	// Here is the page of the list.
	Here string
	// May is what the visitor may do. Moderators choose users to act on them; admins also export
	// them.
	May rights
	// SizeLinks lead to the list with another number of users on a page. There are none if all users
	// are on one.
	SizeLinks []navItem
	pager
}

// showFilters are the filters to choose from.
var showFilters = map[string]users.Filter{
	"":            {},
	showOnline:    {Presences: []models.Presence{models.PresenceOnline}},
	"active":      {States: []models.UserState{models.UserActive}},
	"banned":      {States: []models.UserState{models.UserBanned}},
	"deactivated": {States: []models.UserState{models.UserDeactivated}},
}

// filterOf returns the filter that a query or a form names. known is false if there is no such
// filter.
func filterOf(values url.Values) (filter users.Filter, known bool) {
	filter, known = showFilters[values.Get("show")]
	filter.Search = searchText(values.Get("q"))
	return filter, known
}

// showOnline is the filter of users that are online, a key of showFilters.
const showOnline = "online"

// Uncertain reports whether the list is of the users that are online, and which these are is unknown. It
// then has those of the last change that is known.
func (l userList) Uncertain() bool { return l.Show == showOnline && l.App.Online == nil }

// Actions returns what can be done to chosen users of the list: the actions that are shown first.
func (l userList) Actions() []*bulkAction { return l.actions(true) }

// OtherActions returns the actions in the menu.
func (l userList) OtherActions() []*bulkAction { return l.actions(false) }

// Picks reports whether the visitor can choose users of the list, to act on them or to export them.
func (l userList) Picks() bool { return l.Acts() || l.May.Administer() }

// Acts reports whether the visitor can act on chosen users of the list.
func (l userList) Acts() bool { return len(l.Actions())+len(l.OtherActions()) > 0 }

func (l userList) actions(main bool) []*bulkAction {
	return slices.DeleteFunc(slices.Clone(bulkActions), func(a *bulkAction) bool {
		return a.main != main || !l.May.may(a.needs) || !slices.Contains(a.lists, l.Name) || a.development && !l.App.Development()
	})
}

// ClearPath returns the page that deletes all users of the app, or "" if that is not offered here.
func (l userList) ClearPath() string {
	if l.Name != usersList || !l.App.Development() || !l.May.Administer() {
		return ""
	}
	return clearPath(l.App.App)
}

// ExportPath returns the form that exports the list, without the name of the format.
func (l userList) ExportPath() string { return usersPath(l.App.App) }

// Formats returns the formats of exports.
func (userList) Formats() []string { return exportFormats }

// FromField returns the name of the field with the page of the list.
func (userList) FromField() string { return fromField }

// OffersBanned reports whether the list offers to export the banned users besides its own: not if its
// own are those.
func (l userList) OffersBanned() bool {
	return l.Name == usersList && (l.Show != bannedList.name || l.Search != "")
}

// usersList is the name of the list of all users.
const usersList = "users"

// sizeOf returns the size of a page that the query asks for.
func sizeOf(v *visit) int {
	size, _ := strconv.Atoi(v.r.URL.Query().Get("size"))
	if !slices.Contains(pageSizes, size) {
		return pageSizes[0]
	}
	return size
}

// userList reads the page of a list that the query asks for by read.
func (c *console) userList(v *visit, app appRow, name string, r page.Request, read func(page.Request) (*users.Connection, error)) (userList, error) {
	list := userList{App: app, Name: name, Size: r.First, Here: v.here(), May: v.rights()}
	found, err := read(r)
	if err != nil {
		return list, err
	}
	if list.Total, err = found.TotalCount(v.r.Context()); err != nil {
		return list, err
	}
	list.Users = c.userRows(v, app.App, found.Nodes())
	list.pager = pagerBothWays(v, r, found.PageInfo())
	for _, size := range pageSizes {
		if list.Total <= pageSizes[0] {
			break
		}
		query := v.r.URL.Query()
		query.Del("after")
		query.Del("before")
		query.Set("size", strconv.Itoa(size))
		list.SizeLinks = append(list.SizeLinks, navItem{v.r.URL.EscapedPath() + "?" + query.Encode(), strconv.Itoa(size), size == r.First})
	}
	return list, nil
}
