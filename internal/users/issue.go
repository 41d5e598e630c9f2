package users

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/token"
	"rollcall/internal/userlock"
	"rollcall/internal/validate"
	"rollcall/models"
)

// Issued is a token that was issued for a user.
type Issued struct {
	User  *models.User
	Token string
	// ExpiresAt is nil for a token that does not expire.
	ExpiresAt *models.Time
}

// TokenRequest is what the App Server sends to get a token of a registered user.
type TokenRequest struct {
	UserID string `json:"userId" validate:"required,max=64,userid"`
	// TTL is the token's lifetime, at most ten years. If it is 0, the token does not expire.
	TTL time.Duration `json:"ttlSeconds" validate:"omitempty,min=1s,max=87600h"`
}

// IssueToken issues a further token of a registered user, and changes nothing else. Returns
// INVALID_ARGUMENT, USER_NOT_FOUND and USER_DEACTIVATED. A banned user's token is refused until the
// ban ends.
func (s *Service) IssueToken(ctx context.Context, app *models.App, in TokenRequest) (*Issued, error) {
	if err := validate.Input(in); err != nil {
		return nil, err
	}
	user, err := s.ByID(ctx, app.ID, in.UserID)
	switch {
	case err != nil:
		return nil, err
	case user == nil:
		return nil, userlock.Unknown(in.UserID)
	case user.State(s.now()) == models.UserDeactivated:
		return nil, userlock.Deactivated(in.UserID)
	}
	issued, err := s.issue(app, user, in.TTL)
	return &issued, err
}

// IssuingUnder returns a Service whose tokens are issued under the secret of that generation, which
// is that of the app token by which the caller asks for them. They end together with that secret.
// Other Services issue tokens under the app's present secret.
func (s *Service) IssuingUnder(secretGeneration int) *Service {
	out := *s
	out.issuesUnder = secretGeneration
	return &out
}

// issue issues a token for a registered user. The token's time of issue is never before the user's
// TokensValidFrom, even if the clock is set back: otherwise ExpireTokens would have ended it already.
func (s *Service) issue(app *models.App, user *models.User, ttl time.Duration) (Issued, error) {
	now := s.now()
	claims := token.Claims{
		AppID:            app.ID,
		UserID:           user.ID,
		SecretGeneration: s.issuesUnder,
		TokenGeneration:  user.TokenGeneration,
		IssuedAt:         max(now, user.TokensValidFrom),
	}
	if s.issuesUnder == models.NoSecret {
		claims.SecretGeneration = app.SecretGeneration
	}
	out := Issued{User: user}
	if ttl != 0 {
		claims.ExpiresAt = now.Add(ttl)
		out.ExpiresAt = &claims.ExpiresAt
	}
	var err error
	if out.Token, err = s.keys.Sign(claims, app.Key, user.ExternalID); err != nil {
		return out, fmt.Errorf("signing user token: %w", err)
	}
	return out, nil
}
