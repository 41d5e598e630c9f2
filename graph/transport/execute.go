package transport

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/graph/auth"
	"rollcall/graph/stream"
)

// errNoAnswer should never occur: an operation that was not cancelled returns a response.
var errNoAnswer = errors.New("the operation returned no response")

// prepare parses and checks an operation whose params are complete. If the operation is refused,
// the response is not nil.
func (s *Server) prepare(ctx context.Context, params *graphql.RawParams) (opCtx *graphql.OperationContext, errs gqlerror.List, refusal *graphql.Response) {
	defer func() {
		if r := recover(); r != nil {
			refusal = s.panicked(ctx, r)
		}
	}()
	opCtx, errs = s.exec.CreateOperationContext(ctx, params)
	if len(errs) > 0 {
		refusal = s.exec.DispatchError(graphql.WithOperationContext(ctx, opCtx), errs)
	}
	return opCtx, errs, refusal
}

// dispatch executes a prepared operation and returns its first response. It returns nil if ctx has
// ended, or if a subscription has started.
func (s *Server) dispatch(ctx context.Context, opCtx *graphql.OperationContext) (resp *graphql.Response) {
	defer func() {
		if r := recover(); r != nil {
			resp = s.panicked(ctx, r)
		}
	}()
	defer s.metrics.observe(opCtx.Operation.Operation, time.Now())
	if s.cfg.Apps != nil {
		s.cfg.Apps.Operation(auth.From(ctx).AppID())
	}
	ctx, span := beginSpan(ctx, opCtx.Operation)
	defer func() { endSpan(span, resp) }()
	responses, ctx := s.exec.DispatchOperation(ctx, opCtx)
	return responses(ctx)
}

// subscribe starts a subscription whose messages go to out. The caller must call run and stop. If
// the subscription is refused, subscribe returns a response instead.
func (s *Server) subscribe(ctx context.Context, opCtx *graphql.OperationContext, out outlet, id []byte) (*subscription, *graphql.Response) {
	sub := newSubscription(id, s.shapes.acquire(ctx, opCtx), out)
	resp := s.dispatch(stream.WithStart(ctx, &sub.start), opCtx)
	if resp == nil && sub.start.Started() {
		return sub, nil
	}
	sub.stop()
	if resp == nil {
		resp = s.failure(ctx, context.Cause(ctx))
	}
	return nil, resp
}

// failure returns the response to an operation that was not executed because of err.
func (s *Server) failure(ctx context.Context, err error) *graphql.Response {
	if err == nil {
		err = errNoAnswer
	}
	return &graphql.Response{Errors: gqlerror.List{s.cfg.Present(ctx, err)}}
}

// panicked returns the response to an operation that panicked outside a resolver.
func (s *Server) panicked(ctx context.Context, cause any) *graphql.Response {
	return s.failure(ctx, fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
}
