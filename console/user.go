package console

import (
	"net/url"
	"slices"

	"rollcall/internal/audit"
	"rollcall/internal/page"
	"rollcall/models"
)

// auditOnUser is the number of audit entries on a user's page.
const auditOnUser = 5

// userPage is the data of user.html and user_delete.html.
type userPage struct {
	App     appRow
	User    userRow
	Devices []models.Device
	// MayChange is true if the visitor may change things. Whether users can be deleted depends on
	// the app's environment.
	MayChange bool
	// Lists are the first entries of each of the user's lists.
	Lists []*peopleView
	// Bans are the user's newest bans.
	Bans *banHistory
	// Audit is what was done to the user recently, and AuditPath the rest.
	Audit     []auditRow
	AuditPath string
}

// PermissionPath returns the page that asks which users may message this one.
func (p *userPage) PermissionPath() string {
	return permissionPath(p.App.App) + "?" + url.Values{"to": {p.User.ExternalID}}.Encode()
}

// Actions returns the actions that fit the user.
func (p *userPage) Actions() []*userAction {
	return slices.DeleteFunc(slices.Clone(userActions), func(a *userAction) bool { return !a.fits(p) })
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

func (c *console) showUser(v *visit) error {
	p, err := c.userPage(v)
	if err != nil {
		return err
	}
	for _, l := range peopleLists {
		list, info, err := c.people(v, p, l, request(peopleOnUser))
		if err != nil {
			return err
		}
		if info.HasNextPage {
			list.Next = list.Path
		}
		p.Lists = append(p.Lists, list)
	}
	if p.Bans, err = c.recentBans(v, p.User); err != nil {
		return err
	}
	app, id := p.App.App, p.User.ExternalID
	entries, err := c.Audit.List(v.r.Context(), audit.Filter{App: app, Target: id}, request(auditOnUser))
	if err != nil {
		return err
	}
	p.Audit, p.AuditPath = auditRows(nil, entries.Nodes()), auditOf(app, id)
	return c.show(v, "user", p)
}

// pollUser responds with the part of the page that changes within seconds.
func (c *console) pollUser(v *visit) error {
	p, err := c.userPage(v)
	if err != nil {
		return err
	}
	return c.showPart(v, "user", "user-now", p)
}

// request returns the request for the first page of a list.
func request(size int) page.Request { return page.Request{First: size} }

// userPage reads the user whose app and ID are in the path. It returns a problem if either is
// unknown.
func (c *console) userPage(v *visit) (*userPage, error) {
	app, err := c.app(v)
	if err != nil {
		return nil, err
	}
	u, err := c.Users.ByID(v.r.Context(), app.ID, v.userID())
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, c.notFound(v)
	}
	return &userPage{
		App:       c.appRow(v, app),
		User:      c.userRow(v, app, u),
		Devices:   c.devices(v, u),
		MayChange: v.mayChange(),
	}, nil
}
