package operators

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/models"
)

// SetRole changes an operator's role and apps, from its next request on, and reports whether they
// were others. The open invitations of an operator that is no longer an owner are revoked. Returns INVALID_ARGUMENT for an unknown name, role or app, for oneself (rule self),
// for an operator that logs in by SSO (rule sso), and if no owner would be left (rule last_owner).
func (o *Service) SetRole(ctx context.Context, name string, grant models.Grant, by models.Actor) (changed bool, err error) {
	err = o.edit(ctx, name, by, func(tx *gorm.DB, operator *models.Operator, owners int) error {
		if operator.BySSO() {
			return errBySSO(operator)
		}
		detail, err := prepareGrant(tx, &grant)
		if err != nil {
			return err
		}
		if changed = !sameGrant(operator.Grant, grant); !changed {
			return nil
		}
		if operator.Role == models.RoleOwner && owners == 1 {
			return errLastOwner(name)
		}
		return o.setGrant(tx, operator, grant, detail, by)
	})
	if err != nil {
		return false, wrap(err, "setting operator's role")
	}
	return changed, nil
}

// setGrant changes what a locked operator may do. detail is that of prepareGrant.
func (o *Service) setGrant(tx *gorm.DB, operator *models.Operator, grant models.Grant, detail string, by models.Actor) error {
	err := tx.Model(operator).Select("role", "all_apps", "app_ids").Updates(&models.Operator{Grant: grant}).Error
	if err != nil {
		return err
	}
	if grant.Role != models.RoleOwner {
		if err := revokeInvitationsOf(tx, operator.Name); err != nil {
			return err
		}
	}
	return o.audit(tx, by, audit.ActionOperatorSetRole, operator.Name, detail)
}

// Delete removes an operator with its API keys, ends its sessions immediately and revokes its open
// invitations. Its entries stay in the audit.
// Returns INVALID_ARGUMENT for an unknown name, for oneself (rule self), and for the last owner
// (rule last_owner).
func (o *Service) Delete(ctx context.Context, name string, by models.Actor) error {
	err := o.edit(ctx, name, by, func(tx *gorm.DB, operator *models.Operator, owners int) error {
		if operator.Role == models.RoleOwner && owners == 1 {
			return errLastOwner(name)
		}
		// Delete the operator first: a concurrent login locks its row, so that login's session is
		// either visible here or is never created.
		if err := tx.Delete(operator).Error; err != nil {
			return err
		}
		ended, err := o.endSessions(tx, operator.ID, "", "TRUE")
		if err != nil {
			return err
		}
		if err := tx.Where("operator_id = ?", operator.ID).Delete(&models.OperatorSessionEnd{}).Error; err != nil {
			return err
		}
		if err := removeSecondFactors(tx, operator); err != nil {
			return err
		}
		if err := removeKeys(tx, operator); err != nil {
			return err
		}
		if err := revokeInvitationsOf(tx, name); err != nil {
			return err
		}
		return o.audit(tx, by, audit.ActionOperatorDelete, name, fmt.Sprintf("sessions=%d", ended))
	})
	return wrap(err, "deleting operator")
}

// edit runs fn in a transaction with the operator of that name and the number of owners. All
// operators are locked until it ends, always in the same order. So if two owners revoke each
// other's role, the second fails as the last owner.
//
// Operators cannot change their own account in this way: only another owner could mend such a slip.
// Another owner always exists, because the last one cannot be changed.
func (o *Service) edit(ctx context.Context, name string, by models.Actor, fn func(tx *gorm.DB, operator *models.Operator, owners int) error) error {
	return o.db.Tx(ctx, func(tx *gorm.DB) error {
		all, err := lockAll(tx)
		if err != nil {
			return err
		}
		var found *models.Operator
		owners := 0
		for _, operator := range all {
			if operator.Role == models.RoleOwner {
				owners++
			}
			if operator.Name == name {
				found = operator
			}
		}
		switch {
		case found == nil:
			return errNoOperator(name)
		case name == by.Name:
			return fault.Invalid("operator", "self", "another owner must do this to the operator %q", name)
		}
		return fn(tx, found, owners)
	})
}

// lockAll locks all operators until the commit, always in the same order, and returns them.
func lockAll(tx *gorm.DB) (all []*models.Operator, err error) {
	return all, tx.Clauses(forUpdate).Order("id").Find(&all).Error
}

func errLastOwner(name string) error {
	return fault.Invalid("operator", "last_owner", "%q is the only owner", name)
}
