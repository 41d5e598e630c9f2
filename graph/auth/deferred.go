package auth

import (
	"context"
	"sync"
	"sync/atomic"

	"rollcall/internal/fault"
	"rollcall/internal/users"
)

// Deferred is a token with a valid signature, and the result of checking it in the database, once
// that has been done. Only the database knows whether the app's secret has been rotated or the user
// banned, and it is read for every request.
//
// The check is separate from Authenticate for two reasons. The most frequent queries of App Servers
// read the generation of the app's secret in the same statement as their data, which saves a round
// trip to the database. And a device is registered by its user's key before the database is read,
// so that a concurrent ban finds it.
//
// A principal is confirmed by the first of these that succeeds:
//   - Principal.Confirmed, called by the transports for every user token, and for an app token of a
//     WebSocket, whose principal outlives the request.
//   - ConfirmBy, called by the resolvers of the queries for which ConfirmsItself returns true.
//   - Principal.LoadApp, called by the guard before every other root field. It also sets App.
//   - Principal.Confirm, called by the transports before a mutation or a subscription, and for all
//     operations before anything is written to the response.
//
// Until then the caller must not cause any change or receive any response. A token that is no
// longer valid refuses the whole request, not one field: the refusal is stored, the transport
// receives it again from Confirm, discards what was resolved, and responds with the refusal alone.
// Other errors, such as an unreachable database, are not stored: the next call checks again.
type Deferred struct {
	claim users.Claim
	users *users.Service

	// mu guards err, and the principal's App and User. It is locked during a check, so that fields
	// that are resolved concurrently wait for its result.
	mu        sync.Mutex
	confirmed atomic.Bool // changes only under mu
	err       error       // why the token is not valid
}

// ConfirmsItself reports whether the resolver of that query calls ConfirmBy, so that the guard does
// not confirm the caller before. These are the most frequent queries.
func ConfirmsItself(query string) bool {
	switch query {
	case "user", "messagePermission":
		return true
	}
	return false
}

// ConfirmBy returns the value that read returns for the app of the principal in ctx, which must not
// be a guest, and confirms the principal by the same read; see Deferred. read receives the apps.id.
// It also returns the generation of that app's secret, or models.NoSecret if it has not found one.
// If it is not the token's, a statement of its own checks the token. ConfirmBy returns the errors of read and
// of Principal.Confirm.
func ConfirmBy[T any](ctx context.Context, read func(appID int64) (value T, secretGeneration int, err error)) (T, error) {
	p := From(ctx)
	d := p.deferred
	if !d.begin() {
		value, _, err := read(p.AppID())
		return value, err
	}
	defer d.mu.Unlock()
	var none T
	if d.err != nil {
		return none, d.err
	}
	value, generation, err := read(p.AppID())
	switch {
	case err != nil:
	case !d.claim.IsUsers() && d.claim.SecretGeneration() == generation:
		err = d.settle(nil)
	default: // the previous secret may be valid, too
		err = p.load(ctx)
	}
	if err != nil {
		return none, err // the caller may not see the value
	}
	return value, nil
}

// Confirm checks the principal's token, unless the principal has been confirmed; see Deferred.
// Returns fault.Unauthenticated, or fault.UserBanned with `until`.
func (p *Principal) Confirm(ctx context.Context) error {
	if !p.deferred.begin() {
		return nil
	}
	defer p.deferred.mu.Unlock()
	return p.load(ctx)
}

// IsConfirmed reports whether there is nothing left to confirm. It never blocks.
func (p *Principal) IsConfirmed() bool { return p.deferred == nil || p.deferred.confirmed.Load() }

// LoadApp confirms the principal and sets App. It returns the same errors as Confirm.
func (p *Principal) LoadApp(ctx context.Context) error {
	d := p.deferred
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.App != nil {
		return nil
	}
	return p.load(ctx)
}

// AppKey returns the key of the caller's app, for logs. It returns "" for a guest, and if the
// request has not read the app: logging is no reason to read it.
func (p *Principal) AppKey() string {
	if d := p.deferred; d != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
	}
	if p.App == nil {
		return ""
	}
	return p.App.Key
}

// Confirmed returns a confirmed copy of p with its app and user, which may outlive the request. It
// returns the same errors as Confirm.
func (p *Principal) Confirmed(ctx context.Context) (*Principal, error) {
	if err := p.LoadApp(ctx); err != nil {
		return nil, err
	}
	return &Principal{Kind: p.Kind, App: p.App, User: p.User, token: p.credential()}, nil
}

// load checks the token by a statement of its own and sets App and User. p.deferred must be
// locked.
func (p *Principal) load(ctx context.Context) error {
	d := p.deferred
	if d.err != nil {
		return d.err
	}
	app, user, err := d.users.Confirm(ctx, d.claim)
	p.App, p.User = app, user
	return d.settle(err)
}

// begin locks d and returns true, unless there is nothing left to confirm.
func (d *Deferred) begin() bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	if d.confirmed.Load() {
		d.mu.Unlock()
		return false
	}
	return true
}

// settle stores and returns the result of a check. d must be locked.
func (d *Deferred) settle(err error) error {
	d.confirmed.Store(err == nil)
	if fault.CodeOf(err) == fault.Unauthenticated {
		d.err = err
	}
	return err
}
