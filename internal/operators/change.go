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

// SetRole changes what an operator may do, from its next request on, and says
// whether that is a change. Errors: INVALID_ARGUMENT for an unknown name or role,
// for one's own role (rule self), and where nobody would be left who may change
// anything (rule last_admin).
func (o *Service) SetRole(ctx context.Context, name string, role models.Role, by models.Actor) (changed bool, err error) {
	if err := checkRole(role); err != nil {
		return false, err
	}
	err = o.change(ctx, name, by, func(tx *gorm.DB, operator *models.Operator, admins int) error {
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

// Delete removes an operator; its sessions end at once. What it did stays in the
// audit. Errors: INVALID_ARGUMENT for an unknown name, for oneself (rule self),
// and for the last admin (rule last_admin).
func (o *Service) Delete(ctx context.Context, name string, by models.Actor) error {
	err := o.change(ctx, name, by, func(tx *gorm.DB, operator *models.Operator, admins int) error {
		if operator.Role == models.RoleAdmin && admins == 1 {
			return errLastAdmin(name)
		}
		// The operator first: a login that is under way holds its row, and its
		// session is here or never comes.
		if err := tx.Delete(operator).Error; err != nil {
			return err
		}
		ended := tx.Where("operator_id = ?", operator.ID).Delete(&models.OperatorSession{})
		if ended.Error != nil {
			return ended.Error
		}
		return o.audit(tx, by, audit.ActionOperatorDelete, name, fmt.Sprintf("sessions=%d", ended.RowsAffected))
	})
	return wrap(err, "deleting operator")
}

// change runs fn in a transaction with the operator of that name and the number
// of admins. All operators are locked until it ends, in one order for everybody,
// so that of two admins who take each other's role one finds itself the last.
//
// Nobody changes the own account so: that would be a slip nobody else could mend
// for a while, and whoever means it has an admin to ask, since the last cannot go.
func (o *Service) change(ctx context.Context, name string, by models.Actor, fn func(tx *gorm.DB, operator *models.Operator, admins int) error) error {
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
