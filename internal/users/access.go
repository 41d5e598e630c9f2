package users

import (
	"context"
	"errors"

	"rollcall/internal/database"
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
	claim, err := s.Inspect(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	return s.Confirm(ctx, claim)
}

// Claim is what a token of ours says that has not expired. It is worth nothing
// until the database has been asked: see Confirm and ByIDFor.
type Claim struct{ claims token.Claims }

// IsUsers says whether it is a user's token, not an App Server's.
func (c Claim) IsUsers() bool { return c.claims.UserID != 0 }

// UserID is the users.id that it says; 0: it is an App Server's.
func (c Claim) UserID() int64 { return c.claims.UserID }

// AppID is the apps.id that it says.
func (c Claim) AppID() int64 { return c.claims.AppID }

// ExpiresAt is when the token expires; 0: never.
func (c Claim) ExpiresAt() models.Time { return c.claims.ExpiresAt }

// Inspect answers what a token says. Errors: UNAUTHENTICATED for what is no token
// of ours or has expired.
func (s *Service) Inspect(ctx context.Context, text string) (Claim, error) {
	claims, err := s.keys.Verify(ctx, text)
	if errors.Is(err, token.ErrInvalid) {
		err = errRefused
	}
	return Claim{claims}, err
}

// Confirm returns the app and, for a user token, the user, as the database has them now. It may be
// called again later, for a connection that the token has opened. Errors as Verify's.
func (s *Service) Confirm(ctx context.Context, c Claim) (*models.App, *models.User, error) {
	if c.Ended(s.now()) {
		return nil, nil, errRefused
	}
	if !c.IsUsers() {
		app, ok, err := s.appByID.Get(ctx, c.claims.AppID)
		if err != nil {
			return nil, nil, err
		}
		if !ok || !c.fits(app) {
			return nil, nil, errRefused
		}
		return app, nil, nil
	}
	a, ok, err := s.access.Get(ctx, c.claims.UserID)
	if err != nil {
		return nil, nil, err
	}
	if !ok || a.App.ID != c.claims.AppID || !c.fits(&a.App) ||
		a.User.TokenGeneration != c.claims.TokenGeneration ||
		c.claims.IssuedAt < a.User.TokensValidFrom {
		return nil, nil, errRefused
	}
	return s.admit(a)
}

// ByIDFor is Confirm and ByID for an App Server's claim in one read of the
// database, without the app; profile: of the user, models.ProfileColumns suffice.
// Errors as Verify's; then nothing is said about the user.
func (s *Service) ByIDFor(ctx context.Context, c Claim, id string, profile bool) (*models.User, error) {
	if c.IsUsers() {
		return nil, errRefused // of whose app alone is asked
	}
	if database.IsASCII(id) {
		read := s.userAndSecret
		if profile {
			read = s.profileAndSecret
		}
		found, ok, err := read.Get(ctx, externalKey{c.claims.AppID, id})
		switch {
		case err != nil:
			return nil, err
		case ok && found.secretGeneration != c.claims.SecretGeneration:
			return nil, errRefused
		case ok:
			return &found.User, nil
		}
	}
	_, _, err := s.Confirm(ctx, c)
	return nil, err
}

// Check is Confirm for an App Server's claim where the generation of its app's secret
// has been read already. Errors: UNAUTHENTICATED.
func (c Claim) Check(secretGeneration int) error {
	if c.IsUsers() || c.claims.SecretGeneration != secretGeneration {
		return errRefused
	}
	return nil
}

// Expired reports whether the token has expired, or the key that signed it has been retired.
func (s *Service) Expired(c Claim) bool { return c.Ended(s.now()) }

// Ended reports whether the token has expired, or the key that signed it has been retired.
func (c Claim) Ended(now models.Time) bool { return c.claims.Ended(now) }

// fits says whether the token is of the app's present secret.
func (c Claim) fits(app *models.App) bool { return c.claims.SecretGeneration == app.SecretGeneration }

// Current returns the user and its app as they are now, for an event on a connection that a token
// has opened: the token itself is not checked again. Errors as Verify's.
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

// RevokedIn reports whether an App Server's token has been revoked in an app with this row; nil: the
// app is gone.
func (c Claim) RevokedIn(app *models.App) bool { return app == nil || !c.fits(app) }

// CurrentApps returns the apps with these apps.id as they are now, by one read. Those that are gone
// are missing. The map may have others and must not be changed.
func (s *Service) CurrentApps(ctx context.Context, ids []int64) (map[int64]*models.App, error) {
	return s.appByID.GetAll(ctx, ids)
}

// CurrentApp returns the app as it is now. Returns UNAUTHENTICATED if it is gone.
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
