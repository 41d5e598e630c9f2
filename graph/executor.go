package graph

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/graph/auth"
	"rollcall/graph/generated"
	"rollcall/graph/selection"
	"rollcall/graph/stream"
	"rollcall/internal/appmetrics"
	"rollcall/internal/trusted"
)

// Options configure the execution of operations.
type Options struct {
	// Introspection reports whether clients may request the schema.
	Introspection bool
	Logger        *slog.Logger
	// MaxResponse limits a response, in bytes. If 0, it is DefaultMaxResponse.
	MaxResponse int
	// Timeout limits the time of an operation. If 0, it is DefaultTimeout.
	Timeout time.Duration
	// Metrics is where the executor's metrics are registered. If nil, they are not registered.
	Metrics prometheus.Registerer
	// Apps counts errors by app. If nil, they are not counted.
	Apps *appmetrics.Apps
	// Stock leaves all encoding to the code that gqlgen generates, to compare package selection
	// with it.
	Stock bool
}

// DefaultMaxResponse is the default maximum size of a response, in bytes.
const DefaultMaxResponse = 8 << 20

// maxGuestResponse is the maximum size of a response to a guest, in bytes. It is several times the
// schema with all its descriptions.
const maxGuestResponse = 1 << 20

// Executor parses, checks and executes operations for the transports.
type Executor struct {
	*executor.Executor
	documents   *documents
	maxResponse int
	timeout     time.Duration
	timedOut    prometheus.Counter
	present     func(ctx context.Context, err error) *gqlerror.Error
}

var _ graphql.GraphExecutor = (*Executor)(nil)

// NewExecutor returns an Executor whose resolvers call r's rules.
func NewExecutor(r *Resolver, opts Options) *Executor {
	served := public().schema
	source := sourceSchema()
	es := generated.NewExecutableSchema(generated.Config{
		Schema:     served,
		Resolvers:  r,
		Directives: generated.DirectiveRoot{Private: private, Representations: newRepresentations(source).resolve, Subgraph: subgraph},
	})
	if opts.MaxResponse == 0 {
		opts.MaxResponse = DefaultMaxResponse
	}
	if opts.Timeout == 0 {
		opts.Timeout = DefaultTimeout
	}
	timedOut := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "rollcall_operations_timed_out_total", Help: "Operations that took too long.",
	})
	p := newPresenter(opts.Logger, opts.Apps)
	if opts.Metrics != nil {
		opts.Metrics.MustRegister(timedOut, p.returned)
	}
	exec := executor.New(es)
	exec.SetErrorPresenter(p.presentField)
	exec.SetRecoverFunc(p.recovered)
	exec.SetQueryCache(loaded{})
	exec.Use(limits{schema: served, introspection: opts.Introspection, costs: newCosts(source, served)})
	exec.AroundFields(newGuard(source, served).field)
	if !opts.Stock {
		types := generated.Selections(r)
		if r.presence.Networked() {
			// Resolvers that run concurrently look up the statuses of a page in one batch; called
			// one after another, as direct encoding would, each would wait for a lookup of its own.
			types = types.Without("User", "status")
		}
		exec.Use(selection.New(types, selection.Options{
			PlanOf:   func(op *graphql.OperationContext) *selection.Plan { return &operationOf(op).plan },
			MaxBytes: opts.MaxResponse,
		}))
	}
	return &Executor{
		Executor: exec, present: p.present,
		documents: newDocuments(served, opts.Introspection), maxResponse: opts.MaxResponse,
		timeout: opts.Timeout, timedOut: timedOut,
	}
}

// CheckDocument returns the operations of a document, or the first error if it cannot be parsed, is too
// large or does not fit the schema.
func (e *Executor) CheckDocument(text string) ([]trusted.Operation, error) {
	doc, errs := e.documents.parse(text)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	list := make([]trusted.Operation, len(doc.tree.Operations))
	for i, op := range doc.tree.Operations {
		// The names are parts of a copy of the whole text.
		list[i] = trusted.Operation{Kind: string(op.Operation), Name: strings.Clone(op.Name)}
	}
	return list, nil
}

// CreateOperationContext parses and checks an operation. A document that is too large is refused
// right after parsing.
func (e *Executor) CreateOperationContext(ctx context.Context, params *graphql.RawParams) (*graphql.OperationContext, gqlerror.List) {
	doc, errs := e.documents.load(ctx, params.Query)
	if errs == nil && params.OperationName == "" && len(doc.tree.Operations) > 1 {
		err := gqlerror.Errorf("the document has %d operations: name one with operationName", len(doc.tree.Operations))
		errcode.Set(err, errcode.ValidationFailed)
		errs = gqlerror.List{err}
	}
	if errs != nil {
		return &graphql.OperationContext{RawQuery: params.Query, OperationName: params.OperationName}, errs
	}
	if op := doc.tree.Operations.ForName(params.OperationName); op != nil {
		dropEmptyEnums(e.documents.schema, op, params.Variables)
	}
	return e.Executor.CreateOperationContext(context.WithValue(ctx, documentKey{}, doc), params)
}

// DispatchOperation executes an operation, or returns the cached result of an introspection.
func (e *Executor) DispatchOperation(ctx context.Context, op *graphql.OperationContext) (graphql.ResponseHandler, context.Context) {
	known := operationOf(op)
	if result := known.result.Load(); result != nil {
		return graphql.OneShot(&graphql.Response{Data: *result}), ctx
	}
	run := &execution{deadline: deadline{Context: ctx, at: time.Now().Add(e.timeout)}, timeout: e.timeout, maxResponse: e.maxResponse}
	if auth.From(ctx).Kind == auth.Guest {
		run.maxResponse = min(run.maxResponse, maxGuestResponse)
	}
	run.left.Store(int64(run.maxResponse))
	responses, ctx := e.Executor.DispatchOperation(run, op)
	return func(ctx context.Context) *graphql.Response {
		defer run.stop()
		resp := responses(ctx)
		if resp == nil && !stream.Started(ctx) && errors.Is(run.Err(), context.DeadlineExceeded) {
			// gqlgen does not begin an execution whose time is over.
			resp = &graphql.Response{Errors: gqlerror.List{e.present(ctx, context.DeadlineExceeded)}}
		}
		resp = e.bound(ctx, run, resp)
		if run.late.Load() {
			e.timedOut.Inc()
		}
		if known.schemaOnly && resp != nil && len(resp.Errors) == 0 && len(resp.Data) <= maxPrepared {
			known.result.Store(&resp.Data)
		}
		return resp
	}, ctx
}

// Present converts any error into one of the API; see the table in errors.go.
func (e *Executor) Present(ctx context.Context, err error) *gqlerror.Error {
	return e.present(ctx, err)
}
