package graph

import (
	"context"
	"log/slog"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/graph/generated"
	"rollcall/graph/selection"
)

// Options say how operations are carried out.
type Options struct {
	// Introspection says whether clients may ask for the schema.
	Introspection bool
	Logger        *slog.Logger
	// Stock leaves all to the code that gqlgen generates, which package selection
	// is compared with: nothing is encoded directly.
	Stock bool
}

// Executor parses, checks and carries out operations; the transports drive it.
type Executor struct {
	*executor.Executor
	schema  *ast.Schema
	present func(ctx context.Context, err error) *gqlerror.Error
}

// NewExecutor answers an Executor whose resolvers call r's rules.
func NewExecutor(r *Resolver, opts Options) *Executor {
	es := generated.NewExecutableSchema(generated.Config{
		Resolvers:  r,
		Directives: generated.DirectiveRoot{Private: private},
	})
	p := presenter{log: opts.Logger}
	exec := executor.New(es)
	exec.SetErrorPresenter(p.present)
	exec.SetRecoverFunc(p.recovered)
	exec.SetParserTokenLimit(MaxTokens)
	exec.SetDefaultRulesFn(validationRules)
	exec.SetDisableSuggestion(!opts.Introspection)
	exec.SetQueryCache(documentCache{lru.New[*ast.QueryDocument](documentCacheSize)})
	exec.Use(limits{schema: es.Schema(), introspection: opts.Introspection})
	exec.AroundOperations(countRoots)
	exec.AroundFields(newGuard(es.Schema()).field)
	if !opts.Stock {
		types := generated.Selections(r)
		if r.presence.Networked() {
			// Side by side the statuses of a page share their way; one after the
			// other, as they would be here, each would wait for its own.
			types = types.Without("User", "status")
		}
		exec.Use(selection.New(types, selection.Options{
			Operations: documentCacheSize, DocumentBytes: maxCachedDocument,
		}))
	}
	return &Executor{Executor: exec, schema: es.Schema(), present: p.present}
}

// Schema answers the schema that is served.
func (e *Executor) Schema() *ast.Schema { return e.schema }

// Present turns any error into one of the API; see the table in errors.go.
func (e *Executor) Present(ctx context.Context, err error) *gqlerror.Error {
	return e.present(ctx, err)
}

const (
	// documentCacheSize is how many parsed documents are kept.
	documentCacheSize = 1000
	// maxCachedDocument keeps large documents, which attacks have and
	// applications do not, from filling the memory: parsed they take some
	// twenty times their length.
	maxCachedDocument = 8 << 10
)

// documentCache keeps documents that have been parsed and validated.
type documentCache struct {
	graphql.Cache[*ast.QueryDocument]
}

// Add keeps a document if it is small.
func (c documentCache) Add(ctx context.Context, text string, doc *ast.QueryDocument) {
	if len(text) <= maxCachedDocument {
		c.Cache.Add(ctx, text, doc)
	}
}
