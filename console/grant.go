package console

import (
	"errors"
	"slices"

	"rollcall/internal/fault"
	"rollcall/models"
)

// The choices of a grant's apps.
const (
	allApps   = "all"
	namedApps = "named"
)

// grantForm is the part of a form that has a role and its apps.
type grantForm struct {
	// Role, Scope and the chosen Apps are the values of the form.
	Role, Scope string
	Apps        []appChoice
	Errors      faults
	// Most is what the visitor itself may do, which is the most that it may choose.
	Most models.Grant
	// NewAppPath is the page that creates an app, or "" if the visitor may not create one.
	NewAppPath string
}

// appChoice is an app to choose.
type appChoice struct {
	*models.App
	Chosen bool
}

// Roles returns the roles to choose from.
func (f grantForm) Roles() []models.Role {
	return slices.DeleteFunc(models.Roles(), func(r models.Role) bool { return !f.Most.Role.Includes(r) })
}

// grantForm returns the form filled in with a grant.
func (c *console) grantForm(v *visit, grant models.Grant) (grantForm, error) {
	list, err := c.appsOf(v)
	if err != nil {
		return grantForm{}, err
	}
	f := grantForm{Role: string(grant.Role), Scope: allApps, Most: v.operator.Grant}
	if !grant.AllApps {
		f.Scope = namedApps
	}
	if v.rights().may(adminsOfAll) {
		f.NewAppPath = newAppPath
	}
	for _, app := range list {
		f.Apps = append(f.Apps, appChoice{app, slices.Contains(grant.AppIDs, app.ID)})
	}
	return f, nil
}

// readGrant reads the form. The rules check the grant; without a choice of the apps, it is for none.
func (c *console) readGrant(v *visit) (grantForm, models.Grant, error) {
	form := v.r.PostForm
	scope := form.Get("scope")
	grant := models.Grant{Role: models.Role(form.Get("role")), AllApps: scope == allApps}
	f, err := c.grantForm(v, grant)
	if err != nil {
		return grantForm{}, models.Grant{}, err
	}
	for _, key := range form["app"] {
		id := int64(0) // of no app
		for i := range f.Apps {
			if f.Apps[i].Key == key {
				f.Apps[i].Chosen, id = true, f.Apps[i].ID
			}
		}
		if scope != "" {
			grant.AppIDs = append(grant.AppIDs, id)
		}
	}
	return f, grant, nil
}

// refusal returns the fault if err is about a field of a form, or nil.
func refusalOf(err error) *fault.Error {
	var refusal *fault.Error
	if errors.As(err, &refusal) && refusal.Code == fault.InvalidArgument {
		return refusal
	}
	return nil
}

// scope is the apps of a grant, on a page.
type scope struct {
	All  bool
	Apps []string // their names
}

// scopeOf returns the apps of a grant. list has the apps that the visitor may see.
func scopeOf(list []*models.App, grant models.Grant) scope {
	s := scope{All: grant.AllApps}
	for _, app := range list {
		if !s.All && grant.Covers(app.ID) {
			s.Apps = append(s.Apps, app.Name)
		}
	}
	return s
}
