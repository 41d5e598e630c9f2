package operators

import "rollcall/models"

// Right is what an operator needs to do something. The console's routes and the fields of the
// management API name the rights that they need; both check them only by Lacks.
type Right struct {
	// Role is the lowest role that has the right.
	Role models.Role
	// AllApps is true for what belongs to no single app: the role must be for all apps.
	AllApps bool
}

// The rights.
var (
	Viewers    = Right{Role: models.RoleViewer}
	Moderators = Right{Role: models.RoleModerator}
	Admins     = Right{Role: models.RoleAdmin}
	// ViewersOfAll and AdminsOfAll are the viewers and admins that are for all apps.
	ViewersOfAll = Right{Role: models.RoleViewer, AllApps: true}
	AdminsOfAll  = Right{Role: models.RoleAdmin, AllApps: true}
	Owners       = Right{Role: models.RoleOwner, AllApps: true}
)

// Lack is what a grant lacks of a right.
type Lack int

// The lacks.
const (
	LacksNothing Lack = iota
	LacksRole
	// LacksApps means that the role suffices, but is not for all apps.
	LacksApps
)

// Lacks returns what the grant lacks of the right. An app that belongs to the request is checked by
// models.Grant.Covers.
func (r Right) Lacks(g models.Grant) Lack {
	switch {
	case !g.Role.Includes(r.Role):
		return LacksRole
	case r.AllApps && !g.AllApps:
		return LacksApps
	}
	return LacksNothing
}
