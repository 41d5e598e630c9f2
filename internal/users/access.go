package users

import (
	"context"
	"errors"

	"rollcall/internal/fault"
	"rollcall/internal/token"
	"rollcall/models"
)

// errRefused is one answer for every token that is not good, so that a caller
// cannot tell which of the reasons it was.
var errRefused = fault.New(fault.Unauthenticated, "the token is malformed, foreign, expired or revoked")

// access is what a user token's fate hangs on: the user and its app, read in
// one query.
type access struct {
	User models.User
	App  models.App
}

// Verify answers whose token it is: the app and, for a user token, the user, as
// the database has them now. Errors: UNAUTHENTICATED for a token that is not
// good; USER_BANNED, with `until`, while the user is banned.
func (s *Service) Verify(ctx context.Context, text string) (*models.App, *models.User, error) {
	claims, err := s.keys.Verify(ctx, text)
	if errors.Is(err, token.ErrInvalid) {
		return nil, nil, errRefused
	}
	if err != nil {
		return nil, nil, err
	}
	if claims.UserID == 0 {
		app, ok, err := s.appByID.Get(ctx, claims.AppID)
		if err != nil {
			return nil, nil, err
		}
		if !ok || app.SecretGeneration != claims.SecretGeneration {
			return nil, nil, errRefused
		}
		return app, nil, nil
	}
	a, ok, err := s.access.Get(ctx, claims.UserID)
	if err != nil {
		return nil, nil, err
	}
	if !ok || a.App.ID != claims.AppID ||
		a.App.SecretGeneration != claims.SecretGeneration ||
		a.User.TokenGeneration != claims.TokenGeneration ||
		claims.IssuedAt < a.User.TokensValidFrom {
		return nil, nil, errRefused
	}
	return s.admit(a)
}

// Current answers the user and its app as they are now, for one more operation
// on a connection that a token has opened; its age is not looked at again.
// Errors as Verify's.
func (s *Service) Current(ctx context.Context, userID int64) (*models.App, *models.User, error) {
	a, ok, err := s.access.Get(ctx, userID)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, errRefused
	}
	return s.admit(a)
}

// CurrentApp answers the app as it is now; UNAUTHENTICATED where it is gone.
func (s *Service) CurrentApp(ctx context.Context, appID int64) (*models.App, error) {
	app, ok, err := s.appByID.Get(ctx, appID)
	if err == nil && !ok {
		err = errRefused
	}
	return app, err
}

// admit lets in who is neither deactivated nor banned.
func (s *Service) admit(a *access) (*models.App, *models.User, error) {
	switch a.User.State(s.now()) {
	case models.UserDeactivated:
		return nil, nil, errRefused
	case models.UserBanned:
		return nil, nil, banned(&a.User)
	}
	return &a.App, &a.User, nil
}

// banned is the refusal of a banned user.
func banned(u *models.User) error {
	return fault.New(fault.UserBanned, "the user is banned until %s", u.BannedUntil).
		With("until", u.BannedUntil.String())
}
