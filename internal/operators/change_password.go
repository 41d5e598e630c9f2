package operators

import (
	"context"

	"rollcall/models"
)

// ChangePassword gives the operator the password next if current is the one that it has, and
// returns the browser's new mark (see Login.Device). Its other sessions end; session goes on.
// Wrong passwords count and are audited as those of Confirm. Errors: INVALID_ARGUMENT for the field
// current or password; RATE_LIMITED.
func (o *Service) ChangePassword(ctx context.Context, operator *models.Operator, session *models.OperatorSession, current, next string, by models.Actor) (device string, err error) {
	if err := CheckPassword(next); err != nil {
		return "", err
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
