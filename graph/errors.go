package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/graph/auth"
	"rollcall/graph/requestid"
	"rollcall/graph/stream"
	"rollcall/internal/appmetrics"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/outage"
)

// presenter turns any error into the one that the caller reads. It has the only table from errors
// of the domain and of gqlgen to errors of the API. Outages of the database and of Redis are
// UNAVAILABLE, and every other error is INTERNAL; only the log has more details about those two.
type presenter struct {
	log     *slog.Logger
	outages *outage.Log
	// apps counts the errors by app; it may be nil. returned counts them by their code.
	apps     *appmetrics.Apps
	returned *prometheus.CounterVec
}

func newPresenter(log *slog.Logger, apps *appmetrics.Apps) presenter {
	p := presenter{log, outage.NewLog(log), apps, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_errors_total", Help: "Errors returned to callers of the API, by code.",
	}, []string{"code"})}
	// Those that alerts are about exist from the start, so that their first one is an increase.
	for _, code := range []fault.Code{fault.Internal, fault.Unavailable, fault.RateLimited} {
		p.returned.WithLabelValues(string(code))
	}
	return p
}

// presentField is gqlgen's error presenter. It returns nil for errors beyond the maximum number
// that a response may have.
func (p presenter) presentField(ctx context.Context, err error) *gqlerror.Error {
	if run, ok := ctx.Value(executionKey{}).(*execution); ok && !run.mayReport(err) {
		return nil
	}
	return p.present(ctx, err)
}

// present returns err as the caller reads it. Names and values that it repeats are clipped.
func (p presenter) present(ctx context.Context, err error) *gqlerror.Error {
	out := p.translate(ctx, err)
	code := out.Extensions["code"].(string)
	p.returned.WithLabelValues(code).Inc()
	if p.apps != nil {
		p.apps.Error(auth.From(ctx).AppID(), code)
	}
	out.Message = clipMessage(out.Message)
	for key, value := range out.Extensions {
		if text, ok := value.(string); ok {
			out.Extensions[key] = clipMessage(text)
		}
	}
	return out
}

func (p presenter) translate(ctx context.Context, err error) *gqlerror.Error {
	out := &gqlerror.Error{}
	var from *gqlerror.Error
	if errors.As(err, &from) {
		out.Message, out.Path, out.Locations = from.Message, from.Path, from.Locations
		out.Rule = from.Rule
	} else if graphql.HasOperationContext(ctx) {
		out.Path = graphql.GetPath(ctx)
	}
	var refusal *fault.Error
	switch {
	case errors.As(err, &refusal):
		out.Message = refusal.Message
		out.Extensions = make(map[string]any, len(refusal.Extensions)+2)
		for key, value := range refusal.Extensions {
			out.Extensions[key] = value
		}
		out.Extensions["code"] = string(refusal.Code)
		if refusal.Extensions["field"] == "" {
			out.Extensions["field"] = argumentPath(out.Path)
		}
	case errors.Is(err, stream.ErrNoStream):
		out.Message = stream.ErrNoStream.Error()
		out.Extensions = map[string]any{"code": string(fault.InvalidArgument)}
	case from != nil && isRequestError(from):
		out.Extensions = map[string]any{"code": requestErrorCode(from)}
		nameVariable(out)
	case tookTooLong(ctx, err):
		run := executionOf(ctx)
		if !run.late.Swap(true) {
			p.outages.Warn(ctx, "an operation took too long; the caller should retry",
				"requestId", requestid.From(ctx), "path", fmt.Sprint(out.Path), "error", err)
		}
		out.Message = fmt.Sprintf("the operation took too long: more than %s; ask for less at once, or try again", run.timeout)
		out.Extensions = map[string]any{"code": string(fault.Unavailable)}
	case outage.CallerGone(ctx, err):
		out.Message = "the request was cancelled"
		out.Extensions = map[string]any{"code": string(fault.Internal)}
	case outage.CodeOf(err) == fault.Unavailable:
		p.outages.Warn(ctx, "request failed; the caller should retry",
			"requestId", requestid.From(ctx), "path", fmt.Sprint(out.Path), "error", err)
		out.Message = outage.Message
		out.Extensions = map[string]any{"code": string(fault.Unavailable)}
	default:
		p.log.ErrorContext(ctx, "request failed",
			"requestId", requestid.From(ctx), "path", fmt.Sprint(out.Path), "error", err)
		out.Message = "internal error; the server's log has details under this requestId"
		out.Extensions = map[string]any{"code": string(fault.Internal)}
	}
	out.Extensions["requestId"] = requestid.From(ctx)
	return out
}

// tookTooLong reports whether err means that an operation has taken too long. An interrupted
// statement fails with the same error as a broken connection, or the server ends it shortly before
// the deadline.
func tookTooLong(ctx context.Context, err error) bool {
	run, ok := ctx.Value(executionKey{}).(*execution)
	return ok && (database.TimedOut(err) || run.passed() && outage.CodeOf(err) == fault.Unavailable)
}

// wrongType matches gqlparser's message for a variable of another type. The value in the message is
// not always the one that was sent.
var wrongType = regexp.MustCompile(`^cannot use .* as (\S+)$`)

// notInEnum matches gqlparser's message for a variable that is no value of an enum.
var notInEnum = regexp.MustCompile(`(?s)^(.*) is not a valid (\w+)$`)

// nameVariable adds to an error about a variable the variable's name and the violated rule, as in
// errors about arguments. Its path is not a path in the response.
func nameVariable(err *gqlerror.Error) {
	if len(err.Path) < 2 || err.Path[0] != ast.PathName("variable") {
		return
	}
	field := argumentPath(err.Path)
	err.Path = nil
	rule := "type"
	found, enum := wrongType.FindStringSubmatch(err.Message), notInEnum.FindStringSubmatch(err.Message)
	switch {
	case found != nil:
		err.Message = field + " must be a value of the type " + found[1]
	case enum != nil:
		err.Message = fmt.Sprintf("%s: %q is not a value of %s", field, enum[1], enum[2])
	case err.Message == "enums must be ints or strings":
		err.Message = field + " must be the name of a value of its enum"
	case err.Message == "cannot be null":
		rule, err.Message = "required", field+" must not be null"
	case err.Message == "must be defined":
		rule, err.Message = "required", field+" is required"
	case err.Message == "unknown field":
		rule, err.Message = "known", field+" is not a field of its type"
	default:
		err.Message = field + ": " + err.Message
	}
	err.Extensions["field"], err.Extensions["rule"] = field, rule
}

// argumentPath returns the path of the argument that a scalar has refused, in the form of
// `extensions.field`: gqlgen's path of it begins with the root field, and that of a variable begins
// with the element "variable".
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
func (p presenter) recovered(ctx context.Context, cause any) error {
	return fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
}

// tokenLimitMessage is the beginning of gqlparser's message for a document with too many tokens;
// the error has no code of its own.
const tokenLimitMessage = "exceeded token limit"

// isRequestError reports whether gqlgen or gqlparser itself refused the request.
func isRequestError(err *gqlerror.Error) bool {
	code, _ := err.Extensions["code"].(string)
	return code == errcode.ParseFailed || code == errcode.ValidationFailed
}

func requestErrorCode(err *gqlerror.Error) string {
	if strings.HasPrefix(err.Message, tokenLimitMessage) || err.Rule == tooComplexRule {
		return string(fault.QueryTooComplex)
	}
	return err.Extensions["code"].(string)
}
