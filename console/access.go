package console

import (
	"errors"
	"net/http"
	"strings"

	"rollcall/internal/operators"
	"rollcall/models"
)

// access determines which visitors may use a route; routes.go lists the access of each route. The
// zero value is for every visitor, logged in or not.
type access struct {
	// Right is what the operator needs.
	operators.Right
	// confirm is true if the operator must have confirmed its password recently; others are asked
	// for it first, if nothing is wrong with the form. It is for POSTs that give access to accounts or
	// apps, or erase users.
	confirm bool
	// poll is true for requests that pages send by themselves. They do not count as use of the
	// session, and once it has ended they respond with 401 instead of a redirect.
	poll bool
	// local is true for routes about passwords, second factors and invitations. Operators that log in
	// by SSO have none of them, and if all must log in by SSO, no visitor may use these routes.
	local bool
	// always is true for routes that need no database. While it is away they respond to every
	// visitor, logged in or not.
	always bool
	// late is true for GETs that show lists and figures, which may be read at a replica. An operator
	// that has just sent a form reads at the primary.
	late bool
}

var (
	anyone = access{}
	// localGuests is anyone, where passwords and passkeys are accepted.
	localGuests = access{local: true}
	// localViewers is viewers with a password.
	localViewers = access{Right: operators.Viewers, local: true}
	viewers      = access{Right: operators.Viewers}
	// confirmedViewers and confirmedLocal are viewers and localViewers with a confirmed password, for
	// changes of the visitor's own account.
	confirmedViewers = access{Right: operators.Viewers, confirm: true}
	confirmedLocal   = access{Right: operators.Viewers, local: true, confirm: true}
	polls            = access{Right: operators.Viewers, poll: true}
	// lateViewers and latePolls are viewers and polls whose reads may be late.
	lateViewers = access{Right: operators.Viewers, late: true}
	latePolls   = access{Right: operators.Viewers, poll: true, late: true}
	// pollsAway is polls for what is away, which even the login shows then.
	pollsAway  = access{Right: operators.Viewers, poll: true, always: true}
	moderators = access{Right: operators.Moderators}
	admins     = access{Right: operators.Admins}
	// confirmed is admins with a confirmed password.
	confirmed    = access{Right: operators.Admins, confirm: true}
	viewersOfAll = access{Right: operators.ViewersOfAll}
	adminsOfAll  = access{Right: operators.AdminsOfAll}
	owners       = access{Right: operators.Owners}
	// confirmedOwners is owners with a confirmed password.
	confirmedOwners = access{Right: operators.Owners, confirm: true}
)

// errLoggedOut is returned for a route that needs a login, if the visitor is not logged in.
var errLoggedOut = errors.New("not logged in")

// checkAccess returns an error if the visitor may not use a route with that access. Whether the
// operator has confirmed its password is checked by confirm, and whether it is for the app in the
// path by findApp.
func checkAccess(v *visit, needed access) error {
	switch {
	case needed.Role == "":
		return nil
	case v.operator == nil:
		return errLoggedOut
	}
	return v.rights().check(needed)
}

// checkLocal returns a problem if the route needs a local account and the visitor has none. Those who
// log in by SSO may use the routes of guests, which begin another session.
func (c *console) checkLocal(v *visit, needed access) error {
	switch {
	case !needed.local:
		return nil
	case needed.Role != "" && v.operator.BySSO():
		return problem{http.StatusForbidden, "error.by_sso"}
	case !c.Operators.LocalLogin():
		return problem{http.StatusForbidden, "error.local_login_off"}
	}
	return nil
}

// findApp sets v.app to the app in the route's path, if the route has one. Returns the problem for
// an unknown path if there is no such app or the operator is not for it, so that operators cannot
// find out which other apps exist.
func (c *console) findApp(v *visit, rt route) error {
	if !strings.Contains(rt.pattern, "{key}") {
		return nil
	}
	app, err := c.appOf(v, v.r.PathValue("key"))
	v.app = app
	return err
}

// appOf returns the app with that key, or the problem for an unknown path if there is none or the
// operator is not for it, or the problem for one that is being deleted.
func (c *console) appOf(v *visit, key string) (*models.App, error) {
	app, err := c.Apps.ByKey(v.r.Context(), key)
	if err != nil {
		return nil, err
	}
	if app == nil || !v.operator.Covers(app.ID) {
		return nil, c.notFound(v)
	}
	if app.Deleting() {
		return nil, errAppDeleting
	}
	return app, nil
}

// appsOf returns the apps that the operator is for. Pages read apps only by appsOf and appOf.
func (c *console) appsOf(v *visit) ([]*models.App, error) {
	list, err := c.Apps.List(v.r.Context())
	if err != nil {
		return nil, err
	}
	return v.operator.Only(list), nil
}

// rights are what an operator may do. Pages show the forms and links of a route only to an operator
// that may use it.
type rights struct{ grant models.Grant }

// rights returns what the visitor, which is logged in, may do.
func (v *visit) rights() rights { return rights{v.operator.Grant} }

// check returns the problem that explains why the operator may not use a route with that access, or
// nil if it may.
func (r rights) check(needed access) error {
	if needed.Role == "" {
		return nil
	}
	switch needed.Lacks(r.grant) {
	case operators.LacksRole:
		return problem{status: http.StatusForbidden, text: needsTexts[needed.Role]}
	case operators.LacksApps:
		return problem{status: http.StatusForbidden, text: "error.needs.all_apps"}
	}
	return nil
}

// needsTexts are the texts that explain which role is missing.
var needsTexts = map[models.Role]string{
	models.RoleViewer:    "error.forbidden", // for a role of a newer release
	models.RoleModerator: "error.needs.moderator",
	models.RoleAdmin:     "error.needs.admin",
	models.RoleOwner:     "error.needs.owner",
}

func (r rights) may(needed access) bool { return r.check(needed) == nil }

// Moderate reports whether the operator may use the routes of moderators.
func (r rights) Moderate() bool { return r.may(moderators) }

// Administer reports whether the operator may use the routes of admins.
func (r rights) Administer() bool { return r.may(admins) }

// SeeAll reports whether the operator may use the routes of viewers that are for all apps.
func (r rights) SeeAll() bool { return r.may(viewersOfAll) }

// Own reports whether the operator may use the routes of owners.
func (r rights) Own() bool { return r.may(owners) }
