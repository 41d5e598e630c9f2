package graph

import (
	"context"
	"log/slog"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/graph/generated"
	"rollcall/graph/selection"
)

// Options say how operations are carried out.
type Options struct {
	// Introspection reports whether clients may ask for the schema.
	Introspection bool
	Logger        *slog.Logger
	// MaxResponse bounds a response, in bytes. 0: DefaultMaxResponse.
	MaxResponse int
	// Timeout bounds the time of an operation. 0: DefaultTimeout.
	Timeout time.Duration
	// Metrics registers the executor's metrics, unless it is nil.
	Metrics prometheus.Registerer
	// Stock leaves all to the code that gqlgen generates, which package selection
	// is compared with: nothing is encoded directly.
	Stock bool
}

// DefaultMaxResponse is how large a response may be unless configured, in bytes.
const DefaultMaxResponse = 8 << 20

// Executor parses, checks and carries out operations; the transports drive it.
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
		Directives: generated.DirectiveRoot{Private: private},
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
	if opts.Metrics != nil {
		opts.Metrics.MustRegister(timedOut)
	}
	p := newPresenter(opts.Logger)
	exec := executor.New(es)
	exec.SetErrorPresenter(p.presentField)
	exec.SetRecoverFunc(p.recovered)
	exec.SetQueryCache(loaded{})
	exec.Use(limits{schema: served, introspection: opts.Introspection, costs: newCosts(source, served)})
	exec.AroundFields(newGuard(source, served).field)
	if !opts.Stock {
		types := generated.Selections(r)
		if r.presence.Networked() {
			// Side by side the statuses of a page share their way; one after the
			// other, as they would be here, each would wait for its own.
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

// CreateOperationContext parses and checks an operation. A document that is too large
// is refused before anything but the parser looks at it.
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
	return e.Executor.CreateOperationContext(context.WithValue(ctx, documentKey{}, doc), params)
}

// DispatchOperation executes an operation, or gives out the result of an introspection
// that has been asked for before.
func (e *Executor) DispatchOperation(ctx context.Context, op *graphql.OperationContext) (graphql.ResponseHandler, context.Context) {
	known := operationOf(op)
	if result := known.result.Load(); result != nil {
		return graphql.OneShot(&graphql.Response{Data: *result}), ctx
	}
	run := &execution{deadline: deadline{Context: ctx, at: time.Now().Add(e.timeout)}, timeout: e.timeout}
	run.left.Store(int64(e.maxResponse))
	responses, ctx := e.Executor.DispatchOperation(run, op)
	return func(ctx context.Context) *graphql.Response {
		defer run.stop()
		resp := e.bound(ctx, run, responses(ctx))
		if run.late.Load() {
			e.timedOut.Inc()
		}
		if known.schemaOnly && resp != nil && len(resp.Errors) == 0 && len(resp.Data) <= maxPrepared {
			known.result.Store(&resp.Data)
		}
		return resp
	}, ctx
}

// SchemaText returns the schema that is served, with all its descriptions.
func (e *Executor) SchemaText() string { return public().text }

// Present turns any error into one of the API; see the table in errors.go.
func (e *Executor) Present(ctx context.Context, err error) *gqlerror.Error {
	return e.present(ctx, err)
}
