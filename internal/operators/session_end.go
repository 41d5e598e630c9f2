package operators

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"rollcall/models"
)

// EndMemory is how long it is known how a session ended.
const EndMemory = 24 * time.Hour

// The reasons why sessions end, besides a logout.
const (
	// EndIdle: the session was not used for SessionIdle. EndAge: it was used for SessionLifetime.
	EndIdle = "idle"
	EndAge  = "age"
	// EndSelf: the operator ended it in another session. EndOther: another operator or a command did.
	EndSelf  = "self"
	EndOther = "other"
	// EndPassword: the operator's password was changed. EndFactor: its second factor was reset.
	EndPassword = "password"
	EndFactor   = "factor"
)

// endedBy returns the reason of a session that by has ended.
func endedBy(operator *models.Operator, by models.Actor) string {
	if operator.Name == by.Name {
		return EndSelf
	}
	return EndOther
}

// endSessions deletes the operator's sessions that the condition selects, and returns how many were
// open. Their operators are told the reason, unless it is "".
func (o *Service) endSessions(tx *gorm.DB, operatorID int64, reason, condition string, args ...any) (open int64, err error) {
	now := models.TimeOf(o.clock())
	where := "operator_id = ? AND " + condition
	args = append([]any{operatorID}, args...)
	alive := append(args[:len(args):len(args)], now.Add(-SessionIdle), now.Add(-SessionLifetime))
	var sessions []*models.OperatorSession
	if err := tx.Where(where+" AND last_seen_at > ? AND created_at > ?", alive...).Find(&sessions).Error; err != nil {
		return 0, err
	}
	ends := make([]models.OperatorSessionEnd, len(sessions))
	for i, s := range sessions {
		ends[i] = models.OperatorSessionEnd{TokenHash: s.TokenHash, OperatorID: operatorID, Reason: reason, EndedAt: now}
	}
	gone := tx.Where(where, args...).Delete(&models.OperatorSession{})
	if gone.Error != nil {
		return 0, gone.Error
	}
	if len(ends) > 0 && reason != "" {
		err = tx.Create(&ends).Error
	}
	return int64(len(sessions)), err
}

// EndOf returns how the session with that token ended, or nil if that is not known or it has not.
func (o *Service) EndOf(ctx context.Context, token string) (*models.OperatorSessionEnd, error) {
	end := &models.OperatorSessionEnd{}
	err := o.db.Read(ctx).Where("token_hash = ?", hashToken(token)).Take(end).Error
	if err == nil {
		return end, nil
	}
	if !errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, fmt.Errorf("reading how a session ended: %w", err)
	}
	session := &models.OperatorSession{}
	err = o.db.Read(ctx).Where("token_hash = ?", hashToken(token)).Take(session).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading an expired session: %w", err)
	}
	now := models.TimeOf(o.clock())
	if live(session, now) {
		return nil, nil
	}
	end = &models.OperatorSessionEnd{TokenHash: session.TokenHash, OperatorID: session.OperatorID, Reason: EndIdle, EndedAt: session.LastSeenAt.Add(SessionIdle)}
	if age := session.CreatedAt.Add(SessionLifetime); age <= end.EndedAt {
		end.Reason, end.EndedAt = EndAge, age
	}
	return end, nil
}
