package operators

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/validate"
	"rollcall/models"
)

const (
	// SessionIdle is how long an unused session lasts.
	SessionIdle = 12 * time.Hour
	// SessionLifetime is how long a session lasts after its login, used or not.
	SessionLifetime = 7 * 24 * time.Hour
	// touchInterval limits how often the use of a session is written.
	touchInterval = time.Minute
)

// sessionTokenBytes is the size of a session's random token. It is too large to be guessed, so the
// database may store the token's plain SHA-256.
const sessionTokenBytes = 32

// The lengths of a session's columns, in characters.
const (
	addressLength   = 64
	userAgentLength = 255
)

// errOperatorChanged means that another request changed what the operator needs to log in, while
// this login compared the former.
var errOperatorChanged = errors.New("operator changed")

// errSessionEnded is returned for a token without an open session.
var errSessionEnded = fault.New(fault.Unauthenticated, "the session has ended")

// claim locks the operator's row until the commit, so that a concurrent change of what a login needs
// either sees what this login writes and ends it, or this login sees the change and returns
// errOperatorChanged.
func claim(tx *gorm.DB, operator *models.Operator) error {
	same := tx.Model(&models.Operator{}).
		Where("id = ? AND password_hash = ? AND has_second_factor = ?", operator.ID, operator.PasswordHash, operator.HasSecondFactor).
		Update("password_hash", operator.PasswordHash)
	if same.Error == nil && same.RowsAffected == 0 {
		return errOperatorChanged
	}
	return same.Error
}

// newToken returns a random token, and what the database stores of it.
func newToken() (token string, hash []byte) {
	raw := make([]byte, sessionTokenBytes)
	rand.Read(raw)
	token = base64.RawURLEncoding.EncodeToString(raw)
	return token, hashToken(token)
}

// begin writes a session and its audit entry, and returns the session's token. The caller has locked
// the operator. Returns FORBIDDEN if this node does not accept the method.
func (o *Service) begin(tx *gorm.DB, operator *models.Operator, method models.LoginMethod, address, userAgent string) (string, error) {
	if !o.accepts(operator) {
		return "", errLocalLoginOff
	}
	token, hash := newToken()
	now := models.TimeOf(o.clock())
	session := &models.OperatorSession{
		TokenHash:  hash,
		OperatorID: operator.ID,
		CreatedAt:  now,
		LastSeenAt: now,
		Address:    validate.ClipASCII(address, addressLength),
		UserAgent:  validate.Clip(userAgent, userAgentLength),
		Method:     method,
	}
	if err := tx.Create(session).Error; err != nil {
		return "", err
	}
	by := models.Actor{OperatorID: operator.ID, Name: operator.Name, Address: address}
	return token, o.audit(tx, by, audit.ActionLogin, operator.Name, audit.LoginDetail(method, ClientOf(userAgent)))
}

// ByToken returns the session with that token and its operator, and counts as a use of the session.
// Returns UNAUTHENTICATED if the token is unknown or its session has ended.
func (o *Service) ByToken(ctx context.Context, token string) (*models.OperatorSession, *models.Operator, error) {
	session, operator, err := o.Peek(ctx, token)
	if err != nil {
		return nil, nil, err
	}
	if err := o.touch(ctx, session, models.TimeOf(o.clock())); err != nil {
		return nil, nil, err
	}
	return session, operator, nil
}

// Peek is ByToken for requests that a page sends on its own. It does not count as a use, so a page
// that is left open does not keep its session alive.
func (o *Service) Peek(ctx context.Context, token string) (*models.OperatorSession, *models.Operator, error) {
	session := &models.OperatorSession{}
	err := o.db.Read(ctx).Where("token_hash = ?", hashToken(token)).Take(session).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil, errSessionEnded
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading session: %w", err)
	}
	if !live(session, models.TimeOf(o.clock())) {
		return nil, nil, errSessionEnded
	}
	operator := &models.Operator{}
	err = o.db.Read(ctx).Where("id = ?", session.OperatorID).Take(operator).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil, errSessionEnded
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading session's operator: %w", err)
	}
	if !o.accepts(operator) {
		return nil, nil, errSessionEnded
	}
	return session, operator, nil
}

// live reports whether a session has not expired.
func live(session *models.OperatorSession, now models.Time) bool {
	return now < session.LastSeenAt.Add(SessionIdle) && now < session.CreatedAt.Add(SessionLifetime)
}

// touch records that the session is in use, at most once every touchInterval.
func (o *Service) touch(ctx context.Context, session *models.OperatorSession, now models.Time) error {
	if now < session.LastSeenAt.Add(touchInterval) {
		return nil
	}
	err := o.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Model(&models.OperatorSession{}).Where("id = ? AND last_seen_at < ?", session.ID, now).
			Update("last_seen_at", now).Error
	})
	if err != nil {
		return fmt.Errorf("touching session: %w", err)
	}
	session.LastSeenAt = now
	return nil
}

// Logout ends the session of by's browser. It returns no error if that has already ended.
func (o *Service) Logout(ctx context.Context, session *models.OperatorSession, by models.Actor) error {
	_, err := o.end(ctx, session.OperatorID, session.ID, audit.ActionLogout, by)
	return err
}

// ListSessions returns the operator's open sessions, newest first.
func (o *Service) ListSessions(ctx context.Context, operatorID int64) ([]*models.OperatorSession, error) {
	now := models.TimeOf(o.clock())
	var list []*models.OperatorSession
	err := o.db.Read(ctx).
		Where("operator_id = ? AND last_seen_at > ? AND created_at > ?", operatorID, now.Add(-SessionIdle), now.Add(-SessionLifetime)).
		Order("created_at DESC, id DESC").Find(&list).Error
	if err != nil {
		return nil, fmt.Errorf("listing sessions: %w", err)
	}
	return list, nil
}

// EndSession ends a session of the operator and reports whether it was open.
func (o *Service) EndSession(ctx context.Context, operatorID, sessionID int64, by models.Actor) (bool, error) {
	return o.end(ctx, operatorID, sessionID, audit.ActionSessionEnd, by)
}

// EndSessions ends all sessions of the operator except spared, an operator_sessions.id or 0, and
// returns their number.
func (o *Service) EndSessions(ctx context.Context, operatorID, spared int64, by models.Actor) (ended int, err error) {
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		operator := &models.Operator{}
		err := tx.Where("id = ?", operatorID).Take(operator).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			ended = 0
			return nil
		}
		if err != nil {
			return err
		}
		open, err := o.endSessions(tx, operatorID, endedBy(operator, by), "id <> ?", spared)
		if ended = int(open); err != nil || ended == 0 {
			return err
		}
		return o.audit(tx, by, audit.ActionSessionsEnd, operator.Name, fmt.Sprintf("sessions=%d", ended))
	})
	if err != nil {
		return 0, fmt.Errorf("ending sessions: %w", err)
	}
	return ended, nil
}

func (o *Service) end(ctx context.Context, operatorID, sessionID int64, action string, by models.Actor) (bool, error) {
	ended := false
	err := o.db.Tx(ctx, func(tx *gorm.DB) error {
		operator := &models.Operator{}
		err := tx.Where("id = ?", operatorID).Take(operator).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			ended = false
			return nil
		}
		if err != nil {
			return err
		}
		reason := endedBy(operator, by)
		if action == audit.ActionLogout {
			reason = ""
		}
		open, err := o.endSessions(tx, operatorID, reason, "id = ?", sessionID)
		if ended = open > 0; err != nil || !ended {
			return err
		}
		return o.audit(tx, by, action, operator.Name, "")
	})
	if err != nil {
		return false, fmt.Errorf("ending session: %w", err)
	}
	return ended, nil
}

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
