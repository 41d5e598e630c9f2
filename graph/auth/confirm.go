package auth

import (
	"context"
	"sync"
	"sync/atomic"

	"rollcall/internal/fault"
	"rollcall/internal/users"
	"rollcall/models"
)

// pending is a token whose signature is good, and what the database says of it once
// it has been asked.
type pending struct {
	users.Claim
	users *users.Service

	mu   sync.Mutex
	good atomic.Bool // changes under the mutex only
	err  error       // why it is not good
}

// Confirm asks the database, once, whether the principal's token is still good,
// where that is still open. Nothing may be done or answered for a principal that
// has not been confirmed: the guard before every root field sees to the first,
// the transports, which refuse the whole request, to the second. Errors:
// UNAUTHENTICATED; USER_BANNED with `until`.
//
// It is apart from Authenticate for UserByID and ConfirmBy, which ask together with
// another question: one round trip to the database instead of two. And a device is
// known by its user's key before the database is asked, which then need be asked
// only once.
func (p *Principal) Confirm(ctx context.Context) error {
	c := p.claim
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.good.Load() {
		return nil
	}
	return p.load(ctx)
}

// IsConfirmed reports whether there is nothing left to confirm. It never waits.
func (p *Principal) IsConfirmed() bool { return p.claim == nil || p.claim.good.Load() }

// LoadApp confirms the principal and has App hold its app. The guard calls it
// before every root field but those that call UserByID or ConfirmBy.
func (p *Principal) LoadApp(ctx context.Context) error {
	c := p.claim
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.App != nil {
		return nil
	}
	return p.load(ctx)
}

// AppKey is the key of the caller's app, for logs: "" for a guest, and where the
// request had no need to read the app, which a log is no reason for.
func (p *Principal) AppKey() string {
	if c := p.claim; c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
	}
	if p.App == nil {
		return ""
	}
	return p.App.Key
}

// Confirmed returns p confirmed, with its app and user: what outlives a request. Errors as Confirm's.
func (p *Principal) Confirmed(ctx context.Context) (*Principal, error) {
	if err := p.LoadApp(ctx); err != nil {
		return nil, err
	}
	return &Principal{Kind: p.Kind, App: p.App, User: p.User, token: p.credential()}, nil
}

// load reads the app, and the user, of a claim that is locked.
func (p *Principal) load(ctx context.Context) error {
	c := p.claim
	if c.err != nil {
		return c.err
	}
	app, user, err := c.users.Confirm(ctx, c.Claim)
	p.App, p.User = app, user
	return c.settle(err)
}

// settle notes what the database has said, and answers it. What it has not said,
// because it is away or the caller is gone, may be asked again.
func (c *pending) settle(err error) error {
	c.good.Store(err == nil)
	if fault.CodeOf(err) == fault.Unauthenticated {
		c.err = err
	}
	return err
}

// UserByID answers the user of the caller's app with that ID, nil where there is
// none, and confirms the principal by the same read; profile: of the user,
// models.ProfileColumns suffice. Errors as Confirm's.
func (p *Principal) UserByID(ctx context.Context, service *users.Service, id string, profile bool) (*models.User, error) {
	c := p.claim
	if c == nil {
		return service.ByID(ctx, p.App.ID, id)
	}
	c.mu.Lock()
	if c.good.Load() || c.err != nil {
		c.mu.Unlock()
		if c.err != nil {
			return nil, c.err
		}
		return service.ByID(ctx, c.AppID(), id)
	}
	defer c.mu.Unlock()
	user, err := service.ByIDFor(ctx, c.Claim, id, profile)
	return user, c.settle(err)
}

// ConfirmBy confirms the principal by a read that its caller makes in any case: read is
// told the app, by apps.id, and answers the generation of that app's secret. Where an
// error is answered, nothing may be said of what was read. Errors as Confirm's.
func (p *Principal) ConfirmBy(read func(appID int64) (secretGeneration int, err error)) error {
	c := p.claim
	if c == nil {
		_, err := read(p.App.ID)
		return err
	}
	c.mu.Lock()
	if c.good.Load() || c.err != nil {
		c.mu.Unlock()
		if c.err != nil {
			return c.err
		}
		_, err := read(c.AppID())
		return err
	}
	defer c.mu.Unlock()
	generation, err := read(c.AppID())
	if err == nil {
		err = c.Check(generation)
	}
	return c.settle(err)
}
