// Package graph is the GraphQL adapter: it contains the schema, resolvers that read arguments, call
// one rule and return its result, and the checks that run before every resolver (permitted callers,
// form of the arguments, size of the operation).
package graph

import (
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/presence"
	"rollcall/internal/ratelimit"
	"rollcall/internal/relations"
	"rollcall/internal/subscriptions"
	"rollcall/internal/users"
	"rollcall/models"
)

// Resolver has the rules that resolvers call.
type Resolver struct {
	apps          *apps.Service
	users         *users.Service
	relations     *relations.Service
	subscriptions *subscriptions.Service
	presence      *presence.Hub
	clock         func() time.Time
	// rates limits how often a user does something.
	rates ratelimit.Limiter
}

// NewResolver returns a Resolver that calls these rules. clock is time.Now outside tests.
func NewResolver(a *apps.Service, u *users.Service, l *relations.Service, s *subscriptions.Service, p *presence.Hub, rates ratelimit.Limiter, clock func() time.Time) *Resolver {
	return &Resolver{
		apps: a, users: u, relations: l, subscriptions: s, presence: p,
		clock: clock, rates: rates,
	}
}

func (r *Resolver) now() models.Time { return models.TimeOf(r.clock()) }
