// Package auth identifies callers: it turns an Authorization header into a Principal, and carries
// the Principal through the context to every rule.
package auth

import (
	"context"

	"rollcall/internal/presence/status"
	"rollcall/internal/users"
	"rollcall/models"
)

// Kind is a kind of caller.
type Kind int8

// The kinds of callers.
const (
	// Guest has no token.
	Guest Kind = iota
	// AppServer has an app token: it is the customer's back end.
	AppServer
	// User has a user token: it is one of the user's devices.
	User
)

// String returns the kind's name in the schema's @auth.
func (k Kind) String() string {
	switch k {
	case AppServer:
		return "APP_SERVER"
	case User:
		return "USER"
	}
	return "GUEST"
}

// Principal is a caller, as stored in the database at the time of the request.
type Principal struct {
	Kind Kind
	// App is the caller's app; nil for a guest, and until LoadApp has been called.
	App *models.App
	// User is set for Kind User only, once it is confirmed.
	User *models.User

	deferred *Deferred // nil if there is nothing to confirm
	// token is the claim of the token of a principal that outlives its request; see Confirmed.
	token users.Claim
}

// credential returns the claim of the principal's token.
func (p *Principal) credential() users.Claim {
	if p.deferred != nil {
		return p.deferred.claim
	}
	return p.token
}

// ExpiresAt returns when the principal's token expires, or 0 if it does not.
func (p *Principal) ExpiresAt() models.Time { return p.credential().ExpiresAt() }

// TokenEnded reports whether the principal's token has expired, or the key that signed it has been
// retired.
func (p *Principal) TokenEnded(now models.Time) bool { return p.credential().Ended(now) }

// SecretGeneration returns the generation of the app's secret under which the principal's token was
// issued.
func (p *Principal) SecretGeneration() int { return p.credential().SecretGeneration() }

// UserID returns the users.id of the principal's user, which is known before it is confirmed. The
// principal must be of Kind User.
func (p *Principal) UserID() int64 {
	if p.User == nil {
		return p.deferred.claim.UserID()
	}
	return p.User.ID
}

// AppID returns the apps.id of the principal's app, which is known before it is confirmed, or 0 for
// a guest.
func (p *Principal) AppID() int64 {
	switch {
	case p.deferred != nil:
		return p.deferred.claim.AppID()
	case p.App != nil:
		return p.App.ID
	}
	return 0
}

// Account identifies the principal's user to internal/presence. The principal must be of Kind User
// and confirmed.
func (p *Principal) Account() status.Account {
	account := status.AccountOf(p.User)
	account.DeviceLimit = p.App.Settings.DeviceLimit
	return account
}

// IsUser reports whether the caller is the user with that users.id.
func (p *Principal) IsUser(id int64) bool { return p.Kind == User && p.User.ID == id }

type principalKey struct{}

type deviceKey struct{}

var guest = &Principal{Kind: Guest}

// From returns the principal in ctx, or a guest if there is none.
func From(ctx context.Context) *Principal {
	if p, ok := ctx.Value(principalKey{}).(*Principal); ok {
		return p
	}
	return guest
}

// With returns a copy of ctx with the principal p.
func With(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// DeviceFrom returns the device whose connection carries the request, or nil for plain HTTP and for
// app tokens.
func DeviceFrom(ctx context.Context) *status.Device {
	d, _ := ctx.Value(deviceKey{}).(*status.Device)
	return d
}

// WithDevice returns a copy of ctx for requests over d's connection.
func WithDevice(ctx context.Context, d *status.Device) context.Context {
	return context.WithValue(ctx, deviceKey{}, d)
}
