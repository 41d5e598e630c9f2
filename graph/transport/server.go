// Package transport carries GraphQL operations over HTTP as defined in GraphQL over HTTP, over
// WebSocket as defined in graphql-transport-ws, and over SSE as defined in graphql-sse's distinct
// connections mode. It authenticates callers and frames, limits, ends and counts operations. What
// an operation means is left to the executor.
package transport

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/graph/requestid"
	"rollcall/internal/admission"
	"rollcall/internal/clientaddr"
	"rollcall/internal/fault"
	"rollcall/internal/httpheader"
	"rollcall/internal/outage"
)

// Server is the handler of the GraphQL path.
type Server struct {
	cfg     Config
	exec    graphql.GraphExecutor
	origins origins
	shapes  shapes
	metrics *metrics
	budget  *budget
	guests  *guests
	// inFlight limits the operations that are executed.
	inFlight *inFlight
	// persisted is nil if persisted queries are switched off.
	persisted *persistedQueries
	log       *slog.Logger
	outages   *outage.Log
	pacing    pacing
	workers   *workers

	appLinks  *appLinks
	expiries  expiries
	addresses *addresses

	// pingInterval is how often clients are pinged.
	pingInterval time.Duration
	stopSweeping func()
	stopChecking func()

	mu       sync.Mutex
	draining bool
	conns    map[*conn]struct{}
	streams  map[*sseStream]struct{}
	// open counts conns and streams, for which Shutdown waits.
	open sync.WaitGroup
	// serving ends when Shutdown begins, by endServing.
	serving    context.Context
	endServing context.CancelFunc
}

// New returns a Server. Shutdown ends it.
func New(cfg Config) *Server {
	cfg.Limits.setDefaults()
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.ClientAddress == nil {
		cfg.ClientAddress = clientaddr.New(nil).Address
	}
	if cfg.Refusals == nil {
		cfg.Refusals = admission.NewRefusals(nil)
	}
	setDefault(&cfg.HeartbeatTimeout, 400*time.Second)
	setDefault(&cfg.PingInterval, 25*time.Second)
	m := newMetrics(cfg.Metrics)
	outages := outage.NewLog(cfg.Logger)
	s := &Server{
		cfg:     cfg,
		exec:    cfg.Executor,
		origins: cfg.AllowedOrigins,
		shapes:  shapes{exec: cfg.Executor, refresh: cfg.Auth.Refresh, everyone: cfg.SharedByAll, logger: cfg.Logger, outages: outages, running: m.subscriptions},
		metrics: m,
		log:     cfg.Logger,
		outages: outages,
		pacing: pacing{
			bounds:       bounds{bytes: cfg.Limits.QueueBytes, messages: cfg.Limits.QueueMessages},
			writeTimeout: cfg.Limits.WriteTimeout,
			closeTimeout: cfg.Limits.CloseTimeout,
			fenceTimeout: cfg.Limits.FenceTimeout,
		},
		budget:    newBudget(cfg.Limits.ReceivingBytes, m.receiving, m.receivingRefused),
		guests:    newGuests(&cfg.Limits, m, cfg.Metrics),
		inFlight:  newInFlight(&cfg),
		workers:   newWorkers(),
		addresses: newAddresses(&cfg),
		expiries:  expiries{clock: cfg.Clock},

		pingInterval: min(cfg.PingInterval, cfg.HeartbeatTimeout/pingsPerTimeout),
		conns:        make(map[*conn]struct{}),
		streams:      make(map[*sseStream]struct{}),
	}
	s.serving, s.endServing = context.WithCancel(context.Background())
	if cfg.PersistedQueries {
		s.persisted = newPersistedQueries(cfg.Limits.PersistedBytes, m)
	}
	s.stopSweeping = s.startSweeping()
	s.appLinks = newAppLinks(&cfg)
	s.stopChecking = s.startChecking()
	return s
}

// startChecking checks the App Servers' links until stop is called. stop waits for the last check
// to end.
func (s *Server) startChecking() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		warnings := outage.NewLog(s.log)
		s.appLinks.run(ctx, func(err error) {
			warnings.Warn(ctx, "checking the connections of App Servers failed; will retry", "error", err)
		})
	}()
	return func() { cancel(); <-done }
}

// ServeHTTP serves the request by the transport that it asks for.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestid.Of(r.Header.Get(headerRequestID))
	h := w.Header()
	h.Set(headerRequestID, id)
	s.origins.share(h, r)
	ctx := graphql.StartOperationTrace(requestid.With(r.Context(), id))
	x := &exchange{server: s, w: w, r: r, began: time.Now(), accept: accepted(r.Header)}
	x.ctx = clientaddr.With(ctx, x)
	defer x.finish()
	if httpheader.Has(r.Header, "Upgrade", "websocket") {
		x.upgrade(id)
	} else {
		x.serve()
	}
}

// errDraining refuses connections and streams that would stay open while the server stops.
var errDraining = fault.New(fault.Unavailable, "the server is shutting down")

// Shutdown ends gracefully: new WebSockets and streams are refused, each WebSocket is closed with
// 1012 once its queries and mutations have been responded to, and SSE streams break off, because a
// stream that completes would keep its client from reconnecting. If ctx ends first, Shutdown drops
// the remaining connections and returns ctx's error. Waiting for plain requests is left to
// http.Server.
func (s *Server) Shutdown(ctx context.Context) error {
	s.endServing()
	s.mu.Lock()
	s.draining = true
	for c := range s.conns {
		c.retire(closeGoingAway)
	}
	for st := range s.streams {
		st.goAway()
	}
	s.mu.Unlock()

	gone := make(chan struct{})
	go func() {
		s.open.Wait()
		close(gone)
	}()
	defer s.stopSweeping()
	defer s.stopChecking()
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

// enter adds v, which stays open, to set, unless the server is draining. It reports whether it did.
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
