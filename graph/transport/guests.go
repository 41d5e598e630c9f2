package transport

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/graph/auth"
	"rollcall/internal/admission"
	"rollcall/internal/clientaddr"
	"rollcall/internal/fault"
)

const (
	// largeGuests and smallGuests are how many operations of guests are executed at the same time:
	// those with a body or a URL of more than freeBytes, and all others. A request takes up to 100
	// times its length once it is parsed, with short names and with numbers in lists, but not more
	// than about 4 MiB, because the number of tokens and a guest's body are limited.
	largeGuests, largeGuestsEach = 3, 2
	smallGuests, smallGuestsEach = 16, 8
	// waitingGuests is how many operations of a site may wait.
	waitingGuests = 500
)

// guests limits the memory that operations without a token take while they are parsed, validated and
// executed, and that their responses take while they are sent. The sites of the clients
// (clientaddr.Site) take turns, so that a flood from some does not keep App Servers elsewhere from
// getting their tokens. Small operations have places of their own, because those are all that App
// Servers send.
type guests struct {
	small, large *admission.Gate[string]
	responses    *budget
}

func newGuests(l *Limits, m *metrics, registry prometheus.Registerer) *guests {
	gate := func(running, each int, metric, help string) *admission.Gate[string] {
		return admission.New[string](
			admission.Limits{Running: running, RunningEach: each, WaitingEach: waitingGuests, Patience: l.AuthTimeout},
			admission.Kind{Metric: metric, Help: help, Refusal: func(time.Duration) error { return errManyGuests }})
	}
	g := &guests{
		small:     gate(smallGuests, smallGuestsEach, "rollcall_small_guest_operations", "Small operations without a token"),
		large:     gate(largeGuests, largeGuestsEach, "rollcall_large_guest_operations", "Large operations without a token"),
		responses: newBudget(l.GuestResponseBytes, m.guestResponses, m.guestResponsesRefused),
	}
	if registry != nil {
		g.small.Observe(registry)
		g.large.Observe(registry)
	}
	return g
}

var errManyGuests = fault.New(fault.Unavailable, "the server is busy with requests without a token; try again")

// enter waits for a place for an operation of that many bytes, from a client of the site. The caller
// calls leave when the operation has been executed; further calls do nothing. Returns errManyGuests
// if there is no place in time, and ctx's error.
func (g *guests) enter(ctx context.Context, site string, bytes int) (leave func(), err error) {
	gate := g.small
	if bytes > freeBytes {
		gate = g.large
	}
	leave, err = gate.Enter(ctx, site)
	if err != nil {
		return nil, err
	}
	return sync.OnceFunc(leave), nil
}

// enter waits for a place for a guest's operation of that many bytes. It does nothing for other
// callers.
func (x *exchange) enter(bytes int) *badRequest {
	if auth.From(x.ctx).Kind != auth.Guest {
		return nil
	}
	leave, err := x.server.guests.enter(x.ctx, x.site(), bytes)
	if err != nil {
		return &badRequest{status: statusBusy, cause: errManyGuests}
	}
	x.leave = leave
	return nil
}

func (x *exchange) site() string { return clientaddr.Site(x.ClientAddress()) }

// executed gives the place of a guest's operation to the next one, and reports whether there is room
// for a response of that many bytes while it is sent: a guest that reads slowly keeps only other
// large responses waiting. It reports true for other callers.
func (x *exchange) executed(bytes int) bool {
	if x.leave == nil {
		return true
	}
	x.leave()
	if x.sending.budget == nil {
		x.sending = reservation{budget: x.server.guests.responses, callers: callers{site: x.site()}}
	}
	// The response's values exist as well as its text.
	return x.sending.extend(2*bytes) == nil
}
