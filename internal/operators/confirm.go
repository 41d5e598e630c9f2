package operators

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/throttle"
	"rollcall/models"
)

var errWrongPassword = fault.Invalid("current", "wrong", "the current password is wrong")

// ConfirmationLifetime is how long a confirmation counts in its session.
const ConfirmationLifetime = 10 * time.Minute

// Confirmed reports whether the operator has recently confirmed its identity in the session. A
// login does not count: a browser left open after it must not be enough.
func (o *Service) Confirmed(session *models.OperatorSession) bool {
	return models.TimeOf(o.clock()) < session.ConfirmedAt.Add(ConfirmationLifetime)
}

// Confirm records in the session that the operator has just confirmed its identity: by its password
// or, if it has a second factor, by a code instead, which neither an open session nor a browser that
// remembers passwords has. Returns INVALID_ARGUMENT for the field current or code if proof is wrong;
// RATE_LIMITED; UNAUTHENTICATED if the session has ended.
func (o *Service) Confirm(ctx context.Context, operator *models.Operator, session *models.OperatorSession, proof string, by models.Actor) error {
	compare := o.comparePassword
	if operator.HasSecondFactor {
		compare = o.compareCode
	}
	if err := compare(ctx, operator, session, proof, by); err != nil {
		return err
	}
	return o.noteConfirmed(ctx, session)
}

// noteConfirmed records in the session that the operator has just confirmed its identity.
func (o *Service) noteConfirmed(ctx context.Context, session *models.OperatorSession) error {
	now := models.TimeOf(o.clock())
	err := o.db.Tx(ctx, func(tx *gorm.DB) error {
		noted := tx.Model(&models.OperatorSession{}).Where("id = ?", session.ID).Update("confirmed_at", now)
		if noted.Error == nil && noted.RowsAffected == 0 {
			return errSessionEnded
		}
		return noted.Error
	})
	if err != nil {
		return wrap(err, "confirming identity")
	}
	session.ConfirmedAt = now
	return nil
}

// comparePassword compares a password with that of the operator, whose session is given. Returns
// INVALID_ARGUMENT for the field current; RATE_LIMITED.
func (o *Service) comparePassword(ctx context.Context, operator *models.Operator, session *models.OperatorSession, password string, by models.Actor) error {
	if operator.BySSO() {
		return errBySSO(operator)
	}
	return o.compare(ctx, operator, session, by, func() (string, error) {
		right, err := o.hasher.verify(ctx, o.hasher.known, password, operator.PasswordHash)
		if err == nil && !right {
			return audit.ReasonWrongPassword, errWrongPassword
		}
		return "", err
	})
}

// compareCode accepts a code of the operator, whose session is given. Returns INVALID_ARGUMENT for
// the field code; RATE_LIMITED.
func (o *Service) compareCode(ctx context.Context, operator *models.Operator, session *models.OperatorSession, code string, by models.Actor) error {
	return o.compare(ctx, operator, session, by, func() (string, error) {
		err := o.db.Tx(ctx, func(tx *gorm.DB) error {
			_, err := o.useCode(tx, operator, code)
			return err
		})
		if errors.Is(err, errWrongCode) {
			return audit.ReasonWrongCode, err
		}
		return "", err
	})
}

// compare calls check, which returns a refusal and the audit's reason for it if what the operator has
// shown is wrong. That is audited. It is counted by session, so that failures in other sessions do not
// block this one.
func (o *Service) compare(ctx context.Context, operator *models.Operator, session *models.OperatorSession, by models.Actor, check func() (reason string, err error)) error {
	attempt, refusal := o.throttle.Begin(ctx, throttle.Key{Rule: deviceRule, Subject: "session " + strconv.FormatInt(session.ID, 10)})
	if refusal != nil {
		return rateLimited(refusal)
	}
	reason, wrong := check()
	switch {
	case wrong == nil:
		attempt.Succeed(ctx)
		return nil
	case reason == "":
		attempt.Cancel(ctx)
		return fmt.Errorf("confirming identity: %w", wrong)
	}
	err := o.db.Tx(ctx, func(tx *gorm.DB) error {
		return o.audit(tx, by, audit.ActionConfirmFailed, operator.Name, "reason="+reason)
	})
	if err != nil {
		return fmt.Errorf("auditing a failed confirmation: %w", err)
	}
	return wrong
}
