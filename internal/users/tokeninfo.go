package users

import (
	"context"
	"errors"

	"rollcall/internal/fault"
	"rollcall/internal/token"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// TokenInfo is what an App Server may know about a token.
type TokenInfo struct {
	// User is nil for an app token, for a token of a user that has been deleted, and if the text is
	// no token of the app.
	User *models.User
	// IssuedAt is 0 if the text is no token of the app. ExpiresAt is 0 in that case too, and for a
	// token that does not expire.
	IssuedAt, ExpiresAt models.Time
	// Refusal is why the token is not valid, or nil if it is. Its code is UNAUTHENTICATED,
	// USER_DEACTIVATED or USER_BANNED.
	Refusal *fault.Error
}

var (
	errMalformed = fault.New(fault.Unauthenticated, "the text is no token of this app")
	errExpired   = fault.New(fault.Unauthenticated, "the token has expired")
	errRevoked   = fault.New(fault.Unauthenticated, "the token was revoked")
)

// TokenInfo describes a text that was presented as a token to the app's servers. A token of another
// app does not differ from a text that is none.
func (s *Service) TokenInfo(ctx context.Context, app *models.App, text string) (*TokenInfo, error) {
	claims, err := s.keys.Read(ctx, text)
	if errors.Is(err, token.ErrInvalid) || err == nil && claims.AppID != app.ID {
		return &TokenInfo{Refusal: errMalformed}, nil
	}
	if err != nil {
		return nil, err
	}
	info := &TokenInfo{IssuedAt: claims.IssuedAt, ExpiresAt: claims.ExpiresAt}
	if claims.UserID == 0 {
		info.Refusal = s.refusal(claims, app, nil)
		return info, nil
	}
	a, ok, err := s.access.Get(ctx, claims.UserID)
	if err != nil {
		return nil, err
	}
	if !ok {
		info.Refusal = errRevoked
		return info, nil
	}
	info.User, info.Refusal = &a.User, s.refusal(claims, &a.App, &a.User)
	return info, nil
}

// refusal returns why a token is not valid, given its app and, for a user token, its user, or nil if
// it is valid.
func (s *Service) refusal(claims token.Claims, app *models.App, user *models.User) *fault.Error {
	now, state := s.now(), models.UserActive
	if user != nil {
		state = user.State(now)
	}
	switch {
	case claims.Expired(now):
		return errExpired
	case state == models.UserDeactivated:
		return userlock.Deactivated(user.ExternalID)
	case claims.Ended(now), Claim{claims}.revoked(app, user, now):
		return errRevoked
	case state == models.UserBanned:
		return fault.Banned(user.BanEnd())
	}
	return nil
}
