// Package transport carries GraphQL operations: over HTTP as GraphQL-over-HTTP
// has it, over WebSocket as graphql-transport-ws and over SSE as graphql-sse's
// distinct connections mode. It knows who asks and how an operation is framed,
// limited, ended and counted; what an operation means is the executor's to say.
package transport

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/graph/auth"
	"rollcall/graph/requestid"
	"rollcall/graph/stream"
	"rollcall/internal/presence"
	"rollcall/models"
)

// The headers that are Rollcall's own.
const (
	headerRequestID = "X-Request-Id"
	headerPlatform  = "X-Platform"
)

// Authenticator says who asks; *auth.Authenticator is one.
type Authenticator interface {
	// Authenticate reads an Authorization header: "" is a guest's. It fails with
	// UNAUTHENTICATED or USER_BANNED, or because it could not find out.
	Authenticate(ctx context.Context, authorization string) (*auth.Principal, error)
	// Refresh answers p as it is now, for one more operation on its connection.
	Refresh(ctx context.Context, p *auth.Principal) (*auth.Principal, error)
}

// Presence registers devices; *presence.Hub is one.
type Presence interface {
	Connect(ctx context.Context, acc presence.Account, platform models.Platform, link presence.Link) (*presence.Device, error)
}

// Config is what a Server needs. Executor, Auth, Presence, Present and Logger are
// required.
type Config struct {
	Executor graphql.GraphExecutor
	Auth     Authenticator
	Presence Presence
	// Present turns any error into one for the caller.
	Present func(ctx context.Context, err error) *gqlerror.Error
	Logger  *slog.Logger
	// SharedByAll says of a subscription that all callers of one kind in an app
	// are sent the same bytes for the same event, so that it is executed once for
	// all of them. nil: of none; only one user's devices share.
	SharedByAll func(op *ast.OperationDefinition) bool
	// AllowedOrigins are the origins, such as https://chat.example.com, whose pages
	// may call besides those of the server's own host; "*" is all.
	AllowedOrigins []string
	// HeartbeatTimeout is how long a WebSocket's client may be silent; it is asked
	// for a sign of life three times as often. 0: 400 s.
	HeartbeatTimeout time.Duration
	// Metrics is where the transports' metrics are registered; nil: nowhere.
	Metrics prometheus.Registerer
	// Limits are the limits against abuse; those that are 0 have their defaults.
	Limits Limits
}

// Limits bound what one caller can make the server hold or wait for.
type Limits struct {
	// MessageBytes bounds an HTTP body and a WebSocket message. 1 MiB.
	MessageBytes int
	// InitTimeout is how long a WebSocket may take to send connection_init. 10 s.
	InitTimeout time.Duration
	// Operations is how many may run at once on one WebSocket. 100.
	Operations int
	// QueueBytes and QueueMessages bound what waits for a slow reader. 1 MiB, 4096.
	QueueBytes    int
	QueueMessages int
	// WriteTimeout is how long a reader may take for 64 KiB. 10 s.
	WriteTimeout time.Duration
	// CloseTimeout is how long a WebSocket that was told to close may take. 5 s.
	CloseTimeout time.Duration
	// KeepAlive is how often an SSE stream without events gets a comment. 12 s.
	KeepAlive time.Duration
}

func (l *Limits) setDefaults() {
	setDefault(&l.MessageBytes, 1<<20)
	setDefault(&l.InitTimeout, 10*time.Second)
	setDefault(&l.Operations, 100)
	setDefault(&l.QueueBytes, 1<<20)
	setDefault(&l.QueueMessages, 4096)
	setDefault(&l.WriteTimeout, 10*time.Second)
	setDefault(&l.CloseTimeout, 5*time.Second)
	setDefault(&l.KeepAlive, 12*time.Second)
}

func setDefault[T int | time.Duration](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// Server is the handler of the GraphQL path.
type Server struct {
	cfg     Config
	exec    graphql.GraphExecutor
	origins origins
	shapes  shapes
	metrics *metrics
	log     *slog.Logger
	pacing  pacing

	stopSweeping func()

	mu       sync.Mutex
	draining bool
	conns    map[*conn]struct{}
	streams  map[*sseStream]struct{}
	// open counts conns and streams, for Shutdown to wait.
	open sync.WaitGroup
}

// New answers a Server; Shutdown ends it.
func New(cfg Config) *Server {
	cfg.Limits.setDefaults()
	setDefault(&cfg.HeartbeatTimeout, 400*time.Second)
	m := newMetrics(cfg.Metrics)
	s := &Server{
		cfg:     cfg,
		exec:    cfg.Executor,
		origins: cfg.AllowedOrigins,
		shapes:  shapes{exec: cfg.Executor, everyone: cfg.SharedByAll, logger: cfg.Logger, running: m.subscriptions},
		metrics: m,
		log:     cfg.Logger,
		pacing: pacing{
			bounds:       bounds{bytes: cfg.Limits.QueueBytes, messages: cfg.Limits.QueueMessages},
			writeTimeout: cfg.Limits.WriteTimeout,
			closeTimeout: cfg.Limits.CloseTimeout,
		},
		conns:   make(map[*conn]struct{}),
		streams: make(map[*sseStream]struct{}),
	}
	s.stopSweeping = s.startSweeping()
	return s
}

// ServeHTTP picks the transport.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestid.Of(r.Header.Get(headerRequestID))
	h := w.Header()
	h.Set(headerRequestID, id)
	s.origins.share(h, r)
	r = r.WithContext(graphql.StartOperationTrace(requestid.With(r.Context(), id)))
	x := &exchange{server: s, w: w, r: r, began: time.Now(), accept: accepted(r.Header.Values("Accept"))}
	defer x.finish()
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		x.upgrade(id)
	} else {
		x.serve()
	}
}

// Shutdown lets what runs end: new WebSockets and streams are refused, each
// WebSocket is closed with 1012 once its queries and mutations have been
// answered, and SSE streams complete. When ctx ends first, it drops what is left
// and answers ctx's error. Plain requests are http.Server's to wait for.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	for c := range s.conns {
		c.retire(closeGoingAway)
	}
	for st := range s.streams {
		st.complete()
	}
	s.mu.Unlock()

	gone := make(chan struct{})
	go func() {
		s.open.Wait()
		close(gone)
	}()
	defer s.stopSweeping()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.close(closeGoingAway)
		c.sock.abort()
	}
	for st := range s.streams {
		st.breakOff()
	}
	return fmt.Errorf("shutdown with %d WebSockets and %d SSE streams left: %w", len(s.conns), len(s.streams), ctx.Err())
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// enter counts what stays open in set, unless the server is draining.
func enter[T comparable](s *Server, set map[T]struct{}, v T) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	set[v] = struct{}{}
	s.open.Add(1)
	return true
}

// leave undoes enter.
func leave[T comparable](s *Server, set map[T]struct{}, v T) {
	s.mu.Lock()
	delete(set, v)
	s.mu.Unlock()
	s.open.Done()
}

// prepare parses and checks an operation. What is refused has a response.
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
		err = fmt.Errorf("the operation answered nothing")
	}
	return &graphql.Response{Errors: gqlerror.List{s.cfg.Present(ctx, err)}}
}

// panicked is the response to an operation that panicked outside of a resolver.
func (s *Server) panicked(ctx context.Context, cause any) *graphql.Response {
	return s.failure(ctx, fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
}
