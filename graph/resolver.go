// Package graph is the GraphQL adapter: the schema, resolvers that read
// arguments, call one rule and answer, and the checks that stand before every
// resolver (who may call, form of the arguments, size of the operation).
package graph

import (
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/presence"
	"rollcall/internal/ratelimit"
	"rollcall/internal/relations"
	"rollcall/internal/users"
	"rollcall/internal/validate"
	"rollcall/models"
)

// Resolver holds the rules that resolvers call.
type Resolver struct {
	apps      *apps.Service
	users     *users.Service
	relations *relations.Service
	presence  *presence.Hub
	clock     func() time.Time
	// rates limit how often a user does something.
	rates ratelimit.Limiter
	// validator checks what is validated item by item; see guard for the rest.
	validator *validate.Validator
}

// NewResolver answers a Resolver that calls these rules; clock is time.Now
// outside tests.
func NewResolver(a *apps.Service, u *users.Service, l *relations.Service, p *presence.Hub, rates ratelimit.Limiter, clock func() time.Time) *Resolver {
	return &Resolver{
		apps: a, users: u, relations: l, presence: p,
		clock: clock, rates: rates, validator: NewValidator(),
	}
}

func (r *Resolver) now() models.Time { return models.TimeOf(r.clock()) }
