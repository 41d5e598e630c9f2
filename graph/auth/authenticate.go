package auth

import (
	"context"
	"slices"
	"strings"

	"rollcall/internal/fault"
	"rollcall/internal/users"
)

// Authenticator turns an Authorization header into a Principal.
type Authenticator struct {
	// Users is queried on every request to check that the token is still valid.
	Users *users.Service
}

// Authenticate returns the principal that this Authorization header claims to be; an empty header
// is a guest's. It does not query the database: see Deferred. Returns
// fault.Unauthenticated for anything but a Bearer token, and for one that is not ours or has
// expired.
func (a *Authenticator) Authenticate(ctx context.Context, authorization string) (*Principal, error) {
	if authorization == "" {
		return guest, nil
	}
	scheme, text, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nil, fault.New(fault.Unauthenticated, "the Authorization header has no Bearer token; write Bearer TOKEN")
	}
	claim, err := a.Users.Inspect(ctx, strings.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	kind := AppServer
	if claim.IsUsers() {
		kind = User
	}
	return &Principal{Kind: kind, deferred: &Deferred{claim: claim, users: a.Users}}, nil
}

// Reauthenticate returns p as it is in the database now, for one more operation on the connection
// that its token has opened. It checks the same as for a request over HTTP. ended reports that the
// connection must be closed, too: a user's connection outlives expireTokens and a rotation of the
// app's secret, for the events that it receives, but no other end of its token. It returns the same
// errors as Confirm.
func (a *Authenticator) Reauthenticate(ctx context.Context, p *Principal) (now *Principal, ended bool, err error) {
	token := p.credential()
	app, user, err := a.Users.Confirm(ctx, token)
	switch {
	case err == nil:
		return &Principal{Kind: p.Kind, App: app, User: user, token: token}, false, nil
	case fault.CodeOf(err) == fault.UserBanned:
		return nil, true, err
	case fault.CodeOf(err) != fault.Unauthenticated:
		return nil, false, err
	case p.Kind == User && !a.Users.Expired(token):
		_, _, gone := a.Users.Current(ctx, token.UserID())
		return nil, gone != nil, err
	}
	return nil, true, err
}

// Refresh returns p as it is in the database now, for an event on its connection. It does not check
// the token again; see Reauthenticate. It returns the same errors as Confirm.
func (a *Authenticator) Refresh(ctx context.Context, p *Principal) (*Principal, error) {
	switch p.Kind {
	case AppServer:
		app, err := a.Users.CurrentApp(ctx, p.AppID())
		if err != nil {
			return nil, err
		}
		return &Principal{Kind: AppServer, App: app}, nil
	case User:
		app, user, err := a.Users.Current(ctx, p.UserID())
		if err != nil {
			return nil, err
		}
		return &Principal{Kind: User, App: app, User: user}, nil
	}
	return p, nil
}

// Ending is why the connection of an App Server must end.
type Ending int8

// The values of Ending.
const (
	// Stays means that the connection does not end.
	Stays Ending = iota
	// TokenRevoked means that the secret under which the token was issued has ended, or that the app
	// was deleted.
	TokenRevoked
	// AppDisabled means that the app was disabled.
	AppDisabled
	// OperatorClosed means that an operator has closed all connections of the app's App Servers.
	OperatorClosed
)

// Ended returns for each of these App Servers, which must be Confirmed, whether its connection must
// end. It reads all their apps at once.
func (a *Authenticator) Ended(ctx context.Context, appServers []*Principal) ([]Ending, error) {
	var ids []int64
	for _, p := range appServers {
		ids = append(ids, p.AppID())
	}
	slices.Sort(ids)
	apps, err := a.Users.CurrentApps(ctx, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	endings := make([]Ending, len(appServers))
	for i, p := range appServers {
		switch app := apps[p.AppID()]; {
		case a.Users.RevokedIn(app, p.credential()):
			endings[i] = TokenRevoked
		case app.Disabled():
			endings[i] = AppDisabled
		case app.ConnectionGeneration != p.App.ConnectionGeneration:
			endings[i] = OperatorClosed
		}
	}
	return endings, nil
}
