package operators

import "rollcall/models"

// Requirement is which operators must have a second factor.
type Requirement string

// The requirements. The zero value is RequireNone.
const (
	RequireNone Requirement = "off"
	// RequireAdmins is for admins and owners.
	RequireAdmins Requirement = "admins"
	RequireAll    Requirement = "all"
)

// Requiring returns a copy of o that requires a second factor of some operators.
func (o *Service) Requiring(r Requirement) *Service {
	requires := *o
	requires.requirement = r
	return &requires
}

// LacksSecondFactor reports whether the operator must set up a second factor before it may do
// anything else.
func (o *Service) LacksSecondFactor(operator *models.Operator) bool {
	if operator.HasSecondFactor {
		return false
	}
	switch o.requirement {
	case RequireAll:
		return true
	case RequireAdmins:
		return operator.Role.Includes(models.RoleAdmin)
	}
	return false
}
