package operators

import (
	"context"
	"crypto/rand"
	"strings"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/models"
)

const (
	// RecoveryCodes is how many recovery codes an operator gets at once.
	RecoveryCodes = 10
	// recoveryLength is the length of a code without its hyphens. It has 80 random bits, too many
	// to be guessed, so the database may store its plain SHA-256.
	recoveryLength = 16
	recoveryGroup  = 4
)

// RenewRecoveryCodes replaces the operator's recovery codes, used or not, and returns the new ones.
// They cannot be read later. Returns INVALID_ARGUMENT (rule no_second_factor) if the operator has no
// second factor.
func (o *Service) RenewRecoveryCodes(ctx context.Context, operator *models.Operator, by models.Actor) (codes []string, err error) {
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := lockOperator(tx, operator); err != nil {
			return err
		}
		if !operator.HasSecondFactor {
			return fault.Invalid("operator", "no_second_factor", "the operator has no second factor")
		}
		if err := tx.Where("operator_id = ?", operator.ID).Delete(&models.OperatorRecoveryCode{}).Error; err != nil {
			return err
		}
		if codes, err = addRecoveryCodes(tx, operator); err != nil {
			return err
		}
		return o.audit(tx, by, audit.ActionRecoveryCodesRenew, operator.Name, "")
	})
	if err != nil {
		return nil, wrap(err, "renewing recovery codes")
	}
	return codes, nil
}

// firstRecoveryCodes makes recovery codes for an operator, unless it has some, used or not.
func firstRecoveryCodes(tx *gorm.DB, operator *models.Operator) ([]string, error) {
	var present int64
	err := tx.Model(&models.OperatorRecoveryCode{}).Where("operator_id = ?", operator.ID).Count(&present).Error
	if err != nil || present > 0 {
		return nil, err
	}
	return addRecoveryCodes(tx, operator)
}

func addRecoveryCodes(tx *gorm.DB, operator *models.Operator) ([]string, error) {
	codes := make([]string, RecoveryCodes)
	rows := make([]*models.OperatorRecoveryCode, RecoveryCodes)
	for i := range codes {
		code := strings.ToLower(rand.Text()[:recoveryLength])
		rows[i] = &models.OperatorRecoveryCode{OperatorID: operator.ID, CodeHash: hashToken(code)}
		for at := 0; at < recoveryLength; at += recoveryGroup {
			if at > 0 {
				codes[i] += "-"
			}
			codes[i] += code[at : at+recoveryGroup]
		}
	}
	return codes, tx.Create(rows).Error
}

// useRecoveryCode accepts one of the operator's recovery codes, once, or returns errWrongCode.
func (o *Service) useRecoveryCode(tx *gorm.DB, operator *models.Operator, code string) error {
	used := tx.Model(&models.OperatorRecoveryCode{}).
		Where("operator_id = ? AND code_hash = ? AND used_at = 0", operator.ID, hashToken(code)).
		Update("used_at", models.TimeOf(o.clock()))
	if used.Error == nil && used.RowsAffected == 0 {
		return errWrongCode
	}
	return used.Error
}
