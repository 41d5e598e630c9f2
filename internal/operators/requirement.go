package operators

import "rollcall/models"

// Requirement is which operators must have a second factor: those of a role and of all roles above it.
type Requirement string

// The requirements. The zero value is RequireNone.
const (
	RequireNone       Requirement = "off"
	RequireOwners     Requirement = "owners"
	RequireAdmins     Requirement = "admins"
	RequireModerators Requirement = "moderators"
	RequireAll        Requirement = "all"
)

// lowest has the lowest role that must have a second factor.
var lowest = map[Requirement]models.Role{
	RequireOwners: models.RoleOwner, RequireAdmins: models.RoleAdmin, RequireModerators: models.RoleModerator, RequireAll: models.RoleViewer,
}

// Requiring returns a copy of o that requires a second factor of some operators.
func (o *Service) Requiring(r Requirement) *Service {
	requires := *o
	requires.requirement = r
	return &requires
}

// LacksSecondFactor reports whether the operator must set up a second factor before it may do
// anything else. For an operator that logs in by SSO, the OpenID Provider decides on second factors.
func (o *Service) LacksSecondFactor(operator *models.Operator) bool {
	role, required := lowest[o.requirement]
	return required && !operator.HasSecondFactor && !operator.BySSO() && operator.Role.Includes(role)
}
