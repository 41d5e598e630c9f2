package operators

import (
	"context"

	"rollcall/internal/fault"
	"rollcall/models"
)

// ChangePassword sets the operator's password to next if current is its present password, and
// returns the browser's new mark (see Login.Device). The operator's sessions other than session
// end. Wrong passwords are counted and audited as by Confirm. Returns INVALID_ARGUMENT for the
// field current or password; RATE_LIMITED.
func (o *Service) ChangePassword(ctx context.Context, operator *models.Operator, session *models.OperatorSession, current, next string, by models.Actor) (device string, err error) {
	if err := CheckPassword(next); err != nil {
		return "", err
	}
	if canonical(next) == canonical(current) {
		return "", fault.Invalid("password", "same", "the new password must not be the current one")
	}
	if err := o.comparePassword(ctx, operator, session, current, by); err != nil {
		return "", err
	}
	operator, _, err = o.setPassword(ctx, operator.Name, next, session.ID, by)
	if err != nil {
		return "", err
	}
	return newDevice(operator), nil
}
