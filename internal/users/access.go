package users

import (
	"context"
	"errors"

	"rollcall/internal/fault"
	"rollcall/internal/token"
	"rollcall/models"
)

// errRefused is the error for every invalid token, so that a caller cannot tell the reason.
var errRefused = fault.New(fault.Unauthenticated, "the token is malformed, foreign, expired or revoked")

// access is what the validity of a user token depends on: the user and its app, read by one query.
type access struct {
	User models.User
	App  models.App
}

// Verify returns the app of a valid token and, for a user token, the user, as they are in the
// database now. Returns UNAUTHENTICATED for an invalid token, fault.AppDisabled while the app is
// disabled, and USER_BANNED, with `until`, while the user is banned.
func (s *Service) Verify(ctx context.Context, text string) (*models.App, *models.User, error) {
	claim, err := s.Inspect(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	return s.Confirm(ctx, claim)
}

// Claim is the content of a token that this service signed and that has not expired. It proves
// nothing until Confirm or Check has compared it with the database.
type Claim struct{ claims token.Claims }

// IsUsers reports whether it is a user's token, not an App Server's.
func (c Claim) IsUsers() bool { return c.claims.UserID != 0 }

// UserID returns the users.id in the token, or 0 for an App Server's.
func (c Claim) UserID() int64 { return c.claims.UserID }

// AppID returns the apps.id in the token.
func (c Claim) AppID() int64 { return c.claims.AppID }

// ExpiresAt returns when the token expires, or 0 if it does not.
func (c Claim) ExpiresAt() models.Time { return c.claims.ExpiresAt }

// Inspect returns the content of a token. Returns UNAUTHENTICATED for a text that is not a token of
// this service, and for an expired token.
func (s *Service) Inspect(ctx context.Context, text string) (Claim, error) {
	claims, err := s.keys.Verify(ctx, text)
	if errors.Is(err, token.ErrInvalid) {
		err = errRefused
	}
	return Claim{claims}, err
}

// Confirm returns the app and, for a user token, the user, as they are in the database now. It may
// be called again later, for a connection that the token has opened. Returns the same errors as
// Verify.
func (s *Service) Confirm(ctx context.Context, c Claim) (*models.App, *models.User, error) {
	now := s.now()
	if c.Ended(now) {
		return nil, nil, errRefused
	}
	if !c.IsUsers() {
		app, ok, err := s.appByID.Get(ctx, c.claims.AppID)
		if err != nil {
			return nil, nil, err
		}
		if !ok || c.revoked(app, nil, now) {
			return nil, nil, errRefused
		}
		if app.Disabled() {
			return nil, nil, fault.AppDisabled
		}
		return app, nil, nil
	}
	a, ok, err := s.access.Get(ctx, c.claims.UserID)
	if err != nil {
		return nil, nil, err
	}
	if !ok || a.App.ID != c.claims.AppID || c.revoked(&a.App, &a.User, now) {
		return nil, nil, errRefused
	}
	return s.checkState(a)
}

// SecretGeneration returns the generation of the app's secret under which the token was issued.
func (c Claim) SecretGeneration() int { return c.claims.SecretGeneration }

// Expired reports whether the token has expired, or the key that signed it has been retired.
func (s *Service) Expired(c Claim) bool { return c.Ended(s.now()) }

// Ended reports whether the token has expired, or the key that signed it has been retired.
func (c Claim) Ended(now models.Time) bool { return c.claims.Ended(now) }

// revoked reports whether the token was revoked, given its app and, for a user token, its user.
func (c Claim) revoked(app *models.App, user *models.User, now models.Time) bool {
	return !app.AcceptsSecret(c.claims.SecretGeneration, now) ||
		user != nil && (c.claims.TokenGeneration != user.TokenGeneration || c.claims.IssuedAt < user.TokensValidFrom)
}

// Current returns the user and its app as they are now, for an event on a connection that a token
// has opened. It does not check the token again. Returns the same errors as Verify.
func (s *Service) Current(ctx context.Context, userID int64) (*models.App, *models.User, error) {
	a, ok, err := s.access.Get(ctx, userID)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, errRefused
	}
	return s.checkState(a)
}

// RevokedIn reports whether an App Server's token is revoked, given its app's present row, or nil
// if the app has been deleted.
func (s *Service) RevokedIn(app *models.App, c Claim) bool {
	return app == nil || c.revoked(app, nil, s.now())
}

// CurrentApps returns the apps with these apps.id as they are now, by one read. Deleted apps are
// missing. The map may contain other apps and must not be modified.
func (s *Service) CurrentApps(ctx context.Context, ids []int64) (map[int64]*models.App, error) {
	return s.appByID.GetAll(ctx, ids)
}

// CurrentApp returns the app as it is now. Returns UNAUTHENTICATED if it has been deleted or disabled.
func (s *Service) CurrentApp(ctx context.Context, appID int64) (*models.App, error) {
	app, ok, err := s.appByID.Get(ctx, appID)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, errRefused
	case app.Disabled():
		return nil, fault.AppDisabled
	}
	return app, nil
}

// checkState returns the user and its app, or the error for a disabled app or a deactivated or banned
// user.
func (s *Service) checkState(a *access) (*models.App, *models.User, error) {
	if a.App.Disabled() {
		return nil, nil, fault.AppDisabled
	}
	switch a.User.State(s.now()) {
	case models.UserDeactivated:
		return nil, nil, errRefused
	case models.UserBanned:
		return nil, nil, fault.Banned(a.User.BanEnd())
	}
	return &a.App, &a.User, nil
}
