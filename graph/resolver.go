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
	"rollcall/internal/webhooks"
	"rollcall/models"
)

// Resolver has the rules that resolvers call.
type Resolver struct {
	apps          *apps.Service
	users         *users.Service
	relations     *relations.Service
	subscriptions *subscriptions.Service
	presence      *presence.Hub
	webhooks      *webhooks.Service
	clock         func() time.Time
	// rates limits how often a user does something.
	rates ratelimit.Limiter
}

// Deps are what a Resolver calls. All fields are required.
type Deps struct {
	Apps          *apps.Service
	Users         *users.Service
	Relations     *relations.Service
	Subscriptions *subscriptions.Service
	Presence      *presence.Hub
	Webhooks      *webhooks.Service
	// Rates limits how often a user does something.
	Rates ratelimit.Limiter
	// Clock is time.Now outside tests.
	Clock func() time.Time
}

// NewResolver returns a Resolver that calls these rules.
func NewResolver(d Deps) *Resolver {
	return &Resolver{
		apps: d.Apps, users: d.Users, relations: d.Relations, subscriptions: d.Subscriptions, presence: d.Presence,
		webhooks: d.Webhooks, rates: d.Rates, clock: d.Clock,
	}
}

func (r *Resolver) now() models.Time { return models.TimeOf(r.clock()) }
