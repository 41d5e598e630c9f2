package operators

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/throttle"
	"rollcall/models"
)

// ConfirmationLifetime is how long a confirmed password counts in its session.
const ConfirmationLifetime = 10 * time.Minute

// Confirmed reports whether the operator has recently confirmed its password in the session. A
// login does not count: a browser left open after it must not be enough.
func (o *Service) Confirmed(session *models.OperatorSession) bool {
	return models.TimeOf(o.clock()) < session.ConfirmedAt.Add(ConfirmationLifetime)
}

// Confirm records in the session that the operator has just confirmed its password. Returns
// INVALID_ARGUMENT for the field current if the password is wrong; RATE_LIMITED; UNAUTHENTICATED if
// the session has ended.
func (o *Service) Confirm(ctx context.Context, operator *models.Operator, session *models.OperatorSession, password string, by models.Actor) error {
	if err := o.comparePassword(ctx, operator, session, password, by); err != nil {
		return err
	}
	now := models.TimeOf(o.clock())
	err := o.db.Tx(ctx, func(tx *gorm.DB) error {
		noted := tx.Model(&models.OperatorSession{}).Where("id = ?", session.ID).Update("confirmed_at", now)
		if noted.Error == nil && noted.RowsAffected == 0 {
			return errSessionEnded
		}
		return noted.Error
	})
	if err != nil {
		return wrap(err, "confirming password")
	}
	session.ConfirmedAt = now
	return nil
}

// comparePassword compares a password with that of the operator, whose session is given. Wrong
// passwords are audited. They are counted by session, so that those of other sessions do not block
// this one. Returns INVALID_ARGUMENT for the field current; RATE_LIMITED.
func (o *Service) comparePassword(ctx context.Context, operator *models.Operator, session *models.OperatorSession, password string, by models.Actor) error {
	attempt, refusal := o.throttle.Begin(ctx, throttle.Key{Rule: deviceRule, Subject: "session " + strconv.FormatInt(session.ID, 10)})
	if refusal != nil {
		return rateLimited(refusal)
	}
	right, err := o.hasher.verify(ctx, o.hasher.known, password, operator.PasswordHash)
	if err != nil {
		attempt.Cancel(ctx)
		return fmt.Errorf("comparing password: %w", err)
	}
	if right {
		attempt.Succeed(ctx)
		return nil
	}
	err = o.db.Tx(ctx, func(tx *gorm.DB) error { return o.audit(tx, by, audit.ActionConfirmFailed, operator.Name, "") })
	if err != nil {
		return fmt.Errorf("auditing wrong password: %w", err)
	}
	return fault.Invalid("current", "wrong", "the current password is wrong")
}
