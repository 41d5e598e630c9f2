package transport

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph/auth"
	"rollcall/graph/requestid"
	"rollcall/graph/stream"
	"rollcall/internal/fanout"
	"rollcall/internal/outage"
)

// shape is what equal subscriptions share: subscriptions with the same document, operation and
// variables, of principals that may see the same. An event is executed once for a shape, whatever
// the number of its subscribers.
type shape struct {
	key   shapeKey
	users int // guarded by owner.mu
	owner *shapes
	opCtx *graphql.OperationContext
	// ctx carries the principal of the first subscriber. The executions of events belong to no
	// single subscriber and do not end with one.
	ctx context.Context
	// self reports whether a response holds no status but the event's own. Other responses may hold
	// statuses that are read for them.
	self bool
}

// shapeKey identifies equal subscriptions.
type shapeKey struct {
	document  string
	operation string
	variables string // as JSON
	viewer    viewer
}

// viewer identifies principals that may see the same: all of one kind in an app, or one user.
type viewer struct {
	kind auth.Kind
	app  int64
	user int64 // 0 for all
}

func viewerOf(p *auth.Principal, everyone bool) viewer {
	v := viewer{kind: p.Kind}
	if p.App != nil {
		v.app = p.App.ID
	}
	if p.User != nil && !everyone {
		v.user = p.User.ID
	}
	return v
}

// encode executes the subscription for ev and returns the response as JSON, or nil if there is
// none. ctx is the shape's own, or derived from it.
func (s *shape) encode(ctx context.Context, ev *fanout.Event) (payload []byte) {
	defer func() {
		if r := recover(); r != nil {
			s.owner.logger.ErrorContext(s.ctx, "panic while encoding an event",
				"requestId", requestid.From(s.ctx), "panic", r, "stack", string(debug.Stack()))
			payload = nil
		}
	}()
	if s.key.viewer.user != 0 {
		// Fields that depend on the viewer depend on its current rights.
		principal, err := s.owner.refresh(ctx, auth.From(ctx))
		if err != nil {
			s.owner.outages.Warn(ctx, "an event was not sent: its viewer could not be checked",
				"requestId", requestid.From(ctx), "error", err)
			return nil
		}
		ctx = auth.With(ctx, principal)
	}
	responses, ctx := s.owner.exec.DispatchOperation(stream.WithEvent(ctx, ev), s.opCtx)
	resp := responses(ctx)
	if resp == nil {
		return nil
	}
	return encodeResponse(resp)
}

// shapes interns shapes, so that equal subscriptions share one.
type shapes struct {
	exec     graphql.GraphExecutor
	refresh  func(context.Context, *auth.Principal) (*auth.Principal, error)
	everyone func(*ast.OperationDefinition) bool
	logger   *slog.Logger
	outages  *outage.Log
	running  prometheus.Gauge

	mu   sync.Mutex
	held map[shapeKey]*shape
}

// acquire returns the shape of the subscription opCtx for ctx's principal. The caller must release
// it.
func (s *shapes) acquire(ctx context.Context, opCtx *graphql.OperationContext) *shape {
	principal := auth.From(ctx)
	everyone := s.everyone != nil && s.everyone(opCtx.Operation)
	key := shapeKey{
		document:  opCtx.RawQuery,
		operation: opCtx.OperationName,
		viewer:    viewerOf(principal, everyone),
	}
	if len(opCtx.Variables) > 0 {
		key.variables = string(encodeJSON(opCtx.Variables))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.held[key]
	if !ok {
		shared := requestid.With(auth.With(context.Background(), principal), requestid.From(ctx))
		found = &shape{key: key, owner: s, opCtx: opCtx, ctx: shared, self: everyone}
		if s.held == nil {
			s.held = make(map[shapeKey]*shape)
		}
		s.held[key] = found
	}
	found.users++
	s.running.Inc()
	return found
}

// release undoes acquire. A shape without users is removed.
func (s *shape) release() {
	s.owner.mu.Lock()
	defer s.owner.mu.Unlock()
	s.owner.running.Dec()
	s.users--
	if s.users == 0 {
		delete(s.owner.held, s.key)
	}
}
