package admission

import "github.com/prometheus/client_golang/prometheus"

// The limits that Refusals counts.
const (
	// LimitNode and LimitApp are those of requests in flight.
	LimitNode = "node"
	LimitApp  = "app"
	// LimitOpen and LimitConnectsAddress are how many connections an address may have, and how often
	// it may connect.
	LimitOpen            = "connections_per_address"
	LimitConnectsAddress = "connects_per_address"
	// LimitConnectsApp and LimitRegistrations are how often an app's devices may connect, and how many
	// users it may register.
	LimitConnectsApp   = "connects_per_app"
	LimitRegistrations = "registrations_per_app"
	// LimitSecrets is how many wrong app keys and secrets may be tried.
	LimitSecrets = "app_secrets"
)

// Refusals counts the requests that are refused because of a limit.
type Refusals struct{ counters *prometheus.CounterVec }

// NewRefusals returns Refusals whose metrics are registered, unless r is nil.
func NewRefusals(r prometheus.Registerer) *Refusals {
	counters := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_requests_refused_total", Help: "Requests, connections and registrations refused because of a limit, by the limit.",
	}, []string{"limit"})
	// They exist from the start, so that the first refusal is an increase.
	for _, limit := range []string{LimitNode, LimitApp, LimitOpen, LimitConnectsAddress, LimitConnectsApp, LimitRegistrations, LimitSecrets} {
		counters.WithLabelValues(limit)
	}
	if r != nil {
		r.MustRegister(counters)
	}
	return &Refusals{counters}
}

// Counter returns the counter of a limit.
func (r *Refusals) Counter(limit string) prometheus.Counter { return r.counters.WithLabelValues(limit) }
