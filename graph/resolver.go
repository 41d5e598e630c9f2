// Package graph is the GraphQL adapter: it contains the schema, resolvers that read arguments, call
// one rule and return its result, and the checks that run before every resolver (permitted callers,
// form of the arguments, size of the operation).
package graph

import (
	"cmp"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/admission"
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
	// appUses counts what the rates of apps limit.
	appUses          *ratelimit.Local
	appRegistrations appRate
	// connects has the devices of each app wait for their turn to connect.
	connects        *ratelimit.Queue
	connectsRefused prometheus.Counter
	// wrongSecrets counts refused attempts with wrong app keys and secrets.
	wrongSecrets prometheus.Counter
}

// Deps are what a Resolver calls. All fields are required, except AppRates.
type Deps struct {
	Apps          *apps.Service
	Users         *users.Service
	Relations     *relations.Service
	Subscriptions *subscriptions.Service
	Presence      *presence.Hub
	Webhooks      *webhooks.Service
	// Rates limits how often a user does something.
	Rates ratelimit.Limiter
	// AppRates limits apps.
	AppRates AppRates
	// Refusals counts what is refused because of a limit.
	Refusals *admission.Refusals
	// Clock is time.Now outside tests.
	Clock func() time.Time
}

// NewResolver returns a Resolver that calls these rules.
func NewResolver(d Deps) *Resolver {
	return &Resolver{
		apps: d.Apps, users: d.Users, relations: d.Relations, subscriptions: d.Subscriptions, presence: d.Presence,
		webhooks: d.Webhooks, rates: d.Rates, clock: d.Clock,
		appUses: ratelimit.NewLocal(d.Clock),
		appRegistrations: appRate{
			ratelimit.Rule{Name: "registrations", Limit: d.AppRates.Registrations, Window: time.Second},
			d.Refusals.Counter(admission.LimitRegistrations),
		},
		connects:        ratelimit.NewQueue(d.AppRates.Connects, cmp.Or(d.AppRates.ConnectPatience, 10*time.Second), d.Clock),
		connectsRefused: d.Refusals.Counter(admission.LimitConnectsApp),
		wrongSecrets:    d.Refusals.Counter(admission.LimitSecrets),
	}
}

func (r *Resolver) now() models.Time { return models.TimeOf(r.clock()) }
