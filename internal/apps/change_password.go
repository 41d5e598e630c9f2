package apps

import (
	"context"
	"fmt"
	"strconv"

	"rollcall/internal/fault"
	"rollcall/internal/throttle"
	"rollcall/models"
)

// ChangePassword gives the operator the password next if current is the one that it has, and
// returns the browser's new mark (see Login.Device). Its other sessions end; session goes on.
// Wrong passwords count for the session, so that nobody else's do. Errors: INVALID_ARGUMENT for
// the field current or password; RATE_LIMITED.
func (o *Operators) ChangePassword(ctx context.Context, operator *models.Operator, session *models.OperatorSession, current, next string, by models.Actor) (device string, err error) {
	if err := CheckPassword(next); err != nil {
		return "", err
	}
	attempt, refusal := o.throttle.Begin(ctx, throttle.Key{Rule: deviceRule, Subject: "session " + strconv.FormatInt(session.ID, 10)})
	if refusal != nil {
		return "", rateLimited(refusal)
	}
	right, err := o.hasher.verify(ctx, o.hasher.known, current, operator.PasswordHash)
	if err != nil {
		attempt.Cancel(ctx)
		return "", fmt.Errorf("comparing password: %w", err)
	}
	if !right {
		return "", fault.Invalid("current", "wrong", "the present password is another one")
	}
	attempt.Succeed(ctx)
	operator, _, err = o.setPassword(ctx, operator.Name, next, session.ID, by)
	if err != nil {
		return "", err
	}
	return newDevice(operator), nil
}
