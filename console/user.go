package console

import (
	"net/url"
	"slices"

	"rollcall/internal/audit"
	"rollcall/internal/page"
	"rollcall/models"
)

// The tabs of a user's page.
const (
	userOverview  = "overview"
	userRelations = "relationships"
	userDevices   = "devices"
	userActivity  = "activity"
)

// userPage is the data that all pages of a user have, and all of user_delete.html.
type userPage struct {
	App     appRow
	User    userRow
	Devices []models.Device
	// DevicesKnown is false if Redis does not respond.
	DevicesKnown bool
	// DeviceRows are the devices that the tab of devices shows. Other tabs leave them out, because
	// other nodes are asked for their clients.
	DeviceRows []deviceRow
	// May is what the visitor may do. Whether users can be deleted also depends on
	// the app's environment.
	May rights
	// Tab is the tab that the page belongs to.
	Tab string
}

// userTabPage is the data of user.html.
type userTabPage struct {
	*userPage
	// Lists are the first entries of each of the user's lists that has any, and Empty the others.
	Lists, Empty []*peopleView
	// Notes are the newest notes about the user, on the overview.
	Notes *noteList
	// Bans are the user's newest bans on the first page of its activity, and nil on the others.
	Bans *banHistory
	// Audit is what was done to the user, and AuditPath is the search for it in the audit.
	Audit     []auditRow
	AuditPath string
	// pager is that of the audit's pages.
	pager
}

// Tabs returns the links to the user's pages.
func (p *userPage) Tabs() []navItem {
	tabs := []navItem{
		{Path: p.User.Path, Text: "user.tab.overview"},
		{Path: p.User.Path + "/" + userRelations, Text: "user.tab.relationships"},
		{Path: p.User.Path + "/" + userDevices, Text: "user.tab.devices"},
		{Path: p.User.Path + "/" + userActivity, Text: "user.tab.activity"},
	}
	for i := range tabs {
		tabs[i].Current = tabs[i].Text == "user.tab."+p.Tab
	}
	return tabs
}

// Polled returns the IDs of the parts of the page that are polled.
func (p *userPage) Polled() string {
	parts := "#facts-now"
	if p.May.Moderate() {
		parts += ",#actions-now,#more-now"
	}
	switch p.Tab {
	case userOverview:
		parts += ",#profile-now"
	case userDevices:
		parts += ",#devices-now"
	}
	return parts
}

// PermissionPath returns the page that asks which users may message this one.
func (p *userPage) PermissionPath() string {
	return permissionPath(p.App.App) + "?" + url.Values{"to": {p.User.ExternalID}}.Encode()
}

// MainActions returns the actions that fit the user, that the visitor may do, and that are shown first.
func (p *userPage) MainActions() []*userAction { return p.actions(true) }

// OtherActions returns the other actions that fit the user and that the visitor may do.
func (p *userPage) OtherActions() []*userAction { return p.actions(false) }

func (p *userPage) actions(main bool) []*userAction {
	return slices.DeleteFunc(slices.Clone(userActions), func(a *userAction) bool { return a.main != main || !p.May.may(a.needs) || !a.fits(p) })
}

// device returns the user's live connection with that ID, or nil if there is none.
func (p *userPage) device(id string) *models.Device {
	at := slices.IndexFunc(p.Devices, func(d models.Device) bool { return d.ID == id })
	if at < 0 {
		return nil
	}
	return &p.Devices[at]
}

// ids returns the user's ID as a list, for rules that take several.
func (p *userPage) ids() []string { return []string{p.User.ExternalID} }

// showUserTab returns the handler of a tab; fill, unless it is nil, reads what only this tab shows.
func showUserTab(tab string, fill func(*console, *visit, *userTabPage) error) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		p, err := c.userPage(v)
		if err != nil {
			return err
		}
		p.Tab = tab
		page := &userTabPage{userPage: p}
		if fill != nil {
			if err := fill(c, v, page); err != nil {
				return err
			}
		}
		return c.show(v, "user", page)
	}
}

// fillRelations reads the first entries of each of the user's lists.
func (c *console) fillRelations(v *visit, p *userTabPage) error {
	for _, l := range peopleLists {
		list, info, err := c.people(v, p.userPage, l, page.Request{First: peopleOnUser})
		if err != nil {
			return err
		}
		if info.HasNextPage {
			list.Next = list.Path
		}
		if len(list.People) == 0 {
			p.Empty = append(p.Empty, list)
		} else {
			p.Lists = append(p.Lists, list)
		}
	}
	return nil
}

// fillActivity reads a page of what was done to the user.
func (c *console) fillActivity(v *visit, p *userTabPage) error {
	app, id, request := p.App.App, p.User.ExternalID, pageBothWays(v, auditPerPage)
	entries, err := c.Audit.List(v.r.Context(), audit.Filter{App: app, Target: id, Kind: audit.KindUser}, request)
	if err != nil {
		return err
	}
	p.Audit, p.AuditPath = auditRows(nil, entries.Nodes()), auditOf(app, id)
	for i := range p.Audit {
		if audit.IsErasure(p.Audit[i].AuditEntry) {
			p.Audit[i].CertificatePath = certificatePath(app, p.Audit[i].ID)
		}
	}
	if request.After == nil && request.Before == nil {
		if p.Bans, err = c.recentBans(v, p.User); err != nil {
			return err
		}
	}
	p.pager = pagerBothWays(v, request, entries.PageInfo())
	return nil
}

// pollUser responds with the part of the page that changes within seconds, for the tab in the query.
func (c *console) pollUser(v *visit) error {
	p, err := c.userPage(v)
	if err != nil {
		return err
	}
	if p.Tab = v.r.URL.Query().Get("tab"); p.Tab == userDevices {
		p.DeviceRows = c.deviceRows(v, p)
	}
	return c.showPart(v, "user", "user-now", p)
}

// userPage reads the user whose app and ID are in the path. It returns a problem if either is
// unknown.
func (c *console) userPage(v *visit) (*userPage, error) {
	app := v.app
	u, err := c.Users.ByID(v.r.Context(), app.ID, v.userID())
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, c.notFound(v)
	}
	p := &userPage{App: c.appRow(v, app), User: c.userRow(v, app, u), May: v.rights()}
	p.Devices, p.DevicesKnown = c.devices(v, u)
	return p, nil
}
