package operators

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/models"
)

// ForgetApp takes an app that is being deleted out of the roles of operators, invitations and API
// keys for named apps, and returns how many there were. An operator whose only app it was stays, for no app.
func (o *Service) ForgetApp(ctx context.Context, app *models.App) (changed int, err error) {
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		changed = 0
		locked := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("all_apps = ?", false).Order("id")
		var operators []*models.Operator
		if err := locked.Session(&gorm.Session{}).Find(&operators).Error; err != nil {
			return err
		}
		for _, operator := range operators {
			if err := forget(tx, operator, operator.Grant, app.ID, &changed); err != nil {
				return err
			}
		}
		var invitations []*models.OperatorInvitation
		if err := locked.Session(&gorm.Session{}).Find(&invitations).Error; err != nil {
			return err
		}
		for _, i := range invitations {
			if err := forget(tx, i, i.Grant, app.ID, &changed); err != nil {
				return err
			}
		}
		var keys []*models.OperatorKey
		if err := locked.Session(&gorm.Session{}).Find(&keys).Error; err != nil {
			return err
		}
		for _, k := range keys {
			if err := forget(tx, k, k.Grant, app.ID, &changed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("taking an app out of roles: %w", err)
	}
	return changed, nil
}

// forget writes the row of an operator, an invitation or an API key without the app, if its grant names it.
func forget(tx *gorm.DB, row any, grant models.Grant, appID int64, changed *int) error {
	if !slices.Contains(grant.AppIDs, appID) {
		return nil
	}
	*changed++
	rest := slices.DeleteFunc(slices.Clone(grant.AppIDs), func(id int64) bool { return id == appID })
	return tx.Model(row).Select("app_ids").Updates(map[string]any{"app_ids": rest}).Error
}
