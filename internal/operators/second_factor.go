package operators

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/throttle"
	"rollcall/models"
)

// PendingLifetime is how long after the password the second factor must follow.
const PendingLifetime = 5 * time.Minute

// codeRule limits wrong codes for an operator, from all networks together: only a client that knows
// the password can send one. Browsers that have logged in before are counted by deviceRule instead.
var codeRule = &throttle.Rule{
	Name: "login-code", Free: 5, Delay: time.Second, MaxDelay: time.Hour, Memory: 24 * time.Hour, Forgive: true,
}

var errLoginEnded = fault.New(fault.Unauthenticated, "the login has expired, begin again")

var forUpdate = clause.Locking{Strength: clause.LockingStrengthUpdate}

// Factors are an operator's second factors.
type Factors struct {
	// TOTP is the confirmed authenticator app, or nil if there is none.
	TOTP *models.OperatorTOTP
	// RecoveryCodes is how many recovery codes are left.
	RecoveryCodes int
	// Passkeys are the oldest first.
	Passkeys []*models.OperatorPasskey
}

// Factors returns the operator's second factors.
func (o *Service) Factors(ctx context.Context, operator *models.Operator) (*Factors, error) {
	f := &Factors{}
	var err error
	if f.TOTP, err = takeTOTP(o.db.Read(ctx).Where("confirmed_at > 0"), operator); err != nil {
		return nil, fmt.Errorf("reading second factors: %w", err)
	}
	var left int64
	err = o.db.Read(ctx).Model(&models.OperatorRecoveryCode{}).Where("operator_id = ? AND used_at = 0", operator.ID).Count(&left).Error
	if err != nil {
		return nil, fmt.Errorf("counting recovery codes: %w", err)
	}
	f.RecoveryCodes = int(left)
	if f.Passkeys, err = passkeysOf(o.db.Read(ctx), operator); err != nil {
		return nil, err
	}
	return f, nil
}

// pend records that the password was right, and returns the token with which the login continues.
func (o *Service) pend(ctx context.Context, operator *models.Operator) (string, error) {
	token, hash := newToken()
	err := o.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := claim(tx, operator); err != nil {
			return err
		}
		return tx.Create(&models.OperatorPendingLogin{
			TokenHash: hash, OperatorID: operator.ID, CreatedAt: models.TimeOf(o.clock()),
		}).Error
	})
	if err != nil {
		return "", fmt.Errorf("beginning a login: %w", err)
	}
	return token, nil
}

// PendingLogin returns the operator of a login that still needs the second factor. Returns
// UNAUTHENTICATED if the token is unknown or has expired.
func (o *Service) PendingLogin(ctx context.Context, token string) (*models.Operator, error) {
	pending := &models.OperatorPendingLogin{}
	since := models.TimeOf(o.clock()).Add(-PendingLifetime)
	err := o.db.Read(ctx).Where("token_hash = ? AND created_at > ?", hashToken(token), since).Take(pending).Error
	operator := &models.Operator{}
	if err == nil {
		err = o.db.Read(ctx).Where("id = ?", pending.OperatorID).Take(operator).Error
	}
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, errLoginEnded
	}
	if err != nil {
		return nil, fmt.Errorf("reading a login: %w", err)
	}
	return operator, nil
}

// FactorRequest is what a browser sends to finish a login.
type FactorRequest struct {
	// Pending is what Login has returned.
	Pending string
	// Code is one of the authenticator app, or a recovery code.
	Code               string
	Address, UserAgent string
	// Device is what an earlier Login returned to the same browser, or "".
	Device string
}

// FinishLogin begins the session of a login whose password was right. Returns UNAUTHENTICATED if the
// login has expired; INVALID_ARGUMENT for the field code if the code is wrong or was used before,
// which is audited; RATE_LIMITED.
func (o *Service) FinishLogin(ctx context.Context, in FactorRequest) (*Login, error) {
	operator, err := o.PendingLogin(ctx, in.Pending)
	if err != nil {
		return nil, err
	}
	known := isDevice(operator, in.Device)
	key := throttle.Key{Rule: codeRule, Subject: strconv.FormatInt(operator.ID, 10)}
	if known {
		key = throttle.Key{Rule: deviceRule, Subject: "code " + in.Device}
	}
	attempt, refusal := o.throttle.Begin(ctx, key)
	if refusal != nil {
		return nil, rateLimited(refusal)
	}
	login := &Login{Operator: operator, Device: in.Device}
	if !known {
		login.Device = newDevice(operator)
	}
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := claim(tx, operator); err != nil {
			return err
		}
		pending := tx.Where("token_hash = ?", hashToken(in.Pending)).Delete(&models.OperatorPendingLogin{})
		if pending.Error != nil {
			return pending.Error
		}
		if pending.RowsAffected == 0 {
			return errLoginEnded
		}
		method, err := o.useCode(tx, operator, in.Code)
		if err != nil {
			return err
		}
		login.Token, err = o.begin(tx, operator, method, in.Address, in.UserAgent)
		return err
	})
	switch {
	case err == nil:
		attempt.Succeed(ctx)
		return login, nil
	case errors.Is(err, errWrongCode):
		failed := audit.FailedLogin{Operator: operator, Reason: audit.ReasonWrongCode, Address: in.Address, Client: ClientOf(in.UserAgent)}
		if err := o.log.AddLoginFailure(ctx, failed); err != nil {
			return nil, err
		}
		return nil, errWrongCode
	}
	attempt.Cancel(ctx)
	if errors.Is(err, errOperatorChanged) {
		return nil, errLoginEnded
	}
	return nil, wrap(err, "finishing a login")
}

// useCode accepts a code of the operator's authenticator app or a recovery code, once, or returns
// errWrongCode.
func (o *Service) useCode(tx *gorm.DB, operator *models.Operator, code string) (models.LoginMethod, error) {
	code = normalCode(code)
	if len(code) == codeDigits.Length() {
		return models.MethodCode, o.useTOTP(tx, operator, code)
	}
	return models.MethodRecoveryCode, o.useRecoveryCode(tx, operator, code)
}

// normalCode returns a code without what readers add to it: spaces, hyphens and capitals.
func normalCode(code string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(strings.TrimSpace(code)))
}

// ResetSecondFactor removes all second factors of an operator and its recovery codes, and ends its
// sessions, for an operator that has lost them. It reports whether there was a second factor.
// Returns INVALID_ARGUMENT for an unknown name and for oneself (rule self).
func (o *Service) ResetSecondFactor(ctx context.Context, name string, by models.Actor) (reset bool, err error) {
	err = o.edit(ctx, name, by, func(tx *gorm.DB, operator *models.Operator, _ int) error {
		if reset = operator.HasSecondFactor; !reset {
			return nil
		}
		if err := removeSecondFactors(tx, operator); err != nil {
			return err
		}
		if err := updateHasSecondFactor(tx, operator); err != nil {
			return err
		}
		ended, err := o.endSessions(tx, operator.ID, EndFactor, "TRUE")
		if err != nil {
			return err
		}
		return o.audit(tx, by, audit.ActionSecondFactorReset, name, fmt.Sprintf("sessions=%d", ended))
	})
	return reset, wrap(err, "resetting second factor")
}

// removeSecondFactors deletes the operator's second factors and recovery codes, and its logins that
// wait for one.
func removeSecondFactors(tx *gorm.DB, operator *models.Operator) error {
	for _, table := range []any{&models.OperatorTOTP{}, &models.OperatorPasskey{}, &models.OperatorRecoveryCode{}, &models.OperatorPendingLogin{}} {
		if err := tx.Where("operator_id = ?", operator.ID).Delete(table).Error; err != nil {
			return err
		}
	}
	return nil
}

// updateHasSecondFactor sets operator.HasSecondFactor after a change of second factors. Recovery
// codes are none, and are deleted with the last one.
func updateHasSecondFactor(tx *gorm.DB, operator *models.Operator) error {
	totp, err := takeTOTP(tx.Where("confirmed_at > 0"), operator)
	if err != nil {
		return err
	}
	passkeys, err := passkeysOf(tx, operator)
	if err != nil {
		return err
	}
	some := totp != nil || len(passkeys) > 0
	if err := tx.Model(operator).Update("has_second_factor", some).Error; err != nil {
		return err
	}
	if some {
		return nil
	}
	return tx.Where("operator_id = ?", operator.ID).Delete(&models.OperatorRecoveryCode{}).Error
}

// lockOperator locks the operator's row until the commit and reads it again. Returns
// UNAUTHENTICATED if it was deleted.
func lockOperator(tx *gorm.DB, operator *models.Operator) error {
	fresh := &models.Operator{}
	err := tx.Clauses(forUpdate).Where("id = ?", operator.ID).Take(fresh).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return errSessionEnded
	}
	*operator = *fresh
	return err
}
