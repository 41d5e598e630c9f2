package auth

import (
	"context"
	"strings"

	"rollcall/internal/fault"
	"rollcall/internal/users"
)

// Authenticator turns an Authorization into a Principal.
type Authenticator struct {
	// Users is asked on every request whether a token is still good.
	Users *users.Service
}

// Authenticate answers who sends this Authorization header, by what it says; an
// empty one is a guest's. The database has not been asked yet: see Principal.Confirm.
// Errors: UNAUTHENTICATED for what is no Bearer token, or one that is not ours or
// has expired.
func (a *Authenticator) Authenticate(ctx context.Context, authorization string) (*Principal, error) {
	if authorization == "" {
		return guest, nil
	}
	scheme, text, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nil, fault.New(fault.Unauthenticated, "the Authorization is no Bearer token; write Bearer TOKEN")
	}
	claim, err := a.Users.Inspect(ctx, strings.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	kind := AppServer
	if claim.IsUsers() {
		kind = User
	}
	return &Principal{Kind: kind, claim: &pending{Claim: claim, users: a.Users}}, nil
}

// Refresh answers p as the database has it now, for one more operation on a live
// connection. Errors as Confirm's; a token's age is not looked at again.
func (a *Authenticator) Refresh(ctx context.Context, p *Principal) (*Principal, error) {
	switch p.Kind {
	case AppServer:
		app, err := a.Users.CurrentApp(ctx, p.App.ID)
		if err != nil {
			return nil, err
		}
		return &Principal{Kind: AppServer, App: app}, nil
	case User:
		app, user, err := a.Users.Current(ctx, p.User.ID)
		if err != nil {
			return nil, err
		}
		return &Principal{Kind: User, App: app, User: user}, nil
	}
	return p, nil
}
