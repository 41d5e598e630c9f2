package operators

import (
	"context"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/models"
)

// SetRole changes an operator's role, from its next request on, and reports whether it was another
// one. Returns INVALID_ARGUMENT for an unknown name or role, for one's own role (rule self), and if
// no admin would be left (rule last_admin).
func (o *Service) SetRole(ctx context.Context, name string, role models.Role, by models.Actor) (changed bool, err error) {
	if err := checkRole(role); err != nil {
		return false, err
	}
	err = o.edit(ctx, name, by, func(tx *gorm.DB, operator *models.Operator, admins int) error {
		if changed = operator.Role != role; !changed {
			return nil
		}
		if operator.Role == models.RoleAdmin && admins == 1 {
			return errLastAdmin(name)
		}
		if err := tx.Model(operator).Update("role", role).Error; err != nil {
			return err
		}
		return o.audit(tx, by, audit.ActionOperatorSetRole, name, "role="+string(role))
	})
	if err != nil {
		return false, wrap(err, "setting operator's role")
	}
	return changed, nil
}

// Delete removes an operator and ends its sessions immediately. Its entries stay in the audit.
// Returns INVALID_ARGUMENT for an unknown name, for oneself (rule self), and for the last admin
// (rule last_admin).
func (o *Service) Delete(ctx context.Context, name string, by models.Actor) error {
	err := o.edit(ctx, name, by, func(tx *gorm.DB, operator *models.Operator, admins int) error {
		if operator.Role == models.RoleAdmin && admins == 1 {
			return errLastAdmin(name)
		}
		// Delete the operator first: a concurrent login locks its row, so that login's session is
		// either visible here or is never created.
		if err := tx.Delete(operator).Error; err != nil {
			return err
		}
		ended := tx.Where("operator_id = ?", operator.ID).Delete(&models.OperatorSession{})
		if ended.Error != nil {
			return ended.Error
		}
		if err := removeSecondFactors(tx, operator); err != nil {
			return err
		}
		return o.audit(tx, by, audit.ActionOperatorDelete, name, fmt.Sprintf("sessions=%d", ended.RowsAffected))
	})
	return wrap(err, "deleting operator")
}

// edit runs fn in a transaction with the operator of that name and the number of admins. All
// operators are locked until it ends, always in the same order. So if two admins revoke each
// other's role, the second fails as the last admin.
//
// Operators cannot change their own account in this way: only another admin could mend such a slip.
// Another admin always exists, because the last one cannot be changed.
func (o *Service) edit(ctx context.Context, name string, by models.Actor, fn func(tx *gorm.DB, operator *models.Operator, admins int) error) error {
	return o.db.Tx(ctx, func(tx *gorm.DB) error {
		var all []*models.Operator
		err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Order("id").Find(&all).Error
		if err != nil {
			return err
		}
		var found *models.Operator
		admins := 0
		for _, operator := range all {
			if operator.Role == models.RoleAdmin {
				admins++
			}
			if operator.Name == name {
				found = operator
			}
		}
		switch {
		case found == nil:
			return errNoOperator(name)
		case name == by.Name:
			return fault.Invalid("operator", "self", "another admin must do this to the operator %q", name)
		}
		return fn(tx, found, admins)
	})
}

func errLastAdmin(name string) error {
	return fault.Invalid("operator", "last_admin", "%q is the only admin", name)
}
