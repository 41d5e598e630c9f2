package transport

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/internal/fault"
	"rollcall/internal/tracing"
)

// maxNames is how many root fields a span names, and maxName the maximum length of the name of an
// operation, which callers choose, in bytes.
const (
	maxNames = 10
	maxName  = 64
)

// beginMessage begins the trace of an operation on a WebSocket, which has no request of its own.
func (s *Server) beginMessage(ctx context.Context) (context.Context, *tracing.Span) {
	return s.cfg.Tracer.Message(ctx, "websocket operation")
}

// beginSpan begins the span of an operation. It has the operation's type and name and the names of its
// root fields, and neither variables nor the document, which may contain values.
func beginSpan(ctx context.Context, op *ast.OperationDefinition) (context.Context, *tracing.Span) {
	if !tracing.On(ctx) {
		return ctx, nil
	}
	ctx, span := tracing.Begin(ctx, string(op.Operation))
	span.Text("graphql.operation.type", string(op.Operation))
	if op.Name != "" {
		span.Text("graphql.operation.name", op.Name[:min(len(op.Name), maxName)])
	}
	var fields []string
	for _, selection := range op.SelectionSet {
		if field, ok := selection.(*ast.Field); ok && len(fields) < maxNames {
			fields = append(fields, field.Name)
		}
	}
	span.Texts("rollcall.fields", fields)
	return ctx, span
}

// endSpan ends the span of an operation that has this response. Only faults of the service are
// failures.
func endSpan(span *tracing.Span, resp *graphql.Response) {
	if span != nil && resp != nil && len(resp.Errors) > 0 {
		switch code, _ := resp.Errors[0].Extensions["code"].(string); fault.Code(code) {
		case fault.Internal, fault.Unavailable:
			span.Failed(code)
		default:
			span.Refused(code)
		}
	}
	span.End(nil)
}
