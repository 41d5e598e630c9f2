package console

import (
	"net/url"
	"slices"

	"rollcall/internal/audit"
	"rollcall/internal/page"
	"rollcall/models"
)

// auditOnUser is how many entries of the audit a user's page shows.
const auditOnUser = 5

// userPage is what user.html and user_delete.html show.
type userPage struct {
	App     appRow
	User    userRow
	Devices []models.Device
	// MayChange: the visitor may change things. Whether the app lets users be
	// deleted is the app's environment.
	MayChange bool
	// Lists are the first entries of each list of people that the user has.
	Lists []*peopleView
	// Audit is what was done to the user lately, and AuditPath where the rest is.
	Audit     []auditRow
	AuditPath string
}

// PermissionPath asks who may message the user.
func (p *userPage) PermissionPath() string {
	return permissionPath(p.App.App) + "?" + url.Values{"to": {p.User.ExternalID}}.Encode()
}

// Actions are those that fit the user as it is.
func (p *userPage) Actions() []*userAction {
	return slices.DeleteFunc(slices.Clone(userActions), func(a *userAction) bool { return !a.fits(p) })
}

// device answers the user's live connection with that ID, nil where there is none.
func (p *userPage) device(id string) *models.Device {
	at := slices.IndexFunc(p.Devices, func(d models.Device) bool { return d.ID == id })
	if at < 0 {
		return nil
	}
	return &p.Devices[at]
}

// ids is the user, for rules that take many.
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
	app, id := p.App.App, p.User.ExternalID
	entries, err := c.Audit.List(v.r.Context(), audit.Filter{App: app, Target: id}, request(auditOnUser))
	if err != nil {
		return err
	}
	p.Audit, p.AuditPath = auditRows(nil, entries.Nodes()), auditOf(app, id)
	return c.show(v, "user", p)
}

// pollUser answers what of a user changes from one moment to the next.
func (c *console) pollUser(v *visit) error {
	p, err := c.userPage(v)
	if err != nil {
		return err
	}
	return c.showPart(v, "user", "user-now", p)
}

// request is the first page of a list.
func request(size int) page.Request { return page.Request{First: size} }

// userPage reads the user whose app and ID are in the path; unknown ones are a
// problem.
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
		MayChange: v.operator.Role == models.RoleAdmin,
	}, nil
}
