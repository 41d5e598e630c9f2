package apps

import (
	"context"
	"fmt"

	"rollcall/internal/fault"
	"rollcall/models"
)

// ChangePassword gives the operator the password next, where current is the one
// that it has. Its other sessions end; session goes on. Wrong passwords count as
// those at the login do. Errors: INVALID_ARGUMENT for the field current or
// password; RATE_LIMITED.
func (o *Operators) ChangePassword(ctx context.Context, operator *models.Operator, session *models.OperatorSession, current, next string, by models.Actor) error {
	if err := CheckPassword(next); err != nil {
		return err
	}
	key := keyOf(operator.Name, by.Address)
	if wait := o.throttle.begin(key, o.clock()); wait > 0 {
		return fault.New(fault.RateLimited, "too many wrong passwords, wait before trying again").
			With("retryAfterMs", wait.Milliseconds()+1)
	}
	right, err := o.hasher.verify(ctx, current, operator.PasswordHash)
	if err != nil {
		o.throttle.cancel(key)
		return fmt.Errorf("comparing password: %w", err)
	}
	if !right {
		return fault.Invalid("current", "wrong", "the present password is another one")
	}
	o.throttle.success(key)
	_, err = o.setPassword(ctx, operator.Name, next, session.ID, by)
	return err
}
