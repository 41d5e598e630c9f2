package auth

import (
	"context"
	"sync"

	"rollcall/internal/fault"
	"rollcall/internal/users"
	"rollcall/models"
)

// pending is an App Server's token whose signature is good, and what the database
// says of it once it has been asked.
type pending struct {
	users.Claim
	users *users.Service

	mu   sync.Mutex
	done bool
	err  error
}

// Confirm asks the database, once, whether the principal's token is still good,
// where that is still open. Nothing may be done or answered for a principal that
// has not been confirmed: the guard before every root field sees to the first,
// the transports, which refuse the whole request, to the second. Errors as
// Authenticate's.
//
// It is apart from Authenticate for User, which reads the token's app with the
// user that is asked for: one round trip to the database instead of two.
func (p *Principal) Confirm(ctx context.Context) error {
	return p.confirm(func(c *pending) (app *models.App, err error) {
		app, _, err = c.users.Confirm(ctx, c.Claim)
		return app, err
	})
}

// UserByID answers the user of the caller's app with that ID, nil where there is
// none, and confirms the principal by the same read. Errors as Confirm's; of a
// user's principal, none but the database's.
func (p *Principal) UserByID(ctx context.Context, service *users.Service, id string) (user *models.User, err error) {
	asked := false
	err = p.confirm(func(c *pending) (app *models.App, err error) {
		asked = true
		app, user, err = service.ByIDFor(ctx, c.Claim, id)
		return app, err
	})
	if asked || err != nil {
		return user, err
	}
	return service.ByID(ctx, p.App.ID, id)
}

// confirm has ask say what app the token is of, unless that is known. A question
// that was not answered, for want of a database or because the caller is gone, may
// be asked again.
func (p *Principal) confirm(ask func(*pending) (*models.App, error)) error {
	c := p.claim
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.done {
		app, err := ask(c)
		if app == nil && fault.CodeOf(err) != fault.Unauthenticated {
			return err
		}
		p.App, c.err, c.done = app, err, true
	}
	return c.err
}
