package transport

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/graph/stream"
)

// errNoAnswer should never be seen: an operation that was not cancelled answers.
var errNoAnswer = errors.New("the operation answered nothing")

// prepare parses and checks an operation whose params are complete. If it is refused, the response
// is not nil.
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

// dispatch executes a prepared operation and answers its first response; nil when
// ctx has ended, and for a subscription that has started.
func (s *Server) dispatch(ctx context.Context, opCtx *graphql.OperationContext) (resp *graphql.Response) {
	defer func() {
		if r := recover(); r != nil {
			resp = s.panicked(ctx, r)
		}
	}()
	defer s.metrics.observe(opCtx.Operation.Operation, time.Now())
	responses, ctx := s.exec.DispatchOperation(ctx, opCtx)
	return responses(ctx)
}

// subscribe starts a subscription whose messages go to out. The caller has it run
// and stops it. One that is refused answers a response instead.
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

// failure is the response to an operation that was never executed because of err.
func (s *Server) failure(ctx context.Context, err error) *graphql.Response {
	if err == nil {
		err = errNoAnswer
	}
	return &graphql.Response{Errors: gqlerror.List{s.cfg.Present(ctx, err)}}
}

// panicked is the response to an operation that panicked outside of a resolver.
func (s *Server) panicked(ctx context.Context, cause any) *graphql.Response {
	return s.failure(ctx, fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
}
