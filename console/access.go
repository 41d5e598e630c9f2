package console

import (
	"errors"
	"net/http"

	"rollcall/models"
)

// access determines which visitors may use a route; routes.go lists the access of each route. A
// viewer may use the routes of anyone, viewers and polls. An admin may use all.
type access int

const (
	// anyone is every visitor, logged in or not.
	anyone access = iota
	// viewers is every operator, viewer or admin.
	viewers
	// admins is the operators that may change things.
	admins
	// confirmed is the admins that have confirmed their password recently; others are asked for it
	// first. It is for POSTs that give access to accounts or apps.
	confirmed
	// polls is every operator. It is for requests that pages send by themselves. They do not count
	// as use of the session, and once it has ended they respond with 401 instead of a redirect.
	polls
)

// errLoggedOut is returned for a route that needs a login, if the visitor is not logged in.
var errLoggedOut = errors.New("not logged in")

// checkAccess returns an error if the visitor may not use a route with that access. Whether an admin
// has confirmed its password is checked by confirm.
func checkAccess(v *visit, needed access) error {
	switch {
	case needed == anyone:
		return nil
	case v.operator == nil:
		return errLoggedOut
	case (needed == admins || needed == confirmed) && !v.mayChange():
		return problem{status: http.StatusForbidden, text: "error.viewer"}
	}
	return nil
}

// mayChange reports whether the visitor, which is logged in, may use the routes of admins. Pages show
// the forms and links of these routes only to a visitor that may use them.
func (v *visit) mayChange() bool { return v.operator.Role == models.RoleAdmin }
