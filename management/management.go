// Package management serves the management API: a GraphQL API with which programs do what operators do
// in the console, with an operator's API key. It calls the same rules as the console's pages, checks
// the same rights (operators.Right) and writes the same audit.
//
// Every field of schema.graphqls has a mark of the right that it needs; see guard.go. A resolver reads
// an app only by appOf or by models.Grant.Only, so that a key reaches its own apps only.
package management

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/extension"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/operators"
	"rollcall/internal/outage"
	"rollcall/internal/ratelimit"
	"rollcall/internal/webhooks"
	"rollcall/management/generated"
	"rollcall/models"
)

// Path is where the API is served. It is below the console's, so that whatever restricts access to the
// console restricts access to the API.
const Path = "/console/api"

// Deps are the dependencies of the API. All fields are required.
type Deps struct {
	Apps      *apps.Service
	Operators *operators.Service
	Audit     *audit.Log
	Webhooks  *webhooks.Service
	// Rates limits the requests of each key.
	Rates  ratelimit.Limiter
	Logger *slog.Logger
	// Clock is time.Now except in tests.
	Clock func() time.Time
	// ClientAddress returns the address that a request came from, as seen by trusted proxies.
	ClientAddress func(*http.Request) string
	// InvitationLink returns the link of an invitation with that token.
	InvitationLink func(r *http.Request, token string) string
}

// Server is the handler of Path.
type Server struct {
	Deps
	executor *executor.Executor
	outages  *outage.Log
}

// New returns the handler of Path.
func New(deps Deps) *Server {
	s := &Server{Deps: deps, outages: outage.NewLog(deps.Logger)}
	config := generated.Config{Resolvers: &resolver{s}}
	weigh(&config.Complexity)
	schema := generated.NewExecutableSchema(config)
	s.executor = executor.New(schema)
	s.executor.SetErrorPresenter(s.present)
	s.executor.SetRecoverFunc(recovered)
	s.executor.SetParserTokenLimit(maxTokens)
	s.executor.Use(extension.Introspection{})
	s.executor.Use(measure{})
	s.executor.Use(extension.FixedComplexityLimit(maxComplexity))
	s.executor.AroundFields(newGuard(schema.Schema()).field)
	return s
}

// call is a request as the resolvers see it.
type call struct {
	*operators.KeyUse
	// by is the operator with the key, for the audit.
	by models.Actor
	// link returns the link of an invitation with that token.
	link func(token string) string
}

type callKey struct{}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }
