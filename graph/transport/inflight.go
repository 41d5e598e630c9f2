package transport

import (
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/graph/auth"
	"rollcall/internal/admission"
	"rollcall/internal/fault"
)

// inFlight limits the operations with a token that are executed at the same time: in all, and those of an
// app's users and of its App Server each. So they wait for the database only as long as that makes sense,
// their memory is limited while it is slow, and a burst of one app, or of users, leaves places for App
// Servers, whose gateways ask for each message whether it is permitted.
//
// The start of a subscription is not counted, because a client that reconnects starts all of its own at
// once, and would not repeat one that is refused. Guests have limits of their own.
type inFlight struct {
	bound *admission.Bound
	// ofApp and ofNode count what is refused because of either limit.
	ofApp, ofNode prometheus.Counter
}

func newInFlight(cfg *Config) *inFlight {
	f := &inFlight{
		bound: admission.NewBound(cfg.MaxRequests, cfg.MaxRequestsPerApp),
		ofApp: cfg.Refusals.Counter(admission.LimitApp), ofNode: cfg.Refusals.Counter(admission.LimitNode),
	}
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "rollcall_requests_in_flight", Help: "Requests with a token that are being executed, if their number is limited.",
		}, func() float64 { return float64(f.bound.Running()) }))
	}
	return f
}

var (
	errAppBusy  = fault.New(fault.Unavailable, "the app has too many requests in progress; try again")
	errNodeBusy = fault.New(fault.Unavailable, "the server has too many requests in progress; try again")
)

// enter returns a place for an operation of the caller. Returns errAppBusy or errNodeBusy if there is none.
func (f *inFlight) enter(p *auth.Principal) (admission.Place, error) {
	if p.Kind == auth.Guest {
		return admission.Place{}, nil
	}
	class, isUser := p.AppID()*2, p.Kind == auth.User
	if isUser {
		class++
	}
	place, err := f.bound.Enter(class, isUser)
	switch err {
	case nil:
		return place, nil
	case admission.ErrClassFull:
		f.ofApp.Inc()
		return place, errAppBusy
	}
	f.ofNode.Inc()
	return place, errNodeBusy
}
