package management

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/internal/fault"
	"rollcall/internal/outage"
)

// notFound is the code for an app, an operator or a key that does not exist or that the request's key
// may not see. Only this API has it.
const notFound fault.Code = "NOT_FOUND"

// errNotFound returns the refusal of an argument that names nothing that the key may see.
func errNotFound(field, kind string) error {
	return fault.New(notFound, "there is no such %s", kind).With("field", field)
}

// inInput turns the field that a rule has refused into its path in the mutation's argument: the one in
// paths, or else its own name in the input.
func inInput(err error, paths map[string]string) error {
	refusal, ok := fault.As(err)
	if !ok || refusal.Field() == nil {
		return err
	}
	path, known := paths[*refusal.Field()]
	if !known {
		path = *refusal.Field()
	}
	return refusal.With("field", "input."+path)
}

// present returns an error as the caller reads it: a refusal with its code and facts, an error of the
// request as gqlgen reports it, UNAVAILABLE for an outage, and INTERNAL for any other. Only the log
// has more details about those two.
func (s *Server) present(ctx context.Context, err error) *gqlerror.Error {
	out := &gqlerror.Error{}
	var from *gqlerror.Error
	if errors.As(err, &from) {
		out.Message, out.Path, out.Locations = from.Message, from.Path, from.Locations
	} else if graphql.HasOperationContext(ctx) {
		out.Path = graphql.GetPath(ctx)
	}
	out.Extensions = map[string]any{"requestId": requestID(ctx)}
	refusal, refused := fault.As(err)
	switch code := outage.CodeOf(err); {
	case refused:
		out.Message = refusal.Message
		maps.Copy(out.Extensions, refusal.Extensions)
		out.Extensions["code"] = string(refusal.Code)
		if refusal.Extensions["field"] == "" { // of a scalar, which does not know its place
			out.Extensions["field"] = argumentPath(out.Path)
		}
	case from != nil && requestCode(from) != "":
		out.Extensions["code"] = requestCode(from)
	case outage.CallerGone(ctx, err):
		out.Message = "the request was cancelled"
		out.Extensions["code"] = string(fault.Internal)
	case code == fault.Unavailable:
		s.outages.Warn(ctx, "management request failed; the caller should retry",
			"requestId", requestID(ctx), "path", fmt.Sprint(out.Path), "error", err)
		out.Message = outage.Message
		out.Extensions["code"] = string(code)
	default:
		s.Logger.ErrorContext(ctx, "management request failed",
			"requestId", requestID(ctx), "path", fmt.Sprint(out.Path), "error", err)
		out.Message = "internal error; the server's log has details under this requestId"
		out.Extensions["code"] = string(fault.Internal)
	}
	return out
}

// requestCode returns the code of an error with which gqlgen or measure refused the request itself, or
// "".
func requestCode(err *gqlerror.Error) string {
	switch code, _ := err.Extensions["code"].(string); {
	case code == "COMPLEXITY_LIMIT_EXCEEDED", strings.HasPrefix(err.Message, "exceeded token limit"):
		return string(fault.QueryTooComplex)
	case code == errcode.ParseFailed, code == errcode.ValidationFailed, code == string(fault.QueryTooComplex):
		return code
	}
	return ""
}

// argumentPath returns the path of the argument that a scalar has refused. gqlgen's path begins with
// the root field, and that of a variable with the element "variable".
func argumentPath(path ast.Path) string {
	var parts []string
	for i, element := range path {
		if i > 0 {
			parts = append(parts, fmt.Sprint(element))
		}
	}
	return strings.Join(parts, ".")
}

// recovered is gqlgen's recover function: a panic is INTERNAL, and logged.
func recovered(_ context.Context, cause any) error {
	return fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
}
