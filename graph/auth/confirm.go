package auth

import (
	"context"
	"sync"
	"sync/atomic"

	"rollcall/internal/fault"
	"rollcall/internal/users"
	"rollcall/models"
)

// pending is a token with a valid signature, and the result of checking it against the database,
// once that has been done.
type pending struct {
	users.Claim
	users *users.Service

	mu   sync.Mutex
	good atomic.Bool // changes only under the mutex
	err  error       // why it is not valid
}

// Confirm checks in the database, once, that the principal's token is still valid, if that has not
// been checked yet. A principal that has not been confirmed must not cause any change or receive
// any response. The guard before every root field ensures the former; the transports, which refuse
// the whole request, ensure the latter. Returns fault.Unauthenticated, or fault.UserBanned with
// `until`.
//
// It is separate from Authenticate so that UserByID and ConfirmBy can combine it with another
// query: one round trip to the database instead of two. Also, a device is registered by its user's
// key before the database is queried, which then needs only one query.
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

// IsConfirmed reports whether there is nothing left to confirm. It never blocks.
func (p *Principal) IsConfirmed() bool { return p.claim == nil || p.claim.good.Load() }

// LoadApp confirms the principal and sets App. The guard calls it before every root field except
// those that call UserByID or ConfirmBy.
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

// AppKey returns the key of the caller's app, for logs. It returns "" for a guest, and if the
// request has not read the app: logging is no reason to read it.
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

// Confirmed returns a confirmed copy of p with its app and user, which may outlive the request. It
// returns the same errors as Confirm.
func (p *Principal) Confirmed(ctx context.Context) (*Principal, error) {
	if err := p.LoadApp(ctx); err != nil {
		return nil, err
	}
	return &Principal{Kind: p.Kind, App: p.App, User: p.User, token: p.credential()}, nil
}

// load reads the app and the user of p's claim, which must be locked.
func (p *Principal) load(ctx context.Context) error {
	c := p.claim
	if c.err != nil {
		return c.err
	}
	app, user, err := c.users.Confirm(ctx, c.Claim)
	p.App, p.User = app, user
	return c.settle(err)
}

// settle records and returns the database's result. A check that failed because the database was
// unreachable or the caller left may be repeated.
func (c *pending) settle(err error) error {
	c.good.Store(err == nil)
	if fault.CodeOf(err) == fault.Unauthenticated {
		c.err = err
	}
	return err
}

// UserByID returns the user of the caller's app with that ID, or nil if there is none, and confirms
// the principal by the same read. If profile is set, it may read only models.ProfileColumns of the
// user. It returns the same errors as Confirm.
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

// ConfirmBy confirms the principal by a read that its caller makes in any case. read receives the
// app's apps.id and returns the generation of that app's secret. If ConfirmBy returns an error, the
// result of the read must not be disclosed. It returns the same errors as Confirm.
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
