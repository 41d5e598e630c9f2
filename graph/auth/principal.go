// Package auth says who asks: it turns an Authorization into a Principal, and
// carries it through the context to every rule.
package auth

import (
	"context"

	"rollcall/internal/presence"
	"rollcall/internal/presence/status"
	"rollcall/internal/users"
	"rollcall/models"
)

// Kind is a kind of caller.
type Kind int8

// The kinds.
const (
	// Guest came without a token.
	Guest Kind = iota
	// AppServer holds an app token: the customer's back end.
	AppServer
	// User holds a user token: one of the user's devices.
	User
)

// String is the kind's name in the schema's @auth.
func (k Kind) String() string {
	switch k {
	case AppServer:
		return "APP_SERVER"
	case User:
		return "USER"
	}
	return "GUEST"
}

// Principal is who asks, as the database has had it since the request came in.
type Principal struct {
	Kind Kind
	// App is the caller's app; nil for a guest, and until LoadApp has been called.
	App *models.App
	// User is set for Kind User only, once it is confirmed.
	User *models.User

	claim *pending // nil: there is nothing to confirm
	// token is what the token said of a principal that outlives its request; see Confirmed.
	token users.Claim
}

// credential returns what the principal's token says.
func (p *Principal) credential() users.Claim {
	if p.claim != nil {
		return p.claim.Claim
	}
	return p.token
}

// ExpiresAt is when the principal's token expires; 0: never.
func (p *Principal) ExpiresAt() models.Time { return p.credential().ExpiresAt() }

// TokenEnded reports whether the principal's token has expired, or the key that signed it has been
// retired.
func (p *Principal) TokenEnded(now models.Time) bool { return p.credential().Ended(now) }

// UserID is the users.id of the principal's user, known before it is confirmed;
// only for Kind User.
func (p *Principal) UserID() int64 {
	if p.User == nil {
		return p.claim.UserID()
	}
	return p.User.ID
}

// AppID returns the apps.id of the principal's app, known before it is confirmed; 0 for a guest.
func (p *Principal) AppID() int64 {
	switch {
	case p.claim != nil:
		return p.claim.AppID()
	case p.App != nil:
		return p.App.ID
	}
	return 0
}

// Account names the principal's user to internal/presence; only for Kind User, once
// it is confirmed.
func (p *Principal) Account() status.Account {
	account := status.AccountOf(p.User)
	account.DeviceLimit = p.App.Settings.DeviceLimit
	return account
}

// IsUser says whether the caller is the user with the key users.id.
func (p *Principal) IsUser(id int64) bool { return p.Kind == User && p.User.ID == id }

type principalKey struct{}

type deviceKey struct{}

var guest = &Principal{Kind: Guest}

// From answers who asks; a context without a principal is a guest's.
func From(ctx context.Context) *Principal {
	if p, ok := ctx.Value(principalKey{}).(*Principal); ok {
		return p
	}
	return guest
}

// With answers a context in which p asks.
func With(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// DeviceFrom answers the device over whose connection the request came; nil for
// plain HTTP and for app tokens.
func DeviceFrom(ctx context.Context) *presence.Device {
	d, _ := ctx.Value(deviceKey{}).(*presence.Device)
	return d
}

// WithDevice answers a context of requests that come over d's connection.
func WithDevice(ctx context.Context, d *presence.Device) context.Context {
	return context.WithValue(ctx, deviceKey{}, d)
}
