package graph

import (
	"context"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/graph/auth"
	"rollcall/internal/fault"
	"rollcall/internal/ratelimit"
)

// rateWindow is the window of all rates.
const rateWindow = 5 * time.Second

// The rates of users: how often each user may do, within any rateWindow, what uses resources that
// all users share. App Servers have no rates.
var (
	// readingStatuses limits root fields that reach others' statuses, of whatever size.
	readingStatuses = ratelimit.Rule{Name: "statuses", Limit: 20, Window: rateWindow}
	subscribing     = ratelimit.Rule{Name: "subscribe", Limit: 20, Window: rateWindow}
	unsubscribing   = ratelimit.Rule{Name: "unsubscribe", Limit: 20, Window: rateWindow}
	// readingProfiles limits the users about which a user learns something by listing their IDs.
	readingProfiles = ratelimit.Rule{Name: "profiles", Limit: 1000, Window: rateWindow}
	requesting      = ratelimit.Rule{Name: "requests", Limit: 20, Window: rateWindow}
	// changingRelations limits the other changes of friends, requests, their policy, and blocklist.
	changingRelations = ratelimit.Rule{Name: "relations", Limit: 60, Window: rateWindow}
	// editingProfile limits changes of the user's own name and avatar.
	editingProfile = ratelimit.Rule{Name: "profile-edits", Limit: 20, Window: rateWindow}
	settingStatus  = ratelimit.Rule{Name: "set-status", Limit: 60, Window: rateWindow}
	// connecting limits device connections: each may change the status twice.
	connecting = ratelimit.Rule{Name: "connect", Limit: 60, Window: rateWindow}
)

// limitRate counts n uses of rule for the caller. Returns fault.RateLimited if a user exceeds the
// limit. It never limits an App Server.
func (r *Resolver) limitRate(ctx context.Context, rule ratelimit.Rule, n int) error {
	p := auth.From(ctx)
	if p.Kind != auth.User || n == 0 {
		return nil
	}
	return limitRate(ctx, r.rates, rule, p.User.ID, n)
}

func limitRate(ctx context.Context, rates ratelimit.Limiter, rule ratelimit.Rule, user int64, n int) error {
	wait, err := rates.Allow(ctx, rule, user, n)
	if wait == 0 || err != nil {
		return err
	}
	return fault.TooOften(wait, "at most %d in %s", rule.Limit, rule.Window)
}

// LimitConnects counts a connecting device of a user. Returns fault.RateLimited if there were too many of
// the user.
func (r *Resolver) LimitConnects(ctx context.Context, user *auth.Principal) error {
	return limitRate(ctx, r.rates, connecting, user.User.ID, 1)
}

// AwaitConnect waits for the turn of a connecting device among those of its app. Returns
// fault.RateLimited if that would take too long. The user need not be confirmed.
func (r *Resolver) AwaitConnect(ctx context.Context, user *auth.Principal) error {
	excess, err := r.connects.Wait(ctx, user.AppID())
	if excess == 0 || err != nil {
		return err
	}
	r.connectsRefused.Inc()
	return fault.TooOften(excess, "too many devices of the app wait for their turn to connect")
}

// AppRates are how often an app may do what takes much of a node, in any second and counted on each node.
// 0 is no limit.
type AppRates struct {
	// Registrations is how many users it may register.
	Registrations int
	// Connects is how many devices of its users may connect. Others wait for their turn, for at most
	// ConnectPatience, which is 10 s if it is 0: a restart makes all devices of an app connect at once. If
	// they were refused, they would try again together.
	Connects        int
	ConnectPatience time.Duration
}

// appRate is one of the AppRates.
type appRate struct {
	rule    ratelimit.Rule
	refused prometheus.Counter
}

// limitApp counts n uses of rate for the app with that apps.id. Returns fault.RateLimited if there were too
// many. More uses at once than a second allows count as many as it does.
func (r *Resolver) limitApp(ctx context.Context, rate appRate, app int64, n int) error {
	if rate.rule.Limit == 0 {
		return nil
	}
	wait, err := r.appUses.Allow(ctx, rate.rule, app, min(n, rate.rule.Limit))
	if wait == 0 || err != nil {
		return err
	}
	rate.refused.Inc()
	return fault.TooOften(wait, "the app's %s are limited to %d a second", rate.rule.Name, rate.rule.Limit)
}

// limitRegistrations counts n registrations of the caller's app. Returns fault.RateLimited if there were too
// many.
func (r *Resolver) limitRegistrations(ctx context.Context, n int) error {
	return r.limitApp(ctx, r.appRegistrations, auth.From(ctx).AppID(), max(n, 1))
}

// limitProfiles counts the other users about which the caller learns something by listing these
// IDs.
func (r *Resolver) limitProfiles(ctx context.Context, ids ...string) error {
	p := auth.From(ctx)
	if p.Kind != auth.User {
		return nil
	}
	others := 0
	for _, id := range ids {
		if id != p.User.ExternalID {
			others++
		}
	}
	return r.limitRate(ctx, readingProfiles, others)
}

// rootCalls stores, for one execution, the rate limit's decisions on the root fields that reach
// others' statuses. Each root field is one call, however many statuses it reaches.
type rootCalls struct {
	mu     sync.Mutex
	judged map[*graphql.FieldContext]error
}

// limitReading counts the current root field as a call that reaches others' statuses, once.
func (r *Resolver) limitReading(ctx context.Context) error {
	root := graphql.GetFieldContext(ctx)
	for root.Parent != nil && root.Parent.Parent != nil {
		root = root.Parent
	}
	calls := &executionOf(ctx).calls
	calls.mu.Lock()
	defer calls.mu.Unlock()
	err, known := calls.judged[root]
	if !known {
		if calls.judged == nil {
			calls.judged = make(map[*graphql.FieldContext]error, 1)
		}
		err = r.limitRate(ctx, readingStatuses, 1)
		calls.judged[root] = err
	}
	return err
}
